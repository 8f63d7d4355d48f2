"""Landed records whose text DuckDB cannot read: each is one row in quarantine, the others are built."""

import json
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import ContractError, StoreError
from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap, beside
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import QuarantineLimit
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.quarantine import Quarantine

NAME = Field("name", "Name", "string", path=("properties", "name"))
SCHEMA = Schema("thing", "Things", (NAME,))
MAPS = (
    ObjectMap(ANY_OBJECT, "", beside("id=source_id")),
    ObjectMap(
        ANY_OBJECT,
        "associations",
        (FieldMap("to", "to_source_id"),),
        each=("links",),
        identity=("to",),
    ),
)
HALF = r'{"properties":{"name":"half \ud83d"}}'
BROKEN = [
    (HALF, "the record holds half a surrogate pair"),
    (r'{"properties":{"name":"\ude00\ud83d"}}', "the record holds half a surrogate pair"),
    ('{"properties":{"name":"\x01"}}', "the record is no valid JSON"),
    ('{"properties":{"name":"cut', "the record is no valid JSON"),
    ('\ufeff{"properties":{}}', "the record is no valid JSON"),
    ("", "the record is no valid JSON"),
    ('[{"properties":{}}]', "the record is no JSON object"),
    ('"name"', "the record is no JSON object"),
    ("null", "the record is no JSON object"),
    (None, "the record is empty"),
]
STAMPS = [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3, 4)]


def good(name: str, *links: str) -> str:
    return json.dumps({"properties": {"name": name}, "links": [{"to": link} for link in links]})


@pytest.fixture
def things(org):
    org.maps = MAPS

    def land(*rows: tuple[Any, ...], complete: bool = False):
        """Land one window of `(id, text, stamp, deleted)`, the last two as they are wanted."""
        org.clock.advance(60)
        org.objects.setdefault("acme", set()).add("thing")
        full = [(*row, *(STAMPS[0], False)[len(row) - 2 :]) for row in rows]
        batch = pa.RecordBatch.from_pydict(
            {
                "_source_id": pa.array([row[0] for row in full], pa.string()),
                "_modified_at": pa.array([parse_instant(r[2]) for r in full], records.TIMESTAMP),
                "_deleted": pa.array([row[3] for row in full], pa.bool_()),
                "record": pa.array([row[1] for row in full], pa.string()),
            }
        )
        window = Window(None, org.clock.now())
        with org.landing.begin("acme", "thing", window, SCHEMA) as writer:
            writer.write([batch], shape="json", route="list", extracted_at=org.clock.now())
            writer.commit(Counts(complete=complete))

    org.put = land
    return org


def quarantined(org) -> list[tuple[Any, ...]]:
    files = list((org.data / "quarantine").rglob("*.parquet"))
    if not files:
        return []
    listed = ", ".join(f"'{path}'" for path in files)
    with duckdb.connect() as database:
        sql = f"SELECT _source_id, _reason, record FROM read_parquet([{listed}], union_by_name = true)"
        return sorted(database.execute(sql).fetchall(), key=str)


def test_each_bad_record_is_set_aside_and_the_rest_goes_on(things):
    """A bad record is in quarantine with id, reason and bytes; every landed row is a row, superseded or in quarantine."""
    bad = [(f"b{place}", text) for place, (text, _) in enumerate(BROKEN)]
    things.put(("1", good("first")), *bad, ("2", good("second")))
    done = things.normalize("thing")
    assert things.rows("thing", "source_id, name") == [("1", "first"), ("2", "second")]
    assert (done.landed, done.rows, done.superseded) == (2 + len(bad), 2, 0)
    assert done.quarantined == len(bad)
    assert done.version.meta["reasons"] == {
        "the record holds half a surrogate pair": 2,
        "the record is no valid JSON": 4,
        "the record is no JSON object": 3,
        "the record is empty": 1,
    }
    expected = [(key, why, text) for (key, text), (_, why) in zip(bad, BROKEN, strict=True)]
    assert quarantined(things) == sorted(expected, key=str)


@pytest.mark.parametrize(
    "text",
    [
        '{"properties":{"name":"x\\u0000y"}}',
        '{"properties":{"name":"x"},"deep":' + "[" * 5000 + "]" * 5000 + "}",
        '{"properties":{"name":"x"},"deep":' + '{"a":' * 5000 + "1" + "}" * 5000 + "}",
        '{"properties":{"name":"x"},"number":' + "9" * 5000 + "}",
        '{"properties":{"name":"x"},"number":[NaN,-Infinity,1e9999]}',
        '{"properties":{"name":"x"},"\\u0000":1,"":2,"a":1,"A":2}',
        '{"properties":{"name":"x","name":"y"},"id":"1","id":"2"}',
        ' \t\r\n{"properties":{"name":"x"}}\n',
    ],
)
def test_what_can_be_read_is_read(things, text):
    """Depth, NUL, huge numbers and keys of any kind can be read; of a key given twice the first counts."""
    things.put(("1", text))
    done = things.normalize("thing")
    assert (done.quarantined, done.version.meta["unreadable"]) == (0, 0)
    assert things.rows("thing", "left(name, 1)") == [("x",)]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_the_last_readable_version_stands_in(things, is_deleted):
    """A record with a bad version keeps its last readable one; a deletion in the bad version counts."""
    things.put(("1", good("old"), STAMPS[0]), ("2", good("other")))
    things.put(("1", HALF, STAMPS[1]), ("1", HALF, STAMPS[2], is_deleted))
    done = things.normalize("thing")
    assert things.rows("thing", "source_id, name, is_deleted") == [
        ("1", "old", is_deleted),
        ("2", "other", False),
    ]
    assert (done.landed, done.rows, done.superseded, done.quarantined) == (4, 2, 0, 2)


