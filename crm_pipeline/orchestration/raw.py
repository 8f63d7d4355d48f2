"""Raw assets: one per object of a connection, landed by `stages.raw`.

Objects with a modification time are partitioned by its month; a range of months is one run with as
few vendor jobs as sensible. Snapshots are read whole.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import ConfigError, ContractError, CountMismatch
from crm_pipeline.orchestration import checks, code, metadata
from crm_pipeline.orchestration.failures import as_failure, failure
from crm_pipeline.orchestration.labels import RAW, group_of, tags_of_connection
from crm_pipeline.orchestration.months import tell_months
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.partitions import (
    is_snapshot,
    monthly,
    refreshed_months,
    window_between,
)
from crm_pipeline.orchestration.reading import Reading, job_modes, mode_of
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.orchestration.sweeping import is_swept
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
from crm_pipeline.store.field_backfills import FieldBackfill
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.tombstones import Tombstones

Emitted = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


def raw_assets(connection: Connection, names: Names) -> list[dg.AssetsDefinition]:
    """Return the raw assets of a connection."""
    return [_raw_asset(connection, obj, names) for obj in connection.objects]


def _raw_asset(connection: Connection, obj: ObjectSettings, names: Names) -> dg.AssetsDefinition:
    partitioned = not is_snapshot(connection, obj)
    modes = job_modes(connection.name, names)

    def landed(context: dg.AssetExecutionContext, config: Reading) -> Emitted:
        crm = workspace_of(context.resources, names)
        try:
            with as_failure(context.log.error, but=(CountMismatch, ContractError)):
                months = _months(context) if partitioned else None
                job = modes.get(context.run.job_name)
                mode = mode_of(config, job, months, _refreshed(crm, connection, obj))
                is_range = partitioned and mode != "refresh"
                window = _window(context, connection, mode, names) if is_range else None
                run = context.run.run_id
                done, calls, filled = _extracted(crm, connection, obj, window, mode=mode, run=run)
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
        facts = metadata.extraction(done, calls) | metadata.history(fresh)
        facts |= metadata.field_backfill(filled)
        facts |= metadata.missing(missing) | metadata.dropped(crm.set_aside(connection, obj.name))
        if fresh.history_from is not None:
            context.log.warning(metadata.gap(fresh))
        if done.missed is not None:
            say = context.log.warning if done.missed.late else context.log.info
            say("%s: %s.", obj.name, missed_text(done.missed))
        if done.quarantined:
            context.log.warning("%s: %s.", obj.name, outstanding_text(missing))
        if partitioned and _has_months(context):
            tell_months(context, done, fresh, facts)
            facts = {}
        else:
            facts |= metadata.extracted(done) | metadata.complete([fresh])
        yield dg.MaterializeResult(metadata=facts, data_version=dg.DataVersion(done.window_id))
        yield from checks.raw_results(done)
        yield checks.fields_result(crm.drift.open(connection.name, obj.name), done.schema_changes)
        yield checks.quarantine_result(connection.name, obj.name, missing)
        yield checks.freshness_result(fresh)
        if partitioned:
            yield checks.audit_result(crm.audits.at(connection.name).of(obj.name))

    return _decorated(connection, obj, names, partitioned=partitioned)(landed)


def _months(context: dg.AssetExecutionContext) -> tuple[Month, Month] | None:
    if not _has_months(context):
        return None
    keys = context.partition_key_range
    return Month.parse(keys.start), Month.parse(keys.end)


def _refreshed(
    crm: Workspace, connection: Connection, obj: ObjectSettings
) -> tuple[Month, Month] | None:
    """Return the months that a refresh of an object touches; None where it was never read."""
    watermark = crm.landing.watermark(connection.name, obj.name)
    return refreshed_months(connection, [watermark], crm.clock.now()) if watermark else None


def _extracted(
    crm: Workspace,
    connection: Connection,
    obj: ObjectSettings,
    window: Window | None,
    *,
    mode: Mode,
    run: str,
) -> tuple[Extraction, int, FieldBackfill | None]:
    """Extract an object, and record success or failure among its looks.

    Returns:
        What was read, all calls to its account, and how far the history of its new fields is filled.
    """
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
                mode=mode,
                landing=crm.landing,
                on_progress=on_progress,
                key=key,
            )
            note_changes(
                crm.landing, crm.drift, crm.settings.drift, connection.name, obj.name, before=before
            )
            prove_renames(account, obj, crm.landing, crm.drift, connection.name, key)
            before_filling = account.usage.calls
            filled = crm.fill_new_fields(account, obj, done.schema) if mode == "refresh" else None
            if account.usage.calls > before_filling:
                done = replace(done, changed=True)
            calls = account.usage.calls
    except Exception as error:
        crm.looks.failed(connection.name, obj.name, error, run=run)
        raise
    crm.looks.was_read(connection.name, obj.name, done.watermark, run=run)
    return done, calls, filled


def _decorated(
    connection: Connection, obj: ObjectSettings, names: Names, *, partitioned: bool
) -> Callable[[Callable[..., Emitted]], dg.AssetsDefinition]:
    key = names.raw(connection.name, obj.name)
    how = "by month of modification" if partitioned else "whole, as a snapshot"
    vendor = vendor_facts()[connection.vendor].title or connection.vendor
    with warnings.catch_warnings():
        # `backfill_policy` and code references (code.py) are all that this package uses of Dagster's beta parts.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            key=key,
            deps=[names.source(connection.name, obj.name)],
            description=f"`{obj.name}` of {connection.name} as {vendor} gives it: "
            f"landed losslessly, append-only, {how}.{_other_jobs(connection, names) if partitioned else ''}",
            group_name=group_of(key),
            kinds={connection.vendor, "parquet"},
            owners=connection.owners,
            tags=tags_of_connection(connection, RAW),
            code_version=code.raw_version(connection, obj),
            metadata={
                **code.links(extract, *code.connector_module(connection.vendor)),
                **code.documentation("operations"),
            },
            pool=names.api_pool(connection.name),
            required_resource_keys={names.resource},
            partitions_def=monthly(connection) if partitioned else None,
            backfill_policy=dg.BackfillPolicy.single_run() if partitioned else None,
            check_specs=checks.raw_specs(key, is_audited=partitioned),
        )


def _other_jobs(connection: Connection, names: Names) -> str:
    """Return a sentence about the jobs that land records of the asset as well, without making it."""
    text = (
        f" The job `{names.audit(connection.name)}` compares it with the CRM and heals what differs"
    )
    if is_swept(connection):
        sweep = names.sweep(connection.name)
        text += f"; `{sweep}` reads again what changes without a modification time"
    return f"{text}."


def _window(
    context: dg.AssetExecutionContext, connection: Connection, mode: Mode, names: Names
) -> Window:
    if not _has_months(context):
        raise ConfigError(
            f"this run of {context.run.job_name} has no partitions selected.",
            cure=f"Choose partitions when launching it, or run {names.refresh(connection.name)}.",
        )
    keys = context.partition_key_range
    window = window_between(connection, keys.start, keys.end)
    if mode == "range":
        return window
    # What is older than the first month is not compared with what has landed.
    return Window(Month.parse(keys.start).start_at, window.to_at)


def _has_months(context: dg.AssetExecutionContext) -> bool:
    return bool(context.has_partition_key or context.has_partition_key_range)
