"""`crm-pipeline up` as a program of its own that is killed in the middle of a run.

Belongs here: starting it, waiting until a run holds a place in a pool, and killing; what must hold after
that is said by the tests and by `benchmarks/crashes.py`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from crm_pipeline.orchestration.children import MARK_VARIABLE
from crm_pipeline.orchestration.health import ask, is_loaded
from crm_pipeline.orchestration.instance import opened_instance
from crm_pipeline.settings import Settings
from crm_pipeline.store.embedded import EmbeddedServer

LAUNCH = """
mutation ($of: ExecutionParams!) { launchRun(executionParams: $of) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
PATIENCE_S = 120


@dataclass(frozen=True)
class Left:
    """What a killed `up` left: its mark, and a run that was at work."""

    mark: str
    run_id: str


def eventually(happened: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_S
    while not (found := happened()):
        assert time.monotonic() < until
        time.sleep(0.2)  # another program works; there is nothing to wait on but its answers
    return found


def launch(url: str, job: str, first: str, last: str) -> str:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    params = {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "crm_pipeline",
            "jobName": job,
        },
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
    }
    told = ask(url, LAUNCH, {"of": params})["launchRun"]
    assert told["__typename"] == "LaunchRunSuccess", told
    return str(told["run"]["runId"])


def ended(url: str, run_id: str) -> str | None:
    status = ask(url, STATUS, {"id": run_id})["runOrError"]["status"]
    return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None


def of_this_stack(data: Path, mark: str) -> list[psutil.Process]:
    """The living processes of a stack, and the PostgreSQL of its data folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_database = process.name() == "postgres" and str(data) in " ".join(process.cmdline())
            is_ours = is_database or process.environ().get(MARK_VARIABLE) == mark
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def holders(settings: Settings) -> set[str]:
    """The runs that hold places in pools."""
    url = EmbeddedServer(settings.data).url()
    assert url is not None
    with opened_instance(settings, url) as instance:
        return set(instance.event_log_storage.get_concurrency_run_ids())


@contextmanager
def running_up(settings: Settings, port: int, contacts: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `crm-pipeline up` as a program; what is left of it at the end is killed."""
    command = [sys.executable, "-m", "crm_pipeline", "up", "--port", str(port)]
    with (settings.root.parent / "up.log").open("wb") as log:
        program = subprocess.Popen(
            [*command, "--contacts", str(contacts)],
            cwd=settings.root,
            env={**os.environ, "CRM_HOME": str(settings.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def killed_in_a_run(
    settings: Settings, program: subprocess.Popen[bytes], url: str, job: str, *, everything: bool
) -> Left:
    """Launch a run that cannot go on, and kill `up`, PostgreSQL and the run, or really everything."""
    eventually(lambda: is_loaded(url))
    [connection] = settings.connections.values()
    sandbox = connection.login_url.removesuffix("/salesforce")
    hang = {"kind": "hang", "path": "/query", "seconds": 600, "times": 99}
    requests.post(f"{sandbox}/_admin/faults", json=hang, timeout=10).raise_for_status()
    run_id = launch(url, job, "2018-01-01", time.strftime("%Y-%m-01", time.gmtime()))
    eventually(lambda: run_id in holders(settings))
    mark = json.loads((settings.data / "run" / "children.json").read_text())["mark"]
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    victims = of_this_stack(settings.data, mark)
    assert len(victims) >= 5
    for process in victims:
        with contextlib.suppress(psutil.Error):
            if everything or process.name() == "postgres" or _is_run(process):
                process.kill()
    return Left(mark, run_id)


def _is_run(process: psutil.Process) -> bool:
    return any("multiprocessing.spawn" in part for part in process.cmdline())
