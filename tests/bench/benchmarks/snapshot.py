"""1,000 calls per second of 2,000 agents while another transaction stays open, as a report or pg_dump does: one that is
REPEATABLE READ, and one that has written. Claim duration and dispatch latency, minute by minute. BENCH_MINUTES (30)."""

import os

from harness import pgbench
from harness.arriving import SCRIPT, Period, periods
from harness.bench import Bench, post_to
from harness.figures import Figure, at_most

ABOUT = "claims and latency at 1,000 calls/s beside a transaction that stays open"
OPEN = {
    "repeatable read": "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agents",
    "has written": "BEGIN; INSERT INTO agents (id) VALUES ('of an open transaction'); SELECT txid_current()",
}


def run(bench: Bench) -> list[Figure]:
    minutes = int(os.environ.get("BENCH_MINUTES", 2 if bench.short else 30))
    seconds = 60.0 if not bench.short else 4.0  # of a "minute"
    rate, agents = bench.size(1000, 300), 2000
    figures = []
    for name, statements in OPEN.items():
        found = _beside(bench, statements, minutes, seconds, rate, agents, name)
        first, last = found[0], found[-1]
        figures += [
            Figure(f"{name}: calls sent", last.sent, "/s"),
            Figure(f"{name}: claim, first minute", first.claim_ms, "ms"),
            Figure(f"{name}: claim, last / first minute", last.claim_ms / max(first.claim_ms, 1e-9), "", at_most(1.5),
                   at_most(20)),
            Figure(f"{name}: claim per row, last / first minute",
                   last.claim_us_per_row / max(first.claim_us_per_row, 1e-9)),
            Figure(f"{name}: dispatch latency, p99, worst minute", max(period.latency_p99_ms for period in found), "ms",
                   at_most(500), at_most(20000)),
        ]
    return figures


def _beside(bench: Bench, statements: str, minutes: int, seconds: float, rate: int, agents: int,
            name: str) -> list[Period]:
    cluster = bench.cluster()

    def tell(number: int, period: Period) -> None:
        print(f"    {name}, minute {number}: claim {period.claim_ms:.1f} ms for {period.claim_rows:.0f} rows, "
              f"latency p50 {period.latency_p50_ms:.0f} ms, p99 {period.latency_p99_ms:.0f} ms, {period.sent:.0f}/s",
              flush=True)

    with bench.nginx() as nginx, cluster.database(bench.new_name("snapshot")) as database:
        cluster.fill(database, 0, agents, post_to(f"'{nginx.url}'"))
        with cluster.session(database) as session, bench.dispatcher(database) as dispatcher:
            session.query("CREATE SEQUENCE bench_call CACHE 100")
            dispatcher.metrics()
            # The dispatcher must be stopped after the load, and the open transaction must see both begin.
            with pgbench.load(bench, database, SCRIPT.format(agents=agents), f"--rate={rate}", "--client=8",
                              "--protocol=prepared"), cluster.session(database) as open_transaction:
                open_transaction.query(statements)
                return periods(dispatcher, minutes, seconds, tell)
