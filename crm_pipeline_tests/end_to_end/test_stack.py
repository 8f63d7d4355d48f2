import socket
import time
from pathlib import Path

import duckdb
import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.orchestration.health import ask, is_loaded
from crm_pipeline.orchestration.stack import Stack, StackOptions
from crm_pipeline.settings import Settings, load_settings
from crm_pipeline_tests.end_to_end.killed_up import (
    STATUS,
    ended,
    eventually,
    holders,
    killed_in_a_run,
    launch,
    of_this_stack,
    running_up,
)

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
    assetMaterializations(limit: 1) { partition
      metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }
"""
CONTACTS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(port=free_port()))
    (tmp_path / ".env").write_text(SECRETS)
    return load_settings(tmp_path, {})


def test_a_killed_stack_is_taken_over_and_works(settings: Settings) -> None:
    """`up` killed in a run: the next one ends what is left, frees the pools, and a new run succeeds.

    Killed are `up`, PostgreSQL and the run; the other programs are orphans. Until then a second `up`
    is refused. Of the stack that takes over nothing is left when it stops.
    """
    port, data = free_port(), settings.data
    options = StackOptions(port=port, sandbox_options=("--contacts", str(CONTACTS)))
    with running_up(settings, port, CONTACTS) as program:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: is_loaded(url))
        with pytest.raises(ConfigError, match="is running already"):
            Stack(settings, options).start()
        left = killed_in_a_run(settings, program, url, "acme_backfill", everything=False)
    with Stack(settings, options) as stack:
        assert ask(url, STATUS, {"id": left.run_id})["runOrError"]["status"] == "FAILURE"
        assert holders(settings) == set()
        old = {one.pid for one in of_this_stack(data, left.mark) if one.name() != "postgres"}
        assert old == set()
        a_run_from_the_web_interface(stack, settings)
        mark = stack._mark
        assert len(of_this_stack(data, mark)) >= 5
    assert of_this_stack(data, mark) == []
    assert {path.name for path in settings.root.iterdir()} == {"connections.yaml", ".env", "data"}


def a_run_from_the_web_interface(stack: Stack, settings: Settings) -> None:
    """A range launched over the web API lands whole and is published."""
    url = stack.urls["Dagster"]
    run_id = launch(url, "acme_backfill", "2018-01-01", time.strftime("%Y-%m-01", time.gmtime()))
    assert eventually(lambda: ended(url, run_id)) == "SUCCESS"
    with duckdb.connect(str(settings.data / "crm.duckdb"), read_only=True) as analyst:
        live = "SELECT contact_key FROM crm.contacts"
        gone = "SELECT contact_key FROM crm.contacts_deleted"
        row = analyst.execute(
            f"SELECT count(*), count(DISTINCT contact_key) FROM ({live} UNION ALL {gone})"
        )
        assert row.fetchone() == (CONTACTS, CONTACTS)
    [shown] = ask(url, MATERIALIZED)["assetNodeOrError"]["assetMaterializations"]
    numbers = {entry["label"]: entry.get("intValue") for entry in shown["metadataEntries"]}
    assert (numbers["records_landed"], numbers["source_count"]) == (CONTACTS, CONTACTS)
