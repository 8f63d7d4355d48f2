"""`crm-pipeline up` as a program of its own that is killed in the middle of a run.

Belongs here: starting it, waiting until a run holds a place in a pool, and killing; what must hold after
that is said by the tests and by `benchmarks/crashes.py`.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil
import requests

from crm_pipeline.cli.sandboxes import sandbox_services
from crm_pipeline.configuration import load_settings
from crm_pipeline.orchestration.instance import opened_instance
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.supervisor.health import ask, is_loaded
from crm_pipeline.supervisor.processes import MARK_VARIABLE
from crm_pipeline.supervisor.stack import Stack, StackOptions

LAUNCH = """
mutation ($of: ExecutionParams!) { launchRun(executionParams: $of) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
CONNECTIONS = """
connections:
  acme:
    vendor: salesforce
    login_url: http://127.0.0.1:{port}/salesforce
    sandbox: true
    auth:
      kind: client_credentials
      client_id_env: ACME_CLIENT_ID
      client_secret_env: ACME_CLIENT_SECRET
    objects: [Account, Contact, OpportunityStage]
    start: 2018-01
    cadence: "0 * * * *"
"""
SECRETS = "ACME_CLIENT_ID=sandbox-client-id\nACME_CLIENT_SECRET=sandbox-client-secret\n"
MATERIALIZED = """
{ assetNodeOrError(assetKey: {path: ["acme", "raw", "Contact"]}) { ... on AssetNode {
    assetMaterializations { partition
      metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }
"""
CONTACTS = 60
PATIENCE_S = 120


@dataclass(frozen=True)
class Left:
    """The state that a killed `up` leaves: its pid file, and an active run."""

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
    response = ask(url, LAUNCH, {"of": params})["launchRun"]
    assert response["__typename"] == "LaunchRunSuccess", response
    return str(response["run"]["runId"])


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Project:
    """A project with one account at the sandbox, for a stack of its own."""

    settings: Settings
    port: int

    @classmethod
    def at(cls, root: Path) -> "Project":
        root.mkdir(exist_ok=True)
        (root / "connections.yaml").write_text(CONNECTIONS.format(port=free_port()))
        (root / ".env").touch(mode=0o600)
        (root / ".env").write_text(SECRETS)
        return cls(load_settings(root, {}), free_port())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> StackOptions:
        services = sandbox_services(self.settings, ("--contacts", str(CONTACTS)))
        return StackOptions(port=self.port, services=services)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run `crm-pipeline up` as a program; it is killed at the end, if it was not before."""
        command = [sys.executable, "-m", "crm_pipeline", "up", "--port", str(self.port)]
        with (self.settings.root.parent / "up.log").open("wb") as log:
            program = subprocess.Popen(
                [*command, "--contacts", str(CONTACTS)],
                cwd=self.settings.root,
                env={**os.environ, "CRM_HOME": str(self.settings.root)},
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

    def killed_in_a_run(self, program: subprocess.Popen[bytes], victims: str) -> Left:
        """Launch a run that cannot go on, and kill `up` alone, `some` with it, or `everything`."""
        eventually(lambda: is_loaded(self.url))
        [connection] = self.settings.connections.values()
        sandbox = connection.login_url.removesuffix("/salesforce")
        hang = {"kind": "hang", "path": "/query", "seconds": 600, "times": 99}
        requests.post(f"{sandbox}/_admin/faults", json=hang, timeout=10).raise_for_status()
        run_id = self._launched()
        eventually(lambda: run_id in holders(self.settings))
        mark = json.loads((self.settings.data / "run" / "children.json").read_text())["mark"]
        program.kill()
        program.wait()
        left = of_this_stack(self.settings.data, mark)
        assert len(left) >= 5
        for process in left:
            with contextlib.suppress(psutil.Error):
                is_chosen = process.name() == "postgres" or _is_run(process)
                if victims == "everything" or (victims == "some" and is_chosen):
                    process.kill()
        return Left(mark, run_id)

    def taken_over(self, left: Left) -> None:
        """Start again: no orphan, no ghost run, no place held; a run lands all; then all is gone."""
        data = self.settings.data
        with Stack(self.settings, self.options) as stack:
            response = ask(self.url, STATUS, {"id": left.run_id})
            assert response["runOrError"]["status"] in {"FAILURE", "CANCELED"}
            assert holders(self.settings) == set()
            orphans = [one for one in of_this_stack(data, left.mark) if one.name() != "postgres"]
            assert orphans == []
            self._finished_by_a_run()
            mark = stack._mark
            assert len(of_this_stack(data, mark)) >= 5
        assert of_this_stack(data, mark) == []

    def _launched(self) -> str:
        return launch(
            self.url, "acme_backfill", "2018-01-01", time.strftime("%Y-%m-01", time.gmtime())
        )

    def _finished_by_a_run(self) -> None:
        """A range launched over the web API lands whole and is published."""
        url, run_id = self.url, self._launched()
        assert eventually(lambda: ended(url, run_id)) == "SUCCESS"
        with duckdb.connect(str(self.settings.data / "crm.duckdb"), read_only=True) as analyst:
            live = "SELECT contact_key FROM crm.contacts"
            gone = "SELECT contact_key FROM crm.contacts_deleted"
            row = analyst.execute(
                f"SELECT count(*), count(DISTINCT contact_key) FROM ({live} UNION ALL {gone})"
            )
            assert row.fetchone() == (CONTACTS, CONTACTS)
        events = ask(url, MATERIALIZED)["assetNodeOrError"]["assetMaterializations"]
        [shown] = [event for event in events if event["partition"] is None]
        numbers = {entry["label"]: entry.get("intValue") for entry in shown["metadataEntries"]}
        assert (numbers["records_landed"], numbers["source_count"]) == (CONTACTS, CONTACTS)


def _is_run(process: psutil.Process) -> bool:
    return any("multiprocessing.spawn" in part for part in process.cmdline())
