"""What `plan` and `status` say about the histories of new fields."""

from typing import TYPE_CHECKING, Any

from crm_pipeline.cli.amounts import amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from crm_pipeline.stages.raw.new_fields import BackfillPlan
    from crm_pipeline.stages.raw.unstamped import Allowance

_NAMED = 5


def plan_of(plans: "Iterable[BackfillPlan]", obj: str) -> dict[str, Any] | None:
    """Return what an object lacks, as JSON has it; None for nothing."""
    for plan in plans:
        if plan.object == obj:
            return {
                "fields": list(plan.names),
                "records": plan.records,
                "cost": plan.cost,
                "unit": plan.unit,
                "impediment": plan.why or None,
            }
    return None


def plan_lines(plans: "Iterable[BackfillPlan]", allowed: "Allowance") -> list[str]:
    """Return a line for people about each object that lacks fields."""
    return [_plan_line(plan, allowed) for plan in plans]


def _plan_line(plan: "BackfillPlan", allowed: "Allowance") -> str:
    verb = "was" if plan.records == 1 else "were"
    text = (
        f"new fields: {amount(plan.records, 'records')} of {plan.object} {verb} read without {_listed(plan.names)}; "
        "they have no values there"
    )
    if plan.why:
        return f"{text}, and cannot be read again. {plan.why}"
    text = f"{text} until refreshes have read them again, for {amount(plan.cost, plan.unit)}"
    if allowed.amount is None or plan.cost <= allowed.amount:
        return f"{text}."
    days = -(-plan.cost // max(1, allowed.amount))
    return f"{text}; {allowed.amount:,} a day may be spent ({allowed.percent:g}%), so that is {amount(days, 'days')}."


def status_of(data: "Path", connection: str) -> list[dict[str, Any]]:
    """Return the backfills of a connection that are not complete, as JSON has them."""
    from crm_pipeline.store.field_backfills import FieldBackfills

    return [
        {
            "object": obj,
            "fields": list(each.names),
            "state": each.state,
            "records": each.records,
            "filled": each.filled,
            "left": each.left,
            "reason": each.reason or None,
        }
        for obj, each in sorted(FieldBackfills(data).at(connection).objects.items())
        if each.state != "complete"
    ]


def status_lines(data: "Path", connections: "Iterable[str]") -> list[str]:
    """Return a line for people about each object whose new fields are not filled."""
    lines = []
    for connection in connections:
        for row in status_of(data, connection):
            left = row["left"] if row["state"] == "filling" else row["records"]
            why = f": {row['reason']}" if row["reason"] else ""
            lines.append(
                f"new fields: {left:,} of {row['records']:,} records of {connection}.{row['object']} have no values of "
                f"{_listed(row['fields'])} yet{why}"
            )
    return lines


def _listed(names: "Sequence[str]") -> str:
    more = f" and {len(names) - _NAMED} more fields" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
