from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.store.landing.records import (
    KEY_COLUMNS,
    STATE_COLUMNS,
    TIMESTAMP,
    RecordHasher,
    SeenVersions,
    finished,
    instants,
    keyed,
    landed_name,
    low_cardinality,
    months,
    raw_names,
    version_keys,
)

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
ODD = ["01234", "NA", "NULL", "null", "nan", "1e5", "1234567890123456789", 'a\n"b"', "😀", "", "|"]
Row = tuple[str, datetime | None, bool, str]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "1|", "|1", "1|5", ""]),
        st.none() | st.integers(0, 3).map(lambda s: ORIGIN + timedelta(seconds=s)),
        st.booleans(),
        st.sampled_from(["a", "b", "", "a|b"]),
    ),
    max_size=8,
)


def batch_of(rows: Sequence[Row], name: str = "Name") -> pa.RecordBatch:
    ids, at, deleted, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.array(at, TIMESTAMP),
            pa.array(deleted, pa.bool_()),
            pa.array(values, pa.string()),
        ],
        names=[*KEY_COLUMNS, name],
    )


@pytest.fixture(scope="module")
def hasher() -> RecordHasher:
    return RecordHasher()


def test_keys_are_read_from_the_named_fields() -> None:
    """Id, modification time and deletion mark come first; the raw columns follow unchanged."""
    raw = pa.RecordBatch.from_pydict(
        {
            "Name": ODD[:3],
            "Id": ["a", "b", "c"],
            "Stamp": ["2026-01-01T00:00:00.000Z", "2026-01-01T02:30:00+0200", ""],
            "IsDeleted": ["false", "true", "false"],
        }
    )
    batch = keyed(raw, id_field="Id", modified_field="Stamp", deleted_field="IsDeleted")
    assert batch.column("_source_id").to_pylist() == ["a", "b", "c"]
    assert batch.column("_deleted").to_pylist() == [False, True, False]
    assert batch.column("_modified_at").to_pylist() == [
        ORIGIN,
        ORIGIN + timedelta(minutes=30),
        None,
    ]
    assert batch.select(raw.schema.names).equals(raw)


def test_objects_without_stamp_or_mark() -> None:
    """Where an object has neither field, nothing is deleted and no record has a modification time."""
    raw = pa.RecordBatch.from_pydict({"Id": ["a", "b"]})
    batch = keyed(raw, id_field="Id", modified_field=None, deleted_field=None)
    assert batch.column("_deleted").to_pylist() == [False, False]
    assert batch.column("_modified_at").to_pylist() == [None, None]
    assert (
        keyed(raw.slice(0, 0), id_field="Id", modified_field=None, deleted_field=None).num_rows == 0
    )


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "yesterday", "1767225600"])
def test_a_stamp_without_zone_is_an_error(text: str) -> None:
    """A time without an offset is refused, not guessed."""
    with pytest.raises(pa.ArrowInvalid):
        instants(pa.array([text]))


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00.000+0100"]
)
def test_stamps_in_the_vendors_spellings(text: str) -> None:
    """Z, +01:00 and +0100 are read alike."""
    assert instants(pa.array([text, ""])).to_pylist() == [ORIGIN, None]


@given(ROWS)
def test_version_keys_tell_versions_apart(rows: list[Row]) -> None:
    """Two rows share a key exactly if id, modification time and deletion mark are equal, whatever the id holds."""
    keys = version_keys(batch_of(rows)).to_pylist()
    for row, key in zip(rows, keys, strict=True):
        for other, other_key in zip(rows, keys, strict=True):
            assert (key == other_key) == (row[:3] == other[:3])


@given(ROWS, ROWS, st.booleans())
def test_what_landed_is_left_out_and_nothing_else(
    hasher: RecordHasher, landed: list[Row], read: list[Row], is_same: bool
) -> None:
    """Exactly the landed versions are left out: by content in the same shape, by modification time in the other."""
    old, new = batch_of(landed), batch_of(read)
    keys = version_keys(old, hasher.hashes(old.select(["Name"])) if is_same else None)
    nothing = pa.array([], pa.string())
    seen = SeenVersions(keys, nothing) if is_same else SeenVersions(nothing, keys)
    rest = seen.rest_of(new, hasher)
    width = 4 if is_same else 3
    known = {row[:width] for row in landed}
    assert rest.to_pylist() == [
        dict(zip([*KEY_COLUMNS, "Name"], row, strict=True))
        for row in read
        if row[:width] not in known
    ]


