"""Runs benchmarks and prints their figures; tests/bench/run.sh is the way to start it."""

import argparse
import datetime
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from harness.bench import Bench, NotRun
from harness.processes import ENDING

# In this order, which is also that of README.md.
NAMES = ["delivery", "wal", "floor", "trigger", "latency", "idle", "agents", "hanging", "neighbours", "snapshot",
         "replicas", "backlog", "tls", "hosts", "remote", "stalls", "graphile"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description="Runs all benchmarks or the named ones.",
                                     epilog="Names: " + ", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="small sizes, one round: minutes in all")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is beyond its (wide) limit")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("names", metavar="NAME", nargs="*")
    words = parser.parse_args()
    for name in words.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name}; there are: {', '.join(NAMES)}")
    return words


def machine() -> dict[str, object]:
    models = {line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")}
    return {"cores": os.cpu_count(), "processor": ", ".join(models), "kernel": os.uname().release,
            "load": os.getloadavg()[0]}


def new_folder(root: Path) -> Path:
    """A folder for the cluster and all files of this run, which the user postgres can reach."""
    command = 'source "$0"; private_temporary_folder'
    folder = Path(subprocess.run(["bash", "-c", command, str(root / "deploy" / "private-postgres.sh")],
                                 stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    folder.chmod(0o711)
    return folder


def leave(number: int, _: object) -> None:
    """Ends the program through its `finally` blocks. A second signal is ignored, so that they can work."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def run_one(bench: Bench, name: str) -> dict[str, object]:
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"{name}: {module.ABOUT}", flush=True)
    begin = time.monotonic()
    found: dict[str, object] = {"figures": []}
    try:
        figures = module.run(bench)
        for figure in figures:
            print(figure.line())
        found["figures"] = [figure.as_json() for figure in figures]
        if beyond := [f"{figure.name}: {figure.value:.4g}, wanted {figure.limit}" for figure in figures
                      if figure.beyond_limit()]:
            found["beyond"] = beyond
    except NotRun as reason:
        found["not_run"] = str(reason)
        print(f"  not run: {reason}")
    except Exception as error:
        traceback.print_exc()
        found["failed"] = str(error)
        bench.stop()  # the next benchmark gets a cluster without what this one left
    found["seconds"] = round(time.monotonic() - begin, 1)
    print(f"  ({found['seconds']} s)\n", flush=True)
    return found


def main() -> int:
    words = arguments()
    for each in ENDING:
        signal.signal(each, leave)
    root = Path(__file__).resolve().parents[2]
    build = Path(os.environ.get("BENCH_BUILD", root / "build" / "release")).resolve()
    about = machine()
    print(f"{about['cores']} cores, {about['processor']}; load average {about['load']:.1f}"
          f"{'; short forms' if words.short else ''}\n")
    results: dict[str, dict[str, object]] = {}
    folder = new_folder(root)
    bench = Bench(root, build, folder, words.short)
    try:
        for name in words.names or NAMES:
            results[name] = run_one(bench, name)
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if words.json:
        words.json.write_text(json.dumps({
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "short": words.short,
            "machine": about, "benchmarks": results}, indent=1) + "\n")
    failed = [name for name, found in results.items() if "failed" in found]
    beyond = [f"{name}: {line}" for name, found in results.items() for line in found.get("beyond", [])]
    if failed:
        print(f"Failed: {', '.join(failed)}")
    if beyond:
        print("Beyond a limit:", *beyond, sep="\n  ")
    return 1 if failed or (words.check and beyond) else 0


if __name__ == "__main__":
    sys.exit(main())
