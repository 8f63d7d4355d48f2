"""Versions in which the rows of some keys are replaced, and what they say has changed."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.errors import CommitConflict
from crm_pipeline.store.tables import Commit, Tables, changes_since, commit_all
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_replaced, write_whole

Rows = Mapping[int, tuple[str, ...]]
"""By key, the values of its rows: several rows may share a key."""
KEYS = st.integers(0, 30)
ROWS = st.dictionaries(KEYS, st.lists(st.sampled_from("abc"), max_size=3).map(tuple), max_size=6)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Engine(tmp_path_factory.mktemp("engine"), threads=1) as opened:
        yield opened


def loaded(engine: Engine, rows: Rows) -> str:
    pairs = [(key, value) for key, values in rows.items() for value in values]
    table = pa.table(
        {
            "k": pa.array([key for key, _ in pairs], pa.int64()),
            "v": pa.array([value for _, value in pairs], pa.string()),
        }
    )
    return engine.load("new rows", table)


def whole(engine: Engine, tables: Tables, rows: Rows, name: str = "t") -> None:
    with tables.stage(name, ("k",)) as staged:
        count = write_whole(engine, staged, loaded(engine, rows))
        staged.commit(tables.version(name), count)


def replaced(engine: Engine, tables: Tables, keys: set[int], rows: Rows) -> None:
    parent = tables.version("t")
    assert parent is not None
    listed = engine.load("keys", pa.table({"k": pa.array(sorted(keys), pa.int64())}))
    with tables.stage("t", ("k",)) as staged:
        count = write_replaced(engine, staged, parent, listed, loaded(engine, rows))
        staged.commit(parent, count)


def rows_of(engine: Engine, tables: Tables) -> list[tuple[int, str]]:
    version = tables.version("t")
    assert version is not None
    rows = engine.rows(f"SELECT k, v FROM {Tables.relation(version)} ORDER BY ALL")
    assert version.rows == len(rows)
    return [(key, value) for key, value in rows]


def listed(rows: Rows) -> list[tuple[int, str]]:
    return sorted((key, value) for key, values in rows.items() for value in values)


@settings(max_examples=15)
@given(ROWS, st.lists(st.tuples(ROWS, st.sets(KEYS, max_size=4)), max_size=5))
def test_replacing_equals_a_dictionary(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, first: Rows, steps: list[Any]
) -> None:
    """After each replacement the table holds what a dictionary holds, and its changes cover what differs."""
    folder = tmp_path_factory.mktemp("t")
    tables = Tables(folder)
    state = {**first, 100: ("x",) * 9}
    whole(engine, tables, state)
    states = {tables.current().tables["t"]: dict(state)}
    for rows, gone in steps:
        keys = {*rows, *gone}
        state = {**{k: v for k, v in state.items() if k not in keys}, **rows}
        replaced(engine, tables, keys, rows)
        assert rows_of(engine, tables) == listed(state)
        states[tables.current().tables["t"]] = dict(state)
    last = tables.version("t")
    assert last is not None
    for since, before in states.items():
        changes = changes_since(tables, last, since)
        named = {k for (k,) in engine.rows(f"FROM {changes.relation}")} if changes.paths else set()
        assert changes.is_none == (since == last.version)
        assert named >= {k for k in before | state if before.get(k, ()) != state.get(k, ())}
    shutil.rmtree(folder)


def test_few_changes_leave_the_base_as_it_is(engine: Engine, tables: Tables) -> None:
    """One changed key of a hundred takes the base over; a tenth of all keys writes it again."""
    whole(engine, tables, dict.fromkeys(range(100), ("a",)))
    first = tables.version("t")
    replaced(engine, tables, {1}, {1: ("b",)})
    second = tables.version("t")
    replaced(engine, tables, set(range(20)), {})
    third = tables.version("t")
    assert first
    assert second
    assert third
    assert second.base[0].samefile(first.base[0])
    assert second.sums[second.base[0]] == first.sums[first.base[0]]
    assert not third.delta
    assert third.rows == 80


def test_changes_are_unknown_where_a_version_between_is_gone(
    engine: Engine, tables: Tables
) -> None:
    """A whole version, a collected one and a damaged file of keys: then any row may differ."""
    whole(engine, tables, {1: ("a",), 2: ("b",)})
    versions = [tables.version("t")]
    for value in "xy":
        replaced(engine, tables, {1}, {1: (value,)})
        versions.append(tables.version("t"))
    first, second, third = (version for version in versions if version)
    assert not changes_since(tables, third, first.version).is_all
    assert changes_since(tables, third, "another").is_all
    assert second.changes
    path: Path = second.changes[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert changes_since(Tables(tables.root.parent), third, first.version).is_all
    shutil.rmtree(path.parent)
    assert changes_since(tables, third, first.version).is_all
    assert not changes_since(tables, third, second.version).is_all


def test_tables_are_committed_together_or_not_at_all(engine: Engine, tables: Tables) -> None:
    """Where another run has changed one of two tables, neither is changed."""
    whole(engine, tables, {1: ("a",)}, "one")
    whole(engine, tables, {1: ("a",)}, "two")
    before = tables.version("one"), tables.version("two")
    with tables.stage("one", ("k",)) as one, tables.stage("two", ("k",)) as two:
        for staged in (one, two):
            pq.write_table(pa.table({"k": [2], "v": ["b"]}), staged.path())
        whole(engine, tables, {3: ("c",)}, "two")
        other = tables.current()
        with pytest.raises(CommitConflict, match="table two"):
            commit_all([Commit(one, before[0], 1), Commit(two, before[1], 1)])
    assert tables.current() == other
    with tables.stage("one", ("k",)) as one, tables.stage("two", ("k",)) as two:
        for staged in (one, two):
            pq.write_table(pa.table({"k": [2], "v": ["b"]}), staged.path())
        release = commit_all(
            [Commit(one, tables.version("one"), 1), Commit(two, tables.version("two"), 1)]
        )
    assert release.number == other.number + 1
    assert release.tables == {"one": one.version, "two": two.version}
