"""SQL for all landed versions of an object's records, of both shapes, as one relation."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from crm_pipeline.model.json_paths import Layout
from crm_pipeline.model.names import quoted
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.narrow import narrowed
from crm_pipeline.stages.normalized.reading import Source, csv_columns, json_columns
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.records import STATE_COLUMNS, landed_name
from crm_pipeline.store.tables.engine import Engine, parquet_files

KEYS = "_source_id, _modified_at, _deleted, _extracted_at, _batch_id"
HAS_ID = "_source_id IS NOT NULL AND _source_id <> ''"
IS_OBJECT = "(starts_with(record, '{') OR starts_with(ltrim(record, ' \t\r\n'), '{'))"
"""SQL that is true for texts that are a JSON object, if they are JSON at all."""
IS_READABLE = f"coalesce(json_valid(record) AND {IS_OBJECT}, false)"
"""SQL that is true for records that can be read."""
_NUMBERED = ", file_row_number = true"
# Other JSON would be read as an object without fields. An empty text is no JSON and stops the build.
_TRUSTED = f"CASE WHEN {IS_OBJECT} THEN record ELSE '' END"
_READABLE = f"CASE WHEN {IS_READABLE} THEN record END"


def all_keys(batches: Sequence[Manifest]) -> str:
    """Return SQL for the keys of all rows of batches, with `_row`, the row's position in its batch."""
    relation = parquet_files([batch.path for batch in batches], _NUMBERED)
    return f"(SELECT {KEYS}, file_row_number AS _row FROM {relation})"


def json_records(batches: Sequence[Manifest]) -> str | None:
    """Return SQL for the rows of JSON batches as landed, with `_row`; None where there are none."""
    paths = [batch.path for batch in batches if batch.shape == "json"]
    if not paths:
        return None
    relation = parquet_files(paths, _NUMBERED)
    return f"(SELECT * RENAME (file_row_number AS _row) FROM {relation})"


def versions(
    engine: Engine,
    landed: ObjectInput,
    sources: Sequence[Source],
    *,
    each: tuple[str, ...] = (),
    only: str = "",
) -> str:
    """Return SQL for all landed rows: keys, `_row`, a raw column per source.

    With `each`, the elements of that list as well: `_elements` (JSON[]), NULL where there is no list.
    With `only`, a relation with `_source_id`, the rows of these ids: no other record is parsed.
    A record that cannot be read has no texts if `landed.unread` is set; else it stops the query.
    """
    elements = ["NULL::JSON[] AS _elements"] if each else []
    parts = []
    csv = narrowed(engine, [batch for batch in landed.batches if batch.shape == "csv"])
    for relation, present in _csv(engine, landed, csv) if csv else ():
        parts.append(_select(_of(relation, only), [*csv_columns(present, sources), *elements]))
    json = narrowed(engine, [batch for batch in landed.batches if batch.shape == "json"])
    if json:
        parts.append(_json(landed, json, sources, each, only))
    return " UNION ALL ".join(parts)


def _csv(
    engine: Engine, landed: ObjectInput, paths: Sequence[Path]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield relations, each with the column for each of the vendor's names."""
    named = {name for linked in landed.linked.all for name in linked.columns}
    if landed.linked.are_plain:
        relation = parquet_files(paths, _NUMBERED)
        folded = {name.lower(): name for name in engine.columns(relation)}
        yield relation, {name: folded[name.lower()] for name in named if name.lower() in folded}
        return
    # By position instead of name: to DuckDB, names that differ in case only are one column.
    forms: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        forms.setdefault(tuple(pq.read_schema(path).names), []).append(path)
    for columns, files in forms.items():
        raw = columns[len(STATE_COLUMNS) :]
        aliases = [*STATE_COLUMNS, *(f"c{index}" for index in range(len(raw)))]
        listed = ", ".join(map(quoted, (*aliases, "file_row_number")))
        relation = f"{parquet_files(files, _NUMBERED)} AS csv({listed})"
        aliases_of = dict(zip(raw, aliases[len(STATE_COLUMNS) :], strict=True))
        yield (
            relation,
            {n: aliases_of[landed_name(n)] for n in named if landed_name(n) in aliases_of},
        )


def _json(
    landed: ObjectInput,
    paths: Sequence[Path],
    sources: Sequence[Source],
    each: tuple[str, ...],
    only: str,
) -> str:
    layout = Layout((path for s in sources for path in s.paths), [each] if each else [])
    parsed = layout.columns(_READABLE if landed.unread else _TRUSTED, "r")
    rows = _of(parquet_files(paths, _NUMBERED), only)
    relation = f"(SELECT {KEYS}, file_row_number, {parsed} FROM {rows})"
    elements = [f"{layout.elements('r', each)} AS _elements"] if each else []
    return _select(relation, [*json_columns(layout, "r", sources), *elements])


def _of(relation: str, only: str) -> str:
    """Return SQL for the rows of some ids; all rows where no relation with ids is given."""
    return f"(FROM {relation} SEMI JOIN {only} USING (_source_id))" if only else relation


def _select(relation: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join([KEYS, 'file_row_number AS _row', *columns])} FROM {relation}"
