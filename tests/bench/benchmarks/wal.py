"""The log that PostgreSQL writes (WAL), in bytes: per delivery, from claim to record, and per completion, which is the
call's UPDATE with the trigger. Full-page images, which depend on when the last checkpoint was, are counted apart."""

from harness.bench import Bench, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_least, at_most, of_rounds

ABOUT = "WAL per delivery and per completion, and the share of updates that are HOT"


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 5000)
    cluster = bench.cluster()
    whole: list[Delivered] = []
    ours: list[Delivered] = []
    hot: list[float] = []
    with bench.nginx() as nginx, cluster.database("wal") as full, cluster.database("wal_open") as open_calls:
        settings = post_to(f"'{nginx.url}'")
        cluster.fill(full, calls, 200, settings)
        cluster.fill(open_calls, calls, 200, settings, completed=False, details=False)
        for number in bench.rounds():
            if number == 0:
                with cluster.database(bench.new_name("wal"), full) as database:
                    whole.append(deliver(bench, database, nginx))
            with cluster.setting("full_page_writes", "off"), cluster.database(bench.new_name("wal"), full) as database:
                ours.append(deliver(bench, database, nginx))
                hot.append(_hot_share(bench, database))
        with cluster.setting("full_page_writes", "off"):
            with_trigger = [_completion(bench, open_calls, calls, triggers=True) for _ in bench.rounds()]
            without = [_completion(bench, open_calls, calls, triggers=False) for _ in bench.rounds()]
    return [
        of_rounds("WAL, claim to record", [run.wal_bytes for run in ours], "B/delivery", at_most(1024), at_most(2500)),
        of_rounds("WAL, with full-page images since a checkpoint", [run.wal_bytes for run in whole], "B/delivery"),
        of_rounds("WAL, completion", with_trigger, "B", at_most(922), at_most(2200)),
        of_rounds("WAL, the same UPDATE without the trigger", without, "B"),
        of_rounds("updates of the log that are HOT", hot, "%", at_least(99)),
    ]


def _hot_share(bench: Bench, database: str) -> float:
    with bench.cluster().session(database) as session:
        return session.number("SELECT 100.0 * sum(n_tup_hot_upd) / sum(n_tup_upd) FROM pg_stat_user_tables"
                              " WHERE relname LIKE 'webhook_deliveries%'")


def _completion(bench: Bench, full: str, calls: int, triggers: bool) -> float:
    """A transaction per call. They do not wait for the disk, which changes no byte of WAL."""
    with bench.cluster().database(bench.new_name("wal"), full) as database, \
            bench.cluster().session(database) as session:
        if not triggers:
            session.query("ALTER TABLE calls DISABLE TRIGGER USER")
        session.query("SET synchronous_commit = off")
        wal = session.value("SELECT pg_current_wal_insert_lsn()")
        for n in range(1, calls + 1):
            session.query(f"UPDATE calls SET status = 'completed', completed_at = now() WHERE id = md5('call {n}')")
        return session.number(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn") / calls
