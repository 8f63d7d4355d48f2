from collections.abc import Iterator

import dagster as dg
import pytest

from crm_pipeline.kernel.errors import UnknownName
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


def test_an_object_that_is_not_there(settings: Settings, ephemeral: dg.DagsterInstance) -> None:
    """It is refused with the known ones."""
    with pytest.raises(UnknownName, match="Acount"):
        run_backfill(settings, "acme", None, None, ephemeral, objects=["Acount"])
