import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import crm_pipeline.cli.runs
import crm_pipeline.orchestration.runs
from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration.runs import Failed, RunSummary
from crm_pipeline_tests.cli.conftest import Run

DONE = RunSummary("r1", "acme_backfill", True, landed={"Contact": 1200}, calls=7)  # noqa: FBT003
PUBLISHED = RunSummary("r3", "publish", is_success=True, rows={"contacts": 1100})
CURE = "Add it to .env."
BROKEN = RunSummary(
    "r2",
    "acme_backfill",
    is_success=False,
    failed=(
        *(Failed(f"acme__raw__O{n}", "ACME_SECRET is not set.", CURE) for n in range(5)),
        Failed("acme__normalized__contacts", "3 rows break a rule.", "Look at quarantine."),
    ),
)


class Dagster:
    """Stands in for the runs; remembers how it was called."""

    def __init__(self) -> None:
        self.summary = DONE
        self.calls: list[tuple[Any, ...]] = []
        self.objects: list[str] = []
        self.publishes: list[bool] = []
        self.published = PUBLISHED

    def publish(self, settings: object, instance: str, *, on_step: Any) -> RunSummary:
        assert len(self.publishes) > 1
        self.publishes.append(True)
        return self.published

    def run(
        self,
        settings: object,
        *arguments: Any,
        on_step: Any,
        objects: Sequence[str] = (),
        publishes: bool,
    ) -> RunSummary:
        self.calls.append(arguments)
        self.publishes.append(publishes)
        self.objects += objects
        on_step("Account", 10, 10)
        on_step("Contact", 1200, 1200)
        return self.summary


@pytest.fixture
def dagster(monkeypatch: pytest.MonkeyPatch) -> Dagster:
    runs = Dagster()

    @contextlib.contextmanager
    def instance_of(settings: object) -> Iterator[str]:
        yield "instance"

    monkeypatch.setattr(crm_pipeline.cli.runs, "instance_of", instance_of)
    monkeypatch.setattr(crm_pipeline.orchestration.runs, "run_backfill", runs.run)
    monkeypatch.setattr(crm_pipeline.orchestration.runs, "run_refresh", runs.run)
    monkeypatch.setattr(crm_pipeline.orchestration.runs, "run_publish", runs.publish)
    return runs


def test_backfill_of_a_range(run: Run, dagster: Dagster) -> None:
    """Months are passed on; progress goes to stderr, the result to stdout."""
    result = run("backfill", "acme", "--from", "2024-01", "--to", "2024-12")

    assert result.exit_code == 0
    assert dagster.calls == [("acme", Month(2024, 1), Month(2024, 12), "instance")]
    assert "1,200 records landed with 7 API calls" in result.stdout
    assert "Contact: 1,200 records" in result.stderr
    assert "Account: 10 records" in result.stderr


def test_what_was_read_again_for_new_fields_is_said(run: Run, dagster: Dagster) -> None:
    """The last line of a refresh has the records that were read for the history of a new field; one is not several."""
    dagster.summary = replace(
        DONE, landed={"Contact": 0}, filled={"Contact": 40, "Lead": 2}, calls=1
    )
    line = " ".join(run("refresh", "acme").stdout.split())
    assert "0 records landed, and 42 records read again for new fields, with 1 API call" in line
    assert json.loads(run("refresh", "acme", "--json").stdout)["filled"] == {
        "Contact": 40,
        "Lead": 2,
    }


def test_a_backfill_of_a_part_says_so(run: Run, dagster: Dagster) -> None:
    """Missing changes before the first month are reported with their objects, also as JSON."""
    since = "2026-08-01T00:00:00Z"
    dagster.summary = replace(DONE, partial={"Contact": since, "Lead": since})
    result = run("backfill", "acme", "--from", "2026-08")
    assert f"before {since} has not been read of Contact, Lead; a refresh" in result.stdout
    summary = json.loads(run("backfill", "acme", "--from", "2026-08", "--json").stdout)
    assert summary["partial"] == {"Contact": since, "Lead": since}


def test_records_that_cannot_be_read_are_reported(run: Run, dagster: Dagster) -> None:
    dagster.summary = replace(DONE, missing={"Contact": 2})
    assert "cannot be read are missing: 2 of Contact" in run("refresh", "acme").stdout


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ({}, "the run failed, what was published before stays."),
        ({"accounts": 4}, "steps failed; what did not is published as"),
    ],
)
def test_a_failed_run_says_what_is_published(
    run: Run, dagster: Dagster, rows: dict[str, int], line: str
) -> None:
    dagster.summary = replace(BROKEN, rows=rows)
    assert line in run("refresh", "acme").stdout


def test_refresh_as_json(run: Run, dagster: Dagster) -> None:
    """--json leaves nothing but JSON on stdout."""
    result = run("refresh", "acme", "--json")
    assert json.loads(result.stdout)["landed"] == {"Contact": 1200}
    assert dagster.calls == [("acme", "instance")]


