"""Which records have other values is decided by sets, whatever shapes, versions and batches there are."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.model.schema import Field
from crm_pipeline.stages.raw.unstamped.landed import live_records
from crm_pipeline.stages.raw.unstamped.landed_fields import LandedFields
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.stages.raw.unstamped.test_landed import live_ids

START = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = (
    Field("Text", "Text", "string", path=("in/side", "Te~xt")),
    Field("Number", "Number", "double", "double"),
)
MISSING = object()
Values = tuple[Any, Any]
texts = st.sampled_from([MISSING, None, "a", "b", "1", "null"])
numbers = st.sampled_from([MISSING, None, 1, 2.5, "1"])
pairs = st.tuples(texts, numbers)
versions = st.lists(
    st.tuples(
        st.sampled_from(["7", "8", "9"]), st.integers(0, 2), st.integers(0, 5), st.booleans(), pairs
    ),
    max_size=8,
    unique_by=lambda version: (version[0], version[2]),
)
lists = st.dictionaries(
    st.sampled_from(["6", "7", "8", "9"]), st.tuples(st.integers(0, 2), pairs), max_size=4
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "tmp", threads=1) as opened:
        yield opened


def text_of(values: Values) -> str:
    record: dict[str, Any] = {"in/side": {}}
    if values[0] is not MISSING:
        record["in/side"]["Te~xt"] = values[0]
    if values[1] is not MISSING:
        record["Number"] = values[1]
    return json.dumps(record)


def json_rows(rows: Sequence[tuple[str, int, bool, Values]]) -> pa.Table:
    return pa.table(
        {
            "_source_id": pa.array([row[0] for row in rows], pa.string()),
            "_modified_at": pa.array(
                [START + timedelta(days=row[1]) for row in rows], pa.timestamp("us", "UTC")
            ),
            "_deleted": pa.array([row[2] for row in rows], pa.bool_()),
            "record": pa.array([text_of(row[3]) for row in rows], pa.string()),
        }
    )


def csv_rows(rows: Sequence[tuple[str, int, str, str]]) -> pa.Table:
    table = json_rows([(one, day, False, (None, None)) for one, day, *_ in rows])
    columns = {"Text": [row[2] for row in rows], "Number": [row[3] for row in rows]}
    table = table.drop_columns(["record"])
    for name, cells in columns.items():
        table = table.append_column(name, pa.array(cells, pa.string()))
    return table


def batch(path: Path, rows: pa.Table, hours: Sequence[int], shape: Shape = "json") -> Any:
    at = pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    rows = rows.append_column("_extracted_at", at)
    pq.write_table(rows.append_column("_batch_id", pa.array([path.name] * len(hours))), path)
    return SimpleNamespace(path=path, shape=shape)


def fields_of(engine: Engine, batches: Sequence[Any]) -> LandedFields:
    """Return the fields of batches, with the newest version of each live record."""
    return LandedFields(engine, batches, FIELDS, live_records(engine, batches, live_ids(batches)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(versions, lists)
def test_what_differs(
    engine: Engine, tmp_path: Path, chosen: list[Any], listed: dict[str, tuple[int, Values]]
) -> None:
    """The newest version counts. A text is no number, and no value is something else than no field; records that have
    not landed, are deleted, or have another modification time do not differ."""
    folded = sorted(chosen, key=lambda version: (version[1], version[2]))
    newest = {version[0]: version for version in folded if version is not None}
    rows = [(one, day, gone, values) for one, day, _, gone, values in chosen]
    batches = [
        batch(tmp_path / f"{part}", json_rows(rows[part::2]), [one[2] for one in chosen[part::2]])
        for part in (0, 1)
        if rows[part::2]
    ]
    landed = fields_of(engine, batches)
    landed.compare(
        json_rows([(one, day, False, values) for one, (day, values) in listed.items()]), "json"
    )
    live = {one: version for one, version in newest.items() if not version[3]}
    assert landed.count() == len(live)
    assert landed.listed == len(live.keys() & listed.keys())
    expected = [
        one
        for one, version in sorted(live.items())
        if one in listed
        and listed[one][0] == version[1]
        and text_of(listed[one][1]) != text_of(version[4])
    ]
    assert landed.differing_ids("", 10) == expected
    assert landed.differing == len(expected)


@pytest.mark.parametrize(
    ("cells", "values", "is_equal"),
    [
        (("a", "1.0"), ("a", 1), True),
        (("a", "1e0"), ("a", 1.0), True),
        (("", ""), (None, None), True),
        (("a", "1.5"), ("a", 1), False),
        (("a", ""), ("a", 0), False),
        (("b", "1"), ("a", 1), False),
        (("", "1"), ("a", 1), False),
    ],
)
def test_shapes(
    engine: Engine, tmp_path: Path, cells: tuple[str, str], values: Values, is_equal: bool
) -> None:
    """A CSV record and a JSON list, and the other way round, are compared by what their texts mean."""
    files = [batch(tmp_path / "csv", csv_rows([("7", 0, *cells)]), [0], "csv")]
    landed = fields_of(engine, files)
    landed.compare(json_rows([("7", 0, False, values)]), "json")
    assert landed.differing == (not is_equal)
    files = [batch(tmp_path / "json", json_rows([("7", 0, False, values)]), [0])]
    landed = fields_of(engine, files)
    landed.compare(csv_rows([("7", 0, *cells)]), "csv")
    assert landed.differing == (not is_equal)


def test_what_lands_of_a_read(engine: Engine, tmp_path: Path) -> None:
    """Records that were modified since, are deleted, have other values or are new land; equal and older ones do not."""
    rows = [(one, 1, False, ("a", 1)) for one in "56789"]
    landed = fields_of(engine, [batch(tmp_path / "1", json_rows(rows), [0] * 5)])
    read = [
        ("5", 2, False, ("a", 1)),
        ("6", 1, True, ("a", 1)),
        ("7", 1, False, ("b", 1)),
        ("4", 0, False, ("a", 1)),
        ("8", 1, False, ("a", 1)),
        ("9", 0, False, ("b", 1)),
    ]
    [given] = json_rows(read).to_batches()
    assert landed.news(given).column("_source_id").to_pylist() == ["5", "6", "7", "4"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 9))
def test_spans(engine: Engine, tmp_path: Path, days: list[int], size: int) -> None:
    """Spans hold each record once and end; one holds more records than wanted only where they share a second."""
    rows = [(str(number), day, False, ("a", 1)) for number, day in enumerate(days)]
    files = [batch(tmp_path / "1", json_rows(rows), [0] * len(rows))] if rows else []
    landed = fields_of(engine, files)
    begin, seen, is_last = landed.begin(), 0, False
    assert (begin is None) == (not days)
    while begin is not None and not is_last:
        end, is_last = landed.end(begin, size)
        assert end > begin
        held = [day for day in days if begin <= START + timedelta(days=day) < end]
        assert landed.count(begin, end) == len(held)
        assert len(held) <= size or len(set(held)) == 1
        seen, begin = seen + len(held), end
    assert seen == len(days)
    assert landed.end(START + timedelta(days=9), size) == (
        START + timedelta(days=9, seconds=1),
        True,
    )
