from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter

from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.orchestration.instance import LOCATION
from crm_pipeline.orchestration.jobs import LEFT_OUT_TAG
from crm_pipeline.orchestration.runs import run_backfill
from crm_pipeline.settings import Settings


@pytest.fixture
def ephemeral() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as dagster:
        yield dagster


@pytest.mark.parametrize("objects", [["Account"], ["OpportunityStage"], ["Account", "Contact"], []])
def test_a_backfill_of_some_objects(
    settings: Settings, ephemeral: dg.DagsterInstance, objects: list[str]
) -> None:
    """Only those are read, monthly ones and snapshots alike; without any named it is all. Here none can log in."""
    done = run_backfill(settings, "acme", None, None, ephemeral, objects=objects)
    read = {failed.step for failed in done.failed if "__raw__" in failed.step}
    every = ["Account", "Contact", "OpportunityStage", "Invoice__c"]
    assert read == {f"acme__raw__{name}" for name in objects or every}
    run = ephemeral.get_run_by_id(done.run_id)
    assert run is not None
    left_out = ", ".join(name for name in every if name not in objects) if objects else None
    assert run.tags.get(LEFT_OUT_TAG) == left_out


def test_a_run_of_this_process_is_like_others(
    settings: Settings, ephemeral: dg.DagsterInstance
) -> None:
    """It names its code location, as the timeline needs; each check is planned once, and not for each month."""
    done = run_backfill(
        settings, "acme", None, None, ephemeral, objects=["Account"], publishes=False
    )
    run = ephemeral.get_run_by_id(done.run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == LOCATION
    assert run.remote_job_origin.repository_origin.repository_name == "__repository__"
    assert run.remote_job_origin.job_name == run.job_name
    planned = ephemeral.get_records_for_run(
        done.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    )
    assert planned.records
    for record in planned.records:
        key = record.event_log_entry.dagster_event.asset_check_planned_data.asset_check_key  # type: ignore[union-attr]
        storage = ephemeral.event_log_storage
        rows = storage.get_asset_check_execution_history(key, limit=3)
        assert len(rows) == 1
        assert (
            storage.get_asset_check_execution_history(
                key, limit=3, partition_filter=PartitionKeyFilter(key="2026-01-01")
            )
            == []
        )


def test_a_run_that_does_not_publish(settings: Settings, ephemeral: dg.DagsterInstance) -> None:
    """It reads and builds the tables of its connection, and leaves the rest to the publish after it."""
    done = run_backfill(settings, "acme", None, None, ephemeral, publishes=False)
    run = ephemeral.get_run_by_id(done.run_id)
    assert run is not None
    assert {key.path[1] for key in run.asset_selection or ()} == {"raw", "normalized"}
    assert {key.path[0] for key in run.asset_selection or ()} == {"acme"}
    assert ephemeral.get_runs_count() == 1


def test_an_object_that_is_not_there(settings: Settings, ephemeral: dg.DagsterInstance) -> None:
    """It is refused with the known ones."""
    with pytest.raises(UnknownName, match="Acount"):
        run_backfill(settings, "acme", None, None, ephemeral, objects=["Acount"])
