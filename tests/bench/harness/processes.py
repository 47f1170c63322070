"""Processes that the benchmark starts, and what they use. Only these are ever ended, by their id."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A process of ours. It has a session of its own, so that Ctrl-C at the terminal reaches only the benchmark, which
    then ends it."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None, cwd: Path | None = None):
        self.log = log
        with open(log, "ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                             env=env, cwd=cwd, start_new_session=True)
        _started.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def stop(self, seconds: float = 20) -> int:
        """Ends it with SIGTERM, after the time limit with SIGKILL, and returns its exit code."""
        if not self.has_ended():
            os.kill(self.pid, signal.SIGTERM)
            try:
                return self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
        return self._process.wait()

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


_started: list[Child] = []


def stop_all() -> None:
    """Ends those that an error or a signal left behind."""
    for child in _started:
        child.stop(2)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that would end the benchmark takes effect after the block."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if came:
        signal.raise_signal(came[0])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, ended ones too. The kernel has a clock of each process
    (clock_getcpuclockid(3)), which is exact to a nanosecond, where /proc has ticks of 10 ms. Raises OSError when the
    process has ended."""
    return time.clock_gettime((~pid << 3) | 2)


def children_of(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes: VmRSS is resident now, VmHWM was the most so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {what} of process {pid}")


class CoresIdle:
    """The share of the machine's cores that stood idle since this object was made, whoever used them."""

    def __init__(self) -> None:
        self._idle, self._all = self._read()

    def share(self) -> float:
        idle, total = self._read()
        return (idle - self._idle) / max(1, total - self._all)

    @staticmethod
    def _read() -> tuple[int, int]:
        # user nice system idle iowait irq softirq steal; guest time is in user time already.
        words = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return words[3] + words[4], sum(words)
