"""Rows of some keys, wherever they are in a version."""

from pathlib import Path

import pytest

from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.lookup import rows_of
from crm_pipeline.store.tables.replacement import write_replaced, write_whole


@pytest.mark.parametrize("wanted", [(), (1,), (2, 3), (3,), (4,), (2, 99), tuple(range(50))])
def test_rows_of_keys_are_those_of_the_whole_version(
    tmp_path: Path, wanted: tuple[int, ...]
) -> None:
    """Keys that stayed, changed, are gone, are new, or never were give the rows that the whole version has of them."""
    tables = Tables(tmp_path)
    with Engine(tmp_path / "tmp", threads=1) as engine:
        with tables.stage("t", ("k",)) as staged:
            rows = write_whole(engine, staged, "(SELECT i AS k, 'old' AS v FROM range(40) r(i))")
            staged.commit(None, rows)
        first = tables.version("t")
        assert first is not None
        listed = ", ".join(f"({key})" for key in wanted) or "(NULL)"
        keys = f"(SELECT k::BIGINT AS k FROM (VALUES {listed}) AS v(k) WHERE k IS NOT NULL)"
        assert sorted(engine.rows(f"FROM {rows_of(engine, first, keys)}")) == [
            (key, "old") for key in wanted if key < 40
        ]
        with tables.stage("t", ("k",)) as staged:
            changed = "(SELECT unnest([2, 3, 44])::BIGINT AS k)"
            new = "(SELECT unnest([2, 44])::BIGINT AS k, 'new' AS v)"
            count = write_replaced(engine, staged, first, changed, new)
            staged.commit(first, count)
        version = tables.version("t")
        assert version is not None
        assert version.delta
        assert version.tombstones
        whole = dict(engine.rows(f"FROM {Tables.relation(version)}"))
        found = engine.rows(f"FROM {rows_of(engine, version, keys)}")
        assert sorted(found) == [(key, whole[key]) for key in sorted(wanted) if key in whole]
