"""Records of any length are normalized within the memory limit."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import batch_file
from crm_pipeline.store.tables.engine import Engine

SCHEMA = Schema("thing", "Thing", tuple(Field(n, n, "x") for n in ("id", "a", "b", "c")))
LONG = "".join(chr(97 + place * place % 26) for place in range(50_000))


def test_long_texts_in_one_row_group(org: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred records of 120 KB that landed in one piece fit into memory for a few of them."""
    monkeypatch.setattr(batch_file, "_RECORDS_BYTES", 1 << 40)
    org.maps = (ObjectMap(ANY_OBJECT, "", (FieldMap("id", "source_id"),)),)
    records = [
        {"id": f"{n:03}", "a": f"{n} {LONG}", "b": LONG[n:40_000], "c": LONG[:30_000]}
        for n in range(400)
    ]
    org.land_records(SCHEMA, records)
    [landed] = [p for p in (org.data / "landing").rglob("*.parquet") if "thing" in str(p)]
    assert pq.read_metadata(landed).num_row_groups == 1
    monkeypatch.setattr(
        org, "engine", lambda: Engine(org.data / "tmp", memory_limit="180MB", threads=1)
    )
    assert org.normalize("thing").rows == 400
    facts = "source_id, length(a), length(b), length(c)"
    expected = [(r["id"], *(len(r[name]) for name in "abc")) for r in records]
    assert org.rows("thing", facts) == expected
    assert not list((org.data / "tmp").rglob("*.parquet"))
