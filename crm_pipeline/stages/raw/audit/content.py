"""Count the records whose content differs from what landed with the same modification time.

Vendors show one record in several forms: a query leaves out fields that a list has, or shows the id of a related record
without its name. So only fields that both forms have are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.records import STATE_COLUMNS
from crm_pipeline.store.tables.engine import Engine, parquet_files

_AT_ONCE = 1_000


def changed_content(
    engine: Engine, landing: Landing, connection: str, obj: str, window_id: str
) -> int:
    """Return how many records of a commit differ in content from the version before, at the same modification time.

    Versions of different shapes (Bulk files and JSON) are not compared.
    """
    batches = landing.batches(connection, obj)
    new = [batch for batch in batches if batch.window_id == window_id]
    return sum(
        _differs(_fields(now), _fields(then))
        for shape in ("csv", "json")
        for now, then in _pairs(engine, batches, new, shape)
    )


def _pairs(
    engine: Engine, batches: Sequence[Manifest], new: Sequence[Manifest], shape: str
) -> Iterator[tuple[str, str]]:
    """Yield the texts of both versions of each record that landed again."""
    now = [batch.path for batch in new if batch.shape == shape]
    then = [batch.path for batch in batches if batch.shape == shape and batch not in new]
    if not (now and then):
        return
    text = "record" if shape == "json" else "to_json(t)"
    keys = "_source_id, _modified_at, _extracted_at, _record_hash"
    relations = [
        f"(SELECT {keys}, {text} AS _text FROM {parquet_files(paths)} AS t WHERE NOT _deleted)"
        for paths in (now, then)
    ]
    sql = (
        f"SELECT n._text, o._text FROM {relations[0]} AS n JOIN {relations[1]} AS o "
        "USING (_source_id, _modified_at) "
        "QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY o._extracted_at DESC) = 1 "
        "AND n._record_hash <> o._record_hash"
    )
    for rows in engine.batches(sql, _AT_ONCE):
        columns = [column.to_pylist() for column in rows.columns]
        yield from zip(*columns, strict=True)


def _fields(text: str) -> Mapping[str, Any]:
    fields = msgspec.json.decode(text)
    return {name: value for name, value in fields.items() if name not in STATE_COLUMNS}


def _differs(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return any(_differs(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) != len(other) or any(_differs(*pair) for pair in pairs)
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return False  # another form of the same reference
    return bool(one != other and str(one) != str(other))