def test_a_later_good_version_ends_it(things):
    """A later good version empties the quarantine, without a remark."""
    things.put(("1", good("old"), STAMPS[0]), ("1", HALF, STAMPS[1]))
    assert things.normalize("thing").quarantined == 1
    things.put(("1", good("new"), STAMPS[2]))
    done = things.normalize("thing")
    assert things.rows("thing", "name") == [("new",)]
    assert (done.landed, done.superseded, done.quarantined, quarantined(things)) == (3, 2, 0, [])


def test_a_bad_record_is_no_deletion(things):
    """A record that a complete read has in unreadable form is not deleted."""
    things.put(("1", good("old"), STAMPS[0]), ("2", good("gone")))
    things.put(("1", HALF, STAMPS[1]), complete=True)
    things.normalize("thing")
    assert things.rows("thing", "name, is_deleted") == [("gone", True), ("old", False)]


def test_rows_without_an_id_are_counted_once(things):
    """A row that has no id and cannot be read is one row in quarantine."""
    things.put(("", HALF), (None, good("x")), ("1", good("y")), ("2", HALF))
    done = things.normalize("thing")
    assert done.version.meta["reasons"] == {
        "the record has no id": 2,
        "the record holds half a surrogate pair": 1,
    }
    assert (done.landed, done.rows) == (4, 1)


def test_lists_stay_as_they_were_read_last(things):
    """The rows of a list outlive a version that cannot be read."""
    things.put(("1", good("a", "7", "8"), STAMPS[0]), ("2", good("b", "9")), ("3", HALF))
    things.put(("1", HALF, STAMPS[1]))
    things.normalize("associations")
    assert things.rows("associations", "to_source_id") == [("7",), ("8",), ("9",)]
    things.put(("1", HALF, STAMPS[2], True))
    things.normalize("associations")
    assert things.rows("associations", "to_source_id, is_deleted") == [
        ("7", True),
        ("8", True),
        ("9", False),
    ]


@pytest.mark.parametrize(
    ("bad", "whole", "is_refused"), [(19, 0, False), (20, 1981, False), (20, 1979, True)]
)
def test_too_many_refuse_the_version(things, bad, whole, is_refused):
    """More than a hundredth, and at least 20: the table keeps its version, and the cure is named."""
    things.put(("0", good("before")))
    before = things.normalize("thing").version
    rows = [(f"g{n}", good("x")) for n in range(whole - 1)] + [(f"b{n}", HALF) for n in range(bad)]
    things.put(*rows)
    if not is_refused:
        assert things.normalize("thing").quarantined == bad
        return
    with pytest.raises(
        ContractError, match=r"20 records cannot be used .*half a surrogate"
    ) as error:
        things.normalize("thing")
    assert "CRM_QUARANTINE_PERCENT" in error.value.cure
    assert things.tables.version("normalized/acme/thing").version == before.version
    assert len(quarantined(things)) == bad


def test_dropped_rows_hold_no_table_back(things):
    """The decision is about just these rows: they are left out and still counted, and a further one counts as before."""
    store = Quarantine(things.landing)
    things.put(*((f"b{n}", HALF) for n in range(20)), ("1", good("x")))
    with pytest.raises(ContractError, match="`quarantine drop` them"):
        things.normalize("thing")
    [waiting] = store.sets()
    store.drop(waiting)
    done = things.normalize("thing")
    assert (done.landed, done.rows, done.superseded, done.quarantined) == (21, 1, 0, 20)
    assert [(each.records, each.is_dropped) for each in store.sets()] == [(20, True)]
    things.put(*((f"c{n}", HALF) for n in range(20)))
    with pytest.raises(ContractError, match="20 records cannot be used"):
        things.normalize("thing")
    store.undo(store.find(waiting.id, is_dropped=True))
    assert [(each.records, each.is_dropped) for each in store.sets()] == [(40, False)]


def test_the_limit_is_the_users(things):
    """The user may raise the limit of unusable records."""
    assert QuarantineLimit(percent=50, rows=1).is_exceeded(51, 100)
    assert not QuarantineLimit(percent=50, rows=1).is_exceeded(50, 100)
    assert not QuarantineLimit(percent=0, rows=2).is_exceeded(1, 100)


def test_it_is_tried_again(things, monkeypatch):
    """Unreadable records are retried automatically with another version of the reader."""
    things.put(("1", good("x")), ("2", HALF))
    first = things.normalize("thing")
    assert (first.changed, things.normalize("thing").changed) == (True, False)
    monkeypatch.setattr("duckdb.__version__", "99.0.0")
    again = things.normalize("thing")
    assert (again.changed, again.quarantined) == (True, 1)
    assert len(quarantined(things)) == 1


def test_another_failure_is_not_taken_for_a_bad_record(things, monkeypatch):
    """If every record can be read, DuckDB's own error is raised."""
    things.put(("1", good("x")))
    with things.engine() as engine:
        monkeypatch.setattr(
            "crm_pipeline.stages.normalized.table_build.verify",
            lambda *_, **__: engine.run("SELECT CAST('Ada' AS INTEGER)"),
        )
        with pytest.raises(StoreError, match="a value does not fit") as error:
            things.normalize("thing")
    assert "Ada" not in error.value.message


def test_counts_that_do_not_add_up_are_refused(things, monkeypatch):
    """A version that lacks a landed row is not committed."""
    things.put(("1", good("x")), ("2", good("y")))
    folded = "crm_pipeline.stages.normalized.fold.HAS_ID"
    monkeypatch.setattr(folded, "_source_id = '1'")
    with pytest.raises(ContractError, match="1 rows where 2 landed ones, less 0 superseded and 0"):
        things.normalize("thing")
