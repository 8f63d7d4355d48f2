"""Removes old runs from Dagster's storage, which keeps each one for ever: twenty connections make thousands a day.

Only runs of this code location go: the storage may be shared. The run that made an asset, a month or a check what it is stays,
whatever its age, so that no page of the web interface loses what it shows.
"""

import shutil
from datetime import datetime, timedelta

import dagster as dg
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.orchestration.runs import REPOSITORY_TAG, REPOSITORY_VALUE
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import Database

MOST = 1000
"""So many runs go at once; about 10 s."""
_OLD = """
SELECT run_id FROM runs
WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED')
  AND coalesce(end_time, extract(epoch FROM create_timestamp AT TIME ZONE 'UTC')) < %(before)s
  AND EXISTS (SELECT FROM run_tags t WHERE t.run_id = runs.run_id AND t.key = %(key)s AND t.value = %(value)s)
  AND NOT EXISTS (
    SELECT FROM event_logs e
    WHERE e.run_id = runs.run_id AND e.dagster_event_type = 'ASSET_MATERIALIZATION' AND NOT CASE
        WHEN e.partition IS NULL THEN EXISTS (
            SELECT FROM event_logs n WHERE n.asset_key = e.asset_key AND n.partition IS NULL
            AND n.dagster_event_type = 'ASSET_MATERIALIZATION' AND n.id > e.id)
        ELSE EXISTS (
            SELECT FROM event_logs n WHERE n.asset_key = e.asset_key AND n.partition = e.partition
            AND n.dagster_event_type = 'ASSET_MATERIALIZATION' AND n.id > e.id)
        END)
  AND NOT EXISTS (
    SELECT FROM asset_check_executions e
    WHERE e.run_id = runs.run_id AND NOT EXISTS (
        SELECT FROM asset_check_executions n WHERE n.asset_key = e.asset_key AND n.check_name = e.check_name
        AND n.partition IS NOT DISTINCT FROM e.partition AND n.id > e.id))
ORDER BY id LIMIT %(most)s
"""
_CHECKS = "DELETE FROM asset_check_executions WHERE run_id = ANY(%s)"


def remove_old_runs(
    instance: dg.DagsterInstance, database_url: str, settings: Settings, now: datetime
) -> int:
    """Remove runs that ended more than `Retention.run_days` ago, with their events and logs; return how many.

    A call removes at most `MOST`; the oldest go first.

    Raises:
        StoreError: PostgreSQL cannot be reached.
    """
    days = settings.retention.run_days
    if not days:
        return 0
    before = (now - timedelta(days=days)).timestamp()
    with Database(database_url) as database:
        old = database.done(lambda cursor: _old(cursor, before))
        for run_id in old:
            instance.delete_run(run_id)
            for folder in ("storage", "compute_logs"):
                shutil.rmtree(settings.data / "dagster" / folder / run_id, ignore_errors=True)
        database.done(lambda cursor: cursor.execute(_CHECKS, (old,)))
    return len(old)


def _old(cursor: Cursor, before: float) -> list[str]:
    wanted = {"before": before, "key": REPOSITORY_TAG, "value": REPOSITORY_VALUE, "most": MOST}
    cursor.execute(_OLD, wanted)
    return [run_id for (run_id,) in cursor.fetchall()]
