"""`plan`: how the next read of each object would be done, and what the other ways would cost."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.runs import ConnectionArgument, JsonOption, month_of
from crm_pipeline.kernel.clock import format_instant

if TYPE_CHECKING:
    from rich.console import RenderableType

    from crm_pipeline.connectors.base import Plan, ReadStrategy
    from crm_pipeline.connectors.upkeep import Pace, Upkeep
    from crm_pipeline.stages.raw import Mode

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
    """
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.automation import line, pace_of
    from crm_pipeline.cli.console import emit_json, output, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.kernel.clock import SystemClock, Window
    from crm_pipeline.stages.raw import planned, upkeep
    from crm_pipeline.store.landing import Landing

    settings = load_settings()
    chosen = settings.connection(connection)
    wanted = [chosen.object(name) for name in objects] if objects else list(chosen.objects)
    begin, end = month_of(first, "--from"), month_of(last, "--to")
    mode: Mode = "range" if whole or begin or end else "refresh"
    clock = SystemClock()
    # The first month of a connection holds everything older, too.
    start = begin.start_at if begin and begin != chosen.start else None
    window = Window(start, end.end_at if end else clock.now())
    landing = Landing(settings.data, clock)
    with working(f"asking {connection}"), account_of(settings, chosen) as account:
        plans = [planned(account, obj, window, mode=mode, landing=landing) for obj in wanted]
        pace = pace_of(settings, account)
        each = [upkeep(account, obj, landing) for obj in wanted]
    if as_json:
        emit_json(
            [_record(one) | _upkeep(pace, cost) for one, cost in zip(plans, each, strict=True)]
        )
        return
    for one in plans:
        output().print(_shown(one))
    output().print(line(settings, pace))
    if len(plans) > 1:
        output().print(_sum(plans))


def _shown(one: "Plan") -> "RenderableType":
    from crm_pipeline.cli.console import table

    counted = "" if one.vendor_count is None else f", {one.vendor_count:,} records"
    span = "the whole object" if one.window is None else f"{one.window}"
    taken = next((route for route in one.routes if route.name == one.route), None)
    others = [route for route in one.routes if route is not taken]
    rows = [_row(route, route is taken) for route in ([taken] if taken else []) + others]
    unit = one.unit if one.unit != "calls" else "cost"
    title = f"{one.object}: {span}{counted}"
    return table(title, ("", "route", "calls", unit, "seconds", "how"), rows, numbers=(2, 3, 4))


def _row(route: "ReadStrategy", taken: bool) -> tuple[Any, ...]:
    if route.impediment:
        return "", route.name, None, None, None, f"not possible: {route.impediment}"
    seconds = f"{route.seconds:,.1f}"
    return "->" if taken else "", route.name, route.calls, route.cost, seconds, route.how


def _sum(plans: list["Plan"]) -> str:
    last = plans[-1]
    cost = f", {sum(one.cost for one in plans):,} {last.unit}" if last.unit != "calls" else ""
    left = next((one.remaining for one in reversed(plans) if one.remaining is not None), None)
    budget = "" if left is None else f"; {left:,} {last.unit} are left of our share of today"
    calls, seconds = sum(one.calls for one in plans), sum(one.seconds for one in plans)
    return f"all {len(plans)} objects: {calls:,} calls{cost}, about {seconds:,.0f} s{budget}"


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


def _record(one: "Plan") -> dict[str, Any]:
    window = one.window
    start = window.from_at if window else None
    return {
        "object": one.object,
        "from": format_instant(start) if start else None,
        "to": format_instant(window.to_at) if window else None,
        "records": one.vendor_count,
        "route": one.route,
        "reason": one.reason,
        "unit": one.unit,
        "remaining": one.remaining,
        "routes": [
            {
                "route": route.name,
                "calls": route.calls,
                "cost": route.cost,
                "seconds": round(route.seconds, 1),
                "how": route.how,
                "impediment": route.impediment or None,
            }
            for route in one.routes
        ],
    }
