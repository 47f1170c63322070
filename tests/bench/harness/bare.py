"""Runs bare_loop: the least that a libcurl program must do to POST the same bodies."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Bench


@dataclass(frozen=True)
class Posted:
    bytes: int
    per_second: float
    cpu_us: float  # per POST


def post_all(bench: Bench, bodies: Path, *options: str) -> Posted:
    command = [str(bench.bare_loop), "--bodies", str(bodies), *options]
    line = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    words = dict(re.findall(r"(\w+)=([0-9.]+)", line))
    return Posted(int(words["bytes"]), float(words["posts_per_second"]), float(words["cpu_us_per_post"]))
