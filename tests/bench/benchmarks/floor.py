"""What a delivery costs PostgreSQL, compared with the least that it can do: floor.sql, which pgbench runs with one
outbox and one log table, in batches as large as the dispatcher's own."""

from harness import pgbench
from harness.bench import Bench, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, of_rounds, ratios

ABOUT = "WAL and CPU of PostgreSQL, compared with a pgbench script that deletes, inserts and updates"


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 5000)
    cluster = bench.cluster()
    ours: list[Delivered] = []
    floor_cpu: list[float] = []
    floor_wal: list[float] = []
    with bench.nginx() as nginx, cluster.database("floor") as full, cluster.setting("full_page_writes", "off"):
        cluster.fill(full, calls, 200, post_to(f"'{nginx.url}'"))
        for _ in bench.rounds():
            with cluster.database(bench.new_name("floor"), full) as database:
                ours.append(deliver(bench, database, nginx))
                cpu, wal = _run_floor(bench, database, calls, max(1, round(ours[-1].claim_rows)))
                floor_cpu.append(cpu)
                floor_wal.append(wal)
    claim_and_record = [run.session_us["claim"] + run.session_us["record"] for run in ours]
    return [
        of_rounds("rows per claim, and per batch of the script", [run.claim_rows for run in ours]),
        of_rounds("rows per record", [run.record_rows for run in ours]),
        of_rounds("WAL, ours", [run.wal_bytes for run in ours], "B/delivery"),
        of_rounds("WAL, script", floor_wal, "B/delivery"),
        of_rounds("WAL, ours / script", ratios([run.wal_bytes for run in ours], floor_wal)),
        of_rounds("CPU, claim and record session", claim_and_record, "us/delivery"),
        of_rounds("CPU, script's session", floor_cpu, "us/delivery"),
        of_rounds("CPU, ours / script", ratios(claim_and_record, floor_cpu)),
    ]


def _run_floor(bench: Bench, database: str, calls: int, batch: int) -> tuple[float, float]:
    """CPU in microseconds and bytes of WAL, per row."""
    cluster = bench.cluster()
    folder = bench.root / "tests" / "bench"
    cluster.psql(database, folder / "floor_tables.sql")
    batches = calls // batch
    with cluster.session(database) as session:
        wal = session.value("SELECT pg_current_wal_insert_lsn()")
        ran = pgbench.run(bench, database, (folder / "floor.sql").read_text(), f"--transactions={batches}",
                          "--define=last=0", f"--define=batch={batch}", "--protocol=prepared")
        written = session.number(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")
        done = session.number("SELECT count(*) FROM floor_log WHERE outcome = 'delivered'")
    if done != batches * batch:
        raise RuntimeError(f"the script delivered {done:.0f} of {batches * batch}")
    return ran.cpu / done * 1e6, written / done
