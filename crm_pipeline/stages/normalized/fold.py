"""SQL that brings landed batches of one object to one relation and keeps each record's latest state.

Order of states: (vendor's stamp, extracted at, batch sequence). A tombstone without a stamp says
when we saw the record gone, so any live read that is later supersedes it, and it supersedes all
that is earlier. Only records that landed more than once are ranked, over keys alone.
"""

from collections.abc import Sequence

import pyarrow as pa

from crm_pipeline.model.schema import Field
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.engine import Engine, literal, parquet_files, quoted
from crm_pipeline.store.manifest import Manifest

RAW = "src."
"""Prefix of raw columns, so that no source field clashes with a common column."""
_KEYS = "_source_id, _modified_at, _deleted, _extracted_at, _batch_id"
_HAS_ID = "_source_id IS NOT NULL AND _source_id <> ''"


def raw(field: str) -> str:
    """Return the quoted column that carries a source field's text."""
    return quoted(RAW + field)


def folded(engine: Engine, one: ObjectInput) -> str:
    """Define the latest state of each record of an object and return the relation's name.

    It has `_source_id`, `_modified_at`, `_deleted`, `_batch_id`, `_is_seen` (False where the newest
    complete read no longer has the record) and one text column per source field, "" as NULL.
    """
    name = one.object
    if not one.batches:
        return _empty(engine, one)
    source = engine.view(f"{name} source", _source(engine, one))
    losers = _losers(engine, one)
    seen = _seen(engine, one)
    latest = (
        f" ANTI JOIN {losers} AS l ON s._batch_id = l._batch_id AND s._row = l._row"
        if losers
        else ""
    )
    columns = ", ".join(f"nullif({raw(f.name)}, '') AS {raw(f.name)}" for f in one.fields)
    listed = f", {columns}" if columns else ""
    return engine.view(
        f"{name} folded",
        f"SELECT _source_id, _modified_at, _deleted, _batch_id, {seen} AS _is_seen{listed} "
        f"FROM {source} AS s{latest} WHERE {_HAS_ID}",
    )


def without_id(engine: Engine, one: ObjectInput) -> int:
    """Count the landed rows that carry no id and can therefore not be normalized."""
    if not one.batches:
        return 0
    keys = _all_keys(one.batches)
    return int(engine.row(f"SELECT count(*) FROM {keys} WHERE NOT ({_HAS_ID})")[0])


def quarantine_sql(one: ObjectInput, shape: str) -> str | None:
    """Return SQL for the landed rows of one shape that carry no id, as landed."""
    paths = [batch.path for batch in one.batches if batch.shape == shape]
    if not paths:
        return None
    return (
        f"SELECT 'the record carries no id' AS _reason, * FROM {parquet_files(paths)} "
        f"WHERE _source_id IS NULL OR _source_id = ''"
    )


def _source(engine: Engine, one: ObjectInput) -> str:
    parts = []
    csv = [batch.path for batch in one.batches if batch.shape == "csv"]
    if csv:
        relation = parquet_files(csv, ", file_row_number = true")
        present = {name.lower(): name for name in engine.columns(relation)}
        parts.append(_select(relation, one.fields, {k: quoted(v) for k, v in present.items()}))
    json = [batch.path for batch in one.batches if batch.shape == "json"]
    if json:
        names = [field.name for field in one.fields]
        relation = (
            f"(SELECT {_KEYS}, file_row_number, json_transform(record, {_structure(names)}) AS r "
            f"FROM {parquet_files(json, ', file_row_number = true')})"
            if names
            else parquet_files(json, ", file_row_number = true")
        )
        parts.append(_select(relation, one.fields, {n.lower(): f"r.{quoted(n)}" for n in names}))
    return " UNION ALL ".join(parts)


def _select(relation: str, fields: Sequence[Field], present: dict[str, str]) -> str:
    columns = [
        f"{present.get(field.name.lower(), 'NULL::VARCHAR')} AS {raw(field.name)}"
        for field in fields
    ]
    return f"SELECT {', '.join([_KEYS, 'file_row_number AS _row', *columns])} FROM {relation}"


def _structure(names: Sequence[str]) -> str:
    entries = ", ".join(f'{_json_text(name)}:"VARCHAR"' for name in names)
    return literal("{" + entries + "}")


def _json_text(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _all_keys(batches: Sequence[Manifest]) -> str:
    paths = [batch.path for batch in batches]
    relation = parquet_files(paths, ", file_row_number = true")
    return f"(SELECT {_KEYS}, file_row_number AS _row FROM {relation})"


def _losers(engine: Engine, one: ObjectInput) -> str | None:
    """Compute the rows that are not the latest state of their record; None where all are."""
    name = one.object
    keys = _all_keys(one.batches)
    repeated = engine.table(
        f"{name} repeated",
        # Hashes take a third of the memory of ids; one shared by chance only ranks a record in vain.
        f"SELECT hash(_source_id) AS _hash FROM {keys} WHERE {_HAS_ID} "
        "GROUP BY ALL HAVING count(*) > 1",
    )
    if not engine.row(f"SELECT count(*) FROM {repeated}")[0]:
        return None
    sequences = engine.load(
        f"{name} sequences",
        pa.table(
            {
                "_batch_id": pa.array([b.batch_id for b in one.batches], pa.string()),
                "_sequence": pa.array(range(len(one.batches)), pa.int64()),
            }
        ),
    )
    states = engine.view(
        f"{name} states",
        f"SELECT k.*, struct_pack(at := _extracted_at, sequence := _sequence, row := _row) AS _place "
        f"FROM {keys} AS k SEMI JOIN {repeated} AS r ON hash(k._source_id) = r._hash "
        f"JOIN {sequences} AS b USING (_batch_id)",
    )
    marked = engine.view(
        f"{name} marked",
        f"SELECT *, _deleted AND _modified_at IS NULL AND coalesce(_place > "
        f"max(_place) FILTER (WHERE NOT _deleted) OVER (PARTITION BY _source_id), true) AS _is_end, "
        f"_deleted AND _modified_at IS NULL AS _is_unstamped FROM {states}",
    )
    return engine.table(
        f"{name} losers",
        f"SELECT _batch_id, _row FROM {marked} QUALIFY row_number() OVER (PARTITION BY _source_id "
        f"ORDER BY _is_end DESC, _is_unstamped, _modified_at DESC NULLS LAST, _place DESC) > 1",
    )


def _seen(engine: Engine, one: ObjectInput) -> str:
    """Return an expression that says whether a record is in or after the newest complete read."""
    if one.complete_from == 0:
        return "true"
    later = one.batches[one.complete_from :]
    if not later:
        return "false"
    seen = engine.table(f"{one.object} seen", f"SELECT DISTINCT _source_id FROM {_all_keys(later)}")
    return f"(_source_id IN (SELECT _source_id FROM {seen}))"


def _empty(engine: Engine, one: ObjectInput) -> str:
    columns = "".join(f", NULL::VARCHAR AS {raw(field.name)}" for field in one.fields)
    return engine.view(
        f"{one.object} folded",
        "SELECT ''::VARCHAR AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, "
        f"''::VARCHAR AS _batch_id, true AS _is_seen{columns} WHERE false",
    )
