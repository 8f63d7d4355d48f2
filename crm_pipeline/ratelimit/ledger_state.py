"""Rows of the limiter's table as they are read: what somebody else wrote there must neither stop nor block.

A part that cannot be true is left out, with a warning; the next contact writes the row whole again.
"""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args

import msgspec
import structlog

from crm_pipeline.model.account import is_time_zone
from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.ledger import Lease, Ledger, VendorCounter
from crm_pipeline.ratelimit.limits import DAY_MS, MOST_COUNTED, Limit, LimitKind

_log = structlog.get_logger(__name__)
_KINDS: Mapping[str, LimitKind] = {kind: kind for kind in get_args(LimitKind)}
_LONGEST_S = 366 * 86_400.0
_warned: set[tuple[str, str]] = set()
_warning = threading.Lock()

_Amount = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNTED)]
_Total = Annotated[int, msgspec.Meta(ge=0, le=10**15)]  # of all time
_Instant = Annotated[int, msgspec.Meta(ge=0, le=10**14)]  # milliseconds, to the year 5138
_Pace = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Entries = list[tuple[_Instant, _Amount]]
T = TypeVar("T")


class _Lease(msgspec.Struct, array_like=True):
    cost: _Amount
    until_ms: _Instant
    member: str = ""


class _Vendor(msgspec.Struct, array_like=True):
    used: _Amount
    ceiling: Annotated[int, msgspec.Meta(ge=1, le=MOST_COUNTED)]
    at_ms: _Instant
    total: _Total
    foreign: _Amount = 0


class _Claim(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    member: str
    at_ms: _Instant
    until_ms: _Instant
    need: _Amount
    wanted: _Amount
    granted: _Pace
    active_ms: _Pace


def sound_ledger(state: object) -> tuple[Ledger, list[str]]:
    """Return the account that a row holds, and the names of the parts that it cannot hold."""
    lost: list[str] = []
    parts: dict[str, Any] = state if isinstance(state, dict) else {}
    if not isinstance(state, dict):
        lost.append("state")

    def part(name: str, empty: T, made: Callable[[Any], T]) -> T:
        found = parts.get(name)
        if found is None:
            return empty
        try:
            return made(found)
        except msgspec.ValidationError:
            lost.append(name)
            return empty

    ledger = Ledger(
        spent=part("spent", {}, _spent),
        leases=part("leases", {}, _leases),
        total=part("total", 0, lambda found: msgspec.convert(found, _Total)),
        vendor=part("vendor", None, _vendor),
        claims=part("claims", {}, _demands),
        seen=part("seen", {}, lambda found: msgspec.convert(found, dict[str, _Instant])),
    )
    if ledger.vendor and ledger.vendor.total > ledger.total:
        lost.append("vendor")
        ledger.vendor = None
    return ledger, lost


def sound_limit(
    name: str, kind: str, *, calls: int, period_s: float, resets: str, unit: str
) -> tuple[Limit, list[str]]:
    """Return the limit of a row, and the names of the columns that could not be true and were mended."""
    lost = []
    known = _KINDS.get(kind, "daily")
    if known != kind:
        lost.append("kind")
    if calls < 1:
        lost.append("calls")
        calls = 1
    if not math.isfinite(period_s) or not 0 < period_s <= _LONGEST_S:
        lost.append("period_s")
        period_s = DAY_MS / 1000
    if resets and not (known == "daily" and is_time_zone(resets)):
        lost.append("resets")
        resets = ""
    return Limit(name, calls, period_s, known, resets, unit), lost


def warn(group: str, limit: str, lost: list[str]) -> None:
    """Say once in a process that parts of a row were left out."""
    with _warning:
        if not lost or (group, limit) in _warned:
            return
        _warned.add((group, limit))
    _log.warning(
        "the database holds what cannot be true of a limit; it is ignored and written anew",
        group=group,
        limit=limit,
        ignored=", ".join(lost),
    )


def _spent(found: Any) -> dict[str, dict[int, int]]:
    # Before members were known, the entries were a list.
    by_member = {"": found} if isinstance(found, list) else found
    read = msgspec.convert(by_member, dict[str, _Entries])
    return {member: dict(entries) for member, entries in read.items()}


def _leases(found: Any) -> dict[str, Lease]:
    read = msgspec.convert(found, dict[str, _Lease])
    return {name: Lease(one.cost, one.until_ms, one.member) for name, one in read.items()}


def _vendor(found: Any) -> VendorCounter:
    one = msgspec.convert(found, _Vendor)
    return VendorCounter(one.used, one.ceiling, one.at_ms, one.total, one.foreign)


def _demands(found: Any) -> dict[str, Demand]:
    if not isinstance(found, dict):
        raise msgspec.ValidationError
    claims = {}
    for name, one in found.items():
        # One that another version wrote is of seconds ago, and means nothing any more.
        try:
            read = msgspec.convert(one, _Claim)
        except msgspec.ValidationError:
            continue
        claims[name] = Demand(*(getattr(read, part) for part in _Claim.__struct_fields__))
    return claims
