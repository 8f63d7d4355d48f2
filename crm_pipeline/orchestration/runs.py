"""Runs the jobs in this process, for the command line and for tests.

These are ordinary runs of the same jobs: recorded in the same storage, shown in the web interface, and
reconciled like others if this process is killed.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from crm_pipeline.kernel.clock import Clock, Month, SystemClock
from crm_pipeline.model.stages import ENRICHED, VERIFIED
from crm_pipeline.model.verified_tables import EMAIL, PHONE
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.enriched import PURCHASES
from crm_pipeline.orchestration.event_writer import written_by_step
from crm_pipeline.orchestration.instance import as_launched, quick_events
from crm_pipeline.orchestration.jobs import connection_keys, narrowed, rebuild_keys
from crm_pipeline.orchestration.metadata import CALLS_BESIDE, FILLED, HISTORY, MISSING
from crm_pipeline.orchestration.names import PLAIN
from crm_pipeline.orchestration.partitions import months_between, range_tags, touched_months
from crm_pipeline.orchestration.quiet import due_objects
from crm_pipeline.orchestration.resources import StepCallback, Workspace
from crm_pipeline.settings import Settings

_KIND = re.compile(r"^crm_pipeline\.kernel\.errors\.\w+: ")
HOST_TAG = "crm/host"
REPOSITORY_TAG = ".dagster/repository"
REPOSITORY_VALUE = "__repository__@crm_pipeline"


@dataclass(frozen=True)
class Failed:
    """A step that failed: its key, the error as a sentence, and the cure."""

    step: str
    message: str
    cure: str = ""


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        run_id: of the run; "" where there was nothing to do, and nothing was run.
        landed: records landed per object.
        filled: records per object that were read again because fields are new.
        calls: to the account, those about itself and its fields included.
        rows: rows per table of schema `crm`; only tables of a publish that wrote something.
        judged: values that were judged, by kind.
        bought: what a run that buys has bought, by the name of the number.
        changed: keys of the assets that changed.
        partial: where the history of an object begins, for objects that were read in part only.
        missing: records of an object that are missing because they cannot be read.
        failed: steps that failed; steps that were skipped because of them are not listed.
    """

    run_id: str
    job: str
    is_success: bool
    landed: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, int] = field(default_factory=dict)
    bought: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    partial: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()


def run_backfill(
    settings: Settings,
    connection: str,
    first: Month | None,
    last: Month | None,
    instance: dg.DagsterInstance,
    *,
    objects: Collection[str] = (),
    publishes: bool = True,
    on_step: StepCallback | None = None,
    clock: Clock | None = None,
) -> RunSummary:
    """Read a range of months of a connection, by default all, and publish.

    Args:
        settings: with the connections.
        connection: the name of the one to read.
        first: month of the range; None for the connection's first one.
        last: month of the range; None for the running one.
        instance: records the run.
        objects: to read; by default all of the connection.
        publishes: False where the caller publishes, with `run_publish`, after other runs.
        on_step: called with `(step, records so far, records expected)`.
        clock: gives the running month.

    Raises:
        UnknownName: there is no such connection, or no such object of it.
        ConfigError: the range is empty or outside the connection's months.
    """
    chosen = settings.connection(connection)
    now = (clock or SystemClock()).now()
    names = [chosen.object(name).name for name in objects] or [obj.name for obj in chosen.objects]
    tags, selection = narrowed(settings, chosen, names)
    tags = {**range_tags(*months_between(chosen, first, last, now)), **tags}
    if not publishes:
        selection = connection_keys(chosen, names)
    crm = Workspace(settings, clock=clock, on_step=on_step)
    return _run(crm, PLAIN.backfill(connection), tags, instance, selection, publishes=publishes)


def run_refresh(
    settings: Settings,
    connection: str,
    instance: dg.DagsterInstance,
    *,
    publishes: bool = True,
    on_step: StepCallback | None = None,
    clock: Clock | None = None,
) -> RunSummary:
    """Read what changed in a connection since its watermarks, and publish.

    Objects of which a probe says that nothing changed are not read; where nothing is left to do, nothing is run.

    Raises:
        UnknownName: there is no such connection.
    """
    chosen = settings.connection(connection)
    crm = Workspace(settings, clock=clock, on_step=on_step)
    due = due_objects(crm, chosen, [obj.name for obj in chosen.objects])
    if due.is_quiet:
        crm.publish_ops()
        return RunSummary("", PLAIN.refresh(connection), is_success=True, calls=due.calls)
    months = touched_months(chosen, crm.landing, crm.clock.now(), due.objects)
    narrow, selection = narrowed(settings, chosen, due.objects)
    if not publishes:
        selection = connection_keys(chosen, due.objects)
    tags = {**range_tags(*months), **narrow}
    summary = _run(crm, PLAIN.refresh(connection), tags, instance, selection, publishes=publishes)
    return replace(summary, calls=summary.calls + due.calls)


