"""`quarantine`: what it lists, what it says without giving a value away, and what decisions and replays do."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import crm_pipeline.cli.runs
from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import SystemClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.rereads import Rereads
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.cli.conftest import Run

FIELDS = ("Id", "IsDeleted", "SystemModstamp", "LastName")
SCHEMA = Schema("Contact", "Contact", tuple(Field(name, name, "string") for name in FIELDS))
GOOD = b"003000000000001AAA,false,2026-01-01T00:00:00.000Z,Lovelace"
BAD = b'003000000000002AAA,"Lovelace'
REASON = "the record has 2 cells where the header has 4"


@pytest.fixture
def landing(project: Path) -> Landing:
    """Two records that could not be read; a newer reader can read one of them."""
    landing = Landing(project / "data", SystemClock())
    window = Window(None, landing.clock.now())
    with landing.begin("demo", "Contact", window, SCHEMA) as writer:
        rejects = [Reject(REASON, GOOD, "003000000000001AAA"), Reject(REASON, BAD)]
        batch = writer.quarantine(rejects, shape="csv", route="bulk")
        writer.commit(Counts())
    assert batch is not None
    notes = Rereads(landing.quarantine("demo", "Contact"), connector("salesforce").keys.version)
    notes.note(batch, None)
    notes.save()
    return landing


@pytest.fixture
def set_id(run: Run, landing: Landing) -> str:
    [each] = json.loads(run("quarantine", "list", "--json").output)
    return str(each["id"])


def test_what_is_in_quarantine_is_listed(run: Run, set_id: str) -> None:
    """By object and reason, with number and age; filters leave the others out."""
    output = run("quarantine").output
    assert all(text in output for text in (set_id, "demo.Contact", "landing", REASON))
    [row] = json.loads(run("quarantine", "list", "demo", "--reason", "cells", "--json").output)
    assert (row["records"], row["source_ids"]) == (2, ["003000000000001AAA"])
    for other in (("acme",), ("--object", "Account"), ("--reason", "surrogate")):
        assert run("quarantine", "list", *other).output == "No record is in quarantine.\n"


def test_explain_gives_no_value_away(run: Run, set_id: str) -> None:
    """Reason, expectation, masked form, file and cure; the record itself only when asked for."""
    output = run("quarantine", "explain", set_id).output
    assert REASON in output
    assert "expected: as many cells as the header of the page has" in output
    assert "999999999999999xxx" in output
    assert "id unknown, 28 bytes:" in output
    assert f"`crm-pipeline quarantine drop {set_id}`" in output
    assert str(Path("quarantine") / "demo" / "Contact") in output
    assert "Lovelace" not in output
    assert "Lovelace" in run("quarantine", "explain", set_id, "--show").output


def test_dropping_asks_and_can_be_taken_back(run: Run, set_id: str) -> None:
    """Nothing is dropped without a yes; dropped records are not reported by status, and come back with --undo."""
    refused = run("quarantine", "drop", set_id)
    assert (refused.exit_code, "nothing was dropped" in refused.output) == (2, True)
    assert "2 records are missing" in run("status").output
    assert run("quarantine", "drop", set_id, "--yes").exit_code == 0
    assert "are missing" not in run("status").output
    assert run("quarantine").output == "No record is in quarantine.\n"
    assert "landing, dropped" in run("quarantine", "list", "--all").output
    assert f"drop --undo {set_id}" in run("quarantine", "explain", set_id).output
    assert run("quarantine", "drop", set_id, "--yes").exit_code == 2
    assert run("quarantine", "drop", set_id, "--undo").exit_code == 0
    assert "2 records are missing" in run("status").output


def test_a_replay_brings_back_what_can_be_read(
    run: Run,
    project: Path,
    set_id: str,
    fresh_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Today's reader gets the bytes once more; the record is in its table, and the other one is still reported."""

    @contextlib.contextmanager
    def instance_of(settings: object) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance

    monkeypatch.setattr(crm_pipeline.cli.runs, "instance_of", instance_of)
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    done = run("quarantine", "replay", set_id)
    assert done.exit_code == 0, done.output
    assert (
        f"[{set_id}] demo.Contact: 1 of 2 records came back; 1 cannot be used still" in done.output
    )
    version = Tables(load_settings(project).data).version("normalized/demo/contacts")
    assert version is not None
    assert version.rows == 1
    assert [row["records"] for row in json.loads(run("quarantine", "list", "--json").output)] == [1]
