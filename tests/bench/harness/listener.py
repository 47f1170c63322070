"""Starts a program of ours that listens: endpoint.py, which answers late or never or notes each arrival, or relay.py,
which is a distance to the database."""

import re
import sys
import time
from pathlib import Path

from harness.processes import Child


class Listener:
    """Options: as the program has them."""

    def __init__(self, program: Path, log: Path, *options: str):
        self._child = Child([sys.executable, "-B", str(program), *options], log)
        self.port = self._wait_for_port(program)

    def stop(self) -> None:
        self._child.stop()

    def _wait_for_port(self, program: Path) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not self._child.has_ended():
            if found := re.search(r"^port=(\d+)$", self._child.log.read_text(), re.MULTILINE):
                return int(found[1])
            time.sleep(0.02)
        raise RuntimeError(f"{program.name} does not start: {self._child.tail()}")
