"""The private PostgreSQL of one run of the benchmarks, and its databases."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.processes import uninterrupted
from harness.session import Session

TEMPLATE = "bench_template"  # migrated, without calls


class Cluster:
    """Started and stopped by deploy/private-postgres.sh, with the shipped settings (fsync too)."""

    def __init__(self, root: Path, folder: Path, binary: Path):
        self.folder = folder
        self._script = root / "deploy" / "private-postgres.sh"
        self._binary = binary
        self._calls = root / "tests" / "bench" / "calls.sql"
        self._bodies = root / "tests" / "bench" / "bodies.sql"
        self._programs = self._shell("private_postgres_bin")

    def start(self) -> None:
        with uninterrupted():  # otherwise a server could be left behind that is not ready yet
            self._shell('private_postgres_start "$@"', str(self.folder))

    def stop(self) -> None:
        self._shell('private_postgres_folder=$1; private_postgres_stop', str(self.folder))

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's own programs, of the server's version."""
        return f"{self._programs}/{name}"

    def environment(self, database: str) -> dict[str, str]:
        """For programs that use libpq."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {"PGHOST": str(self.folder), "PGUSER": "postgres", "PGDATABASE": database}

    def session(self, database: str, name: str = "bench") -> Session:
        return Session(self.folder, database, name)

    def migrate(self) -> None:
        """Makes the template that all databases are copied from."""
        with self.session("postgres") as admin:
            admin.query(f"CREATE DATABASE {TEMPLATE}")
        subprocess.run([self._binary, "migrate", "--log-level", "warning"], env=self.environment(TEMPLATE), check=True)

    @contextmanager
    def database(self, name: str, template: str = TEMPLATE) -> Iterator[str]:
        """A copy of the template, which is removed at the end."""
        with self.session("postgres") as admin:
            admin.query(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY = file_copy")
        try:
            yield name
        finally:
            with self.session("postgres") as admin:
                admin.query(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """One of PostgreSQL's settings that a reload changes."""
        with self.session("postgres") as admin:
            admin.query(f"ALTER SYSTEM SET {name} = '{value}'")
            admin.query("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            with self.session("postgres") as admin:
                admin.query(f"ALTER SYSTEM RESET {name}")
                admin.query("SELECT pg_reload_conf()")

    def fill(self, database: str, calls: int, agents: int, settings: str, completed: bool = True,
             details: bool = True) -> None:
        """Makes agents and calls. `settings` is a SQL expression of the agent's number n. With `completed` the calls
        are due at once; otherwise they are in progress."""
        self.psql(database, self._calls, calls=str(calls), agents=str(agents), settings=settings,
                  completed=str(int(completed)), details=str(int(details)))

    def bodies(self, database: str, file: Path) -> None:
        """Writes the body of each call, one per line."""
        file.write_bytes(self.psql(database, self._bodies))

    def psql(self, database: str, script: Path, **variables: str) -> bytes:
        words = [f"--set={name}={value}" for name, value in variables.items()]
        command = [self.program("psql"), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", *words, "--file",
                   str(script)]
        return subprocess.run(command, env=self.environment(database), stdout=subprocess.PIPE, check=True).stdout

    def _shell(self, command: str, *words: str) -> str:
        made = subprocess.run(["bash", "-euo", "pipefail", "-c", f'source "$0"; {command}', str(self._script), *words],
                              stdout=subprocess.PIPE, text=True, check=True, start_new_session=True)
        return made.stdout.strip()
