"""pgbench with a script of ours: to its end, or as a load beside something else."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bench import Bench
from harness.processes import Child, cpu_seconds


@dataclass(frozen=True)
class Ran:
    per_second: float  # transactions
    cpu: float  # seconds that its sessions in PostgreSQL used


def run(bench: Bench, database: str, script: str, *options: str) -> Ran:
    child = _start(bench, database, script, *options)
    used: dict[int, float] = {}
    with bench.cluster().session(database) as session:
        while not child.has_ended():
            rows = session.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'"
                                 " AND datname = current_database()")
            # The statement above is for new sessions only, the clocks are read more often.
            for _ in range(20):
                for (pid,) in rows:
                    try:
                        used[int(pid or 0)] = cpu_seconds(int(pid or 0))
                    except OSError:
                        pass
                if child.has_ended():
                    break
                time.sleep(0.005)
    text = child.log.read_text()
    found = re.search(r"tps = ([0-9.]+) \(without", text)
    if child.wait(1) != 0 or not found or re.search(r"failed transactions: [1-9]", text):
        raise RuntimeError(f"pgbench failed: {text}")
    return Ran(float(found[1]), sum(used.values()))


@contextmanager
def load(bench: Bench, database: str, script: str, *options: str) -> Iterator[Child]:
    """Until the block ends."""
    child = _start(bench, database, script, "--time=86400", *options)
    try:
        yield child
        if child.has_ended():
            raise RuntimeError(f"pgbench ended early: {child.tail()}")
    finally:
        child.stop(5)


def _start(bench: Bench, database: str, script: str, *options: str) -> Child:
    cluster = bench.cluster()
    file = bench.folder / bench.new_name("script")
    file.write_text(script)
    command = [cluster.program("pgbench"), "--no-vacuum", f"--file={file}", *options]
    return Child(command, bench.folder / bench.new_name("pgbench"), env=cluster.environment(database))
