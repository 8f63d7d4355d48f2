"""The jobs that can be launched by name.

Each connection has `<connection>_backfill` (lands a range of months again) and `<connection>_refresh` (lands what
changed since the watermark), both from raw to published in one run, and `<connection>_nightly` (reads a range of months
again and lands what refreshes have missed). `publish` only builds what comes after the normalized tables.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import dagster as dg

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration import enriched
from crm_pipeline.orchestration.names import CONNECTION_TAG, PLAIN, Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.orchestration.partitions import is_snapshot, range_tags
from crm_pipeline.orchestration.published import published_tables
from crm_pipeline.orchestration.reading import config_for
from crm_pipeline.orchestration.stages import stage_keys
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import Mode

LEFT_OUT_TAG = "crm/left_out"
IN_PROCESS = dg.in_process_executor
"""One process for all steps of a run: a step of its own costs four seconds of start-up."""
Job = Any
"""What `define_asset_job` returns; Dagster does not export its class."""


class Jobs:
    """Makes the jobs of one deployment.

    Args:
        settings: with the connections.
        names: of assets and jobs.
        executor: of all of them; a job with one of its own leaves the jobs of others as they are.
    """

    def __init__(
        self, settings: Settings, names: Names = PLAIN, executor: dg.ExecutorDefinition = IN_PROCESS
    ) -> None:
        self._settings = settings
        self._names = names
        self._executor = executor

    def every(self, connections: Iterable[Connection] | None = None) -> list[Job]:
        """Return the jobs of some connections, by default of all, and those that are of none."""
        jobs: list[Job] = []
        if connections is None:
            connections = self._settings.connections.values()
        for connection in connections:
            jobs += [self.backfill(connection), self.refresh(connection)]
            if monthly_objects(connection):
                jobs.append(self.nightly(connection))
        buying = [self.enrich()] if self._settings.enrichment.provider else []
        return [*jobs, *buying, self.publish()]

    def backfill(self, connection: Connection) -> Job:
        """Return the job that reads a range of months of a connection, also months that were read before."""
        return self._job(
            self._names.backfill(connection.name),
            self._of(connection),
            f"Read a range of months of {connection.name} again, whole, and publish. One run "
            "for the whole range; run it first for a new connection.",
            self._tags(connection),
            self._reading(connection, "range"),
        )

    def refresh(self, connection: Connection) -> Job:
        """Return the job that reads what changed in a connection since its watermarks."""
        return self._job(
            self._names.refresh(connection.name),
            self._of(connection),
            f"Read what changed in {connection.name} since the watermark of each object, less "
            f"{connection.lookback_s} s, and publish. The partitions of its run say which months it "
            "touches; what it reads does not depend on them.",
            self._tags(connection),
            self._reading(connection, "refresh"),
        )

    def nightly(self, connection: Connection) -> Job:
        """Return the job that reads a range of months again and lands what refreshes have missed."""
        return self._job(
            self._names.nightly(connection.name),
            keys_of(self._settings, connection, monthly_objects(connection), self._names),
            f"Read a range of months of {connection.name} again, whole, land what refreshes have missed, say how "
            "much that is, and publish. Its schedule chooses the running month.",
            self._tags(connection),
            self._reading(connection, "recheck"),
        )

    def publish(self) -> Job:
        """Return the job that publishes the current release."""
        return self._job(
            self._names.publish,
            published_keys(self._settings, self._names),
            "Verify what is new, and build data/crm.duckdb and data/published/ from the current release.",
        )

    def enrich(self) -> Job:
        """Return the job that buys facts about wanted persons, within the budgets, and publishes."""
        return self._job(
            self._names.enrich,
            published_keys(self._settings, self._names),
            "Buy facts about the persons that `enrichment` in connections.yaml wants, within the budgets of "
            "the provider, and publish. Nobody is bought twice. Other jobs buy nothing.",
            config={"ops": {self._names.step(enriched.STEP): {"config": {"buy": True}}}},
        )

    def _job(
        self,
        name: str,
        keys: Collection[dg.AssetKey],
        description: str,
        tags: Mapping[str, str] | None = None,
        config: dict[str, Any] | None = None,
    ) -> Job:
        return dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*keys),
            description=description,
            tags=tags,
            config=config,
            executor_def=self._executor,
        )

    def _tags(self, connection: Connection) -> dict[str, str]:
        return {CONNECTION_TAG: self._names.connection(connection.name)}

    def _reading(self, connection: Connection, mode: Mode) -> dict[str, Any]:
        objects = [obj.name for obj in connection.objects]
        if mode == "recheck":
            objects = monthly_objects(connection)
        return config_for((self._names.raw(connection.name, name) for name in objects), mode)

    def _of(self, connection: Connection) -> list[dg.AssetKey]:
        objects = {obj.name for obj in connection.objects}
        return keys_of(self._settings, connection, objects, self._names)


def monthly_objects(connection: Connection) -> list[str]:
    """Return the objects of a connection that are read by months; snapshots are read whole at each refresh."""
    return [obj.name for obj in connection.objects if not is_snapshot(connection, obj)]


def refresh_request(
    settings: Settings,
    connection: Connection,
    months: tuple[Month, Month],
    objects: Collection[str],
    names: Names = PLAIN,
    *,
    run_key: str | None = None,
) -> dg.RunRequest:
    """Return the request to run the refresh job; its partitions are the months that it touches.

    Args:
        settings: with all connections, whose tables are published.
        connection: the connection of the job.
        months: first and last.
        objects: to read. A failing one would keep back the tables of all others in the run.
        names: of the deployment.
        run_key: prevents a second run for the same request.
    """
    tags, selection = narrowed(settings, connection, objects, names)
    return dg.RunRequest(
        run_key=run_key,
        job_name=names.refresh(connection.name),
        tags={**range_tags(*months), **tags},
        asset_selection=selection,
    )


def nightly_request(
    settings: Settings,
    connection: Connection,
    months: tuple[Month, Month],
    objects: Collection[str],
    names: Names = PLAIN,
) -> dg.RunRequest:
    """Return the request to run the nightly job over some months, first and last, for some objects."""
    left_out = [name for name in monthly_objects(connection) if name not in objects]
    tags = {LEFT_OUT_TAG: ", ".join(left_out)[:250]} if left_out else {}
    return dg.RunRequest(
        job_name=names.nightly(connection.name),
        tags={**range_tags(*months), **tags},
        asset_selection=keys_of(settings, connection, objects, names) if left_out else None,
    )


def narrowed(
    settings: Settings, connection: Connection, objects: Collection[str], names: Names = PLAIN
) -> tuple[Mapping[str, str], list[dg.AssetKey] | None]:
    """Return tags and assets of a run that reads some objects; no tags, and None, for all objects."""
    left_out = [obj.name for obj in connection.objects if obj.name not in objects]
    if not left_out:
        return {}, None
    # A tag's value has 255 characters at most.
    tags = {LEFT_OUT_TAG: ", ".join(left_out)[:250]}
    return tags, keys_of(settings, connection, objects, names)


def rebuild_keys(
    settings: Settings, connection: Connection, tables: Collection[str]
) -> list[dg.AssetKey]:
    """Return the assets that build some tables of a connection again, and publish; nothing is read from the CRM."""
    return [
        *(PLAIN.normalized(connection.name, table) for table in tables),
        *published_keys(settings, PLAIN),
    ]


def connection_keys(
    connection: Connection, objects: Collection[str], names: Names = PLAIN
) -> list[dg.AssetKey]:
    """Return the assets of some objects of a connection: raw, and the tables that they feed; nothing is published."""
    tables = normalized_tables(connection).items()
    return [
        *(
            names.raw(connection.name, obj.name)
            for obj in connection.objects
            if obj.name in objects
        ),
        *(
            names.normalized(connection.name, table)
            for table, sources in tables
            if any(source in objects for source in sources)
        ),
    ]


def keys_of(
    settings: Settings, connection: Connection, objects: Collection[str], names: Names
) -> list[dg.AssetKey]:
    """Return the assets of some objects: raw, the tables that they feed, and all that is published."""
    return [
        *connection_keys(connection, objects, names),
        *published_keys(settings, names),
    ]


def published_keys(settings: Settings, names: Names) -> list[dg.AssetKey]:
    """Return the assets behind the normalized tables: those of stages across connections, and all that is published."""
    tables = published_tables(settings.connections.values(), names)
    return [*stage_keys(names), *map(names.published, tables)]
