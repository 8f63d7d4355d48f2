"""Values in views, in every DuckDB since 1.2 and in any time zone."""

import os
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap, same
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.stages.published.judged import judge, point

OLD = [one for one in os.environ.get("CRM_OLD_DUCKDBS", "").split(os.pathsep) if one]
"""Interpreters that have an older duckdb, separated as in PATH: `CRM_OLD_DUCKDBS=/venvs/1.2.2/bin/python:...`."""
KNOWN = (
    "abs arg_max bool_or cast chr coalesce count ends_with exists floor from_json generate_series greatest instr isfinite json_extract_string json_transform "
    "json_valid least left len length list_concat list_contains list_filter list_transform list_value lower ltrim "
    "make_timestamp map max nfc_normalize nullif regexp_extract_all regexp_full_match regexp_matches regexp_replace replace row_number rtrim split_part "
    "starts_with string_split strlen timezone to_days translate trim trunc try_cast unnest decimal in and or not when"
)
"""Functions that views may call; each was tried in DuckDB 1.2.2, 1.3.2, 1.4.1 and 2.0."""
STAGES = (("n", "New"), ("w", "Won"))
MAPS = (
    ObjectMap("owners", "users", same("id=source_id name=full_name")),
    ObjectMap(
        "people", "contacts", same("id=source_id owner=owner_source_id born=birth_date mail=email")
    ),
    ObjectMap(ANY_OBJECT, "", (FieldMap("id", "source_id"),)),
)
FIELDS = (
    Field("id", "Record ID", "number", "decimal"),
    Field("owner", "Owner", "enumeration", "decimal", reference_to=("owners",)),
    Field("second", "Second", "number", "integer", reference_to=("owners",)),
    Field("boss", "Boss number", "number", "decimal", is_id=True),
    Field("price", "Price", "number", "decimal"),
    Field("count", "Count", "number", "integer"),
    Field("share", "Share", "number", "double"),
    Field("born", "Born", "date", "date", form="date_epoch_ms"),
    Field("seen", "Seen", "datetime", "timestamp"),
    Field("left", "Left", "datetime", "timestamp", form="epoch_ms", nothing=("0",)),
    Field("stage", "Stage", "enum", options=STAGES),
    Field("kinds", "Kinds", "enum", options=STAGES, multiple=";"),
    Field("sets", "Sets", "set", options=STAGES, multiple=","),
    Field("is_new", "Is new", "bool", "boolean"),
    Field("at", "At", "time", "time"),
    Field("mail", "Mail", "string"),
)
GOOD = {
    "owner": 7,
    "second": 8,
    "boss": "12345678901234567890",
    "price": "0.125",
    "count": "1e3",
    "share": "0.1",
    "born": "1767225600000",
    "seen": "2026-01-01 00:00:00",
    "left": "1767225600000",
    "stage": "w",
    "kinds": "n;;x",
    "sets": "w,n",
    "is_new": "true",
    "at": "01:02:03",
    "mail": "a@x.co",
}
BAD = {
    "price": "0.0000125",
    "count": "1;2",
    "share": "many",
    "born": "0000-00-00",
    "left": "0",
    "at": "?",
}


