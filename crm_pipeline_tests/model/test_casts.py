from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.model.casts import cast, is_plain_value
from crm_pipeline.model.schema import Form


@cache
def far_from_utc() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'America/New_York'")
    return database


def read(text: str | None, kind: str, form: Form, zone: str = "") -> Any:
    """Cast a text in a session whose time zone is far from UTC."""
    sql = f"SELECT {cast('t', kind, form, zone)} FROM (SELECT $text::VARCHAR AS t)"
    shown = f"SELECT CASE WHEN v IS NOT NULL THEN ($$$$ || epoch_ms(v)) END FROM ({sql}) AS x(v)"
    plain = f"SELECT v::VARCHAR FROM ({sql}) AS x(v)"
    asked = shown if kind == "TIMESTAMPTZ" else plain
    return far_from_utc().execute(asked, {"text": text}).fetchall()[0][0]


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
    """Milliseconds, texts with and without a zone mean one instant, whatever the session's zone."""
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
    ("form", "text", "zone", "expected"),
    [
        ("", "2023-04-01T01:09:44Z", "America/Los_Angeles", "2023-03-31"),
        ("", "2023-04-01T01:09:44Z", "UTC", "2023-04-01"),
        ("", "2023-03-31T23:30:00-07:00", "Asia/Tokyo", "2023-04-01"),
        ("", "2023-04-01", "America/Los_Angeles", "2023-04-01"),
        ("", "2024-03-10T09:59:59Z", "US/Pacific", "2024-03-10"),
        ("", "soon, or a little later", "UTC", None),
        ("", "infinity", "UTC", None),
        ("", None, "UTC", None),
        ("epoch_ms", "1680311384000", "America/Los_Angeles", "2023-03-31"),
        ("epoch_ms", "-1000", "America/Los_Angeles", "1969-12-31"),
        ("epoch_ms", "0", "America/Los_Angeles", "1969-12-31"),
        ("epoch_ms", "2023-04-01", "America/Los_Angeles", "2023-04-01"),
        ("date_epoch_ms", "1680307200000", "America/Los_Angeles", "2023-04-01"),
        ("local", "2026-05-02 00:30", "America/Los_Angeles", "2026-05-01"),
        ("local", "2026-05-02 00:30:00", "Asia/Kolkata", "2026-05-02"),
        ("local", "2026-05-02", "America/Los_Angeles", "2026-05-02"),
    ],
)
def test_an_instant_becomes_the_day_of_a_zone(
    form: Form, text: str | None, zone: str, expected: str | None
) -> None:
    """An instant becomes the day in the given zone; a day without a time stays."""
    assert read(text, "DATE", form, zone) == expected


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("01:30", "90"), ("00:05:59", "5"), ("100:00", "6000"), ("1:75", None), ("90", None)],
)
def test_a_clock_is_whole_minutes(text: str, minutes: str | None) -> None:
    """A duration written as on a clock is a number of minutes."""
    assert read(text, "BIGINT", "clock") == minutes


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMPTZ"])
@pytest.mark.parametrize("form", ["", "epoch_ms", "date_epoch_ms", "local"])
@pytest.mark.parametrize("zone", ["", "America/New_York"])
def test_words_and_years_before_the_first_are_no_days(form: Form, kind: str, zone: str) -> None:
    """Words that DuckDB accepts as days, such as `infinity` and `epoch`, are no days."""
    texts = ["infinity", "-infinity", "INFinity", "inf", "-inf", "epoch", " epoch", "0000-01-01"]
    early = ["0001-01-01 (BC)", "2026-01-01 (BC)", "-2026-01-01", "-0001-11-30T00:00:00+00:00"]
    assert {text: read(text, kind, form, zone) for text in (*texts, *early)} == dict.fromkeys(
        (*texts, *early)
    )


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0001-01-01T04:00:00Z"])
def test_a_zone_leads_to_no_year_before_the_first(text: str) -> None:
    """Days before year 1 are NULL, because DuckDB would show them as days of year 1."""
    assert read(text, "DATE", "", "America/New_York") is None
    assert read("0001-01-02T00:00:00Z", "DATE", "", "America/New_York") == "0001-01-01"


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMPTZ"])
@pytest.mark.parametrize("form", ["", "epoch_ms", "local"])
@pytest.mark.parametrize("zone", ["", "America/New_York"])
def test_a_year_has_four_digits(form: Form, kind: str, zone: str) -> None:
    """5/12/25 is no day of the year 5: nobody knows which of its parts is the year, or of which century."""
    short = ["5/12/25", "05-01-26", "26-01-05", "26 01 05", "10-10-10T10:10:10Z", "026-01-05"]
    assert {text: read(text, kind, form, zone) for text in short} == dict.fromkeys(short)
    for text in ("2025/12/5", "2025-12-5", "2025 12 05"):
        assert read(text, kind, form, zone) is not None


_WRITTEN = st.one_of(
    st.text(alphabet="0123456789.-+eE_ :TZ/(", max_size=24),
    st.integers().map(str),
    st.floats(allow_nan=True).map(str),
    st.decimals(allow_nan=False, places=14).map(str),
    st.dates().map(str),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    st.datetimes().map(str),
    st.sampled_from(["true", "TRUE", "0", "1", "inf", "epoch", "0000-00-00", "-0001-11-30"]),
)


@pytest.mark.parametrize(
    "kind",
    ["BOOLEAN", "BIGINT", "DOUBLE", "DECIMAL(38,12)", "DECIMAL(18,2)", "DATE", "TIMESTAMPTZ"],
)
@given(texts=st.lists(_WRITTEN, min_size=200, max_size=200))
@settings(max_examples=5)
def test_plain_values_can_be_read(kind: str, texts: list[str]) -> None:
    """Texts that the short test takes for values of a type become values, and the usual ones pass it."""
    usual = {"BOOLEAN": "true", "DATE": "2026-01-31", "TIMESTAMPTZ": "2026-01-31T10:00:00Z"}
    sql = (
        f"SELECT t, {is_plain_value('t', kind)}, {cast('t', kind)} IS NOT NULL "
        "FROM (SELECT unnest($texts::VARCHAR[]) AS t)"
    )
    listed = {"texts": [*texts, usual.get(kind, "17")]}
    rows = far_from_utc().execute(sql, listed).fetchall()
    assert [text for text, is_plain, is_read in rows if is_plain and not is_read] == []
    assert rows[-1][1:] == (True, True)
