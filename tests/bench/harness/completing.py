"""Completes calls at a steady pace from this process, and notes when each COMMIT returned."""

import time

from harness.session import Session


def complete(session: Session, calls: list[str], moments: list[float]) -> dict[str, int]:
    """One transaction per call, each at its moment (seconds from now, ascending) or as soon as the one before allows.
    Returns the monotonic time in nanoseconds at which each COMMIT returned."""
    committed: dict[str, int] = {}
    begin = time.monotonic()
    for call, moment in zip(calls, moments, strict=True):
        if (left := begin + moment - time.monotonic()) > 0:
            time.sleep(left)
        session.query(f"UPDATE calls SET status = 'completed', completed_at = now() WHERE id = '{call}'")
        committed[call] = time.monotonic_ns()
    return committed
