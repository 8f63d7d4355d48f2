"""SQL for all landed versions of an object's records, in one relation whatever their shapes."""

from collections.abc import Sequence
from pathlib import Path

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.reading import Layout, Source, csv_columns, json_columns
from crm_pipeline.store.engine import Engine, parquet_files
from crm_pipeline.store.manifest import Manifest

KEYS = "_source_id, _modified_at, _deleted, _extracted_at, _batch_id"
HAS_ID = "_source_id IS NOT NULL AND _source_id <> ''"
_NUMBERED = ", file_row_number = true"


def all_keys(batches: Sequence[Manifest]) -> str:
    """Return SQL for the keys of all rows of batches, with `_row`, the row's place in its batch."""
    relation = parquet_files([batch.path for batch in batches], _NUMBERED)
    return f"(SELECT {KEYS}, file_row_number AS _row FROM {relation})"


def versions(
    engine: Engine, one: ObjectInput, sources: Sequence[Source], *, each: tuple[str, ...] = ()
) -> str:
    """Return SQL for all landed rows: keys, `_row`, a raw column per source.

    With `each`, the elements of that list as well: `_elements` (JSON[]), NULL where there is no list.
    """
    parts = []
    csv = [batch.path for batch in one.batches if batch.shape == "csv"]
    if csv:
        parts.append(_csv(engine, csv, sources, each))
    json = [batch.path for batch in one.batches if batch.shape == "json"]
    if json:
        parts.append(_json(json, sources, each))
    return " UNION ALL ".join(parts)


def _csv(
    engine: Engine, paths: Sequence[Path], sources: Sequence[Source], each: tuple[str, ...]
) -> str:
    relation = parquet_files(paths, _NUMBERED)
    present = {name.lower(): name for name in engine.columns(relation)}
    elements = ["NULL::JSON[] AS _elements"] if each else []
    return _select(relation, [*csv_columns(present, sources), *elements])


def _json(paths: Sequence[Path], sources: Sequence[Source], each: tuple[str, ...]) -> str:
    layout = Layout((path for s in sources for path in s.paths), [each] if each else [])
    parsed = layout.transform("record")
    relation = (
        f"(SELECT {KEYS}, file_row_number, {parsed} AS r FROM {parquet_files(paths, _NUMBERED)})"
    )
    elements = [f"{layout.elements('r', each)} AS _elements"] if each else []
    return _select(relation, [*json_columns(layout, "r", sources), *elements])


def _select(relation: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join([KEYS, 'file_row_number AS _row', *columns])} FROM {relation}"
