"""Schema `ops`: what calls cost, by connection and day, and how the vendors' limits stand."""

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
    """What the rate limiter knows at the moment of a publish."""

    days: Sequence[DayUsage] = ()
    limits: Sequence[LimitStatus] = ()


def api_usage(days: Sequence[DayUsage]) -> OpsTable:
    """List what each connection spent."""
    rows = [
        (one.member, one.group, one.day, one.operation, one.calls, one.cost, one.unit)
        for one in days
    ]
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "limit_group": (_TEXT, "Group of connections that share the vendor's limits."),
        "day": (pa.date32(), "Day, UTC."),
        "operation": (_TEXT, "What the calls were for."),
        "calls": (_WHOLE, "Calls made."),
        "weight": (_WHOLE, "What they cost, in the vendor's unit."),
        "unit": (_TEXT, "The vendor's unit: calls, credits or tokens."),
    }
    about = "What each connection spent, up to the moment of the publish."
    return OpsTable("api_usage", about, columns, rows)


def api_limits(limits: Sequence[LimitStatus]) -> OpsTable:
    """List how the limits stand."""
    rows = [
        (
            one.group,
            one.name,
            one.kind,
            one.unit,
            one.resets or None,
            one.used,
            one.ceiling,
            one.vendor_used,
            one.vendor_ceiling,
            one.observed_at,
        )
        for one in limits
    ]
    columns = {
        "limit_group": (_TEXT, "Group of connections that share the limit."),
        "limit_name": (_TEXT, "The vendor's limit."),
        "kind": (_TEXT, "rolling: waits; daily: refuses once spent; concurrency: calls at once."),
        "unit": (_TEXT, "What is counted."),
        "resets": (_TEXT, "Zone whose midnight begins it anew; NULL: a rolling window."),
        "used": (_WHOLE, "What counted at the moment of the publish."),
        "ceiling": (_WHOLE, "Our share of what the vendor allows."),
        "vendor_used": (_WHOLE, "The vendor's own counter; NULL if it told none of late."),
        "vendor_ceiling": (_WHOLE, "The vendor's own ceiling."),
        "observed_at": (pa.timestamp("us", "UTC"), "When the vendor told."),
    }
    about = "The vendors' limits, as they stood at the publish."
    return OpsTable("api_limits", about, columns, rows)
