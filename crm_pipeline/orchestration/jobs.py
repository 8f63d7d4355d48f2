"""The jobs that can be launched by name.

Each connection has `<connection>_backfill` (lands a range of months again) and `<connection>_refresh` (lands what
changed since the watermark), both from raw to published in one run, and `<connection>_nightly` (reads a range of months
again and lands what refreshes have missed). `publish` only builds what comes after the normalized tables.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import dagster as dg

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration.enriched import BUY_TAG
from crm_pipeline.orchestration.normalized import normalized_key, normalized_tables
from crm_pipeline.orchestration.partitions import is_snapshot, range_tags
from crm_pipeline.orchestration.published import published_key, published_tables
from crm_pipeline.orchestration.raw import MODE_TAG, raw_key
from crm_pipeline.orchestration.stages import stage_keys
from crm_pipeline.settings import Connection, Settings

CONNECTION_TAG = "crm/connection"
LEFT_OUT_TAG = "crm/left_out"
PUBLISH_JOB = "publish"
ENRICH_JOB = "enrich"
Job = Any
"""What `define_asset_job` returns; Dagster does not export its class."""


def backfill_name(connection: str) -> str:
    """Return the name of a connection's backfill job."""
    return f"{connection}_backfill"


def refresh_name(connection: str) -> str:
    """Return the name of a connection's refresh job."""
    return f"{connection}_refresh"


def nightly_name(connection: str) -> str:
    """Return the name of a connection's nightly job."""
    return f"{connection}_nightly"


def all_jobs(settings: Settings, connections: Iterable[Connection]) -> list[Job]:
    """Return the jobs of some connections, and those that are of none."""
    jobs: list[Job] = []
    for connection in connections:
        jobs += [backfill_job(settings, connection), refresh_job(settings, connection)]
        if monthly_objects(connection):
            jobs.append(nightly_job(settings, connection))
    buying = [enrich_job(settings)] if settings.enrichment.provider else []
    return [*jobs, *buying, publish_job(settings)]


def backfill_job(settings: Settings, connection: Connection) -> Job:
    """Return the job that reads a range of months of a connection, also months that were read before."""
    return dg.define_asset_job(
        backfill_name(connection.name),
        selection=_selection(settings, connection),
        description=f"Read a range of months of {connection.name} again, whole, and publish. One run "
        "for the whole range; run it first for a new connection.",
        tags={CONNECTION_TAG: connection.name},
        executor_def=dg.in_process_executor,
    )


def refresh_job(settings: Settings, connection: Connection) -> Job:
    """Return the job that reads what changed in a connection since its watermarks."""
    return dg.define_asset_job(
        refresh_name(connection.name),
        selection=_selection(settings, connection),
        description=f"Read what changed in {connection.name} since the watermark of each object, less "
        f"{connection.lookback_s} s, and publish. The partitions of its run say which months it "
        "touches; what it reads does not depend on them.",
        tags={CONNECTION_TAG: connection.name, MODE_TAG: "refresh"},
        executor_def=dg.in_process_executor,
    )


def monthly_objects(connection: Connection) -> list[str]:
    """Return the objects of a connection that are read by months; snapshots are read whole at each refresh."""
    return [obj.name for obj in connection.objects if not is_snapshot(connection, obj)]


def nightly_job(settings: Settings, connection: Connection) -> Job:
    """Return the job that reads a range of months again and lands what refreshes have missed."""
    keys = _keys(settings, connection, monthly_objects(connection))
    return dg.define_asset_job(
        nightly_name(connection.name),
        selection=dg.AssetSelection.assets(*keys),
        description=f"Read a range of months of {connection.name} again, whole, land what refreshes have missed, say how "
        "much that is, and publish. Its schedule chooses the running month.",
        tags={CONNECTION_TAG: connection.name, MODE_TAG: "recheck"},
        executor_def=dg.in_process_executor,
    )


