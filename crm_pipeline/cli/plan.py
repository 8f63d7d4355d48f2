"""`plan`: the read strategy of the next read of each object, and the cost of the others."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.amounts import amount
from crm_pipeline.cli.runs import ConnectionArgument, JsonOption, month_of
from crm_pipeline.kernel.clock import format_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from crm_pipeline.connectors.base import Account, Plan, ReadStrategy
    from crm_pipeline.connectors.upkeep import Pace, Upkeep
    from crm_pipeline.kernel.clock import Window
    from crm_pipeline.settings import ObjectSettings, Settings
    from crm_pipeline.stages.raw import Mode
    from crm_pipeline.stages.raw.new_fields import BackfillPlan
    from crm_pipeline.stages.raw.unstamped import Allowance, SweepPlan
    from crm_pipeline.store.landing import Landing

_DAY_S = 86_400.0


def plan(
    connection: ConnectionArgument,
    *,
    objects: Annotated[
        list[str] | None,
        typer.Option("--object", "-o", metavar="OBJECT", help="Only this one; may be repeated."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--backfill", help="Plan a backfill instead of a refresh.")
    ] = False,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="First month of a backfill.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month of a backfill.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Plan a sweep of all ids, as an audit makes it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how an account would be read now, like a database explains a query; nothing is read.

    For each object: the window that is due, the vendor's count, every route with its calls, its cost
    in the vendor's unit and its time by the vendor's clock, and which one would be taken. It costs a
    few calls an object. `route:` in connections.yaml overrules the choice. A line says what automation
    costs a day where nothing changes.

    For instance:

      crm-pipeline plan salesforce_demo
      crm-pipeline plan salesforce_demo --object Contact --backfill
      crm-pipeline plan pipedrive_demo --sweep
    """
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.automation import line, pace_of
    from crm_pipeline.cli.console import emit_json, output, working
    from crm_pipeline.cli.new_fields import plan_lines, plan_of
    from crm_pipeline.cli.sweep import line_of
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.kernel.clock import SystemClock, Window
    from crm_pipeline.stages.raw import planned, unstamped, upkeep
    from crm_pipeline.stages.raw.audit import auditable_objects
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.sweeps import Sweeps
    from crm_pipeline.store.tables.engine import Engine
    from crm_pipeline.store.tokens.hash_key import HashKey

    settings = load_settings()
    chosen = settings.connection(connection)
    everything = auditable_objects(chosen) if sweep else list(chosen.objects)
    wanted = [chosen.object(name) for name in objects] if objects else everything
    begin, end = month_of(first, "--from"), month_of(last, "--to")
    mode: Mode = "range" if whole or begin or end else "refresh"
    clock = SystemClock()
    # The first month of a connection holds everything older, too.
    start = begin.start_at if begin and begin != chosen.start else None
    window = Window(start, end.end_at if end else clock.now())
    landing = Landing(settings.data, clock)
    with working(f"asking {connection}"), account_of(settings, chosen) as account:
        key = HashKey.of(settings) if any(obj.keeps_out for obj in wanted) else None
        if sweep:
            plans = _sweeps(account, wanted, Window(None, clock.now()))
            wanted = [chosen.object(planned_read.object) for planned_read in plans]
        else:
            plans = [
                planned(account, obj, window, mode=mode, landing=landing, key=key) for obj in wanted
            ]
        pace = pace_of(settings, account)
        each = [upkeep(account, obj, landing) for obj in wanted]
        with Engine(settings.data / "tmp", memory_limit=f"{settings.memory_mb}MB") as engine:
            sweeps = unstamped.plan_sweep(account, landing, Sweeps(settings.data), engine)
        allowed = unstamped.allowance(settings, account)
        lacking = [] if sweep else _lacking(settings, account, landing, plans)
    if as_json:
        emit_json(
            [
                _record(planned_read)
                | _upkeep(pace, cost)
                | _swept(planned_read.object, sweeps, allowed)
                | {"new_fields": plan_of(lacking, planned_read.object)}
                for planned_read, cost in zip(plans, each, strict=True)
            ]
        )
        return
    for planned_read in plans:
        output().print(_shown(planned_read))
    output().print(line(settings, pace))
    if text := line_of(sweeps, allowed):
        output().print(text)
    for text in plan_lines(lacking, allowed):
        output().print(text, markup=False)
    if len(plans) > 1:
        output().print(_sum(plans))


