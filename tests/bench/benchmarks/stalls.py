"""Runs of a backlog of 20,000 signed calls: the longest pause between two claims while calls were due and slots were
free. The log has both: a claim's rows share claimed_at, and a slot is taken from claimed_at to finished_at."""

from itertools import groupby, pairwise
from operator import itemgetter

from harness.bench import Bench, post_to
from harness.delivering import deliver
from harness.figures import Figure, at_least, at_most, of_rounds

ABOUT = "the longest pause between two claims while calls are due and slots are free"
PER_ENDPOINT = 200  # the default of --max-in-flight-per-endpoint; all agents have one endpoint


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 3000)
    cluster = bench.cluster()
    rates: list[float] = []
    pauses: list[float] = []
    secret = "'secret', 'whsec_' || encode(sha256(n::text::bytea), 'base64')"
    with bench.nginx() as nginx, cluster.database("stalls") as full:
        cluster.fill(full, calls, 200, post_to(f"'{nginx.url}'", secret))
        for _ in bench.rounds(long=50, short=5):
            with cluster.database(bench.new_name("stalls"), full) as database:
                rates.append(deliver(bench, database, nginx).per_second)
                with cluster.session(database) as session:
                    rows = session.query("SELECT extract(epoch FROM claimed_at), extract(epoch FROM finished_at)"
                                         "  FROM webhook_deliveries ORDER BY claimed_at")
                pauses.append(longest_pause([(float(row[0] or 0), float(row[1] or 0)) for row in rows], PER_ENDPOINT))
    return [
        of_rounds("longest pause of a run, median of the runs", [1000 * pause for pause in pauses], "ms"),
        Figure("longest pause of all runs", 1000 * max(pauses), "ms", at_most(100), at_most(5000)),
        Figure("runs with a pause over 100 ms", sum(pause > 0.1 for pause in pauses), "", at_most(0)),
        of_rounds("deliveries/s", rates, "/s"),
        Figure("slowest run / median run", min(rates) / sorted(rates)[len(rates) // 2], "", at_least(0.5)),
    ]


def longest_pause(taken: list[tuple[float, float]], slots: int) -> float:
    """Seconds. `taken` has claimed_at and finished_at of each delivery, by claimed_at. A pause ends with a claim, so
    calls were due until then; it begins with the claim before, or when the first slot became free after that."""
    longest = 0.0
    ends: list[float] = []  # finished_at of those in flight
    claims = [(moment, [end for _, end in rows]) for moment, rows in groupby(taken, key=itemgetter(0))]
    for (moment, its_ends), (next_moment, _) in pairwise(claims):
        ends = sorted(end for end in ends + its_ends if end > moment)
        # With all slots taken, one is free when as many have ended as brings the rest below the limit.
        free_from = moment if len(ends) < slots else ends[len(ends) - slots]
        longest = max(longest, next_moment - free_from)
    return longest
