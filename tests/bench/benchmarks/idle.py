"""Nothing is due: the CPU that a dispatcher and its sessions use all the same, as a share of one core."""

import time

from harness.bench import Bench, post_to
from harness.dispatcher import Sessions
from harness.figures import Figure, at_most, of_rounds

ABOUT = "CPU of the dispatcher and its sessions while nothing is due"


def run(bench: Bench) -> list[Figure]:
    seconds = 20 if not bench.short else 4
    cluster = bench.cluster()
    dispatcher_shares: list[float] = []
    session_shares: list[float] = []
    with cluster.database("idle") as database:
        cluster.fill(database, 0, 200, post_to("'http://127.0.0.1:1/post-call'"))
        with bench.dispatcher(database) as dispatcher:
            sessions = Sessions(cluster, database, tell_apart=False)
            try:
                time.sleep(2)  # its start is not measured
                for _ in bench.rounds():
                    begin, used, in_sessions = time.monotonic(), dispatcher.cpu(), sum(sessions.cpu().values())
                    time.sleep(seconds)
                    passed = time.monotonic() - begin
                    dispatcher_shares.append(100 * (dispatcher.cpu() - used) / passed)
                    session_shares.append(100 * (sum(sessions.cpu().values()) - in_sessions) / passed)
            finally:
                sessions.stop()
    both = [a + b for a, b in zip(dispatcher_shares, session_shares, strict=True)]
    return [
        of_rounds("dispatcher and its sessions", both, "% of a core", at_most(1), at_most(6)),
        of_rounds("dispatcher", dispatcher_shares, "% of a core"),
        of_rounds("its sessions", session_shares, "% of a core"),
    ]
