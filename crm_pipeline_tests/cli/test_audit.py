"""`audit`: what it shows of a run, its exit codes, and wrong input."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.errors import Unavailable
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.stages.raw.audit import AuditRun
from crm_pipeline.store.audits import Audited
from crm_pipeline_tests.cli.conftest import Run

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, fresh_url: str) -> AuditRun:
    """The run that each audit comes to."""
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    monkeypatch.setenv("COLUMNS", "200")
    whole = Audited("demo", "Contact", "", NOW, "count", "equal", 10, 10, verdict="all there")
    month = Audited(
        "demo",
        "Contact",
        "2026-11",
        NOW,
        "ids",
        "healed",
        5,
        4,
        missing=1,
        healed=1,
        verdict="1 lost",
    )
    made = AuditRun("demo", [month, whole], skipped={"Lead": "it has not been read"}, calls=7)
    monkeypatch.setattr(Workspace, "audited", lambda *_, **__: made)
    return made


def test_what_an_audit_found(run: Run, found: AuditRun) -> None:
    """Differences and whole objects have a line each; the exit code is 1 where something stays wrong."""
    done = run("audit", "demo")
    assert done.exit_code == 0
    for word in (
        "2026-11",
        "healed",
        "1 lost",
        "all there",
        "Lead was not compared",
        "7 API calls",
    ):
        assert word in done.output
    worse = Audited("demo", "Contact", "2026-10", NOW, "ids", "differs", 5, 6, ghosts=1)
    found.results.append(worse)
    assert "1 of 3 comparisons differ" in (done := run("audit", "demo", "--deep")).output
    assert done.exit_code == 1
    done = run("audit", "demo", "--json")
    assert done.exit_code == 1
    [record] = json.loads(done.stdout)
    assert (record["connection"], record["is_right"]) == ("demo", False)
    assert record["results"][0]["missing"] == 1


def test_a_connection_that_cannot_be_opened_keeps_back_no_other(
    run: Run, found: AuditRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are audited, and its objects count as not compared; alone it is an error."""

    def audited(_: Workspace, account: Account, *__: object, **___: object) -> AuditRun:
        if account.connection.name == "acme":
            raise Unavailable("acme: it does not answer.")
        return found

    monkeypatch.setattr(Workspace, "audited", audited)
    done = run("audit", "--json")
    assert done.exit_code == 1
    records = {record["connection"]: record for record in json.loads(done.stdout)}
    assert records["demo"]["is_right"]
    assert "does not answer" in records["acme"]["failed"]["Contact"]
    assert "does not answer" in run("audit", "acme").stderr


def test_wrong_input(run: Run, project: Path, found: AuditRun) -> None:
    """No such connection or object, and objects of several connections, are said before anybody is asked."""
    cases: tuple[tuple[tuple[Any, ...], str], ...] = (
        (("nobody",), "nobody"),
        (("demo", "--object", "Contcat"), "Contact"),
        (("--object", "Contact"), "--object names objects of one connection"),
    )
    for arguments, words in cases:
        done = run("audit", *arguments)
        assert done.exit_code == 2
        assert words in " ".join(done.stderr.split())
