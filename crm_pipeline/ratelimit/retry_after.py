"""Compute when to ask again: exactly where that is known, soon where it is not."""

from collections.abc import Sequence

from crm_pipeline.ratelimit.fair_share import Headroom, Request
from crm_pipeline.ratelimit.limits import next_reset_ms, period_ms

POLL_MS = 50  # nobody knows when a call that is under way will end
PROBE_MS = 3_600_000  # without probes a vendor's counter that refuses would never be read again
# Bounds for a tenth of the window: the wait before the next request for others' leftovers.
_YIELDED_MS = (50, 500)


def wait_ms(request: Request, headroom: Headroom) -> float:
    """Return how long to wait until enough may be free."""
    limit, ledger, need, now_ms = request.limit, request.ledger, request.need, request.now_ms
    if limit.kind != "rolling":
        return POLL_MS
    soon = min(POLL_MS, limit.period_s * 100)
    if headroom.free < need:
        return _until_free(ledger.expirations(limit), need - headroom.free, now_ms) or soon
    # The others may take what is kept for them, or no longer want it; our own use expires for certain.
    least, most = _YIELDED_MS
    again = min(max(period_ms(limit) / 10, least), most)
    own = _until_free(ledger.expirations(limit, request.member), need - headroom.available, now_ms)
    return min(again, own) if own else again


def refused_ms(request: Request, headroom: Headroom) -> float:
    """Return for how long a daily limit stays spent."""
    limit, ledger, need, now_ms = request.limit, request.ledger, request.need, request.now_ms
    if limit.resets:
        return max(1000.0, next_reset_ms(limit, now_ms) - now_ms)
    waits = [1000.0]
    if ledger.own + need > limit.calls:
        waits.append(
            _until_free(ledger.expirations(limit), ledger.own + need - limit.calls, now_ms)
        )
    if ledger.vendor and ledger.vendor_used() + need > ledger.allowed(limit):
        waits.append(ledger.vendor.at_ms + PROBE_MS - now_ms)
    if headroom.kept_for:
        waits.append(
            _until_free(
                ledger.expirations(limit, request.member), need - headroom.available, now_ms
            )
        )
    return max(waits)


def _until_free(expirations: Sequence[tuple[int, int]], missing: int, now_ms: int) -> float:
    """Return the time until so much has expired; 0 where less than that was spent."""
    for expired_ms, cost in expirations:
        missing -= cost
        if missing <= 0:
            return max(1, expired_ms - now_ms)
    return 0
