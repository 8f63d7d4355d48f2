"""The sensor that shows whether every object is still read: on its asset, and to analysts.

It also publishes tables that were built and that nobody published. It reads files only, so that it works where nothing else runs any more.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import dagster as dg

from crm_pipeline.kernel.clock import SystemClock, format_instant
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.orchestration import checks
from crm_pipeline.orchestration.activity import is_any_under_way, is_under_way
from crm_pipeline.orchestration.jobs import Job
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Settings
from crm_pipeline.stages.published import Shown, freshness_words, is_fresh, state_of
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.tables.published import Snapshots, release_number

NAME = "freshness"
_EVERY_S = 60
_FRESH = "fresh"
_LONGEST_TEXT = 2_000
_OPS_EVERY = timedelta(seconds=55)  # this tick comes each minute, and sometimes a little early
_LEFT_ALONE = timedelta(minutes=2)
"""After the last table was built: the command line may be between a run and the publish after it."""


def freshness_sensor(
    settings: Settings, reading: Collection[Job], publish: Job, names: Names
) -> dg.SensorDefinition:
    """Return the sensor; the jobs of `reading` publish what they build."""
    publishing = frozenset({publish.name, *(job.name for job in reading)})
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=names.of(NAME),
        job=publish,
        required_resource_keys={names.resource},
        minimum_interval_seconds=_EVERY_S,
        default_status=running if settings.is_automatic else stopped,
        description="Show on each raw asset, and in data/ops.duckdb, whether it can be had and is looked at in "
        "time; publish a change of that alone within a day, and at once what was built by runs that died before they "
        "published. Asks no vendor.",
    )
    def freshness(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        crm = workspace_of(context.resources, names)
        crm.publish_ops(_OPS_EVERY)
        now, rows = crm.clock.now(), crm.freshness()
        before = json.loads(context.cursor or "{}")
        verdicts = {_name(row): _verdict(row) for row in rows}
        # The published file need not be opened again while it shows the current state.
        state, is_due = state_of(rows), False
        is_published = state == before.get("published")
        if not is_published:
            is_published, is_due = _compared(crm, rows, now)
        unpublished = _unpublished(crm)
        if unpublished and is_any_under_way(context.instance, publishing):
            unpublished = 0  # that run publishes it
        requests = []
        if (is_due or unpublished) and not is_under_way(context.instance, publish.name):
            # One try an hour, if the disk is full.
            key = [state, f"{now:%Y-%m-%dT%H}", *([unpublished] if unpublished else [])]
            requests = [dg.RunRequest(run_key=fingerprint(key))]
        cursor = {
            "stale": {name: verdict for name, verdict in verdicts.items() if verdict != _FRESH},
            "published": state if is_published else None,
        }
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(_summary(rows)),
            cursor=json.dumps(cursor),
            asset_events=list(_news(rows, verdicts, before.get("stale", {}), names)),
        )

    return freshness


def _name(fresh: Freshness) -> str:
    return f"{fresh.connection}/{fresh.object}"


def _verdict(fresh: Freshness) -> str:
    if is_fresh(fresh):
        return _FRESH
    since = fresh.failing_since if fresh.state == "failing" else fresh.current_at
    return f"{fresh.state} {format_instant(since)}" if since else fresh.state


def _news(
    rows: Iterable[Freshness],
    verdicts: Mapping[str, str],
    before: Mapping[str, str],
    names: Names,
) -> Iterable[dg.AssetCheckEvaluation]:
    """Yield the checks whose verdict changed since the last tick; runs show the checks of the objects that they read."""
    for fresh in rows:
        name = _name(fresh)
        if verdicts[name] != before.get(name, _FRESH):
            key = names.raw(fresh.connection, fresh.object)
            yield checks.freshness_evaluation(key, fresh)


def _compared(crm: Workspace, rows: Sequence[Freshness], now: datetime) -> tuple[bool, bool]:
    """Say whether the published file shows this state, and whether it is due to be published."""
    published = Snapshots(crm.settings.data).current()
    shown = Shown.of(published) if published is not None else None
    if shown is None:
        return False, False
    return not shown.differs(rows), shown.is_outdated(rows, now)


def _unpublished(crm: Workspace) -> int:
    """Return the number of the release that should have been published by now; 0 where that was done.

    Runs of the command line publish once, after several of them: where the last one was killed, no run has failed.
    """
    with suppress(CrmError):
        release, shown = crm.tables.current(), Snapshots(crm.settings.data).current()
        is_shown = shown is not None and release_number(shown) >= release.number
        if not is_shown and release.committed_at and _age(release.committed_at) >= _LEFT_ALONE:
            return release.number
    return 0


def _age(at: datetime) -> timedelta:
    return SystemClock().now() - at  # releases have the machine's time


def _summary(rows: Sequence[Freshness]) -> str:
    stale = [row for row in rows if not is_fresh(row)]
    named = "; ".join(f"{_name(row)}: {freshness_words(row)}" for row in stale)
    unread = sum(row.state == "unread" for row in rows)
    counts = f"{len(rows)} objects, {len(stale)} stale, {unread} never read."
    return f"{counts} {named}".strip()[:_LONGEST_TEXT]
