"""`ops.api_usage` and `ops.api_limits`: the cost of calls by connection and day, and the state of the vendors' limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.ratelimit.limit_status import LimitStatus
from crm_pipeline.ratelimit.usage import DayUsage
from crm_pipeline.stages.published.operations import OpsTable

_TEXT = pa.string()
_WHOLE = pa.int64()


@dataclass(frozen=True)
class ApiAccounts:
    """The rate limiter's counters at the moment of a publish."""

    days: Sequence[DayUsage] = ()
    limits: Sequence[LimitStatus] = ()


def api_usage(days: Sequence[DayUsage]) -> OpsTable:
    """Return the table of what each connection spent, by day and operation."""
    rows = [
        (day.member, day.group, day.day, day.operation, day.calls, day.cost, day.unit)
        for day in days
    ]
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "limit_group": (_TEXT, "Group of connections that share the vendor's limits."),
        "day": (pa.date32(), "Day, UTC."),
        "operation": (_TEXT, "What the calls were for."),
        "calls": (_WHOLE, "Calls made."),
        "weight": (_WHOLE, "Cost of the calls, in the vendor's unit."),
        "unit": (_TEXT, "The vendor's unit: calls, credits or tokens."),
    }
    about = "What each connection spent, up to the moment of the publish."
    return OpsTable("api_usage", about, columns, rows)


def api_limits(limits: Sequence[LimitStatus]) -> OpsTable:
    """Return the table of the vendors' limits and how much of them is used."""
    rows = [
        (
            limit.group,
            limit.name,
            limit.kind,
            limit.unit,
            limit.resets or None,
            limit.used,
            limit.ceiling,
            limit.vendor_used,
            limit.vendor_ceiling,
            limit.observed_at,
        )
        for limit in limits
    ]
    columns = {
        "limit_group": (_TEXT, "Group of connections that share the limit."),
        "limit_name": (_TEXT, "The vendor's limit."),
        "kind": (
            _TEXT,
            "rolling: waits; daily, monthly: refuses once spent; concurrency: calls at once.",
        ),
        "unit": (_TEXT, "What is counted."),
        "resets": (_TEXT, "Time zone at whose midnight it resets; NULL: a rolling window."),
        "used": (_WHOLE, "Used at the moment of the publish."),
        "ceiling": (_WHOLE, "Our share of what the vendor allows."),
        "vendor_used": (_WHOLE, "The vendor's own counter; NULL if it stated none lately."),
        "vendor_ceiling": (_WHOLE, "What the vendor allows."),
        "observed_at": (pa.timestamp("us", "UTC"), "When the vendor stated its counter."),
    }
    about = "The vendors' limits at the moment of the publish."
    return OpsTable("api_limits", about, columns, rows)
