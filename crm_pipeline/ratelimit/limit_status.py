"""The status of limits for people: figures, and the text of a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.ratelimit.decision import Refusal
from crm_pipeline.ratelimit.ledger_rows import Row
from crm_pipeline.ratelimit.limits import Limit

_DAY_S = 86_400.0


@dataclass(frozen=True)
class LimitStatus:
    """The status of one limit.

    Attributes:
        group: limit group.
        name: of the limit.
        kind: `rolling`, `daily`, `monthly` or `concurrency`.
        used: the cost that counts now, in `unit`: ours, and what the vendor counts beyond that.
        counted: ours alone.
        under_way: permits on lease, in use or taken in advance.
        ceiling: our share.
        vendor_used: the vendor's own counter, as last read.
        vendor_ceiling: the vendor's own limit.
        observed_at: when that was read.
        unit: what is counted.
        period_s: length of the window.
        resets: the zone at whose midnight the amount resets; "" for a rolling window.
        members: the cost that counts for each member of the group, permits under way included.
        renews_on: the day of the month on which a monthly amount is whole again.
    """

    group: str
    name: str
    kind: str
    used: int
    counted: int
    under_way: int
    ceiling: int
    vendor_used: int | None
    vendor_ceiling: int | None
    observed_at: datetime | None
    unit: str
    period_s: float
    resets: str
    members: Mapping[str, int]
    renews_on: int = 1

    @property
    def left(self) -> int:
        """What may still be taken of our share, by our count and the vendor's counter."""
        ceiling = min(self.ceiling, self.vendor_ceiling or self.ceiling)
        return max(0, ceiling - self.used - self.under_way)

    @property
    def is_spent_by_vendor(self) -> bool:
        """Whether a daily limit is spent by the vendor's counter, but not by our own."""
        if self.kind != "daily" or self.vendor_ceiling is None or self.left:
            return False
        return self.counted + self.under_way < self.ceiling


def status_of(row: Row) -> LimitStatus:
    """Return the status of a row's limit; its ledger must be settled."""
    ledger, vendor = row.ledger, row.ledger.vendor
    leasing = {lease.member for lease in ledger.leases.values()}
    members = {*ledger.spent, *ledger.seen, *leasing} - {""}
    return LimitStatus(
        group=row.group,
        name=row.limit.name,
        kind=row.limit.kind,
        used=ledger.used(row.limit),
        counted=ledger.own,
        under_way=ledger.leased,
        ceiling=row.limit.calls,
        vendor_used=vendor.used if vendor else None,
        vendor_ceiling=vendor.allowed if vendor else None,
        observed_at=datetime.fromtimestamp(vendor.at_ms / 1000, UTC) if vendor else None,
        unit=row.limit.unit,
        period_s=row.limit.period_s,
        resets=row.limit.resets,
        members={member: ledger.use_of(member) for member in sorted(members)},
        renews_on=row.limit.renews_on,
    )


@dataclass(frozen=True)
class Forgotten:
    """The counts that were taken out of one limit's ledger.

    Attributes:
        counted: our own count, in `unit`; None where it was kept.
        vendor_used, vendor_ceiling: the vendor's own counter; None where it was kept or there was none.
    """

    name: str
    unit: str
    counted: int | None = None
    vendor_used: int | None = None
    vendor_ceiling: int | None = None


def forget_counts(row: Row, *, counted: bool, reported: bool) -> Forgotten:
    """Remove counts from a row's ledger, and return them."""
    ledger, vendor = row.ledger, row.ledger.vendor if reported else None
    ledger.settle(row.limit, row.now_ms)
    forgotten = Forgotten(
        name=row.limit.name,
        unit=row.limit.unit,
        counted=ledger.own if counted else None,
        vendor_used=vendor.used if vendor else None,
        vendor_ceiling=vendor.allowed if vendor else None,
    )
    ledger.forget(counted=counted, reported=reported)
    return forgotten


def exhausted(
    limit: Limit, refusal: Refusal, state: LimitStatus, now: datetime, member: str
) -> BudgetExhausted:
    """Return the error that says why a limit refuses and when to try again."""
    counts = (
        f"{refusal.used:,} of {refusal.allowed:,} {limit.unit}"
        f" {window_words(limit.period_s, limit.resets, _renewal(limit))}"
    )
    vendor, intro = "", "it said" if refusal.is_by_vendor else "the vendor's own counter:"
    if state.vendor_ceiling:
        vendor = (
            f" ({intro} {state.vendor_used:,} of {state.vendor_ceiling:,}; our"
            f" share of that is {limit.calls / state.vendor_ceiling:.0%})"
        )
    by, ours, reset = "", "", ""
    if refusal.is_by_vendor:
        by, ours = " by the vendor's own counter", f"; we counted {state.counted:,} ourselves"
        reset = f" {reset_words(member)}"
    rest = ""
    if refusal.kept_for:
        rest = f"; what is left of it is kept for {', '.join(refusal.kept_for)}"
    again = datetime.fromtimestamp(now.timestamp() + refusal.wait_s, UTC)
    asked = ", when the vendor is asked again" if refusal.is_by_vendor and not limit.resets else ""
    return BudgetExhausted(
        f"the {limit.kind} limit '{limit.name}' of group '{state.group}' is spent{by}:"
        f" {counts}{vendor}{ours}{rest}.",
        wait_s=refusal.wait_s,
        limit=limit.name,
        cure=f"Try again at {again:%Y-%m-%d %H:%M} UTC{asked}: {return_words(limit)}. Or raise"
        f" {limit.raised_by}.{reset}",
    )


def reset_words(member: str) -> str:
    """Say how to forget a wrong counter of the vendor, and nothing else."""
    return (
        f"If the vendor's counter is wrong, `crm-pipeline budget reset {member} --told` forgets it;"
        " what we counted stays."
    )


def return_words(limit: Limit | LimitStatus) -> str:
    """Say when the spent amount of a limit that refuses becomes available again."""
    if renews_on := _renewal(limit):
        return f"the whole amount comes back on day {renews_on} of the month, at midnight in {limit.resets}"
    if limit.resets:
        return f"the whole amount comes back at midnight in {limit.resets}"
    age = "24 hours" if limit.period_s == _DAY_S else _duration(limit.period_s)
    return f"{limit.unit} come back one by one as they get {age} old, not at midnight"


def window_words(period_s: float, resets: str, renews_on: int = 0) -> str:
    """Say which period a limit counts; `renews_on` is the day of the month of a monthly one."""
    if renews_on:
        return f"since day {renews_on} of the month in {resets}"
    if resets:
        return f"since midnight in {resets}"
    return f"in the last {'24 hours' if period_s == _DAY_S else _duration(period_s)}"


def _renewal(limit: Limit | LimitStatus) -> int:
    return limit.renews_on if limit.kind == "monthly" else 0


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
