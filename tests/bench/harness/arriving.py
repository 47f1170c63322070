"""Calls that are completed at a steady rate for minutes, and what the dispatcher's metrics say of each period."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.dispatcher import Dispatcher

# The id is new, and one INSERT completes the call. There is nothing to prepare and the table has no dead rows.
SCRIPT = """\\set agent random(1, {agents})
INSERT INTO calls (id, agent_id, status, recording_uri, completed_at)
VALUES (md5('call ' || nextval('bench_call')), 'agent-' || :agent, 'completed',
        'https://storage.example.com/recordings/call_recording.ogg', now());
"""


@dataclass(frozen=True)
class Period:
    claim_ms: float  # mean of a claim's transaction
    claim_rows: float
    latency_p50_ms: float  # due to POST started, as exact as the histogram's buckets
    latency_p99_ms: float
    sent: float  # per second

    @property
    def claim_us_per_row(self) -> float:
        return self.claim_ms * 1000 / max(1.0, self.claim_rows)


def periods(dispatcher: Dispatcher, count: int, seconds: float,
            each: Callable[[int, Period], None] = lambda number, period: None) -> list[Period]:
    names = ("claim_duration_seconds", "claim_batch_size", "dispatch_latency_seconds")
    found = []
    before, moment = dispatcher.metrics(), time.monotonic()
    for number in range(1, count + 1):
        time.sleep(max(0.0, moment + seconds - time.monotonic()))
        after, now = dispatcher.metrics(), time.monotonic()
        claim, rows, latency = (after.histogram(f"postcall_{name}").since(before.histogram(f"postcall_{name}"))
                                for name in names)
        found.append(Period(claim.mean() * 1000, rows.mean(), latency.quantile(0.5) * 1000,
                            latency.quantile(0.99) * 1000, latency.count / (now - moment)))
        each(number, found[-1])
        before, moment = after, now
    return found
