"""From the moment when the platform's COMMIT returned to the moment when the endpoint had the request: 100 calls per
second at an even pace, and bursts of 10 calls each 100 ms. Both moments are of the machine's one monotonic clock."""

import time
from pathlib import Path

from harness.bench import Bench, post_to
from harness.completing import complete
from harness.figures import Figure, at_most, of_rounds, percentile

ABOUT = "commit to request received, at 100 calls/s and in bursts of 10 each 100 ms"


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(1000, 300)
    even: list[list[float]] = []
    bursts: list[list[float]] = []
    cluster = bench.cluster()
    arrivals = bench.folder / bench.new_name("arrivals")
    with bench.endpoint(f"--arrivals={arrivals}") as endpoint, cluster.database("latency") as full:
        cluster.fill(full, calls, 50, post_to(f"'http://127.0.0.1:{endpoint.port}/post-call'"), completed=False)
        for _ in bench.rounds():
            for per_burst, found in ((1, even), (10, bursts)):
                arrivals.write_text("")
                with cluster.database(bench.new_name("latency"), full) as database:
                    found.append(_milliseconds(bench, database, arrivals, calls, per_burst))
    figures = []
    for name, found, p50, p99 in (("100/s", even, 3, 10), ("bursts of 10", bursts, None, None)):
        for share, goal, limit in ((0.5, p50, 500), (0.99, p99, 3000)):
            figures.append(of_rounds(f"commit to request, {name}, p{share * 100:.0f}",
                                     [percentile(of, share) for of in found], "ms",
                                     at_most(goal) if goal else None, at_most(limit)))
    return figures


def _milliseconds(bench: Bench, database: str, arrivals: Path, calls: int, per_burst: int) -> list[float]:
    with bench.dispatcher(database) as dispatcher, bench.cluster().session(database) as session:
        dispatcher.metrics()
        ids = [str(row[0]) for row in session.query("SELECT id FROM calls ORDER BY id")]
        time.sleep(1.5)  # as quiet as between two calls of an idle platform
        committed = complete(session, ids, [n // per_burst * per_burst / 100 for n in range(calls)])
        deadline = time.monotonic() + 30
        while len(lines := arrivals.read_text().splitlines()) < calls:
            dispatcher.require()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(lines)} of {calls} calls arrived: {dispatcher.tail()}")
            time.sleep(0.1)
    arrived = {call: int(moment) for call, moment in (line.split() for line in lines)}
    # A request may arrive before the client has seen the answer to its COMMIT: that is 0.
    return [max(0, arrived[call] - moment) / 1e6 for call, moment in committed.items()]
