"""The platform's side: transactions per second that complete one call each, with the triggers on calls and without
them, in turns. No dispatcher runs."""

from harness import pgbench
from harness.bench import Bench, post_to
from harness.figures import Figure, at_least, of_rounds, ratios

ABOUT = "transactions per second that complete calls, with the triggers compared with none"
CLIENTS = 4
SCRIPT = f"""\\set n :last * {CLIENTS} + :client_id + 1
UPDATE calls SET status = 'completed', completed_at = now() WHERE id = md5('call ' || :n);
\\set last :last + 1
"""


def run(bench: Bench) -> list[Figure]:
    each = bench.size(10000, 1200) // CLIENTS * CLIENTS  # transactions of one side of a round
    cluster = bench.cluster()
    rates: dict[bool, list[float]] = {True: [], False: []}
    cpu: dict[bool, list[float]] = {True: [], False: []}
    with cluster.database("trigger") as full:
        cluster.fill(full, each, 200, post_to("'http://127.0.0.1:1/post-call'"), completed=False, details=False)
        for number in bench.rounds(short=2):
            for triggers in ((True, False), (False, True))[number % 2]:
                with cluster.database(bench.new_name("trigger"), full) as database:
                    ran = _complete(bench, database, each, triggers)
                    rates[triggers].append(ran.per_second)
                    cpu[triggers].append(ran.cpu / each * 1e6)
    return [
        of_rounds("transactions/s, with the triggers", rates[True], "/s"),
        of_rounds("transactions/s, without", rates[False], "/s"),
        of_rounds("transactions/s, with / without", ratios(rates[True], rates[False]), "", at_least(0.85),
                  at_least(0.3)),
        of_rounds("CPU of PostgreSQL, with the triggers", cpu[True], "us/call"),
        of_rounds("CPU of PostgreSQL, without", cpu[False], "us/call"),
    ]


def _complete(bench: Bench, database: str, each: int, triggers: bool) -> pgbench.Ran:
    with bench.cluster().session(database) as session:
        if not triggers:
            session.query("ALTER TABLE calls DISABLE TRIGGER USER")
        ran = pgbench.run(bench, database, SCRIPT, f"--client={CLIENTS}", f"--transactions={each // CLIENTS}",
                          "--define=last=0")
        completed = session.number("SELECT count(*) FROM calls WHERE status = 'completed'")
        waiting = session.number("SELECT count(*) FROM webhook_outbox")
    if completed != each or waiting != (each if triggers else 0):
        raise RuntimeError(f"{completed:.0f} of {each} completed, {waiting:.0f} enqueued")
    return ran
