"""The result of one extraction, for its callers and for Dagster's metadata."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from crm_pipeline.kernel.clock import Window
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.store.landing.manifest import Missed, Shrink


@dataclass(frozen=True)
class Extraction:
    """The result of one extraction.

    Attributes:
        window_id: of the committed window; for an unchanged snapshot that of the earlier window.
        records: rows landed; `read` = `records` + `known` + `quarantined`.
        known: rows that an earlier window had landed already (the look-back overlap).
        cost: of the calls in the vendor's `unit`; the plan's estimates are beside it.
        vendor_count: the vendor's count after reading; `vendor_count_before` before reading.
        uncounted: records that were read and that the vendor does not count.
        reconciled: whether the counts agree; None where the vendor does not count.
        changed: whether something landed.
        months: landed rows by month of modification.
        month_bytes: bytes by month; where one batch has several months, each has the share of its rows.
        sample: a few raw records, unmasked; callers mask them before they show them.
        warnings: texts for whoever looks at the run.
        shrink: why records that are absent from this whole read stay alive; None where they are deleted.
        missed: records that refreshes had not seen; None where the read was not made to find such.
    """

    connection: str
    object: str
    window: Window
    window_id: str
    route: str
    reason: str
    records: int
    read: int
    known: int
    deleted: int
    quarantined: int
    bytes: int
    calls: int
    planned_calls: int
    vendor_count: int | None
    vendor_count_before: int | None
    reconciled: bool | None
    changed: bool
    schema: Schema
    schema_changes: list[FieldChange]
    watermark: datetime | None
    months: Mapping[str, int]
    sample: list[dict[str, Any]]
    uncounted: int = 0
    cost: int = 0
    planned_cost: int = 0
    unit: str = "calls"
    planned_s: float = 0.0
    warnings: tuple[str, ...] = ()
    shrink: Shrink | None = None
    missed: Missed | None = None
    month_bytes: Mapping[str, int] = field(default_factory=dict)


def joined(first: Extraction, second: Extraction) -> Extraction:
    """Return the result of two windows that were read one after the other."""
    return replace(
        second,
        window=Window(first.window.from_at, second.window.to_at),
        route="+".join(sorted({*first.route.split("+"), *second.route.split("+")})),
        reason=f"{first.reason}; then the rest: {second.reason}",
        records=first.records + second.records,
        read=first.read + second.read,
        known=first.known + second.known,
        deleted=first.deleted + second.deleted,
        quarantined=first.quarantined + second.quarantined,
        bytes=first.bytes + second.bytes,
        calls=first.calls + second.calls,
        planned_calls=first.planned_calls + second.planned_calls,
        uncounted=first.uncounted + second.uncounted,
        cost=first.cost + second.cost,
        planned_cost=first.planned_cost + second.planned_cost,
        planned_s=first.planned_s + second.planned_s,
        vendor_count=_sum(first.vendor_count, second.vendor_count),
        vendor_count_before=_sum(first.vendor_count_before, second.vendor_count_before),
        changed=first.changed or second.changed,
        schema_changes=[*first.schema_changes, *second.schema_changes],
        months=dict(sorted((Counter(first.months) + Counter(second.months)).items())),
        month_bytes=dict(Counter(first.month_bytes) + Counter(second.month_bytes)),
        sample=first.sample or second.sample,
        missed=first.missed if second.missed is None else second.missed,
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
