"""The activity of a connection, which schedules and sensors ask for."""

import uuid

import dagster as dg
import pytest

from crm_pipeline.orchestration.activity import Activity, activity_of
from crm_pipeline.orchestration.names import CONNECTION_TAG
from crm_pipeline.settings import Settings
from crm_pipeline.store.landing.looks import ConnectionLooks, Look

FAILURE, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@dg.job(name="idle")
def idle() -> None:
    """A job without steps."""


@pytest.fixture(autouse=True)
def no_other_runs(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def ended(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> str:
    """Let runs of the connection end one after the other; return the id of the last."""
    run_id = ""
    for status in statuses:
        run_id = str(uuid.uuid4())
        instance.create_run_for_job(
            idle, run_id=run_id, status=status, tags={CONNECTION_TAG: "acme"}
        )
    return run_id


def seen_after(
    instance: dg.DagsterInstance, settings: Settings, *statuses: dg.DagsterRunStatus
) -> Activity:
    ended(instance, *statuses)
    return activity_of(instance, settings.connection("acme"))


def test_a_cancelled_run_has_ended(instance: dg.DagsterInstance, settings: Settings) -> None:
    """The run key changes with it: the same news can be launched again."""
    before = seen_after(instance, settings, FAILURE)
    after = seen_after(instance, settings, CANCELED)
    assert after.last_run_id not in {"", before.last_run_id}


def test_a_cancelled_run_is_no_success(instance: dg.DagsterInstance, settings: Settings) -> None:
    """A cancelled run does not end a row of failures."""
    assert seen_after(instance, settings, FAILURE, CANCELED, FAILURE).failures == 2


@pytest.mark.parametrize(("left", "failures"), [(0, 0), (1, 2)])
def test_an_object_that_fails_does_not_slow_the_others(
    instance: dg.DagsterInstance, settings: Settings, left: int, failures: int
) -> None:
    """A failed run that has tried all its objects did its work: each of them is waited for by itself. One that died
    before that slows the connection, as it would die again."""
    run_id = ended(instance, FAILURE, FAILURE)
    connection = settings.connection("acme")
    names = [obj.name for obj in connection.objects]
    looks = ConnectionLooks({name: Look(tried_in=run_id) for name in names[left:]})
    assert activity_of(instance, connection, looks).failures == failures
