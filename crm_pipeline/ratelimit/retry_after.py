"""When it is worth asking again: exactly where that is known, soon where it is not."""

from collections.abc import Sequence

from crm_pipeline.ratelimit.fair_share import Headroom, Request
from crm_pipeline.ratelimit.limits import period_ms, turn_ms

POLL_MS = 50  # nobody knows when a call that is under way will end
PROBE_MS = 3_600_000  # a vendor's counter that refuses for ever would never be read again
_YIELDED_MS = (50, 500)  # a tenth of the window, within these: so often ask for what others leave


def wait_ms(request: Request, found: Headroom) -> float:
    """Return how long to wait until there may be enough."""
    limit, ledger, need, now_ms = request.limit, request.ledger, request.need, request.now_ms
    if limit.kind != "rolling":
        return POLL_MS
    soon = min(POLL_MS, limit.period_s * 100)
    if found.free < need:
        return _until(ledger.leaving(limit), need - found.free, now_ms) or soon
    # The others may take what is kept for them, or want it no more; surely ours will leave.
    least, most = _YIELDED_MS
    again = min(max(period_ms(limit) / 10, least), most)
    own = _until(ledger.leaving(limit, request.member), need - found.allowed, now_ms)
    return min(again, own) if own else again


def refused_ms(request: Request, found: Headroom) -> float:
    """Return how long a limit by the day is spent."""
    limit, ledger, need, now_ms = request.limit, request.ledger, request.need, request.now_ms
    if limit.resets:
        return max(1000.0, turn_ms(limit, now_ms) - now_ms)
    waits = [1000.0]
    if ledger.own + need > limit.calls:
        waits.append(_until(ledger.leaving(limit), ledger.own + need - limit.calls, now_ms))
    if ledger.vendor and ledger.vendor_used() + need > ledger.ceiling(limit):
        waits.append(ledger.vendor.at_ms + PROBE_MS - now_ms)
    if found.kept_for:
        waits.append(_until(ledger.leaving(limit, request.member), need - found.allowed, now_ms))
    return max(waits)


def _until(leaving: Sequence[tuple[int, int]], missing: int, now_ms: int) -> float:
    """Return when so much has left; 0 where what is spent is not enough for that."""
    for gone_ms, cost in leaving:
        missing -= cost
        if missing <= 0:
            return max(1, gone_ms - now_ms)
    return 0
