"""8,000 deliveries to an endpoint that never answers: memory that each adds while it hangs, and when each is over."""

import time

from harness.bench import Bench, post_to
from harness.dispatcher import Dispatcher
from harness.figures import Figure, at_most, percentile

ABOUT = "memory of 8,000 deliveries that hang, and when they are over"


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(8000, 2000)
    limits = [f"{option}={calls}" for option in
              ("--max-in-flight", "--max-in-flight-per-agent", "--max-in-flight-per-endpoint")]
    cluster = bench.cluster()
    with bench.endpoint("--never") as endpoint, cluster.database("hanging") as database:
        # 8,000 agents, because recently slow agents may use only a share of the slots.
        cluster.fill(database, calls, calls, post_to(f"'http://127.0.0.1:{endpoint.port}/post-call'"), completed=False)
        with bench.dispatcher(database, *limits, "--slow-share=1") as dispatcher, cluster.session(database) as session:
            dispatcher.metrics()
            time.sleep(1)
            before = dispatcher.memory()
            session.query("UPDATE calls SET status = 'completed', completed_at = now()")
            most, in_flight = _watch(dispatcher, calls)
            while session.number("SELECT count(*) FROM webhook_deliveries WHERE outcome <> 'in_flight'") < calls:
                dispatcher.require()
                time.sleep(0.5)
            rows = session.query("SELECT total_ms FROM webhook_deliveries WHERE outcome = 'timeout'")
    if len(rows) != calls:
        raise RuntimeError(f"{len(rows)} of {calls} ended as timeout")
    over = [float(row[0] or 0) / 1000 for row in rows]
    return [
        Figure("most in flight at once", in_flight),
        Figure("memory per delivery in flight", (most - before) / in_flight / 1024, "KiB", at_most(16), at_most(40)),
        Figure("over after, median", percentile(over, 0.5), "s"),
        Figure("over after, last", max(over), "s", at_most(10.25), at_most(12)),
    ]


def _watch(dispatcher: Dispatcher, calls: int) -> tuple[int, int]:
    """The most memory in bytes, and the most deliveries in flight, until they begin to be over."""
    most = in_flight = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        metrics = dispatcher.metrics()
        most = max(most, dispatcher.memory())
        in_flight = max(in_flight, int(metrics.value("postcall_in_flight")))
        if metrics.value("postcall_deliveries_total") > 0 or in_flight >= calls:
            break
        time.sleep(0.25)
    return max(most, dispatcher.memory()), in_flight
