"""Lets dispatchers deliver what is due in a database, checks that all of it arrived once, and says what it cost."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from harness.bench import Bench
from harness.dispatcher import Dispatcher, Sessions
from harness.nginx import Nginx
from harness.processes import CoresIdle
from harness.session import Session


@dataclass(frozen=True)
class Delivered:
    """CPU in microseconds per delivery."""

    calls: int
    seconds: float  # from the first claim to the last outcome, by the log
    dispatcher_us: float
    session_us: dict[str, float]  # by role
    nginx_us: float
    idle: float  # share of the machine's cores, from the first claim on
    wal_bytes: float  # per delivery
    body_bytes: int
    claim_rows: float  # per claim
    record_rows: float
    claim_us: float  # time, not CPU, per row of a claim
    memory: int  # the most that the first dispatcher had resident

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds

    @property
    def postgres_us(self) -> float:
        return sum(self.session_us.values())


def deliver(bench: Bench, database: str, nginx: Nginx | None, *options: str, dispatchers: int = 1,
            database_url: str | None = None, all_delivered: bool = True, at_most: float = 300) -> Delivered:
    """Until nothing waits and nothing is in flight, for `at_most` seconds."""
    cluster = bench.cluster()
    with ExitStack() as stack:
        session = stack.enter_context(cluster.session(database))
        calls = int(session.number("SELECT count(*) FROM webhook_outbox"))
        before = int(session.number("SELECT count(*) FROM webhook_deliveries"))
        requests, nginx_cpu = (nginx.requests(), nginx.cpu()) if nginx else (0, 0.0)
        wal = session.value("SELECT pg_current_wal_insert_lsn()")
        sessions = Sessions(cluster, database)
        stack.callback(sessions.stop)
        running = [stack.enter_context(bench.dispatcher(database, *options, database_url=database_url))
                   for _ in range(dispatchers)]
        _wait_for_first_claim(session, running)
        idle = CoresIdle()
        _wait(session, running, at_most)
        share = idle.share()
        cpu = sum(dispatcher.cpu() for dispatcher in running)
        by_role = sessions.cpu()
        nginx_us = (nginx.cpu() - nginx_cpu) / calls * 1e6 if nginx else 0.0
        wal_bytes = session.number(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")
        looks = [dispatcher.metrics() for dispatcher in running]
        claim_rows, claim_time, record_rows = (
            [look.histogram(f"postcall_{name}") for look in looks]
            for name in ("claim_batch_size", "claim_duration_seconds", "record_batch_size"))
        memory = running[0].memory("VmHWM")
        _check(session, calls, before, nginx.requests() - requests if nginx else None, all_delivered, running[0])
        seconds = session.number(
            "SELECT extract(epoch FROM max(finished_at) - min(claimed_at)) FROM webhook_deliveries")
        bodies = int(session.number("SELECT coalesce(sum(request_bytes), 0) FROM webhook_deliveries"))
    rows = sum(look.total for look in claim_rows)
    return Delivered(
        calls, seconds, cpu / calls * 1e6, {role: used / calls * 1e6 for role, used in by_role.items()}, nginx_us,
        share, wal_bytes / calls, bodies, rows / max(1, sum(look.count for look in claim_rows)),
        sum(look.total for look in record_rows) / max(1, sum(look.count for look in record_rows)),
        sum(look.total for look in claim_time) / max(1, rows) * 1e6, memory)


def _wait_for_first_claim(session: Session, running: list[Dispatcher]) -> None:
    deadline = time.monotonic() + 30
    while session.value("SELECT EXISTS (SELECT FROM webhook_claims)") != "t":
        for dispatcher in running:
            dispatcher.require()
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing was claimed in 30 s: {running[0].tail()}")
        time.sleep(0.005)


def _wait(session: Session, running: list[Dispatcher], at_most: float) -> None:
    deadline = time.monotonic() + at_most
    # The statements are cheap, because the machine that they use is the one that is measured.
    while session.value("SELECT EXISTS (SELECT FROM webhook_outbox)") == "t" or \
            session.value("SELECT EXISTS (SELECT FROM webhook_deliveries WHERE outcome = 'in_flight')") == "t":
        for dispatcher in running:
            dispatcher.require()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not everything was delivered in {at_most:.0f} s: {running[0].tail()}")
        time.sleep(0.05)


def _check(session: Session, calls: int, before: int, requests: int | None, all_delivered: bool,
           dispatcher: Dispatcher) -> None:
    """Each call was answered with 2xx, so when there were no more requests than calls, each was sent once."""
    rows = int(session.number("SELECT count(*) FROM webhook_deliveries")) - before
    delivered = int(session.number(
        "SELECT count(DISTINCT call_id) FROM webhook_deliveries WHERE outcome = 'delivered'"))
    unaccounted = session.number("SELECT unaccounted FROM webhook_reconciliation")
    if rows != calls or unaccounted != 0 or requests not in (None, calls) \
            or (all_delivered and delivered - before != calls):
        found = session.query("SELECT outcome, error, count(*) FROM webhook_deliveries GROUP BY 1, 2 ORDER BY 3 DESC")
        raise RuntimeError(f"{delivered} of {calls} delivered in {rows} rows, {unaccounted:.0f} unaccounted, "
                           f"{requests} requests: {found}\n{dispatcher.tail()}")
