"""Raw assets: one per object of a connection, landed by `stages.raw`.

Objects with a modification time are partitioned by its month; a range of months is one run with as
few vendor jobs as sensible. Snapshots are read whole.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import ConfigError, ContractError, CountMismatch
from crm_pipeline.orchestration import checks, code, metadata
from crm_pipeline.orchestration.failures import as_failure, failure
from crm_pipeline.orchestration.labels import RAW, group_of, tags_of_connection
from crm_pipeline.orchestration.partitions import (
    is_snapshot,
    month_keys,
    monthly,
    window_between,
)
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.source_objects import source_key
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.stages.raw import (
    Extraction,
    Mode,
    extract,
    missed_text,
    note_account,
    note_changes,
    outstanding_text,
    prove_renames,
)
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.tombstones import Tombstones

MODE_TAG = "crm/mode"
Emitted = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


def raw_key(connection: str, obj: str) -> dg.AssetKey:
    """Return the key of a raw asset."""
    return dg.AssetKey([connection, "raw", obj])


def api_pool(connection: Connection) -> str:
    """Return the pool in which steps that call a connection's API wait for each other."""
    return f"api_{connection.name}"


def raw_assets(connection: Connection) -> list[dg.AssetsDefinition]:
    """Return the raw assets of a connection."""
    return [_raw_asset(connection, obj) for obj in connection.objects]


def _raw_asset(connection: Connection, obj: ObjectSettings) -> dg.AssetsDefinition:
    key = raw_key(connection.name, obj.name)
    partitioned = not is_snapshot(connection, obj)

    def landed(context: dg.AssetExecutionContext, crm: dg.ResourceParam[Workspace]) -> Emitted:
        is_range = _mode(context.run) != "refresh"
        try:
            with as_failure(context.log.error, but=(CountMismatch, ContractError)):
                window = _window(context, connection) if partitioned and is_range else None
                done = _extracted(crm, connection, obj, window, context.run)
        except CountMismatch as error:
            yield checks.count_refused(error)
            yield checks.freshness_result(crm.fresh(connection, obj.name))
            raise failure(error) from None
        except ContractError as error:
            yield checks.fields_refused(error)
            yield checks.freshness_result(crm.fresh(connection, obj.name))
            raise failure(error) from None
        except dg.Failure:
            yield checks.freshness_result(crm.fresh(connection, obj.name))
            raise
        fresh = crm.fresh(connection, obj.name)
        missing = outstanding(crm.landing, connection.name, obj.name)
        facts = metadata.extraction(done) | metadata.history(fresh)
        facts |= metadata.missing(missing) | metadata.dropped(crm.set_aside(connection, obj.name))
        if fresh.history_from is not None:
            context.log.warning(metadata.gap(fresh))
        if done.missed is not None:
            say = context.log.warning if done.missed.late else context.log.info
            say("%s: %s.", obj.name, missed_text(done.missed))
        if done.quarantined:
            context.log.warning("%s: %s.", obj.name, outstanding_text(missing))
        if partitioned and _has_months(context):
            _describe_months(context, done)
        else:
            facts |= metadata.extracted(done)
        yield dg.MaterializeResult(metadata=facts, data_version=dg.DataVersion(done.window_id))
        yield from checks.raw_results(done)
        yield checks.fields_result(crm.drift.open(connection.name, obj.name), done.schema_changes)
        yield checks.quarantine_result(connection.name, obj.name, missing)
        yield checks.freshness_result(fresh)

    return _decorated(connection, obj, key, partitioned=partitioned)(landed)


def _mode(run: dg.DagsterRun) -> Mode:
    modes: dict[str | None, Mode] = {"refresh": "refresh", "recheck": "recheck"}
    return modes.get(run.tags.get(MODE_TAG), "range")


def _extracted(
    crm: Workspace,
    connection: Connection,
    obj: ObjectSettings,
    window: Window | None,
    run: dg.DagsterRun,
) -> Extraction:
    """Extract an object, and record success or failure among its looks."""
    on_progress = crm.progress(obj.name)
    try:
        with crm.account(connection.name) as account:
            note_account(account, crm.landing)
            keeps_out = obj.keeps_out or Tombstones.at(crm.landing.root)
            key = crm.hash_key if keeps_out else None
            before = crm.landing.latest_schema(connection.name, obj.name)
            done = extract(
                account,
                obj,
                window,
                mode=_mode(run),
                landing=crm.landing,
                on_progress=on_progress,
                key=key,
            )
            note_changes(
                crm.landing, crm.drift, crm.settings.drift, connection.name, obj.name, before=before
            )
            prove_renames(account, obj, crm.landing, crm.drift, connection.name, key)
    except Exception as error:
        crm.looks.failed(connection.name, obj.name, error, run=run.run_id)
        raise
    crm.looks.was_read(connection.name, obj.name, done.watermark, run=run.run_id)
    return done


def _decorated(
    connection: Connection, obj: ObjectSettings, key: dg.AssetKey, *, partitioned: bool
) -> Callable[[Callable[..., Emitted]], dg.AssetsDefinition]:
    how = "by month of modification" if partitioned else "whole, as a snapshot"
    with warnings.catch_warnings():
        # `backfill_policy` and code references (code.py) are all that this package uses of Dagster's beta parts.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            key=key,
            deps=[source_key(connection.name, obj.name)],
            description=f"`{obj.name}` of {connection.name} as {connection.vendor} gives it: "
            f"landed losslessly, append-only, {how}.",
            group_name=group_of(key),
            kinds={connection.vendor, "parquet"},
            owners=connection.owners,
            tags=tags_of_connection(connection, RAW),
            code_version=code.raw_version(connection, obj),
            metadata={
                **code.links(extract, *code.connector_module(connection.vendor)),
                **code.documentation("operations"),
            },
            pool=api_pool(connection),
            partitions_def=monthly(connection) if partitioned else None,
            backfill_policy=dg.BackfillPolicy.single_run() if partitioned else None,
            check_specs=checks.raw_specs(key),
        )


def _window(context: dg.AssetExecutionContext, connection: Connection) -> Window:
    if not _has_months(context):
        raise ConfigError(
            f"this run of {context.run.job_name} has no partitions selected.",
            cure=f"Choose partitions when launching it, or run {connection.name}_refresh.",
        )
    keys = context.partition_key_range
    window = window_between(connection, keys.start, keys.end)
    if _mode(context.run) == "range":
        return window
    # What is older than the first month is not compared with what has landed.
    return Window(Month.parse(keys.start).start_at, window.to_at)


def _describe_months(context: dg.AssetExecutionContext, done: Extraction) -> None:
    """Add the number of landed records to each partition; other numbers are about the whole window.

    Only the last partition has schema and preview: a backfill has a hundred partitions.
    """
    keys = context.partition_key_range
    for key, records in month_keys(done.months, keys.start, keys.end).items():
        context.add_asset_metadata({"dagster/partition_row_count": records}, partition_key=key)
    context.add_asset_metadata(metadata.extracted(done), partition_key=keys.end)


def _has_months(context: dg.AssetExecutionContext) -> bool:
    return bool(context.has_partition_key or context.has_partition_key_range)
