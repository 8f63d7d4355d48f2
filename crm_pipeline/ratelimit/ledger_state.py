"""Read the rows of the limiter's table; rows that somebody else wrote must neither stop nor block calls.

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
    allowed: Annotated[int, msgspec.Meta(ge=1, le=MOST_COUNTED)]
    at_ms: _Instant
    total: _Total
    foreign: _Amount = 0


class _Demand(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    member: str
    at_ms: _Instant
    until_ms: _Instant
    need: _Amount
    wanted: _Amount
    granted: _Pace
    active_ms: _Pace


def sound_ledger(state: object) -> tuple[Ledger, list[str]]:
    """Return the ledger of a row, and the names of its parts that cannot be true."""
    lost: list[str] = []
    parts: dict[str, Any] = state if isinstance(state, dict) else {}
    if not isinstance(state, dict):
        lost.append("state")

    def part(name: str, empty: T, read: Callable[[Any], T]) -> T:
        value = parts.get(name)
        if value is None:
            return empty
        try:
            return read(value)
        except msgspec.ValidationError:
            lost.append(name)
            return empty

    ledger = Ledger(
        spent=part("spent", {}, _spent),
        leases=part("leases", {}, _leases),
        total=part("total", 0, lambda value: msgspec.convert(value, _Total)),
        vendor=part("vendor", None, _vendor),
        demands=part("claims", {}, _demands),
        seen=part("seen", {}, lambda value: msgspec.convert(value, dict[str, _Instant])),
    )
    if ledger.vendor and ledger.vendor.total > ledger.total:
        lost.append("vendor")
        ledger.vendor = None
    return ledger, lost


def sound_limit(
    name: str,
    kind: str,
    *,
    calls: int,
    period_s: float,
    resets: str,
    unit: str,
    renews_on: int = 1,
) -> tuple[Limit, list[str]]:
    """Return the limit of a row, and the names of the columns that could not be true and were replaced."""
    lost = []
    sound_kind = _KINDS.get(kind, "daily")
    if sound_kind != kind:
        lost.append("kind")
    if calls < 1:
        lost.append("calls")
        calls = 1
    if not math.isfinite(period_s) or not 0 < period_s <= _LONGEST_S:
        lost.append("period_s")
        period_s = DAY_MS / 1000
    is_monthly = sound_kind == "monthly"
    has_zone = sound_kind in {"daily", "monthly"} and is_time_zone(resets)
    if (resets or is_monthly) and not has_zone:
        lost.append("resets")
        resets = "UTC" if is_monthly else ""
    if not 1 <= renews_on <= 31:
        lost.append("renews_on")
        renews_on = 1
    return Limit(name, calls, period_s, sound_kind, resets, unit, renews_on), lost


def warn(group: str, limit: str, lost: list[str]) -> None:
    """Log once per process and limit that parts of a row were left out."""
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


def _spent(value: Any) -> dict[str, dict[int, int]]:
    # Versions without members wrote the entries as a list.
    by_member = {"": value} if isinstance(value, list) else value
    read = msgspec.convert(by_member, dict[str, _Entries])
    return {member: dict(entries) for member, entries in read.items()}


def _leases(value: Any) -> dict[str, Lease]:
    read = msgspec.convert(value, dict[str, _Lease])
    return {name: Lease(lease.cost, lease.until_ms, lease.member) for name, lease in read.items()}


def _vendor(value: Any) -> VendorCounter:
    read = msgspec.convert(value, _Vendor)
    return VendorCounter(read.used, read.allowed, read.at_ms, read.total, read.foreign)


def _demands(value: Any) -> dict[str, Demand]:
    if not isinstance(value, dict):
        raise msgspec.ValidationError
    demands = {}
    for name, entry in value.items():
        # An entry that another version wrote is seconds old and can be left out.
        try:
            read = msgspec.convert(entry, _Demand)
        except msgspec.ValidationError:
            continue
        demands[name] = Demand(*(getattr(read, part) for part in _Demand.__struct_fields__))
    return demands
