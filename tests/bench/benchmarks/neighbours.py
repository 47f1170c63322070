"""2,000 calls per second of 4,000 agents; the endpoints of 10 % of them never answer. How long calls of the healthy
ones wait from due to POST (the log has both moments), compared with the same load when all answer. Once all that hang
are on one host, once each is on a host of its own on 127.x.y.z; the healthy ones are on one other host."""

import time

from harness import pgbench
from harness.arriving import SCRIPT
from harness.bench import Bench, host_of, post_to
from harness.figures import Figure, at_most, of_rounds, ratios

ABOUT = "how long healthy calls wait while 10 % of 4,000 agents hang, compared with none"


def run(bench: Bench) -> list[Figure]:
    agents, rate = bench.size(4000, 1000), bench.size(2000, 300)
    seconds = 30 if not bench.short else 5
    cluster = bench.cluster()
    waits: dict[str, list[float]] = {"none": [], "one host": [], "own hosts": []}
    with bench.nginx() as nginx, bench.endpoint("--never", "--every-host") as silent:
        healthy = f"'{nginx.url}'"
        hanging = {
            "none": healthy,
            "one host": f"'http://127.200.0.1:{silent.port}/post-call'",
            "own hosts": f"format('http://%s:{silent.port}/post-call', {host_of('n')})",
        }
        for _ in bench.rounds():
            for name, url in hanging.items():
                with cluster.database(bench.new_name("neighbours")) as database:
                    cluster.fill(database, 0, agents, post_to(f"CASE WHEN n % 10 = 0 THEN {url} ELSE {healthy} END"))
                    waits[name].append(_p99(bench, database, agents, rate, seconds))
    return [
        of_rounds("healthy, due to POST, p99, none hang", waits["none"], "ms"),
        of_rounds("healthy, p99, 10 % hang on one host", waits["one host"], "ms"),
        of_rounds("healthy, p99, one host / none", ratios(waits["one host"], waits["none"]), "", at_most(1.5),
                  at_most(60)),
        of_rounds("healthy, p99, 10 % hang, each on its own host", waits["own hosts"], "ms"),
        of_rounds("healthy, p99, own hosts / none", ratios(waits["own hosts"], waits["none"]), "", at_most(1.2),
                  at_most(60)),
    ]


def _p99(bench: Bench, database: str, agents: int, rate: int, seconds: float) -> float:
    """In milliseconds, of calls of healthy agents that became due in the second half. The first half is as long as slow
    agents need to become known."""
    cluster = bench.cluster()
    with cluster.session(database) as session, bench.dispatcher(database) as dispatcher:
        session.query("CREATE SEQUENCE bench_call CACHE 100")
        dispatcher.metrics()
        with pgbench.load(bench, database, SCRIPT.format(agents=agents), f"--rate={rate}", "--client=8",
                          "--protocol=prepared"):
            time.sleep(seconds / 2)
            half = session.value("SELECT clock_timestamp()")
            time.sleep(seconds / 2)
            end = session.value("SELECT clock_timestamp()")
        deadline = time.monotonic() + 60
        of_healthy = "substr(agent_id, 7)::int % 10 <> 0"
        while session.value(f"SELECT EXISTS (SELECT FROM webhook_outbox WHERE {of_healthy})") == "t":
            dispatcher.require()
            if time.monotonic() > deadline:
                raise RuntimeError(f"calls of healthy agents still wait after a minute: {dispatcher.tail()}")
            time.sleep(0.25)
        time.sleep(1)  # the last outcomes are recorded
        dispatcher.kill()  # the others hang
    with cluster.session(database) as session:
        # finished_at is the claim's time plus the steady time elapsed; total_ms is from the POST's start to its end.
        return session.number(
            "SELECT coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY"
            "         1000 * extract(epoch FROM finished_at - due_at) - total_ms), 0)"
            f"  FROM webhook_deliveries WHERE {of_healthy} AND outcome = 'delivered'"
            f"   AND due_at BETWEEN '{half}' AND '{end}'")