@pytest.fixture(scope="module")
def published(new_org: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two objects with all kinds of fields, in `custom` and in columns."""
    org = new_org(tmp_path_factory.mktemp("views") / "data")
    org.maps = MAPS
    owners = Schema("owners", "Owners", (Field("id", "Id", "x"), Field("name", "Name", "x")))
    users = [{"id": "7", "name": "Ann"}, {"id": "8", "name": "Bo", "archived": True}]
    org.land_records(owners, users)
    for obj in ("people", "car"):
        org.land_records(Schema(obj, obj, FIELDS), [{"id": "1", **GOOD}, {"id": "2", **BAD}])
    for table in ("users", "contacts", "car"):
        org.normalize(table)
    judge(org, [point("acme:people:1", "email", "a@x.co", "unknown", reasons=["not_checked"])])
    org.publish()
    return org


def rows(org: Any, view: str, columns: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = org.query(
        f'SELECT {columns} FROM crm_acme.{view} ORDER BY "Record ID"'
    )
    return found


BOTH = pytest.mark.parametrize("view", ["people", "car"])


@BOTH
def test_ids_are_text_with_the_name_beside(published: Any, view: str) -> None:
    """An id is never a number, however the CRM types it; owners have their names, those who left as well."""
    columns = '"Record ID", "Owner", "Owner name", "Second", "Second name", "Boss number"'
    assert rows(published, view, columns) == [
        ("1", "7", "Ann", "8", "Bo", "12345678901234567890"),
        ("2", None, None, None, None, None),
    ]


@BOTH
def test_values_labels_and_lists(published: Any, view: str) -> None:
    """Numbers are exact, pick lists show labels, several values are a list."""
    columns = '"Price", "Count", "Share", "Stage", "Kinds", "Sets", "Is new"'
    assert rows(published, view, columns)[0] == (
        *(Decimal("0.125"), 1000, 0.1, "Won", ["New", "x"], ["Won", "New"], True),
    )


@BOTH
def test_what_did_not_fit_is_named(published: Any, view: str) -> None:
    """A view lists its columns that are NULL though the CRM has a text; impossible days are not listed."""
    found = rows(published, view, '"unconverted", "Price", "Born", "Left"')
    assert found[0][0] is None
    marked, *values = found[1]
    assert (sorted(marked), values) == (["At", "Count", "Price", "Share"], [None, None, None])
    comments = published.query(
        "SELECT comment FROM duckdb_columns() WHERE schema_name = 'crm_acme' AND table_name = $$"
        f"{view}$$ AND column_name IN ('unconverted', 'Owner name')"
    )
    assert len(comments) == 2
    assert all(comment for (comment,) in comments)


def test_whom_to_write_to_opens_under_any_name(published: Any) -> None:
    """The view of addresses finds its tables in the file that it is in, however that is attached."""
    path = published.data / "crm.duckdb"
    for name in ("d", "other", "published"):
        with duckdb.connect() as database:
            database.execute(f"ATTACH '{path.resolve()}' AS {name} (READ_ONLY)")
            sql = f"SELECT email, verdict, reasons, records FROM {name}.crm.contactable"
            expected = [("a@x.co", "unknown", ["not_checked"], 1)]
            assert database.execute(sql).fetchall() == expected
            assert database.execute(f"USE {name}; {sql}").fetchall() == expected
    comments = published.query(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'contactable'"
    )
    assert len(comments) == 14
    assert all(comment for (comment,) in comments)


def test_no_answer_depends_on_the_time_zone_of_a_session(published: Any) -> None:
    """A text without a zone means UTC in every reader's session."""
    answers = set()
    for zone in ("UTC", "America/Los_Angeles", "Asia/Kolkata"):
        with duckdb.connect(str(published.data / "crm.duckdb"), read_only=True) as database:
            database.execute(f"SET TimeZone = '{zone}'")
            sql = 'SELECT epoch_ms("Seen"), epoch_ms("Left"), "Born"::VARCHAR FROM crm_acme.{} WHERE "Owner" = \'7\''
            answers |= {database.execute(sql.format(view)).fetchone() for view in ("people", "car")}
    assert answers == {(1767225600000, 1767225600000, "2026-01-01")}


def test_views_use_what_older_versions_know(published: Any) -> None:
    """Views call no function that DuckDB 1.2 does not have."""
    statements = published.query("SELECT sql FROM duckdb_views() WHERE schema_name LIKE 'crm%'")
    assert statements
    for (sql,) in statements:
        called = re.sub(r'"([a-z_]+)"\(', r"\1(", sql)
        bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "x", called)
        assert set(re.findall(r"\b([a-z_]+)\(", bare.lower())) <= set(KNOWN.split())


READ = """
import duckdb, sys
with duckdb.connect() as database:
    database.execute(f"ATTACH '{sys.argv[1]}' AS d (READ_ONLY); USE d")
    views = database.execute("SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    for schema, view in views:
        database.execute(f'SELECT * FROM "{schema}"."{view}"').fetchall()
    print(database.execute("SELECT * FROM crm.contactable").fetchall())
    for view in ("people", "car"):
        print(database.execute(f'SELECT * EXCLUDE ("Seen", "Left"), epoch_ms("Seen"), epoch_ms("Left") FROM crm_acme.{view} ORDER BY 1').fetchall())
"""


@pytest.mark.skipif(not OLD, reason="CRM_OLD_DUCKDBS names no interpreters")
def test_older_versions_open_every_view(published: Any) -> None:
    """Every view of the file opens in older versions, with the same results."""
    path = str(published.data / "crm.duckdb")

    def answer(python: str) -> str:
        done = subprocess.run(
            [python, "-c", READ, path], capture_output=True, text=True, check=False
        )
        assert not done.returncode, f"{python}: {done.stderr[-500:]}"
        return done.stdout

    expected = answer(sys.executable)
    assert "acme:people:1" in expected
    for python in OLD:
        assert answer(python) == expected, python
