"""Throughput of three dispatchers compared with one, when the endpoint answers after 200 ms: then the slots are the
limit (200 per endpoint, so 1,000 deliveries per second of each dispatcher), and three have three times as many."""

from harness.bench import Bench, post_to
from harness.delivering import deliver
from harness.figures import Figure, at_least, of_rounds, ratios

ABOUT = "throughput of 3 dispatchers, compared with 1; the endpoint takes 200 ms"


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 3000)
    cluster = bench.cluster()
    rates: dict[int, list[float]] = {1: [], 3: []}
    with bench.endpoint("--delay-ms=200") as endpoint, cluster.database("replicas") as full:
        cluster.fill(full, calls, 200, post_to(f"'http://127.0.0.1:{endpoint.port}/post-call'"), details=False)
        for _ in bench.rounds():
            for dispatchers, found in rates.items():
                with cluster.database(bench.new_name("replicas"), full) as database:
                    found.append(deliver(bench, database, None, dispatchers=dispatchers).per_second)
    return [
        of_rounds("deliveries/s, 3 dispatchers", rates[3], "/s"),
        of_rounds("deliveries/s, 1 dispatcher", rates[1], "/s"),
        of_rounds("deliveries/s, 3 / 1", ratios(rates[3], rates[1]), "", at_least(2.9), at_least(0.7)),
    ]
