import json
import os
import subprocess
import sys
import uuid

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from crm_pipeline.orchestration.runs import HOST_TAG
from crm_pipeline.supervisor.reconcile import Here, reconcile

ALONE = Here(alone=True)


@dg.job(name="nothing")
def nothing() -> None:
    """A job without steps."""


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def make_run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    pid: int | None,
    tags: dict[str, str] | None = None,
) -> dg.DagsterRun:
    run = instance.create_run_for_job(
        nothing, run_id=str(uuid.uuid4()), status=status, tags=tags or {}
    )
    if pid is not None:
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
    return run


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    return stored.status


@pytest.fixture(autouse=True)
def no_other_runs(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def test_a_run_whose_process_is_gone_is_ended(instance: dg.DagsterInstance) -> None:
    """The run fails with a sentence that says what to do; a run that was being cancelled is cancelled."""
    started = make_run(instance, dg.DagsterRunStatus.STARTED, dead_pid())
    canceling = make_run(instance, dg.DagsterRunStatus.CANCELING, dead_pid())
    done = reconcile(instance, ALONE)
    assert set(done.runs) == {started.run_id, canceling.run_id}
    assert status_of(instance, started) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, canceling) == dg.DagsterRunStatus.CANCELED
    assert "launch it again" in [log.message for log in instance.all_logs(started.run_id)][-1]


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    """A process that started before the run named it belongs to the run."""
    run = make_run(instance, dg.DagsterRunStatus.STARTED, os.getpid())
    assert reconcile(instance, ALONE).runs == ()
    assert status_of(instance, run) == dg.DagsterRunStatus.STARTED


def test_a_reused_process_id_is_not_the_run(instance: dg.DagsterInstance) -> None:
    """A process that started after the run named its id does not belong to the run."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        run = make_run(instance, dg.DagsterRunStatus.STARTED, None)
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ENGINE_EVENT.value,
            job_name="nothing",
            message="Executing steps in process",
            event_specific_data=EngineEventData.in_process(sleeper.pid),
        )
        entry = dg.EventLogEntry(
            error_info=None,
            level="debug",
            user_message="",
            run_id=run.run_id,
            timestamp=1_700_000_000.0,
            dagster_event=event,
        )
        instance.handle_new_event(entry)
        assert reconcile(instance, ALONE).runs == (run.run_id,)
    finally:
        sleeper.communicate(b"\n")


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        ({}, False),
        ({HOST_TAG: "elsewhere"}, False),
        ({HOST_TAG: os.uname().nodename}, True),
        ({".dagster/grpc_info": json.dumps({"host": "localhost", "socket": "/x/a.sock"})}, True),
        ({".dagster/grpc_info": json.dumps({"host": "localhost", "socket": "/y/b.sock"})}, False),
        ({".dagster/grpc_info": json.dumps({"host": "code", "port": 4000})}, True),
        ({".dagster/grpc_info": json.dumps({"host": "other", "port": 4000})}, False),
    ],
)
def test_runs_of_other_machines_are_theirs(
    instance: dg.DagsterInstance, tags: dict[str, str], ours: bool
) -> None:
    """In a shared database only runs of this machine are checked by their process id."""
    run = make_run(instance, dg.DagsterRunStatus.STARTED, dead_pid(), tags)
    assert reconcile(instance, Here(alone=False, servers=("/x/a.sock", "code:4000"))).runs == (
        (run.run_id,) if ours else ()
    )


@pytest.mark.parametrize("address", [{"socket": "/x/gone.sock"}, {"port": 9}])
def test_a_run_that_no_process_took_up_is_ended(
    instance: dg.DagsterInstance, address: dict[str, object]
) -> None:
    """A run that was given to a code server that is gone is dead, on a socket or on a port of its own container."""
    tags = {".dagster/grpc_info": json.dumps({"host": "localhost", **address})}
    run = make_run(instance, dg.DagsterRunStatus.STARTING, None, tags)
    assert reconcile(instance, ALONE).runs == (run.run_id,)


def test_leaked_slots_are_freed(instance: dg.DagsterInstance) -> None:
    """The slots of a killed run in a pool are free for the next run."""
    run = make_run(instance, dg.DagsterRunStatus.STARTED, dead_pid())
    storage = instance.event_log_storage
    storage.set_concurrency_slots("api_acme", 1)
    claim = storage.claim_concurrency_slot("api_acme", run.run_id, "acme__raw__Account")
    assert claim.is_claimed
    assert reconcile(instance, ALONE).slots_freed_for == (run.run_id,)
    assert not storage.get_concurrency_run_ids()