def _sweeps(
    account: "Account", objects: "Sequence[ObjectSettings]", window: "Window"
) -> "list[Plan]":
    """Return the plans of sweeps; which objects have none is said on stderr."""
    import sys

    from crm_pipeline.cli.failures import paragraph
    from crm_pipeline.kernel.errors import Rejected
    from crm_pipeline.stages.raw.audit import sweep_plan

    plans = []
    for obj in objects:
        try:
            plans.append(sweep_plan(account, obj, window))
        except Rejected as error:
            sys.stderr.write(paragraph(error.message) + "\n")
    return plans


def _lacking(
    settings: "Settings", account: "Account", landing: "Landing", plans: "Sequence[Plan]"
) -> "list[BackfillPlan]":
    from crm_pipeline.stages.raw.new_fields import plan_backfills
    from crm_pipeline.store.drift import Register
    from crm_pipeline.store.tables.engine import Engine

    return plan_backfills(
        account,
        landing,
        Register(settings.data),
        {plan.object: plan.schema for plan in plans},
        lambda: Engine(settings.data / "tmp", memory_limit=f"{settings.memory_mb}MB"),
    )


def _swept(name: str, sweeps: "list[SweepPlan]", allowed: "Allowance") -> dict[str, Any]:
    """Return what sweeps of an object take: the first one, None where it has nothing to compare, and all of them."""
    from crm_pipeline.cli.sweep import record_of

    every = [record_of(plan, allowed) for plan in sweeps if plan.object == name and plan.what]
    return {"sweep": every[0] if every else None, "sweeps": every}


def _shown(plan: "Plan") -> "RenderableType":
    from crm_pipeline.cli.console import table

    counted = "" if plan.vendor_count is None else f", {plan.vendor_count:,} records"
    window = "the whole object" if plan.window is None else f"{plan.window}"
    taken = next((strategy for strategy in plan.strategies if strategy.name == plan.route), None)
    others = [strategy for strategy in plan.strategies if strategy is not taken]
    rows = [_row(strategy, strategy is taken) for strategy in ([taken] if taken else []) + others]
    unit = plan.unit if plan.unit != "calls" else "cost"
    title = f"{plan.object}: {window}{counted}"
    return table(title, ("", "route", "calls", unit, "seconds", "how"), rows, numbers=(2, 3, 4))


def _row(strategy: "ReadStrategy", taken: bool) -> tuple[Any, ...]:
    if strategy.impediment:
        return "", strategy.name, None, None, None, f"not possible: {strategy.impediment}"
    seconds = f"{strategy.seconds:,.1f}"
    return (
        "->" if taken else "",
        strategy.name,
        strategy.calls,
        strategy.cost,
        seconds,
        strategy.how,
    )


def _sum(plans: list["Plan"]) -> str:
    last = plans[-1]
    cost = (
        f", {amount(sum(plan.cost for plan in plans), last.unit)}" if last.unit != "calls" else ""
    )
    left = next((plan.remaining for plan in reversed(plans) if plan.remaining is not None), None)
    budget = "" if left is None else f"; {left:,} {last.unit} are left of our share of today"
    calls, seconds = sum(plan.calls for plan in plans), sum(plan.seconds for plan in plans)
    return (
        f"all {len(plans)} objects: {amount(calls, 'calls')}{cost}, about {seconds:,.0f} s{budget}"
    )


def _upkeep(pace: "Pace", cost: "Upkeep") -> dict[str, Any]:
    """Return what automation spends on one object a day where nothing changes."""
    probes, refreshes = _DAY_S / pace.probe_every_s, _DAY_S / pace.refresh_every_s
    return {
        "automation": {
            "probe": cost.probe,
            "refresh": cost.refresh,
            "probe_every_s": round(pace.probe_every_s),
            "refresh_every_s": round(pace.refresh_every_s),
            "a_day": round(cost.probe * probes + cost.refresh * refreshes),
        }
    }


def _record(plan: "Plan") -> dict[str, Any]:
    window = plan.window
    start = window.from_at if window else None
    return {
        "object": plan.object,
        "from": format_instant(start) if start else None,
        "to": format_instant(window.to_at) if window else None,
        "records": plan.vendor_count,
        "route": plan.route,
        "reason": plan.reason,
        "unit": plan.unit,
        "remaining": plan.remaining,
        "routes": [
            {
                "route": strategy.name,
                "calls": strategy.calls,
                "cost": strategy.cost,
                "seconds": round(strategy.seconds, 1),
                "how": strategy.how,
                "impediment": strategy.impediment or None,
            }
            for strategy in plan.strategies
        ],
    }
