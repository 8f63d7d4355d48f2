"""Which records differ is decided by sets, whatever the order of versions, elements and batches."""

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

from crm_pipeline.connectors.unstamped import UnstampedList, table_of
from crm_pipeline.stages.raw.unstamped.landed import LandedValues, live_records
from crm_pipeline.store.tables.engine import Engine

VALUES = UnstampedList("links", "links", "to", ("id", "kind"), ("deals", "notes"), 10, 2)
START = datetime(2026, 1, 1, tzinfo=UTC)
Version = tuple[str, int, int, bool, list[tuple[str, str, str | None]] | None]

elements = st.tuples(
    st.sampled_from(["deals", "notes", "others"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["", "a", None]),
)
lists = st.lists(elements, max_size=4)
versions = st.lists(
    st.tuples(
        st.sampled_from(["7", "8", "9"]),
        st.integers(0, 2),
        st.integers(0, 5),
        st.booleans(),
        st.none() | lists,
    ),
    max_size=8,
    unique_by=lambda version: (version[0], version[2]),
)


def landed(folder: Path, chosen: Sequence[Version]) -> list[Any]:
    """Write the versions as two batches, and return the batches."""
    rows: list[list[dict[str, Any]]] = [[], []]
    for number, (source_id, modified, extracted, is_deleted, links) in enumerate(chosen):
        record: dict[str, Any] = {"id": source_id}
        if links is not None:
            record["links"] = [{"kind": k, "to": to, "id": i, "more": 1} for to, i, k in links]
        row = {
            "_source_id": source_id,
            "_modified_at": START + timedelta(days=modified),
            "_deleted": is_deleted,
            "_extracted_at": START + timedelta(hours=extracted),
            "_batch_id": f"b{number}",
            "record": json.dumps(record),
        }
        rows[number % 2].append(row)
    batches = []
    for number, listed in enumerate(filter(None, rows)):
        path = folder / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist(listed), path)
        batches.append(SimpleNamespace(path=path, shape="json"))
    return batches


def live_ids(batches: Sequence[Any]) -> str:
    """Return SQL for the ids of live records, and the batches of their newest versions."""
    if not batches:
        return "(SELECT '' AS id, '' AS batch_id WHERE false)"
    keys = " UNION ALL BY NAME ".join(f"FROM read_parquet('{each.path}')" for each in batches)
    last = "QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY _modified_at DESC, _extracted_at DESC) = 1"
    return f"(SELECT _source_id AS id, _batch_id AS batch_id FROM (FROM ({keys}) {last}) WHERE NOT _deleted)"


def values_of(engine: Engine, batches: Sequence[Any]) -> LandedValues:
    """Return the values of batches, with the newest version of each live record."""
    return LandedValues(engine, batches, VALUES, live_records(engine, batches, live_ids(batches)))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "tmp", threads=1) as opened:
        yield opened


def expected(chosen: Sequence[Version], present: dict[str, list[Any]]) -> list[str]:
    """Return the live records whose values differ, by plain comparison."""
    newest: dict[str, Version] = {}
    for version in sorted(chosen, key=lambda version: version[1:3]):
        newest[version[0]] = version

    def shown(links: Any) -> set[Any]:
        return {link for link in links or () if link[0] in VALUES.names}

    live = {one: version[4] for one, version in newest.items() if not version[3]}
    return sorted(one for one, links in live.items() if shown(links) != shown(present.get(one)))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(versions, st.dictionaries(st.sampled_from(["7", "8", "9"]), lists, max_size=3))
def test_what_differs(
    engine: Engine, tmp_path: Path, chosen: list[Version], present: dict[str, list[Any]]
) -> None:
    """The newest version counts, deleted records do not, and only the names that were asked for are compared."""
    values = values_of(engine, landed(tmp_path, chosen))
    ids, _ = values.ids("", 10)
    rows = [
        (one, *link)
        for one, links in present.items()
        for link in links
        if one in ids and link[0] in VALUES.names
    ]
    assert values.differing(ids, table_of(VALUES, rows)) == expected(chosen, present)


def test_places(engine: Engine, tmp_path: Path) -> None:
    """Records are walked through once each, whatever the size of a batch; a place is no id."""
    chosen: list[Version] = [(str(number), 0, 0, False, None) for number in range(10, 33)]
    values = values_of(engine, landed(tmp_path, chosen))
    seen: list[str] = []
    place = ""
    while True:
        ids, place = values.ids(place, 7)
        assert place not in {version[0] for version in chosen}
        if not ids:
            break
        seen += ids
    assert sorted(seen) == [version[0] for version in chosen]


@pytest.mark.parametrize("text", ['{"id": "7"', '{"id": "7", "links": 5}'])
def test_a_record_that_cannot_be_read(engine: Engine, tmp_path: Path, text: str) -> None:
    """It has no values, so it differs from what the CRM has, and is read again."""
    [batch] = landed(tmp_path, [("7", 0, 0, False, [])])
    table = pq.read_table(batch.path).to_pylist()
    pq.write_table(pa.Table.from_pylist([{**table[0], "record": text}]), batch.path)
    values = values_of(engine, [batch])
    assert values.differing(["7"], table_of(VALUES, [("7", "deals", "1", None)])) == ["7"]
