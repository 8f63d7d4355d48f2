"""`audit`: compare accounts with what is here, month by month, and heal what differs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.amounts import amount
from crm_pipeline.cli.runs import ConnectionsArgument, JsonOption
from crm_pipeline.kernel.errors import ConfigError, CrmError

if TYPE_CHECKING:
    from crm_pipeline.settings import Connection, ObjectSettings, Settings
    from crm_pipeline.stages.raw.audit import AuditPlan, AuditRun
    from crm_pipeline.store.audits import Audited


def audit(
    connections: ConnectionsArgument = None,
    *,
    objects: Annotated[
        list[str] | None,
        typer.Option("--object", "-o", metavar="OBJECT", help="Only this one; may be repeated."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="List the ids of all records, whatever the counts say.")
    ] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Read all records again, and compare them.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what it would cost; nothing is compared.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare accounts with what is here, month by month, and heal what differs.

    Where the CRM counts, the counts of each month and of the whole object are compared, unless the list of all ids
    costs no more; a month that differs twice is read again, and its ids are listed where that does not explain it. Where
    it does not count, ids are listed. A lost record and a ghost in the same month cancel out in counts; --deep finds
    them. An edit that left the time of modification is found by --content alone. Nothing is deleted because a list lacks
    it: the CRM is asked about each such record. An audit costs at most `audit_percent` of the vendor's limit of a day,
    and goes on the next time where it stopped. What it lands is in the tables after the next refresh.

    The exit code is 1 if something differs that was not healed, or an object could not be compared because of an error.

    For instance:

      crm-pipeline audit
      crm-pipeline audit salesforce_demo --object Contact --deep
      crm-pipeline audit pipedrive_demo --plan
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.workspace import load_settings, ready_data

    settings = load_settings()
    names = connections or list(settings.connections)
    if objects and len(names) != 1:
        raise ConfigError(
            "--object names objects of one connection.", cure="Name that connection, and no other."
        )
    chosen = [settings.connection(name) for name in names]
    ready_data(settings)
    if plan:
        plans = {each.name: _plans(settings, each, objects or []) for each in chosen}
        if as_json:
            emit_json({name: [_planned(one) for one in each] for name, each in plans.items()})
        else:
            for name, each in plans.items():
                _show_plans(name, each)
        return
    runs = [
        _audited(
            settings,
            each,
            objects or [],
            is_deep=deep,
            reads_content=content,
            is_alone=len(chosen) == 1,
        )
        for each in chosen
    ]
    if as_json:
        emit_json([_record(run) for run in runs])
    else:
        for run in runs:
            _show(run)
    if not all(run.is_right for run in runs):
        raise typer.Exit(1)


def _wanted(connection: "Connection", objects: list[str]) -> "list[ObjectSettings]":
    from crm_pipeline.stages.raw.audit import auditable_objects

    auditable = auditable_objects(connection)
    wanted = [connection.object(name) for name in objects]
    for obj in wanted:
        if obj not in auditable:
            raise ConfigError(
                f"{connection.name}.{obj.name} is read whole at each refresh, which is an audit each time.",
                cure=f"Name others: {', '.join(each.name for each in auditable)}.",
            )
    return wanted or auditable


def _audited(
    settings: "Settings",
    connection: "Connection",
    objects: list[str],
    *,
    is_deep: bool,
    reads_content: bool,
    is_alone: bool,
) -> "AuditRun":
    """Audit a connection; where it cannot be opened and others are audited too, say so in its result."""
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.console import working
    from crm_pipeline.orchestration.resources import Workspace
    from crm_pipeline.stages.raw.audit import AuditRun

    wanted = _wanted(connection, objects)
    if not wanted:
        return AuditRun(connection.name)
    crm = Workspace(settings)
    try:
        with working(f"auditing {connection.name}"), account_of(settings, connection) as account:
            return crm.audited(account, wanted, is_deep=is_deep, reads_content=reads_content)
    except CrmError as error:
        if is_alone:
            raise
        return AuditRun(connection.name, failed={obj.name: str(error) for obj in wanted})


def _plans(settings: "Settings", connection: "Connection", objects: list[str]) -> "list[AuditPlan]":
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.console import working
    from crm_pipeline.stages.raw.audit import audit_plans
    from crm_pipeline.store.landing import Landing

    wanted = _wanted(connection, objects)
    with working(f"asking {connection.name}"), account_of(settings, connection) as account:
        return audit_plans(account, Landing(settings.data), wanted) if wanted else []


_TAKEN = {"count": "counts", "ids": "ids"}


def _show_plans(name: str, plans: "list[AuditPlan]") -> None:
    from crm_pipeline.cli.console import output, table

    rows = [
        (
            each.object,
            each.months,
            each.counts,
            each.sweep.route if each.sweep else None,
            each.sweep.calls if each.sweep else None,
            each.sweep.cost if each.sweep else None,
            _TAKEN.get(each.by, ""),
            each.cost,
            each.why,
        )
        for each in plans
    ]
    columns = ("object", "months", "calls to count", "ids by", "calls for ids", "cost of ids")
    taken = ("compared by", "cost", "")
    output().print(table(f"{name}: an audit", columns + taken, rows, numbers=(1, 2, 4, 5, 7)))


def _show(run: "AuditRun") -> None:
    from crm_pipeline.cli.console import output, table

    whole = {each.object for each in run.results if not each.month}
    shown = [each for each in run.results if each.state != "equal" or not each.month]
    shown += [_summed(run, obj) for obj in _compared(run) if obj not in whole]
    rows = [
        (
            each.object,
            each.month or "all",
            each.by,
            each.state,
            each.in_crm,
            each.with_us,
            each.missing,
            each.ghosts,
            each.stale,
            each.healed,
            each.verdict,
        )
        for each in sorted(shown, key=lambda one: (one.object, not one.month, one.month))
    ]
    columns = (
        *("object", "month", "by", "state", "in the CRM", "here"),
        *("missing", "ghosts", "stale", "healed", "verdict"),
    )
    console = output()
    console.print(table(run.connection, columns, rows, numbers=(4, 5, 6, 7, 8, 9)))
    for obj, why in {**run.skipped, **run.failed}.items():
        console.print(f"{obj} was not compared: {why}", markup=False)
    if run.damage:
        console.print(run.damage, markup=False)
    if run.stopped:
        console.print(f"The rest is compared the next time: {run.stopped}", markup=False)
    spent = amount(run.calls, "API calls") + (
        f" ({run.cost:,} of {run.allowed:,} {run.unit})" if run.allowed else ""
    )
    landed = "; what landed is in the tables after the next refresh" if run.landed else ""
    console.print(f"{_verdict(run)} {spent}{landed}.", markup=False)


def _verdict(run: "AuditRun") -> str:
    if run.open:
        return f"{len(run.open):,} of {len(run.results):,} comparisons differ and were not healed:"
    healed = run.total("healed")
    if healed:
        return f"{healed:,} records were wrong and are right now:"
    return "Nothing is missing in what was compared:" if run.results else "Nothing was compared:"


def _compared(run: "AuditRun") -> list[str]:
    return list(dict.fromkeys(each.object for each in run.results))


def _summed(run: "AuditRun", obj: str) -> "Audited":
    """Return the months of an object that was not compared to its end as one row."""
    from dataclasses import replace

    months = [each for each in run.results if each.object == obj]
    return replace(
        months[-1],
        month="",
        state="equal" if all(each.state == "equal" for each in months) else "unknown",
        in_crm=sum(each.in_crm or 0 for each in months),
        with_us=sum(each.with_us for each in months),
        missing=sum(each.missing for each in months),
        ghosts=sum(each.ghosts for each in months),
        stale=sum(each.stale for each in months),
        healed=sum(each.healed for each in months),
        verdict=f"{len(months)} months were compared",
    )


def _record(run: "AuditRun") -> dict[str, Any]:
    return {**vars(run), "results": [vars(each) for each in run.results], "is_right": run.is_right}


def _planned(plan: "AuditPlan") -> dict[str, Any]:
    sweep = plan.sweep
    return {
        "object": plan.object,
        "months": plan.months,
        "count_calls": plan.counts,
        "by": plan.by or None,
        "cost": plan.cost,
        "sweep": sweep
        and {
            "route": sweep.route,
            "calls": sweep.calls,
            "cost": sweep.cost,
            "unit": sweep.unit,
            "seconds": round(sweep.seconds, 1),
            "records": sweep.vendor_count,
        },
        "why_not": plan.why or None,
    }
