"""Events that are written by the step stand in Dagster's storage as those that Dagster writes one by one."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import AssetRecordsFilter
from sqlalchemy import Engine, event

from crm_pipeline.kernel.errors import DatabaseUnavailable
from crm_pipeline.orchestration import event_writer
from crm_pipeline.orchestration.event_writer import written_by_step
from crm_pipeline.orchestration.instance import quick_events

_DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
_SEEN: list[Counter[str]] = []


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    _daily = dg.asset(
        partitions_def=_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("count", asset="written_days")],
    )


@_daily
def written_days(context: dg.AssetExecutionContext) -> Any:
    yield dg.MaterializeResult(metadata={"rows": 3}, data_version=dg.DataVersion("one"))
    yield dg.AssetCheckResult(check_name="count", passed=True)


@dg.asset(
    deps=[written_days],
    check_specs=[dg.AssetCheckSpec(name, asset="written_table") for name in ("good", "bad")],
)
def written_table(context: dg.AssetExecutionContext) -> Any:
    context.log.info("a message")
    with context.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        sql = "SELECT coalesce(dagster_event_type, 'message') FROM event_logs WHERE run_id = %s"
        rows = connection.exec_driver_sql(sql, (context.run.run_id,)).fetchall()
        _SEEN.append(Counter(kind for (kind,) in rows))
    yield dg.MaterializeResult(metadata={"rows": 1}, data_version=dg.DataVersion("two"))
    yield dg.AssetCheckResult(check_name="good", passed=True, metadata={"n": 1})
    yield dg.AssetCheckResult(check_name="bad", passed=False)


@dg.asset(deps=[written_table])
def written_never() -> None:
    raise ValueError("broken")


ASSETS = [written_days, written_table, written_never]


def run_of(instance: dg.DagsterInstance, *, by_step: bool) -> dg.ExecuteInProcessResult:
    with ExitStack() as stack:
        stack.enter_context(quick_events())
        if by_step:
            stack.enter_context(written_by_step(instance))
        return dg.materialize(
            ASSETS,
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": "2026-01-01",
                "dagster/asset_partition_range_end": "2026-01-03",
            },
        )


def stored(instance: dg.DagsterInstance, run: str) -> dict[str, Any]:
    """Return what the storage says of a run, without ids and times."""
    records = instance.get_records_for_run(run, ascending=True).records
    ids = {record.storage_id: record for record in records}
    entries = [record.event_log_entry for record in records]
    storage = instance.event_log_storage
    checks = []
    for asset in ASSETS:
        for key in asset.check_keys:
            [row] = storage.get_asset_check_execution_history(key, limit=5)[:1]
            assert row.run_id == run
            done = row.event
            assert done is not None
            target = (
                done.get_dagster_event().asset_check_evaluation_data.target_materialization_data
            )
            meant = target and ids[target.storage_id].event_log_entry.get_dagster_event()
            checks.append(
                (key, row.status, target and (target.run_id == run), meant and meant.asset_key)
            )
    assets = {}
    for asset in ASSETS:
        [record] = instance.get_asset_records([asset.key]) or [None]
        latest = record and record.asset_entry.last_materialization_record
        assets[asset.key] = (
            record and record.asset_entry.last_run_id == run,
            latest and (latest.storage_id in ids, sorted(latest.event_log_entry.tags)),
        )
    tags = [
        storage.get_event_tags_for_asset(asset.key, filter_event_id=record.storage_id)
        for asset in ASSETS
        for record in storage.fetch_materializations(
            AssetRecordsFilter(asset_key=asset.key), limit=5
        ).records
        if record.run_id == run
    ]
    return {
        "events": Counter((e.dagster_event_type, e.step_key, e.level) for e in entries),
        "order": [e.dagster_event_type for e in entries if e.step_key == "written_table"],
        "partitions": sorted(
            e.get_dagster_event().partition or "" for e in entries if e.dagster_event
        ),
        "checks": checks,
        "assets": assets,
        "tags": [sorted(k for k in each if "input" not in k) for each in tags],
    }


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, sql: str, *_: Any) -> None:
        statements.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_events_are_those_that_dagster_writes(instance: dg.DagsterInstance) -> None:
    """Events, their order in a step, assets, tags, and results of checks are the same, a failed step among them; it takes a
    third of the statements, and what came before a message is there when the message is."""
    with counted() as one_by_one:
        plain = stored(instance, run_of(instance, by_step=False).run_id)
    with counted() as together:
        ours = stored(instance, run_of(instance, by_step=True).run_id)
    assert ours == plain
    failed = [step for kind, step, _ in ours["events"] if kind == dg.DagsterEventType.STEP_FAILURE]
    assert failed == ["written_never"]
    assert {status.value for _, status, *_ in ours["checks"]} == {"SUCCEEDED", "FAILED"}
    written = [
        sum(sql.startswith(("INSERT", "UPDATE", "NOTIFY")) for sql in each)
        for each in (one_by_one, together)
    ]
    assert written[1] < written[0] / 2
    before, after = _SEEN[-2:]
    assert after == before
    assert after["STEP_START"] == 2
    assert after["message"] == 1


def test_a_broken_connection_loses_no_event(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is written once more, and the storage is as before when the run is over."""
    write, failures = event_writer._write, [DatabaseUnavailable("gone", cure="wait")]

    def breaking(*arguments: Any) -> None:
        if len(arguments[1]) > 3 and failures:
            raise failures.pop()
        write(*arguments)

    monkeypatch.setattr(event_writer, "_write", breaking)
    before = dict(vars(instance.event_log_storage))
    done = run_of(instance, by_step=True)
    assert not failures
    assert vars(instance.event_log_storage) == before
    kinds = {
        r.event_log_entry.dagster_event_type
        for r in instance.get_records_for_run(done.run_id).records
    }
    assert {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.PIPELINE_FAILURE} <= kinds