def test_records_without_id_are_never_known(hasher: RecordHasher) -> None:
    """A row whose id is null is not taken for another row whose id is null."""
    one = batch_of([("a", ORIGIN, False, "x")])
    nameless = one.set_column(0, "_source_id", pa.array([None], pa.string()))
    keys = version_keys(nameless, hasher.hashes(nameless.select(["Name"])))
    assert SeenVersions(keys, version_keys(nameless)).rest_of(nameless, hasher).num_rows == 1


@given(st.lists(st.tuples(*[st.sampled_from(ODD)] * 3), min_size=1, max_size=20))
def test_hashes_are_equal_exactly_for_equal_records(
    hasher: RecordHasher, rows: list[tuple[str, str, str]]
) -> None:
    """Every cell counts, and so does its column."""
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    hashes = hasher.hashes(pa.RecordBatch.from_arrays(columns, names=["a", "b", "c"])).to_pylist()
    assert len(set(hashes)) == len(set(rows))
    assert len(set(zip(hashes, rows, strict=True))) == len(set(rows))


def test_columns_that_differ_in_case_both_count(hasher: RecordHasher) -> None:
    """A change in 'name' is seen although there is a 'Name' before it."""
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["x", "x"]), pa.array(["1", "2"]), pa.array(["", ""])],
        names=["Name", "name", 'odd "name"; --'],
    )
    assert len(set(hasher.hashes(batch).to_pylist())) == 2


def test_hashes_keep_the_order_of_rows(hasher: RecordHasher) -> None:
    """The n-th hash belongs to the n-th record, also in large batches."""
    values = [str(number % 1_000) for number in range(200_000)]
    hashes = hasher.hashes(pa.RecordBatch.from_pydict({"v": values}))
    assert len(set(hashes.slice(0, 1_000).to_pylist())) == 1_000
    assert hashes.slice(1_000, 1_000).equals(hashes.slice(0, 1_000))
    assert hashes.slice(199_000).equals(hashes.slice(0, 1_000))
    assert hashes.type == pa.uint64()


def test_no_records_have_no_hashes(hasher: RecordHasher) -> None:
    """An empty batch needs no special case in the caller."""
    assert (
        hasher.hashes(pa.RecordBatch.from_pydict({"v": pa.array([], pa.string())})).to_pylist()
        == []
    )


def test_finished_puts_the_state_before_the_raw_columns(hasher: RecordHasher) -> None:
    """Every row has its batch and the time of its request; raw cells stay unchanged."""
    rows: list[Row] = [(str(n), None, False, value) for n, value in enumerate(ODD)]
    batch = finished(
        batch_of(rows), batch_id="w-1", extracted_at=pa.scalar(ORIGIN, TIMESTAMP), hasher=hasher
    )
    assert batch.schema.names == [*STATE_COLUMNS, "Name"]
    assert raw_names(batch) == ["Name"]
    assert batch.column("Name").to_pylist() == ODD
    assert set(batch.column("_batch_id").to_pylist()) == {"w-1"}
    assert set(batch.column("_extracted_at").to_pylist()) == {ORIGIN}
    assert batch.column("_record_hash").equals(hasher.hashes(batch.select(["Name"])))


def test_months_count_records_by_utc_month() -> None:
    """The last microsecond of a month belongs to it; records without a modification time are counted under ""."""
    edge = datetime(2026, 2, 1, tzinfo=UTC)
    at = [edge, edge - timedelta(microseconds=1), None, ORIGIN]
    assert months(batch_of([("1", one, False, "") for one in at])) == {
        "2026-01": 2,
        "2026-02": 1,
        "": 1,
    }


def test_dictionaries_are_for_few_distinct_values() -> None:
    """A column of ids gets no dictionary, a column of states does."""
    batch = pa.RecordBatch.from_pydict(
        {"id": [str(n) for n in range(100)], "state": ["a", "b"] * 50, "n": list(range(100))}
    )
    assert low_cardinality(batch) == ["state"]


@pytest.mark.parametrize(
    "name", ["_modified_at", "_BATCH_ID", "file_row_number", "src.x", "SRC._row"]
)
def test_a_column_of_the_vendor_is_none_of_ours(name: str, hasher: RecordHasher) -> None:
    """A field with the name of one of our columns lands under another name, and nothing is lost."""
    raw = pa.RecordBatch.from_pydict({"Id": ["1"], name: ["theirs"], "record": ["plain"]})
    batch = keyed(raw, id_field="Id", modified_field=None, deleted_field=None)
    done = finished(batch, batch_id="b1", extracted_at=pa.scalar(None, TIMESTAMP), hasher=hasher)
    assert raw_names(done) == ["Id", f"src.{name}", "record"]
    assert done.column(landed_name(name)).to_pylist() == ["theirs"]
    assert landed_name(f"src.{name}") != landed_name(name)
