"""A long backlog: time of a claim per row and the dispatcher's memory while the first 20,000 calls of 300,000 (and of
1,000,000) are delivered, compared with a backlog of 20,000."""

import time

from harness.bench import Bench, post_to
from harness.figures import Figure, at_most, of_rounds, ratios

ABOUT = "claim time per row and memory with 300,000 and 1,000,000 waiting calls, compared with 20,000"


def run(bench: Bench) -> list[Figure]:
    few, many, most = bench.size(20000, 2000), bench.size(300000, 30000), bench.size(1000000, 0)
    sizes = [few, many] if bench.short else [few, many, most]
    cluster = bench.cluster()
    time_of: dict[int, list[float]] = {size: [] for size in sizes}
    memory_of: dict[int, list[float]] = {size: [] for size in sizes}
    with bench.nginx() as nginx:
        for size in sizes[1:]:
            with cluster.database("backlog_few") as full_few, cluster.database("backlog_many") as full_many:
                for full, calls in ((full_few, few), (full_many, size)):
                    cluster.fill(full, calls, 200, post_to(f"'{nginx.url}'"), details=False)
                for _ in bench.rounds(long=5 if size == many else 3):
                    for full, calls in ((full_few, few), (full_many, size)):
                        with cluster.database(bench.new_name("backlog"), full) as database:
                            claim_us, memory = _first(bench, database, few * 9 // 10)
                        time_of[calls].append(claim_us)
                        memory_of[calls].append(memory)
    rounds = len(time_of[many])
    figures = [of_rounds(f"claim, {size:,} waiting", time_of[size], "us/row") for size in sizes]
    figures.append(of_rounds(f"claim, {many:,} / {few:,}", ratios(time_of[many], time_of[few][:rounds]), "",
                             at_most(1.1), at_most(5)))
    if most in sizes:
        figures.append(of_rounds(f"claim, {most:,} / {few:,}", ratios(time_of[most], time_of[few][rounds:]), "",
                                 at_most(1.1)))
    last = sizes[-1]
    figures += [of_rounds(f"memory, {size:,} waiting", memory_of[size], "MiB", at_most(64) if size == last else None,
                          at_most(128)) for size in sizes]
    return figures


def _first(bench: Bench, database: str, calls: int) -> tuple[float, float]:
    """Until this many are delivered: microseconds of a claim per row, and MiB."""
    with bench.dispatcher(database) as dispatcher:
        deadline = time.monotonic() + 300
        while (metrics := dispatcher.metrics()).value("postcall_deliveries_total") < calls:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not delivered in time: {dispatcher.tail()}")
            time.sleep(0.1)
        claims = metrics.histogram("postcall_claim_duration_seconds")
        rows = metrics.histogram("postcall_claim_batch_size").total
        return claims.total / rows * 1e6, dispatcher.memory("VmHWM") / 2**20