def run_rebuild(
    settings: Settings,
    connection: str,
    tables: Collection[str],
    instance: dg.DagsterInstance,
    *,
    on_step: StepCallback | None = None,
) -> RunSummary:
    """Build tables of a connection again from what has landed, and publish; no CRM is read.

    Raises:
        UnknownName: there is no such connection.
    """
    chosen = settings.connection(connection)
    crm = Workspace(settings, on_step=on_step)
    selection = rebuild_keys(settings, chosen, tables)
    return _run(crm, PLAIN.refresh(connection), {}, instance, selection)


def run_publish(
    settings: Settings,
    instance: dg.DagsterInstance,
    *,
    on_step: StepCallback | None = None,
) -> RunSummary:
    """Verify what is new or has expired, and publish; no CRM is read."""
    crm = Workspace(settings, on_step=on_step)
    return _run(crm, PLAIN.publish, {}, instance)


def run_enrich(
    settings: Settings,
    instance: dg.DagsterInstance,
    *,
    on_step: StepCallback | None = None,
) -> RunSummary:
    """Buy facts about wanted persons within the budgets, and publish; no CRM is read."""
    crm = Workspace(settings, on_step=on_step)
    return _run(crm, PLAIN.enrich, {}, instance)


def _run(
    crm: Workspace,
    name: str,
    tags: Mapping[str, str],
    instance: dg.DagsterInstance,
    selection: list[dg.AssetKey] | None = None,
    *,
    publishes: bool = True,
) -> RunSummary:
    job = build_defs(crm.settings, {"crm": crm}, job=name).resolve_job_def(name)
    # With the location's tag the web interface shows the run below its job.
    marked = {**tags, HOST_TAG: os.uname().nodename, REPOSITORY_TAG: REPOSITORY_VALUE}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with quick_events(), as_launched(instance), written_by_step(instance):
        result = job.execute_in_process(
            run_config=quiet,
            instance=instance,
            tags=marked,
            asset_selection=selection,
            raise_on_error=False,
        )
    summary = _summary(result, name)
    if not publishes or name == PLAIN.publish:
        return summary
    if summary.is_success:
        return summary
    crm.publish_ops()
    if not summary.changed:
        return summary
    # Tables of failed steps stay unchanged. The tables that were built are published without them.
    return with_published(summary, _run(crm, PLAIN.publish, {}, instance))


def with_published(summary: RunSummary, published: RunSummary) -> RunSummary:
    """Return the summary of a run together with that of the publish after it."""
    changed = tuple(sorted({*summary.changed, *published.changed}))
    return replace(summary, rows=published.rows, changed=changed)


def _summary(result: dg.ExecuteInProcessResult, name: str) -> RunSummary:
    landed: dict[str, int] = {}
    filled: dict[str, int] = {}
    rows: dict[str, int] = {}
    calls: dict[str, int] = {}
    partial: dict[str, str] = {}
    missing: dict[str, int] = {}
    judged: dict[str, int] = {}
    bought: dict[str, int] = {}
    changed: set[str] = set()
    for event in result.get_asset_materialization_events():
        key = event.step_materialization_data.materialization.asset_key
        metadata = {k: v.value for k, v in event.materialization.metadata.items()}
        if metadata.get("changed"):
            changed.add(key.to_user_string())
        if key.path[1] == "raw":
            if "window" not in metadata:
                continue  # the numbers of one month; those of the read stand in an event of their own
            landed[key.path[-1]] = _number(metadata.get("records_landed"))
            of_read, beside = metadata.get("api_calls"), metadata.get(CALLS_BESIDE)
            calls[key.path[-1]] = _number(of_read) + _number(beside)
            if FILLED in metadata:
                filled[key.path[-1]] = _number(metadata[FILLED])
            if HISTORY in metadata:
                partial[key.path[-1]] = str(metadata[HISTORY])
            if MISSING in metadata:
                missing[key.path[-1]] = _number(metadata[MISSING])
        elif key.path[1] == VERIFIED.name:
            counts = {k: metadata.get(f"{k}_values_judged") for k in (EMAIL, PHONE)}
            judged |= {k: _number(count) for k, count in counts.items() if count is not None}
        elif key.path[1] == ENRICHED.name and "credits_spent" in metadata:
            bought |= {
                k: int(v) for k, v in metadata.items() if isinstance(v, int) and k in PURCHASES
            }
        elif key.path[1] == "published" and "rows_deleted" in metadata:  # it was written
            rows[key.path[-1]] = _number(metadata["dagster/row_count"])
    return RunSummary(
        run_id=result.run_id,
        job=name,
        is_success=result.success,
        landed=landed,
        filled=filled,
        calls=sum(calls.values()),
        rows=rows,
        judged=judged,
        bought=bought,
        changed=tuple(sorted(changed)),
        partial=partial,
        missing=missing,
        failed=tuple(_failures(result)),
    )


def _failures(result: dg.ExecuteInProcessResult) -> list[Failed]:
    failed = []
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data.user_failure_data
        error = event.step_failure_data.error
        message = failure.description if failure else None
        if message is None and error is not None:  # Dagster failed, and not the code of the step
            message = _KIND.sub("", error.message)
        cure = failure.metadata.get("cure") if failure else None
        text = str(cure.value) if cure is not None else ""
        # The description ends with the cure, which is separate here.
        failed.append(Failed(str(event.step_key), (message or "").removesuffix(text).strip(), text))
    return failed


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0