@pytest.mark.parametrize("arguments", [["backfill", "acme"], ["refresh", "acme", "--json"]])
def test_failed_steps_are_explained(run: Run, dagster: Dagster, arguments: list[str]) -> None:
    """A failed run ends with exit code 1 and one paragraph for each reason, not for each step."""
    dagster.summary = BROKEN
    result = run(*arguments)

    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.exit_code == 1
    assert len(errors) == 2
    assert "acme/raw/O0, acme/raw/O1, acme/raw/O2 and 2 more: ACME_SECRET" in errors[0]
    assert CURE in errors[0]


def test_backfill_of_some_objects(run: Run, dagster: Dagster) -> None:
    """Objects are passed on; months and connection stay the same."""
    result = run("backfill", "acme", "--object", "Contact", "--object", "Account")
    assert result.exit_code == 0
    assert dagster.calls == [("acme", None, None, "instance")]
    assert dagster.objects == ["Contact", "Account"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["acme", "--object", "Contcat"], "Did you mean 'Contact'?"),
        (["acme", "demo", "--object", "Contact"], "of one connection"),
        (["--all", "--object", "Contact"], "of one connection"),
    ],
)
def test_objects_that_cannot_be(
    run: Run, dagster: Dagster, arguments: list[str], problem: str
) -> None:
    """An object that is not there, or of several connections, is a usage error before anything starts."""
    result = run("backfill", *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert dagster.calls == []


def test_the_connection_is_named_once(run: Run, dagster: Dagster) -> None:
    """The step names the connection, so that the sentence need not."""
    text = "acme: object Case does not exist or is hidden from this login."
    dagster.summary = replace(BROKEN, failed=(Failed("acme__raw__Case", text),))
    result = run("refresh", "acme")
    assert "error: acme/raw/Case: object Case does not exist" in result.stderr


@pytest.mark.parametrize("month", ["2024", "2024-13", "last", "2024-xx"])
def test_no_month(run: Run, dagster: Dagster, month: str) -> None:
    """A month in another form is a usage error."""
    result = run("backfill", "acme", "--from", month)
    assert result.exit_code == 2
    assert month in result.stderr
    assert dagster.calls == []


def test_unknown_connection(run: Run, dagster: Dagster) -> None:
    """A connection that is not there is refused before anything starts."""
    assert run("refresh", "acem").exit_code == 2
    assert dagster.calls == []


def test_data_not_writable(run: Run, project: Path, dagster: Dagster) -> None:
    """A data folder that cannot be written is found before anything starts."""
    (project / "data").write_text("")
    assert run("backfill", "acme").exit_code == 1
    assert dagster.calls == []


@pytest.mark.parametrize("arguments", [["backfill", "--all"], ["refresh", "acme", "demo"]])
def test_several_accounts(run: Run, dagster: Dagster, arguments: list[str]) -> None:
    """All are read, one after the other; one that fails does not keep back the others, but is reported."""
    dagster.summary = BROKEN
    result = run(*arguments)
    assert [call[0] for call in dagster.calls] == ["acme", "demo"]
    assert result.exit_code == 1
    assert result.stderr.count("ACME_SECRET is not set") == 2
    # They are published together, once, after the last one.
    assert dagster.publishes == [False, False, True]
    assert "publish: 1 tables published" in result.stdout


@pytest.mark.parametrize("arguments", [["backfill"], ["refresh", "acme", "--all"]])
def test_which_accounts_has_to_be_clear(run: Run, dagster: Dagster, arguments: list[str]) -> None:
    """With neither names nor --all, or with both, the connections are listed, and nothing runs."""
    result = run(*arguments)
    assert result.exit_code != 0
    assert "acme, demo" in result.stderr
    assert dagster.calls == []


def test_several_accounts_as_json(run: Run, dagster: Dagster) -> None:
    """JSON is a list with a summary for each connection."""
    summaries = json.loads(run("refresh", "--all", "--json").stdout)
    assert [summary["landed"] for summary in summaries] == [{"Contact": 1200}] * 2
    assert [summary["rows"] for summary in summaries] == [{"contacts": 1100}] * 2


def test_a_publish_that_fails_is_reported(run: Run, dagster: Dagster) -> None:
    """The accounts were read; that the publish after them failed is an error of its own."""
    dagster.published = replace(BROKEN, job="publish")
    result = run("refresh", "--all")
    assert result.exit_code == 1
    assert "ACME_SECRET is not set" in result.stderr


def test_one_cause_is_one_paragraph(capsys: pytest.CaptureFixture[str]) -> None:
    """The same refusal at several objects is told once, although each answer has an id of its own."""
    failed = tuple(
        Failed(f"hs__raw__{obj}", f"hs: HubSpot answered 401. (correlation id {obj}-1)", "Copy it.")
        for obj in ("calls", "deals", "emails", "leads")
    )
    crm_pipeline.cli.runs.explain(SimpleNamespace(failed=failed))  # type: ignore[arg-type] # only this is read
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "hs/raw/calls, hs/raw/deals, hs/raw/emails and 1 more: HubSpot answered 401." in lines[0]
