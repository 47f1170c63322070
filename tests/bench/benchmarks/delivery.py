"""20,000 calls of 200 agents that are due already, one host, the dispatcher with its defaults; in turns with it,
bare_loop POSTs the same bodies to the same nginx without database or JSON."""

import os

from harness.bare import Posted, post_all
from harness.bench import Bench, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_least, at_most, of_rounds, ratios

ABOUT = "throughput and CPU per delivery, compared with a plain libcurl loop"


def run(bench: Bench) -> list[Figure]:
    calls = int(os.environ.get("BENCH_CALLS", bench.size(20000, 20000)))
    agents = int(os.environ.get("BENCH_AGENTS", 200))
    ours: list[Delivered] = []
    bare: list[Posted] = []
    cluster = bench.cluster()
    with bench.nginx() as nginx, cluster.database("delivery") as full:
        cluster.fill(full, calls, agents, post_to(f"'{nginx.url}'"))
        bodies = bench.folder / "bodies"
        cluster.bodies(full, bodies)
        for _ in bench.rounds():
            with cluster.database(bench.new_name("delivery"), full) as database:
                first = post_all(bench, bodies, "--url", nginx.url)
                ours.append(deliver(bench, database, nginx))
                second = post_all(bench, bodies, "--url", nginx.url)
                bare.append(Posted(first.bytes, (first.per_second + second.per_second) / 2,
                                   (first.cpu_us + second.cpu_us) / 2))
        if bare[0].bytes != ours[0].body_bytes:
            raise RuntimeError(f"the bare loop posted {bare[0].bytes} bytes of bodies and the dispatcher "
                               f"{ours[0].body_bytes}: not the same work")
    all_us = [run.dispatcher_us + run.postgres_us + run.nginx_us for run in ours]
    return [
        of_rounds("deliveries/s", [run.per_second for run in ours], "/s"),
        of_rounds("deliveries/s, bare loop", [run.per_second for run in bare], "/s"),
        of_rounds("deliveries/s, / bare loop",
                  ratios([run.per_second for run in ours], [run.per_second for run in bare]),
                  limit=at_least(float(os.environ.get("BENCH_MIN_THROUGHPUT_RATIO", "0.25")))),
        of_rounds("CPU, dispatcher", [run.dispatcher_us for run in ours], "us/delivery"),
        of_rounds("CPU, bare loop", [run.cpu_us for run in bare], "us/delivery"),
        of_rounds("CPU, dispatcher / bare loop",
                  ratios([run.dispatcher_us for run in ours], [run.cpu_us for run in bare]),
                  limit=at_most(float(os.environ.get("BENCH_MAX_CPU_RATIO", "2.5")))),
        of_rounds("CPU, claim session", [run.session_us["claim"] for run in ours], "us/delivery"),
        of_rounds("CPU, record session", [run.session_us["record"] for run in ours], "us/delivery"),
        of_rounds("CPU, other sessions", [run.session_us["other"] for run in ours], "us/delivery"),
        of_rounds("CPU, nginx", [run.nginx_us for run in ours], "us/delivery"),
        of_rounds("CPU, all of them", all_us, "us/delivery", goal=at_most(115)),
        of_rounds("cores that stood idle", [100 * run.idle for run in ours], "%", goal=at_most(10)),
    ]
