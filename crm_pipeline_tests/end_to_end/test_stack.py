import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from crm_pipeline.orchestration.children import MARK_VARIABLE
from crm_pipeline.orchestration.health import ask
from crm_pipeline.orchestration.stack import Stack, StackOptions
from crm_pipeline.settings import Settings, load_settings

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
LAUNCH = """
mutation ($of: ExecutionParams!) { launchRun(executionParams: $of) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
MATERIALIZED = """
{ assetNodeOrError(assetKey: {path: ["acme", "raw", "Contact"]}) { ... on AssetNode {
    assetMaterializations(limit: 1) { partition
      metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }
"""
PATIENCE_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(port=free_port()))
    (tmp_path / ".env").write_text(SECRETS)
    return load_settings(tmp_path, {})


@pytest.fixture
def stack(settings: Settings) -> Iterator[Stack]:
    chosen = Stack(settings, StackOptions(port=free_port(), sandbox_options=("--contacts", "60")))
    chosen.start()
    yield chosen
    chosen.stop()


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


def of_this_stack(data: Path, mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_database = process.name() == "postgres" and str(data) in " ".join(process.cmdline())
            if is_database or process.environ().get(MARK_VARIABLE) == mark:
                found.append(f"{process.pid} {process.status()}")
    return [one for one in found if not one.endswith(psutil.STATUS_ZOMBIE)]


def test_from_the_web_interface_to_the_analysts_file(stack: Stack, settings: Settings) -> None:
    """A range launched over the web API lands, is published, and the stack ends without a trace."""
    url = stack.urls["Dagster"]
    run_id = launch(url, "acme_backfill", "2018-01-01", time.strftime("%Y-%m-01", time.gmtime()))
    assert eventually(lambda: ended(url, run_id)) == "SUCCESS"
    with duckdb.connect(str(settings.data / "crm.duckdb"), read_only=True) as analyst:
        live = "SELECT contact_key FROM crm.contacts"
        gone = "SELECT contact_key FROM crm.contacts_deleted"
        row = analyst.execute(
            f"SELECT count(*), count(DISTINCT contact_key) FROM ({live} UNION ALL {gone})"
        )
        assert row.fetchone() == (60, 60)
    [shown] = ask(url, MATERIALIZED)["assetNodeOrError"]["assetMaterializations"]
    numbers = {entry["label"]: entry.get("intValue") for entry in shown["metadataEntries"]}
    assert (numbers["records_landed"], numbers["source_count"]) == (60, 60)
    mark = stack._mark
    assert len(of_this_stack(settings.data, mark)) >= 5
    stack.stop()
    assert of_this_stack(settings.data, mark) == []
    assert {path.name for path in settings.root.iterdir()} == {"connections.yaml", ".env", "data"}
