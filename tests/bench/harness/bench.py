"""What a benchmark gets: the private PostgreSQL, endpoints, dispatchers, and how long it may take."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.dispatcher import Dispatcher
from harness.listener import Listener
from harness.nginx import Nginx
from harness.postgres import Cluster
from harness.processes import stop_all


class NotRun(Exception):
    """This machine cannot run the benchmark; the text says why."""


class Bench:
    """One run of the benchmarks. It makes the cluster when it is first needed."""

    def __init__(self, root: Path, build: Path, folder: Path, short: bool):
        self.root = root
        self.short = short
        self.folder = folder
        self.binary = build / "bin" / "postcall-dispatcher"
        self.bare_loop = build / "bin" / "bare_loop"
        self._cluster: Cluster | None = None
        self._names = 0
        _raise_descriptor_limit()

    def size(self, long: int, short: int) -> int:
        """How many: the first normally, the second with --short. BENCH_SCALE (1) multiplies both, for a quick try."""
        return max(1, int((short if self.short else long) * float(os.environ.get("BENCH_SCALE", "1"))))

    def rounds(self, long: int = 5, short: int = 1) -> range:
        return range(int(os.environ.get("BENCH_ROUNDS", short if self.short else long)))

    def options(self) -> list[str]:
        """Options of the dispatcher that every benchmark gets: BENCH_OPTIONS='--claim-sessions 4'."""
        return os.environ.get("BENCH_OPTIONS", "").split()

    def new_name(self, word: str) -> str:
        self._names += 1
        return f"{word}_{self._names}"

    def cluster(self) -> Cluster:
        if not self._cluster:
            folder = self.folder / self.new_name("postgres")
            folder.mkdir()
            self._cluster = Cluster(self.root, folder, self.binary)
            self._cluster.start()
            self._cluster.migrate()
        return self._cluster

    def stop(self) -> None:
        """Ends the cluster and all processes that still run."""
        stop_all()
        if self._cluster:
            self._cluster.stop()
            self._cluster = None

    @contextmanager
    def nginx(self, every_host: bool = False, connections: int = 8192,
              servers: str = "") -> Iterator[Nginx]:
        made = Nginx(self.root / "tests" / "bench" / "nginx.conf", self.folder / self.new_name("nginx"), every_host,
                     connections, servers)
        try:
            yield made
        finally:
            made.stop()

    @contextmanager
    def endpoint(self, *options: str) -> Iterator[Listener]:
        with self._listener("endpoint", *options) as made:
            yield made

    @contextmanager
    def relay(self, round_trip_ms: float) -> Iterator[Listener]:
        """A distance to the database; see relay.py."""
        socket = self.cluster().folder / ".s.PGSQL.5432"
        with self._listener("relay", f"--to={socket}", f"--round-trip-ms={round_trip_ms}") as made:
            yield made

    @contextmanager
    def _listener(self, program: str, *options: str) -> Iterator[Listener]:
        made = Listener(self.root / "tests" / "bench" / f"{program}.py", self.folder / self.new_name(program), *options)
        try:
            yield made
        finally:
            made.stop()

    @contextmanager
    def dispatcher(self, database: str, *options: str, database_url: str | None = None) -> Iterator[Dispatcher]:
        """Stopped at the end, which takes as long as what is in flight. After an error, or when the benchmark called
        `kill` itself, it is ended sooner."""
        made = Dispatcher(self.cluster(), self.binary, self.folder / self.new_name("dispatcher"),
                          database, *self.options(), *options, database_url=database_url)
        try:
            yield made
        except BaseException:
            made.kill()
            raise
        if not made.killed:
            made.stop()


def post_to(url_sql: str, more: str = "") -> str:
    """The settings of agent n as a SQL expression; `url_sql` is one too. `more` has further keys of `webhooks`."""
    return f"jsonb_build_object('webhooks', jsonb_build_object('postCall', {url_sql}{', ' + more if more else ''}))"


def host_of(number: str) -> str:
    """A SQL expression of the host 127.x.y.z with this number, from 0."""
    return f"format('127.%s.%s.%s', 1 + ({number}) / 62500, ({number}) / 250 % 250, 1 + ({number}) % 250)"


def _raise_descriptor_limit() -> None:
    """Children inherit it. 8,000 hanging deliveries need two descriptors each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return
        except (OSError, ValueError):
            continue
