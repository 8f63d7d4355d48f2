"""`sweep`: compare the values that change without a modification time with the CRM's, and land the records that differ."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.amounts import amount
from crm_pipeline.cli.runs import ConnectionArgument, JsonOption

if TYPE_CHECKING:
    from crm_pipeline.settings import ObjectSettings, Settings
    from crm_pipeline.stages.raw.unstamped import Allowance, ObjectSweep, SweepPlan
    from crm_pipeline.store.tokens.hash_key import HashKey


def sweep(
    connection: ConnectionArgument,
    *,
    planned: Annotated[
        bool, typer.Option("--plan", help="Only say what it would take; nothing is asked.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Come to the end, whatever part of the day's limit it takes."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find changes that move no modification time, such as those of formulas, and land the records that have them.

    Compared are the fields that the CRM calls computed (formulas, roll-ups, calculated properties), those of
    `sweep_also` in connections.yaml, and the associations of HubSpot. The values of all records that have landed are
    read from the CRM, for many records a call. Records that differ are read whole and land; the next refresh brings the tables up to them. A sweep costs at most
    `sweep_percent` of the vendor's limit of a day; the next one goes on where it stopped. The exit code is 1 if an
    object could not be swept.

    For instance:

      crm-pipeline sweep hubspot_demo --plan
      crm-pipeline sweep hubspot_demo
    """
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.console import emit_json, working
    from crm_pipeline.cli.workspace import load_settings, ready_data
    from crm_pipeline.stages.raw import unstamped
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.sweeps import Sweeps
    from crm_pipeline.store.tables.engine import Engine

    settings = load_settings()
    chosen = settings.connection(connection)
    ready_data(settings)
    landing, sweeps = Landing(settings.data), Sweeps(settings.data)

    def engine() -> Engine:
        return Engine(settings.data / "tmp", memory_limit=f"{settings.memory_mb}MB")

    with working(f"asking {connection}"), account_of(settings, chosen) as account:
        allowed = unstamped.allowance(settings, account)
        if planned:
            with engine() as opened:
                plans = unstamped.plan_sweep(account, landing, sweeps, opened)
        else:
            done = unstamped.sweep(
                account,
                landing,
                sweeps,
                open_engine=engine,
                allowed=None if whole else allowed.amount,
                key_of=lambda obj: _key(settings, obj),
            )
    if planned:
        emit_json([record_of(plan, allowed) for plan in plans]) if as_json else _show_plans(
            plans, allowed
        )
        return
    emit_json([vars(each) for each in done]) if as_json else _show(done)
    if any(each.error for each in done):
        raise typer.Exit(1)


def _key(settings: "Settings", obj: "ObjectSettings") -> "HashKey | None":
    from crm_pipeline.store.landing.tombstones import Tombstones
    from crm_pipeline.store.tokens.hash_key import HashKey

    return HashKey.of(settings) if obj.keeps_out or Tombstones.at(settings.data) else None


def record_of(plan: "SweepPlan", allowed: "Allowance") -> dict[str, Any]:
    """Return the plan of an object as JSON has it."""
    from crm_pipeline.kernel.clock import format_instant

    done = plan.progress
    return {
        "object": plan.object,
        "what": plan.what or None,
        "records": plan.records,
        "cost": plan.cost,
        "unit": plan.unit,
        "fields": list(plan.fields),
        "allowed": allowed.amount,
        "is_under_way": bool(done.after),
        "completed_at": format_instant(done.completed_at) if done.completed_at else None,
    }


def line_of(plans: "list[SweepPlan]", allowed: "Allowance") -> str:
    """Return a line for people about what a sweep takes; "" where nothing is swept."""
    swept = [plan for plan in plans if plan.what]
    if not swept:
        return ""
    cost, unit = sum(plan.cost for plan in swept), swept[0].unit
    records = sum({plan.object: plan.records for plan in swept}.values())
    what = " and ".join(dict.fromkeys(plan.what for plan in swept))
    verb = "compares" if cost == 1 else "compare"
    text = (
        f"sweep: {amount(cost, unit)} {verb} the {what} of {amount(records, 'records')} that have landed, and each record "
        "that differs is read"
    )
    if allowed.amount is None:
        return f"{text}."
    sweeps = max(1, -(-cost // max(1, allowed.amount)))
    takes = "one sweep" if sweeps == 1 else f"{sweeps:,} sweeps"
    return f"{text}; a sweep may take {allowed.amount:,} ({allowed.percent:g}% of the day), so that is {takes}."


def _show_plans(plans: "list[SweepPlan]", allowed: "Allowance") -> None:
    from crm_pipeline.cli.console import output, table

    rows = [
        (
            plan.object,
            plan.what or "nothing to compare",
            plan.records,
            plan.cost,
            "under way" if plan.progress.after else "",
            f"{plan.progress.completed_at:%Y-%m-%d %H:%M}"
            if plan.progress.completed_at
            else "never",
        )
        for plan in plans
    ]
    columns = (
        "object",
        "compared",
        "records",
        plans[0].unit if plans else "calls",
        "",
        "last sweep",
    )
    output().print(table("sweep", columns, rows, numbers=(2, 3)))
    output().print(line_of(plans, allowed) or "No object of this connection has such values.")


def _show(done: "list[ObjectSweep]") -> None:
    from crm_pipeline.cli.console import output, table

    rows = [
        (
            each.object,
            each.what,
            each.compared,
            each.differing,
            each.landed,
            each.cost,
            each.error
            or ("" if each.is_complete else "goes on next time: its part of the day is spent"),
        )
        for each in done
    ]
    if not rows:
        output().print(
            "No object of this connection has values that change without a modification time."
        )
        return
    columns = ("object", "what", "compared", "differ", "landed", done[0].unit, "")
    output().print(table("sweep", columns, rows, numbers=(2, 3, 4, 5)))
    if any(each.landed for each in done):
        output().print("The next refresh brings the tables up to what has landed.")
