"""The two commands of the README, as a user runs them, on a small world."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import yaml

from crm_pipeline.cli.demo import _with_objects
from crm_pipeline.configuration import load_settings
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline_tests.cli.conftest import Program, Run
from crm_pipeline_tests.modes import open_to_others
from crm_pipeline_tests.orchestration.projects import make_settings

USAGE = "SELECT connection, sum(calls) FROM ops.api_usage GROUP BY ALL"
FEW = {
    "salesforce_demo": ("Contact", "Opportunity", "OpportunityStage", "Invoice__c"),
    "pipedrive_demo": ("persons", "users"),
}


@pytest.fixture
def shipped(
    project: Path, installed: Path, initialised: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project as `init` makes it, with the programs of the wheels, and a port of its own for the sandbox."""
    (project / ".env").unlink()
    shutil.copytree(initialised, project, dirs_exist_ok=True)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CRM_SANDBOX_PORT", str(free.getsockname()[1]))
    return project


def test_accounts_without_objects_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An account that `add` has just made names no objects: a run of it would only publish."""
    make_settings(tmp_path)
    file = tmp_path / "connections.yaml"
    entries = yaml.safe_load(file.read_text())
    name = next(iter(entries["connections"]))
    entries["connections"]["empty"] = {**entries["connections"][name], "objects": []}
    file.write_text(yaml.safe_dump(entries))
    assert _with_objects(load_settings(tmp_path, {}), [name, "empty"]) == [name]
    assert "crm-pipeline discover empty --write" in capsys.readouterr().err


def test_every_shipped_account_is_healthy(program: Program, shipped: Path) -> None:
    """With the credentials of .env.example each account logs in, and has the objects that are named."""
    shutil.copy(shipped / ".env.example", shipped / ".env")
    (shipped / ".env").chmod(0o600)
    command = [sys.executable, "-m", "crm_pipeline", "sandbox", "--contacts", "20"]
    with subprocess.Popen(
        command, cwd=shipped, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as sandbox:
        assert sandbox.stdout is not None
        sandbox.stdout.readline()
        checked = program("check")
        sandbox.terminate()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for name in (
        "salesforce_demo",
        "hubspot_demo",
        "hubspot_partner",
        "pipedrive_demo",
        "zoho_demo",
    ):
        assert name in checked.stdout


def test_demo_twice(program: Program, run: Run, shipped: Path) -> None:
    """`demo` fills crm.duckdb and stops what it started; run again it finds nothing changed."""
    # Two accounts and a few of their objects stand for all: what every object takes is read elsewhere.
    shipped_connections = yaml.safe_load((shipped / "connections.yaml").read_text())["connections"]
    few = {
        name: {**shipped_connections[name], "objects": list(objects)}
        for name, objects in FEW.items()
    }
    (shipped / "connections.yaml").write_text(yaml.safe_dump({"connections": few}))
    first = program("demo", "--contacts", "60")
    assert first.returncode == 0, first.stderr
    assert "equal" in first.stdout
    assert "differ" not in first.stdout
    assert first.stdout.count("published in schema crm") == 1
    # The sums are those of both accounts, as landing has them.
    folders = (shipped / "data" / "landing").glob("*/*")
    manifests, commits = [], []
    for folder in folders:
        manifests += [json.loads(path.read_text()) for path in folder.glob("????-??/*.json")]
        commits += [json.loads(path.read_text()) for path in folder.glob("windows/*.json")]
    landed = sum(manifest["records"] for manifest in manifests)
    assert len({commit["connection"] for commit in commits}) == 2 <= landed
    summed = re.search(
        rf"{landed:,} records landed with ([\d,]+) API calls from 2 acc", first.stdout
    )
    assert summed is not None
    with closing(duckdb.connect(str(shipped / "data" / "crm.duckdb"), read_only=True)) as file:
        usage = dict(file.execute(USAGE).fetchall())
    assert int(summed[1].replace(",", "")) == sum(usage.values())
    assert (shipped / ".env").stat().st_mode & 0o777 == 0o600
    # Root's data folder lets the account pass that runs PostgreSQL.
    assert {*open_to_others(shipped / "data")} <= {str(shipped / "data")}
    assert (shipped / "data").stat().st_mode & 0o076 == 0
    snapshot = (shipped / "data" / "crm.duckdb").resolve()
    assert not EmbeddedServer(shipped / "data").is_running()

    second = program("demo")
    assert second.returncode == 0, second.stderr
    assert "0 records landed" in second.stdout
    assert "Nothing had changed" in second.stdout
    assert (shipped / "data" / "crm.duckdb").resolve() == snapshot

    counted = run(
        "query",
        "SELECT count(*) AS n FROM crm.contacts WHERE connection = 'salesforce_demo'",
        "--raw-csv",
    )
    assert 50 <= int(counted.stdout.split()[1]) <= 60

    other = run("demo", "--contacts", "70")
    assert other.exit_code == 2
    assert "would mix" in other.stderr


def test_demo_wants_a_sandbox(run: Run, project: Path) -> None:
    """`demo` reads only connections of the sandbox, and says so where there is none."""
    text = (project / "connections.yaml").read_text()
    (project / "connections.yaml").write_text(text.partition("  demo:")[0])
    result = run("demo")
    assert result.exit_code == 2
    assert "sandbox: true" in result.stderr


@pytest.mark.parametrize("ending", ["stdin", "interrupt"])
def test_sandbox_ends_on_request(shipped: Path, ending: str) -> None:
    """The sandbox says where it is and ends quietly: on Ctrl-C, or with the process that started it."""
    options = ["--ends-with-stdin"] if ending == "stdin" else []
    with subprocess.Popen(
        [sys.executable, "-m", "crm_pipeline", "sandbox", "--contacts", "20", *options],
        env=os.environ,
        cwd=shipped,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert os.environ["CRM_SANDBOX_PORT"] in child.stdout.readline()
        if ending == "interrupt":
            child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 0
        assert errors == ""


def test_demo_without_an_installed_sandbox_says_nothing_else(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the sandbox is not installed, the first line says so, and no data folder is made."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = run("demo")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the sandbox is not installed")
    assert not result.stdout
    assert not (project / "data").exists()