def publish_job(settings: Settings) -> Job:
    """Return the job that publishes the current release."""
    tables = published_tables(settings.connections.values())
    return dg.define_asset_job(
        PUBLISH_JOB,
        selection=dg.AssetSelection.assets(*stage_keys(), *map(published_key, tables)),
        description="Verify what is new, and build data/crm.duckdb and data/published/ from the current release.",
        executor_def=dg.in_process_executor,
    )


def enrich_job(settings: Settings) -> Job:
    """Return the job that buys facts about wanted persons, within the budgets, and publishes."""
    tables = published_tables(settings.connections.values())
    return dg.define_asset_job(
        ENRICH_JOB,
        selection=dg.AssetSelection.assets(*stage_keys(), *map(published_key, tables)),
        description="Buy facts about the persons that `enrichment` in connections.yaml wants, within the budgets of "
        "the provider, and publish. Nobody is bought twice. Other jobs buy nothing.",
        tags={BUY_TAG: "yes"},
        executor_def=dg.in_process_executor,
    )


def refresh_request(
    settings: Settings,
    connection: Connection,
    months: tuple[Month, Month],
    objects: Collection[str],
    run_key: str | None = None,
) -> dg.RunRequest:
    """Return the request to run the refresh job; its partitions are the months that it touches.

    Args:
        settings: with all connections, whose tables are published.
        connection: the connection of the job.
        months: first and last.
        objects: to read. A failing one would keep back the tables of all others in the run.
        run_key: prevents a second run for the same request.
    """
    tags, selection = narrowed(settings, connection, objects)
    return dg.RunRequest(
        run_key=run_key,
        job_name=refresh_name(connection.name),
        tags={**range_tags(*months), **tags},
        asset_selection=selection,
    )


def nightly_request(
    settings: Settings,
    connection: Connection,
    months: tuple[Month, Month],
    objects: Collection[str],
) -> dg.RunRequest:
    """Return the request to run the nightly job over some months, first and last, for some objects."""
    left_out = [name for name in monthly_objects(connection) if name not in objects]
    tags = {LEFT_OUT_TAG: ", ".join(left_out)[:250]} if left_out else {}
    return dg.RunRequest(
        job_name=nightly_name(connection.name),
        tags={**range_tags(*months), **tags},
        asset_selection=_keys(settings, connection, objects) if left_out else None,
    )


def narrowed(
    settings: Settings, connection: Connection, objects: Collection[str]
) -> tuple[Mapping[str, str], list[dg.AssetKey] | None]:
    """Return tags and assets of a run that reads some objects; no tags, and None, for all objects."""
    left_out = [obj.name for obj in connection.objects if obj.name not in objects]
    if not left_out:
        return {}, None
    # A tag's value has 255 characters at most.
    return {LEFT_OUT_TAG: ", ".join(left_out)[:250]}, _keys(settings, connection, objects)


def rebuild_keys(
    settings: Settings, connection: Connection, tables: Collection[str]
) -> list[dg.AssetKey]:
    """Return the assets that build some tables of a connection again, and publish; nothing is read from the CRM."""
    return [
        *(normalized_key(connection.name, table) for table in tables),
        *stage_keys(),
        *(published_key(table) for table in published_tables(settings.connections.values())),
    ]


def connection_keys(connection: Connection, objects: Collection[str]) -> list[dg.AssetKey]:
    """Return the assets of some objects of a connection: raw, and the tables that they feed; nothing is published."""
    tables = normalized_tables(connection).items()
    return [
        *(raw_key(connection.name, obj.name) for obj in connection.objects if obj.name in objects),
        *(
            normalized_key(connection.name, table)
            for table, sources in tables
            if any(source in objects for source in sources)
        ),
    ]


def _selection(settings: Settings, connection: Connection) -> dg.AssetSelection:
    names = {obj.name for obj in connection.objects}
    return dg.AssetSelection.assets(*_keys(settings, connection, names))


def _keys(
    settings: Settings, connection: Connection, objects: Collection[str]
) -> list[dg.AssetKey]:
    """Return the assets of some objects: raw, the tables that they feed, and all that is published."""
    return [
        *connection_keys(connection, objects),
        *stage_keys(),
        *(published_key(table) for table in published_tables(settings.connections.values())),
    ]
