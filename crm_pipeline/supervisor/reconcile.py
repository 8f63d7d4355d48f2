"""Ends dead runs and frees leaked slots that a killed stack left in Dagster's storage.

A living code server reports workers that die. When everything was killed nothing reports them: the run
stays 'started' for ever and keeps its slots in the pools. The event log of a run names its process, which
is gone, or whose id another process has by now.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg
import psutil

from crm_pipeline.orchestration.runs import HOST_TAG
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import URL_VARIABLE
from crm_pipeline.supervisor.health import is_listening, is_unix_socket_answering

_GRPC_TAG = ".dagster/grpc_info"
ACTIVE = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_SLACK_S = 2.0
_MESSAGE = (
    "The process of this run is gone (killed, out of memory, or the machine restarted). What it had "
    "committed stands; launch it again."
)


@dataclass(frozen=True)
class Reconciled:
    """The ids of the runs that were ended, and of those whose slots were freed."""

    runs: tuple[str, ...] = ()
    slots_freed_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worker:
    """The process of a run, and when the event log named it."""

    pid: int
    seen_at: float

    def is_alive(self) -> bool:
        """Say whether this process still runs; a later one may have the same id."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return process.create_time() <= self.seen_at + _SLACK_S
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class Here:
    """What separates runs of this machine from those of another one that shares the database.

    Attributes:
        alone: the database is the embedded one: every run is of this machine.
        servers: where code servers of this data folder listen: sockets, or `host:port` between containers.
    """

    alone: bool
    servers: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, servers: Iterable[object] = ()) -> "Here":
        """Return it for a data folder."""
        return cls(
            alone=not settings.environ.get(URL_VARIABLE, "").strip(),
            servers=tuple(str(server) for server in servers),
        )

    def has(self, run: dg.DagsterRun) -> bool:
        """Say whether a run belongs to this machine."""
        if self.alone or run.tags.get(HOST_TAG) == os.uname().nodename:
            return True
        return _server_of(run) in self.servers


def reconcile(instance: dg.DagsterInstance, here: Here) -> Reconciled:
    """End the runs whose process is gone, and free the slots of every run that is over."""
    records = instance.get_run_records(dg.RunsFilter(statuses=ACTIVE))
    dead = [
        record.dagster_run
        for record in records
        if here.has(record.dagster_run) and is_dead(instance, record.dagster_run)
    ]
    for run in dead:
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _MESSAGE)
        else:
            instance.report_run_failed(run, _MESSAGE)
    return Reconciled(tuple(run.run_id for run in dead), tuple(free_slots(instance)))


def running(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs that are under way, oldest first; those of dead processes until they are reconciled."""
    records = instance.get_run_records(dg.RunsFilter(statuses=ACTIVE), ascending=True)
    return [record.dagster_run for record in records]


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether no process works on an unfinished run any more."""
    worker = worker_of(instance, run.run_id)
    if worker is not None:
        return not worker.is_alive()
    # The run was given to a code server that had not started a process yet.
    server = _server_of(run)
    return server is not None and not _is_answering(server)


def worker_of(instance: dg.DagsterInstance, run_id: str) -> Worker | None:
    """Return the process that the event log of a run named last."""
    kinds = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_START}
    worker: Worker | None = None
    for entry in instance.all_logs(run_id, of_type=kinds):
        pid = _pid_in(entry.dagster_event) if entry.dagster_event else None
        if pid is not None:
            worker = Worker(pid, entry.timestamp)
    return worker


def _pid_in(event: dg.DagsterEvent) -> int | None:
    if event.pid is not None:
        return event.pid
    # 'Started process for run' has it as metadata, seconds before the run's first event.
    if event.event_type != dg.DagsterEventType.ENGINE_EVENT:
        return None
    value = event.engine_event_data.metadata.get("pid")
    return int(str(value.value)) if value is not None else None


def free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Free the slots of runs that are over or unknown; return the ids of these runs."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    freed = []
    for run_id in sorted(storage.get_concurrency_run_ids()):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
            freed.append(run_id)
    return freed


def _server_of(run: dg.DagsterRun) -> str | None:
    """Return the code server that a run was given to: its socket, or host and port."""
    text = run.tags.get(_GRPC_TAG)
    address = json.loads(text) if text else {}
    if address.get("port"):
        return f"{address.get('host')}:{address['port']}"
    return str(address["socket"]) if address.get("socket") else None


def _is_answering(server: str) -> bool:
    host, colon, port = server.rpartition(":")
    if colon and port.isdigit() and "/" not in server:
        return is_listening(host, int(port))
    return is_unix_socket_answering(server)
