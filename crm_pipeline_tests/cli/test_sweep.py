"""`sweep`: what it says of each object, of a plan, and its exit code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_pipeline.cli import accounts
from crm_pipeline.stages.raw import unstamped
from crm_pipeline.stages.raw.unstamped import Allowance, ObjectSweep, SweepPlan
from crm_pipeline_tests.cli.conftest import Run

PLANS = [
    SweepPlan("contacts", "associations", 2_000, 12),
    SweepPlan("owners", ""),
]


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch, project: Path) -> list[int | None]:
    """What sweeps were allowed to cost; contacts are swept, and companies fail."""
    kept: list[int | None] = []

    @contextmanager
    def account_of(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace()

    def sweep(*_: Any, allowed: int | None, **__: Any) -> list[ObjectSweep]:
        kept.append(allowed)
        done = ObjectSweep("contacts", "associations", 2_000, 3, 3, cost=15, is_complete=True)
        return [done, ObjectSweep("companies", "associations", error="demo: HubSpot answered 403.")]

    monkeypatch.setattr(accounts, "account_of", account_of)
    monkeypatch.setattr(unstamped, "allowance", lambda *_: Allowance(5, 5.0))
    monkeypatch.setattr(unstamped, "plan_sweep", lambda *_: PLANS)
    monkeypatch.setattr(unstamped, "sweep", sweep)
    return kept


def test_what_was_done(run: Run, allowed: list[int | None]) -> None:
    """Each object has its numbers, a failed one its error, which decides the exit code; `--whole` has no bound."""
    done = run("sweep", "demo")
    assert done.exit_code == 1
    assert "HubSpot answered 403" in done.output
    assert "The next refresh brings the tables up to what has landed." in done.output
    again = run("sweep", "demo", "--whole", "--json")
    assert [(one["object"], one["landed"]) for one in json.loads(again.stdout)] == [
        ("contacts", 3),
        ("companies", 0),
    ]
    assert allowed == [5, None]


def test_what_it_would_take(run: Run, allowed: list[int | None]) -> None:
    """A plan says calls, records and how many sweeps that makes, and sweeps nothing."""
    done = run("sweep", "demo", "--plan")
    assert done.exit_code == 0
    assert "12 calls compare the associations of 2,000 records" in " ".join(done.output.split())
    assert "so that is 3 sweeps" in " ".join(done.output.split())
    rows = json.loads(run("sweep", "demo", "--plan", "--json").stdout)
    assert [(one["object"], one["what"], one["cost"], one["allowed"]) for one in rows] == [
        ("contacts", "associations", 12, 5),
        ("owners", None, 0, 5),
    ]
    assert allowed == []
