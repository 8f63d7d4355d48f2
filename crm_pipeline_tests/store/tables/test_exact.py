"""Values that Python cannot hold arrive as the text that DuckDB shows, and all others as they are."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from crm_pipeline.store.tables.exact import exact

DAY, AT = date(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'infinity'::DATE", "infinity"),
        ("'-infinity'::DATE", "-infinity"),
        ("'infinity'::TIMESTAMP", "infinity"),
        ("'-infinity'::TIMESTAMPTZ", "-infinity"),
        ("'infinity'::TIMESTAMP_S", "infinity"),
        ("'infinity'::TIMESTAMP_MS", "infinity"),
        ("'infinity'::TIMESTAMP_NS", "infinity"),
        ("DATE '9999-12-31'", date.max),
        ("DATE '0001-01-01'", date.min),
        ("DATE '2020-01-02'", DAY),
        ("TIMESTAMPTZ '2020-01-02 03:04:05Z'", AT),
        ("NULL::DATE", None),
        ("TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "2020-01-01 00:00:00.123456789"),
        ("INTERVAL '1 year'", "1 year"),
        ("INTERVAL '14 months 3 days 25:01:01.5'", "1 year 2 months 3 days 25:01:01.5"),
        ("'\\x00a'::BLOB", "\\x00a"),
        ("['infinity'::DATE, NULL, DATE '2020-01-02']", ["infinity", None, DAY]),
        ("[[INTERVAL 1 month], NULL]", [["1 month"], None]),
        ("[INTERVAL 1 month]::INTERVAL[1]", ["1 month"]),
        (
            "{'a \"b\"': 'infinity'::TIMESTAMPTZ, 'n': {'at': INTERVAL 1 day}}",
            {'a "b"': "infinity", "n": {"at": "1 day"}},
        ),
        ("NULL::STRUCT(a DATE)", None),
        ("MAP {'x': INTERVAL 1 month, 'y': NULL}", {"x": "1 month", "y": None}),
        ("MAP {'infinity'::DATE: 1}", {"infinity": 1}),
        ("NULL::MAP(VARCHAR, DATE)", None),
        ("union_value(span := INTERVAL 1 month)", "1 month"),
        ("[{'x': 1, 'y': MAP {1: [2]}}]", [{"x": 1, "y": {1: [2]}}]),
        ("union_value(n := 1)", 1),
        ("'inf'::DOUBLE", float("inf")),
        ("'{\"a\": 1}'::JSON", '{"a": 1}'),
    ],
)
def test_a_value(connection: duckdb.DuckDBPyConnection, expression: str, value: Any) -> None:
    """Infinities, intervals, nanoseconds and bytes are text, also inside of nested values."""
    text, _ = exact(connection, f"SELECT {expression} AS one; -- and no more;")
    assert connection.execute(text).fetchall() == [(value,)]


@pytest.mark.parametrize(
    "statement",
    [
        "FROM (VALUES (1, DATE 'infinity')) AS t(\"a b\", d)",
        "(SELECT 1 AS \"a b\", DATE 'infinity' AS d) LIMIT 1",
        "WITH t AS (SELECT 1 AS \"a b\", DATE 'infinity' AS d) FROM t ORDER BY d",
        "SELECT x AS \"a b\", DATE 'infinity' AS d FROM range(1, 2) AS r(x) -- a comment",
    ],
)
def test_a_query(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """A query is rewritten whatever it begins and ends with."""
    text, names = exact(connection, statement)
    assert (names, connection.execute(text).fetchall()) == (["a b", "d"], [(1, "infinity")])


def test_order_and_names_stay(connection: duckdb.DuckDBPyConnection) -> None:
    """Rows come in the order of the query, and columns of equal name are not renamed."""
    text, names = exact(
        connection,
        "SELECT DATE '2020-01-01' + (x * 7919 % 100000)::INT AS d, d FROM range(100000) r(x) ORDER BY d",
    )
    rows = connection.execute(text).fetchall()
    assert names == ["d", "d"]
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    "statement", ["SELECT 1", "SHOW TABLES", "EXPLAIN SELECT 1", "", "-- nothing", "PRAGMA version"]
)
def test_others_stay_as_they_are(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """SQL without such columns runs unchanged."""
    assert exact(connection, statement) == (statement, None)
