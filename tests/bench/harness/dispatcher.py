"""A dispatcher under measurement, and the sessions that it has in PostgreSQL."""

import json
import threading
import time
from collections import Counter
from pathlib import Path

from harness.metrics import Metrics
from harness.postgres import Cluster
from harness.processes import Child, cpu_seconds, memory

ROLES = ("claim", "record", "other")


class Dispatcher:
    """`options` are added to the defaults. `database_url` is used instead of the cluster's own socket."""

    def __init__(self, cluster: Cluster, binary: Path, log: Path, database: str, *options: str,
                 database_url: str | None = None):
        self.killed = False
        command = [str(binary), "run", "--egress-allow", "127.0.0.0/8", "--admin-listen", "127.0.0.1:0",
                   "--log-format", "json", *options]
        if database_url:
            command += ["--database-url", database_url]
        log.unlink(missing_ok=True)
        self._child = Child(command, log, env=cluster.environment(database))
        self._admin: str | None = None

    @property
    def pid(self) -> int:
        return self._child.pid

    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def memory(self, what: str = "VmRSS") -> int:
        return memory(self.pid, what)

    def metrics(self) -> Metrics:
        while self._admin is None:
            self.require()
            for line in self._child.log.read_text().splitlines():
                if '"admin port is open"' in line:
                    self._admin = json.loads(line)["address"]
            time.sleep(0.01)
        return Metrics(self._admin)

    def require(self) -> None:
        """Raises when it has ended."""
        if self._child.has_ended():
            raise RuntimeError(f"the dispatcher ended early: {self._child.tail()}")

    def tail(self) -> str:
        return self._child.tail()

    def stop(self) -> None:
        """It must end with 0."""
        if (code := self._child.stop()) != 0:
            raise RuntimeError(f"the dispatcher ended with {code}: {self._child.tail()}")

    def kill(self) -> None:
        """Does not wait for what is in flight."""
        self.killed = True
        self._child.stop(0.5)


class Sessions:
    """Looks at the sessions of all dispatchers of a database: which of them claims, which records, and how much CPU
    each has used. A session's role is what it was seen doing most often. It looks ten times per second, and more often
    until each role is known (with `tell_apart`), because a look costs CPU too."""

    def __init__(self, cluster: Cluster, database: str, tell_apart: bool = True):
        self._tell_apart = tell_apart
        self._votes: dict[int, Counter[str]] = {}
        self._cpu: dict[int, float] = {}
        self._session = cluster.session(database)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_often, daemon=True)
        self._thread.start()

    def cpu(self) -> dict[str, float]:
        """Seconds so far, by role."""
        used = dict.fromkeys(ROLES, 0.0)
        for pid, votes in list(self._votes.items()):
            self._read_cpu(pid)
            used[votes.most_common(1)[0][0] if votes else "other"] += self._cpu.get(pid, 0.0)
        return used

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._session.close()

    def _look_often(self) -> None:
        while not self._stopped.wait(0.1 if not self._tell_apart or self._roles_known() else 0.02):
            rows = self._session.query("SELECT pid, CASE WHEN state <> 'idle' THEN query END FROM pg_stat_activity"
                                       " WHERE datname = current_database()"
                                       "   AND application_name = 'postcall-dispatcher'")
            for pid, query in rows:
                votes = self._votes.setdefault(int(pid or 0), Counter())
                if role := _role_of(query or ""):
                    votes[role] += 1
                self._read_cpu(int(pid or 0))

    def _roles_known(self) -> bool:
        seen: Counter[str] = sum(self._votes.values(), Counter())
        return min(seen["claim"], seen["record"]) >= 5

    def _read_cpu(self, pid: int) -> None:
        try:
            self._cpu[pid] = cpu_seconds(pid)
        except OSError:
            pass  # it has ended; the last look counts


def _role_of(query: str) -> str | None:
    """None for a statement that does not tell, such as COMMIT."""
    if "UPDATE webhook_deliveries" in query and "first_byte_ms" in query:
        return "record"
    if "INSERT INTO webhook_deliveries" in query or "webhook_source" in query:
        return "claim"
    if "webhook_outbox" in query and "SKIP LOCKED" in query:
        return "claim"
    return None
