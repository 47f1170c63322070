"""graphile-worker 0.17 with undici 6, without a log, a signature or a check of addresses, in turns with the dispatcher
with all of them: the same 20,000 messages of 200 tenants to the same nginx. Its settings: localQueue 800,
completeJobBatchDelay 5, 400 concurrent jobs. npm installs it into a cache folder (BENCH_CACHE)."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from harness.bench import Bench, NotRun, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_least, of_rounds, ratios

ABOUT = "throughput, compared with graphile-worker and undici"
PACKAGES = ("graphile-worker@0.17", "undici@6")


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 4000)
    packages = _install()
    cluster = bench.cluster()
    ours: list[Delivered] = []
    theirs: list[dict[str, float]] = []
    with bench.nginx() as nginx, cluster.database("graphile") as full:
        secret = "'secret', 'whsec_' || encode(sha256(n::text::bytea), 'base64')"
        cluster.fill(full, calls, 200, post_to(f"'{nginx.url}'", secret))
        for _ in bench.rounds():
            with cluster.database(bench.new_name("graphile"), full) as database:
                theirs.append(_run_theirs(bench, packages, database, calls, nginx.url))
            with cluster.database(bench.new_name("graphile"), full) as database:
                ours.append(deliver(bench, database, nginx))
    rates = [calls / run["seconds"] for run in theirs]
    return [
        of_rounds("deliveries/s, ours", [run.per_second for run in ours], "/s"),
        of_rounds("deliveries/s, graphile-worker", rates, "/s"),
        of_rounds("deliveries/s, ours / graphile-worker", ratios([run.per_second for run in ours], rates), "",
                  at_least(1.5), at_least(0.2)),
        of_rounds("CPU, our process", [run.dispatcher_us for run in ours], "us/delivery"),
        of_rounds("CPU, its process", [run["cpu_us"] for run in theirs], "us/delivery"),
    ]


def _install() -> Path:
    """The folder with node_modules. A second run finds the packages there."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise NotRun("it needs node and npm")
    cache = os.environ.get("BENCH_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(cache) / "postcall-bench"
    if not all((folder / "node_modules" / package.split("@")[0] / "package.json").exists() for package in PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-package-lock", *PACKAGES]
        made = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=300)
        if made.returncode != 0:
            raise NotRun("npm could not install the packages: " + " ".join(made.stdout.split()[-20:]))
    return folder


def _run_theirs(bench: Bench, packages: Path, database: str, calls: int, url: str) -> dict[str, float]:
    cluster = bench.cluster()
    script = bench.root / "tests" / "bench" / "graphile.mjs"
    address = f"postgres://postgres@/{database}?host={quote(str(cluster.folder), safe='')}"
    _node(packages, str(script), "migrate", address)
    body = (bench.root / "tests" / "bench" / "bodies.sql").read_text().rstrip().rstrip(";")
    with cluster.session(database) as session:
        session.query("SELECT graphile_worker.add_job('post', json_build_object('url', "
                      f"'{url}', 'body', message.body::text)) FROM (\n{body}\n) AS message (body)")
        session.query("VACUUM ANALYZE")
        session.query("CHECKPOINT")
        found: dict[str, float] = json.loads(_node(packages, str(script), "run", address, str(calls)))
        left = session.number("SELECT count(*) FROM graphile_worker.jobs")
    if found["failed"] or left:
        raise RuntimeError(f"graphile-worker: {found['failed']} failed, {left:.0f} jobs are left")
    return found


def _node(packages: Path, *words: str) -> str:
    return subprocess.run(["node", *words], cwd=packages, stdout=subprocess.PIPE, text=True, check=True,
                          timeout=300).stdout
