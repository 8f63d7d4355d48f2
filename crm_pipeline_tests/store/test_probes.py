"""The history of probes."""

from datetime import timedelta

import pytest

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import DatabaseUnavailable
from crm_pipeline.store import probes
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.probes import Answer, ProbeHistory

START = parse_instant("2026-11-23T10:00:00Z")
QUIET = {"Contact": Answer("quiet", 1, 0), "Lead": Answer("skipped", reason="no permit is free.")}


def numbers(database: Database) -> list[int]:
    return [each.number for each in ProbeHistory(database).rounds()]


def test_a_round_is_kept_as_it_was(database: Database) -> None:
    """Each answer comes back, in the order in which rounds were added, whatever the clock says; secrets do not."""
    history = ProbeHistory(database)
    answers = {
        "Contact": Answer("changed", 2, 7),
        "Deal": Answer("failed", 0, None, "token=abc gone"),
    }
    history.add("acme", "sensor", START, QUIET)
    history.add("acme", "refresh", START - timedelta(days=2), answers)
    history.add("acme", "sensor", START, {})
    first, second = history.rounds()
    assert (first.connection, first.asked_by, first.asked_at) == ("acme", "sensor", START)
    assert (dict(first.answers), second.asked_by) == (QUIET, "refresh")
    assert second.answers["Contact"] == answers["Contact"]
    assert "abc" not in second.answers["Deal"].reason
    assert [each.number for each in history.rounds(after=first.number)] == [second.number]


def test_rounds_beyond_the_retention_go(database: Database) -> None:
    """The table stays as small as the retention says, though a clock was a year ahead for a while, whose rounds go when
    there are too many."""
    history = ProbeHistory(database, kept_days=1)
    for minute in range(10):
        history.add("acme", "sensor", START + timedelta(days=365, minutes=minute), QUIET)
    for hour in range(60):
        history.add("acme", "sensor", START + timedelta(hours=hour), QUIET)
    kept = [each.asked_at for each in history.rounds()]
    last = [START + timedelta(hours=hour) for hour in range(35, 60)]
    assert kept[10:] == last
    assert len(kept) == 35
    ProbeHistory(database, kept_days=1, most=26).add("acme", "sensor", last[-1], QUIET)
    assert [each.asked_at for each in history.rounds()] == [*last, last[-1]]


@pytest.mark.parametrize("rounds", [10, 3_000])
def test_a_round_costs_the_same_however_many_there_were(database: Database, rounds: int) -> None:
    """Adding one reads a bounded number of rows: PostgreSQL's own count of them, not a stopwatch."""
    history = ProbeHistory(database)

    def fill(cursor: object) -> None:
        cursor.execute(  # type: ignore[attr-defined]
            "INSERT INTO crm_state.probes (connection, asked_by, asked_at, answers) "
            "SELECT 'acme', 'sensor', %s, '{}' FROM generate_series(1, %s)",
            (START, rounds),
        )

    def plan(cursor: object) -> str:
        cursor.execute("ANALYZE crm_state.probes")  # type: ignore[attr-defined]
        values = {"some": 20, "since": START, "beyond": 0}
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT TEXT) {probes._REMOVE}", values)  # type: ignore[attr-defined]
        return "\n".join(row[0] for row in cursor.fetchall())  # type: ignore[attr-defined]

    database.done(fill)
    history.add("acme", "sensor", START, QUIET)
    text = database.done(plan)
    assert "Limit" in text
    assert f"rows={rounds}" not in text.replace(".00", "")


def test_a_database_that_is_gone_is_no_error_of_the_probe(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be recorded is logged; the probe was good."""

    def gone(*_: object) -> None:
        raise DatabaseUnavailable("PostgreSQL is away.")

    monkeypatch.setattr(database, "done", gone)
    ProbeHistory(database).add("acme", "sensor", START, QUIET)
    monkeypatch.undo()
    assert numbers(database) == []
