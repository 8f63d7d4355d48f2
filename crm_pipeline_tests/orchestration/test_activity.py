"""What schedules and sensors see of the runs of a connection."""

import uuid

import dagster as dg
import pytest

from crm_pipeline.orchestration.activity import Activity, activity_of
from crm_pipeline.orchestration.jobs import CONNECTION_TAG
from crm_pipeline.settings import Settings

FAILURE, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@dg.job(name="idle")
def idle() -> None:
    """A job without steps."""


@pytest.fixture(autouse=True)
def no_other_runs(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def seen_after(
    instance: dg.DagsterInstance, settings: Settings, *statuses: dg.DagsterRunStatus
) -> Activity:
    for status in statuses:
        instance.create_run_for_job(
            idle, run_id=str(uuid.uuid4()), status=status, tags={CONNECTION_TAG: "acme"}
        )
    return activity_of(instance, settings.connection("acme"))


def test_a_cancelled_run_has_ended(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Otherwise the same news would have the same run key for ever, and nothing would be launched."""
    before = seen_after(instance, settings, FAILURE)
    after = seen_after(instance, settings, CANCELED)
    assert after.last_run_id not in {"", before.last_run_id}


def test_a_cancelled_run_is_no_success(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Failures in a row are counted across it."""
    assert seen_after(instance, settings, FAILURE, CANCELED, FAILURE).failures == 2
