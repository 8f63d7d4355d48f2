"""The recent runs of a connection, for schedules and sensors.

Is a run under way, and how did the last ones end?
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from crm_pipeline.orchestration.names import CONNECTION_TAG, PLAIN, Names
from crm_pipeline.settings import Connection
from crm_pipeline.store.landing.looks import ConnectionLooks

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_LOOKED_AT = 10
_FIRST_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True)
class Activity:
    """The runs of one connection.

    Attributes:
        under_way: `<job> <status>` of a run that is queued or running, or None.
        last_run_id: the newest run that ended.
        failures: how many of the newest runs failed in a row; 0 if the last one tried all its objects. An object
            that fails has a pause of its own, see `store.landing.looks`.
        ended_at: when the newest of them ended.
    """

    under_way: str | None = None
    last_run_id: str = ""
    failures: int = 0
    ended_at: datetime | None = None

    def pause_s(self, now: datetime) -> float:
        """Return how long to leave a failing connection alone: a minute, doubling up to an hour."""
        if not self.failures or self.ended_at is None:
            return 0.0
        pause: float = min(_FIRST_PAUSE_S * 2 ** (self.failures - 1), _LONGEST_PAUSE_S)
        return max(0.0, pause - (now - self.ended_at).total_seconds())


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Say whether a run of a job is queued or running."""
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ACTIVE), limit=1))


def is_any_under_way(instance: dg.DagsterInstance, jobs: Collection[str]) -> bool:
    """Say whether a run of any of some jobs is queued or running."""
    active = instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))
    return any(run.job_name in jobs for run in active)


def is_waiting(instance: dg.DagsterInstance, job: str) -> bool:
    """Say whether a run of a job is queued and has not begun."""
    chosen = dg.RunsFilter(job_name=job, statuses=_WAITING)
    return bool(instance.get_run_records(chosen, limit=1))


def activity_of(
    instance: dg.DagsterInstance,
    connection: Connection,
    looks: ConnectionLooks | None = None,
    names: Names = PLAIN,
) -> Activity:
    """Return the activity of a connection's jobs; `looks` hold which objects each run has tried."""
    tags = {CONNECTION_TAG: names.connection(connection.name)}
    active = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_ACTIVE), limit=1)
    ended = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_ENDED), limit=_LOOKED_AT)
    run = active[0].dagster_run if active else None
    last = ended[0] if ended else None
    ended_s = last.end_time if last else None
    failures = _failures([record.dagster_run.status for record in ended])
    if last and _is_through(last.dagster_run, connection, looks or ConnectionLooks(), names):
        failures = 0
    return Activity(
        under_way=f"{run.job_name} is {run.status.value.lower()}" if run else None,
        last_run_id=last.dagster_run.run_id if last else "",
        failures=failures,
        ended_at=datetime.fromtimestamp(ended_s, UTC) if ended_s is not None else None,
    )


def _is_through(
    run: dg.DagsterRun, connection: Connection, looks: ConnectionLooks, names: Names
) -> bool:
    """Say whether a run has tried all its objects: then objects failed, and not the run."""
    objects = [
        obj.name
        for obj in connection.objects
        if run.asset_selection is None
        or names.raw(connection.name, obj.name) in run.asset_selection
    ]
    return bool(objects) and all(looks.of(name).tried_in == run.run_id for name in objects)


def _failures(statuses: Sequence[dg.DagsterRunStatus]) -> int:
    count = 0
    for status in statuses:
        if status == dg.DagsterRunStatus.SUCCESS:
            break
        count += status == dg.DagsterRunStatus.FAILURE
    return count
