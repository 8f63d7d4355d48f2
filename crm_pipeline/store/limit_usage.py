"""How limits stand, for people: figures, and the words of a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.store.budget import Refusal
from crm_pipeline.store.gate_rows import Row
from crm_pipeline.store.limits import LimitShape

_DAY_S = 86_400.0


@dataclass(frozen=True)
class LimitUsage:
    """How one limit stands.

    Attributes:
        group: limit group.
        name: of the limit.
        kind: `rolling`, `daily` or `concurrency`.
        used: what counts now, in `unit`: ours, and what the vendor counts beyond that.
        under_way: permits out, in use or in a pack.
        ceiling: our share.
        vendor_used: the vendor's own counter, as last read.
        vendor_ceiling: the vendor's own ceiling.
        observed_at: when that was read.
        unit: what is counted.
        period_s: length of the window.
        resets: the zone whose midnight begins the amount anew; "" for a rolling window.
        members: what counts for each member of the group, permits under way included.
    """

    group: str
    name: str
    kind: str
    used: int
    under_way: int
    ceiling: int
    vendor_used: int | None
    vendor_ceiling: int | None
    observed_at: datetime | None
    unit: str
    period_s: float
    resets: str
    members: Mapping[str, int]


def described(row: Row) -> LimitUsage:
    """Return how the limit of a row stands, whose account has been settled."""
    book, vendor = row.book, row.book.vendor
    known = {*book.spent, *book.seen, *(lease.member for lease in book.leases.values())} - {""}
    return LimitUsage(
        group=row.group,
        name=row.name,
        kind=row.kind,
        used=book.used(row),
        under_way=book.leased,
        ceiling=row.calls,
        vendor_used=vendor.used if vendor else None,
        vendor_ceiling=vendor.ceiling if vendor else None,
        observed_at=datetime.fromtimestamp(vendor.at_ms / 1000, UTC) if vendor else None,
        unit=row.unit,
        period_s=row.period_s,
        resets=row.resets,
        members={member: book.use_of(member) for member in sorted(known)},
    )


@dataclass(frozen=True)
class Forgotten:
    """What was taken out of the account of one limit.

    Attributes:
        counted: what we had counted, in `unit`; None where that was kept.
        vendor_used, vendor_ceiling: the vendor's own counter; None where it was kept or there was none.
    """

    name: str
    unit: str
    counted: int | None = None
    vendor_used: int | None = None
    vendor_ceiling: int | None = None


def forgotten(row: Row, *, counted: bool, told: bool) -> Forgotten:
    """Forget what the account of a row holds, and return it."""
    book, vendor = row.book, row.book.vendor if told else None
    book.settle(row, row.now_ms)
    found = Forgotten(
        name=row.name,
        unit=row.unit,
        counted=book.own if counted else None,
        vendor_used=vendor.used if vendor else None,
        vendor_ceiling=vendor.ceiling if vendor else None,
    )
    book.forget(counted=counted, told=told)
    return found


def exhausted(
    limit: LimitShape, refusal: Refusal, state: LimitUsage, now: datetime, member: str
) -> BudgetExhausted:
    """Return the error that says why a limit refuses, and when to try again."""
    vendor = ""
    if state.vendor_ceiling:
        vendor = (
            f" (the vendor's own counter: {state.vendor_used:,} of {state.vendor_ceiling:,}; our"
            f" share of that is {limit.calls / state.vendor_ceiling:.0%})"
        )
    rest = ""
    if refusal.kept_for:
        rest = f"; what is left of it is kept for {', '.join(refusal.kept_for)}"
    reset = ""
    if refusal.is_by_vendor:
        reset = (
            f" If the vendor's counter is wrong, `crm-pipeline budget reset {member}` forgets it."
        )
    again = datetime.fromtimestamp(now.timestamp() + refusal.wait_s, UTC)
    midnight = f" (midnight in {limit.resets})" if limit.resets else ""
    return BudgetExhausted(
        f"the daily limit '{limit.name}' of group '{state.group}' is spent: {refusal.used:,} of"
        f" {refusal.ceiling:,} {limit.unit} {window_words(limit.period_s, limit.resets)}{vendor}{rest}.",
        wait_s=refusal.wait_s,
        cure=f"Try again at {again:%Y-%m-%d %H:%M} UTC{midnight}, in {_span(refusal.wait_s)}; or"
        f" raise the connection's `share` in connections.yaml.{reset}",
    )


def window_words(period_s: float, resets: str) -> str:
    """Say over which time a limit counts."""
    if resets:
        return f"since midnight in {resets}"
    return f"in the last {'24 hours' if period_s == _DAY_S else _span(period_s)}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
