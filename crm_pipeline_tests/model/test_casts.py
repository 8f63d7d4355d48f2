from typing import Any

import duckdb
import pytest

from crm_pipeline.model.casts import cast
from crm_pipeline.model.schema import Form


def read(text: str | None, kind: str, form: Form) -> Any:
    """Cast a text in a session whose time zone is far from UTC."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'America/New_York'")
        sql = f"SELECT {cast('t', kind, form)} FROM (SELECT $text::VARCHAR AS t)"
        shown = (
            f"SELECT CASE WHEN v IS NOT NULL THEN ($$$$ || epoch_ms(v)) END FROM ({sql}) AS x(v)"
        )
        plain = f"SELECT v::VARCHAR FROM ({sql}) AS x(v)"
        return database.execute(
            shown if kind == "TIMESTAMPTZ" else plain, {"text": text}
        ).fetchall()[0][0]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("epoch_ms", "1767225600123", "1767225600123"),
        ("epoch_ms", "2026-01-01T00:00:00.123Z", "1767225600123"),
        ("epoch_ms", "2026-01-01T00:00:00Z", "1767225600000"),
        ("epoch_ms", "-1000", "-1000"),
        ("epoch_ms", "soon", None),
        ("epoch_ms", None, None),
        ("local", "2026-01-01 00:00:00", "1767225600000"),
        ("local", "2026-01-01T00:00:00.5", "1767225600500"),
        ("local", "2026-01-01T00:00:00Z", "1767225600000"),
        ("local", "2026-01-01T05:30:00+05:30", "1767225600000"),
        ("local", "2026-13-01 00:00:00", None),
        ("", "2026-01-01T05:30:00+05:30", "1767225600000"),
        ("", "2025-12-31T17:00:00-07:00", "1767225600000"),
    ],
)
def test_instants_are_read_as_they_are_written(form: Form, text: str | None, expected: str) -> None:
    """Milliseconds, zones and their absence mean one instant, whatever the session's zone."""
    assert read(text, "TIMESTAMPTZ", form) == expected


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("date_epoch_ms", "1767225600000", "2026-01-01"),
        ("date_epoch_ms", "2026-01-01", "2026-01-01"),
        ("date_epoch_ms", "-86400000", "1969-12-31"),
        ("date_epoch_ms", "2026-02-30", None),
        ("epoch_ms", "1767311999999", "2026-01-01"),
        ("local", "2026-01-01 23:59:59", "2026-01-01"),
        ("", "2026-01-01T23:30:00-07:00", "2026-01-01"),
    ],
)
def test_days_are_read_as_they_are_written(form: Form, text: str, expected: str) -> None:
    """A day is that of the text: of UTC for milliseconds, of the named zone for an instant."""
    assert read(text, "DATE", form) == expected


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("01:30", "90"), ("00:05:59", "5"), ("100:00", "6000"), ("1:75", None), ("90", None)],
)
def test_a_clock_is_whole_minutes(text: str, minutes: str | None) -> None:
    """A duration written as on a clock is a number of minutes."""
    assert read(text, "BIGINT", "clock") == minutes


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMPTZ"])
@pytest.mark.parametrize("form", ["", "epoch_ms", "date_epoch_ms", "local"])
@pytest.mark.parametrize("text", ["infinity", "-infinity", "Infinity"])
def test_infinity_is_no_day(text: str, form: Form, kind: str) -> None:
    """DuckDB would take the word for a day at the end of time."""
    assert read(text, kind, form) is None
