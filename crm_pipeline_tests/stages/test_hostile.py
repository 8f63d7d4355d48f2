"""Values arrive under the names of their fields, whatever vendors name them and whatever the values are."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import Window
from crm_pipeline.model.mapping import ANY_OBJECT, ObjectMap, beside, same
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.view_names import KEY, UNCONVERTED
from crm_pipeline.stages.published.views import view_of
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.window import Counts
from crm_pipeline_tests.stages import hostile

KINDS: tuple[Any, ...] = (
    *("string", "json", "boolean", "integer", "decimal", "double", "date", "time", "timestamp"),
)
HEAD = beside("id=source_id archived=is_deleted createdAt=created_at")
OWN = ObjectMap(ANY_OBJECT, "", HEAD)
COMMON = ObjectMap("thing", "contacts", (*HEAD, *same("email=email EMAIL=last_name")))
FROM_CSV = ObjectMap(ANY_OBJECT, "", ())
FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[
        Phase.generate
    ],  # an example takes as long as a build: nobody would wait for the least one
)

Values = dict[str, Any]


@st.composite
def things(draw: Any, *path: str, values: Any = hostile.values) -> tuple[Schema, list[Values]]:
    """Draw an object whose fields differ in name, possibly in case only, and a few of its records."""
    named = draw(st.lists(hostile.names, min_size=1, max_size=40, unique=True))
    fields = [
        Field(name, draw(hostile.labels), "x", draw(st.sampled_from(KINDS)), path=(*path, name))
        for name in named
    ]
    some = st.fixed_dictionaries({}, optional=dict.fromkeys(named, values))
    return Schema("thing", "A thing", tuple(fields)), draw(st.lists(some, min_size=1, max_size=3))


@contextmanager
def org_of(new_org: Any, one: ObjectMap) -> Iterator[Any]:
    with TemporaryDirectory() as folder:
        org = new_org(Path(folder))
        org.maps = (one,)
        yield org


def land(org: Any, schema: Schema, batch: pa.RecordBatch, shape: str) -> None:
    org.clock.advance(60)
    org.objects.setdefault("acme", set()).add(schema.object)
    window = Window(None, org.clock.now())
    with org.landing.begin("acme", schema.object, window, schema) as writer:
        writer.write([batch], shape=shape, route="rest", extracted_at=org.clock.now())
        writer.commit(Counts())


def json_batch(texts: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "_source_id": pa.array([str(number) for number in range(len(texts))]),
            "_modified_at": pa.array([None] * len(texts), records.TIMESTAMP),
            "_deleted": pa.array([False] * len(texts)),
            "record": pa.array(texts, pa.string()),
        }
    )


def csv_batch(names: Sequence[str], rows: Sequence[Values], ids: Sequence[str]) -> pa.RecordBatch:
    cells = [pa.array([row.get(name) or "" for row in rows], pa.string()) for name in names]
    raw = pa.RecordBatch.from_arrays([pa.array(ids), *cells], names=["Id", *names])
    return records.keyed(raw, id_field="Id", modified_field=None, deleted_field=None)


def tables(org: Any, table: str) -> tuple[Any, dict[str, Values], dict[str, list[Any]]]:
    """Return the meta of the only object, the table's rows and those of its view, each by id."""
    version = org.tables.version(f"normalized/acme/{table}")
    [described] = version.meta["objects"]
    types = {column["name"]: column["type"] for column in version.meta["columns"]}
    view = view_of("acme", table, f"{version.meta['table']['singular']}_key", described, types)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; CREATE SCHEMA crm")
        database.execute(f"CREATE TABLE crm.{table} AS FROM {org.tables.relation(version)}")
        found = database.execute(f"SELECT * FROM crm.{table}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        database.execute(f"CREATE VIEW v AS {view.sql}")
        shown = database.execute("SELECT * FROM v")
        marks = [UNCONVERTED] if UNCONVERTED in view.more else []
        names_shown = [column[0] for column in shown.description]
        assert names_shown == [*(c.name for c in view.columns), *marks, KEY]
        by_id = {row[-1].rsplit(":", 1)[1]: list(row) for row in shown.fetchall()}
    assert max(Counter(name.lower() for name in names).values()) == 1
    assert max(Counter(c.name.lower() for c in view.columns).values()) == 1
    return described, {row["source_id"]: row for row in rows}, by_id


def check(org: Any, table: str, schema: Schema, expected: dict[str, Values]) -> None:
    """Check that each value is in its column or in `custom`, and in the view, under its field's name."""
    described, rows, shown = tables(org, table)
    assert rows.keys() == shown.keys() == expected.keys()
    columns = {field[0]: field[4] for field in described["fields"]}
    assert set(schema.names) <= columns.keys()
    for key, row in rows.items():
        custom = json.loads(row["custom"])
        for place, name in enumerate(columns):
            if name not in schema.by_name:
                continue
            value, kind = expected[key].get(name), schema.by_name[name].common_type
            column = columns[name]
            is_text = kind in {"string", "json"}
            if column is None or name in (row["unconverted"] or ()):
                assert hostile.is_same(custom[name], value), (name, custom[name], value)
            elif is_text:
                assert hostile.is_same(row[column], value), (name, column, row[column], value)
                assert name not in custom
            if is_text:
                assert hostile.is_same(shown[key][place], value), (name, shown[key][place], value)
            elif column is not None and not isinstance(row[column], str):
                assert shown[key][place] == row[column]
                assert row[column] is not None or name in custom or value is None or value == ""


@FEW
@given(things("properties"), st.sampled_from([OWN, COMMON]))
def test_fields_below_a_key(
    new_org: Any, thing: tuple[Schema, list[Values]], one: ObjectMap
) -> None:
    """Properties may have the names of facts beside them; a fact is never taken for a property."""
    schema, values = thing
    envelope = (Field("id", "Id", "x"), Field("archived", "Gone", "x", "boolean"))
    texts = [
        hostile.written(
            {"id": str(n), "archived": False, "createdAt": "2025-06-01T08:00Z", "properties": row}
        )
        for n, row in enumerate(values)
    ]
    with org_of(new_org, one) as org:
        described = Schema("thing", "A thing", (*schema.fields, *envelope))
        land(org, described, json_batch(texts), "json")
        table = one.table or "thing"
        assert org.normalize(table).rows == len(values)
        check(org, table, schema, {str(n): row for n, row in enumerate(values)})
        born = org.rows(table, "DISTINCT is_deleted, created_at::VARCHAR")
        assert born == [(False, "2025-06-01 08:00:00+00")]


@FEW
@given(things(), st.data())
def test_fields_at_the_root(new_org: Any, thing: tuple[Schema, list[Values]], data: Any) -> None:
    """Fields at a record's root arrive under their names, whichever schema described them last."""
    schema, values = thing
    older = data.draw(st.permutations(schema.fields))
    with org_of(new_org, FROM_CSV) as org:
        for fields, number in ((older[: len(older) // 2 + 1], 0), (schema.fields, 1)):
            texts = [hostile.written(row) for row in values]
            batch = json_batch(texts)
            ids = pa.array([f"{number}{n}" for n in range(len(values))])
            land(
                org,
                Schema("thing", "", tuple(fields)),
                batch.set_column(0, "_source_id", ids),
                "json",
            )
        org.normalize("thing")
        expected = {f"{number}{n}": row for number in (0, 1) for n, row in enumerate(values)}
        check(org, "thing", schema, expected)


@FEW
@given(things(values=hostile.texts), st.data())
def test_columns_of_csv(new_org: Any, thing: tuple[Schema, list[Values]], data: Any) -> None:
    """Columns of CSV arrive under their names, in whatever order files have them."""
    schema, values = thing
    names = [name for name in schema.names if name != "Id"]
    other = data.draw(st.permutations(names))
    expected = {}
    with org_of(new_org, FROM_CSV) as org:
        for number, order in enumerate((names, other)):
            ids = [f"{number}{n}" for n in range(len(values))]
            land(org, schema, csv_batch(order, values, ids), "csv")
            expected |= dict(zip(ids, values, strict=True))
        org.normalize("thing")
        check(org, "thing", schema, expected)
