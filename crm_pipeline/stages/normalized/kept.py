"""What is kept beside a version, so that the next one can be made from what has landed since.

A version of a table whose rows are records has four kinds of files beside its rows:

- `kept`, and `kept_delta` with what later versions replaced in it: of each record the landed versions that can still
  decide which one counts, by two hashes of its object and id. `_is_best` is the one that counts, `_is_seen` is as in
  `fold.folded`, and `_is_many` says that its batch has several versions of the record.
- `odd`: the rows that are deleted, break a rule, or have a value that does not fit its column.
- `places`: the landed batches that the version was made of, with their numbers of rows.
- `mergers`: what records say of those that were merged into them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.contracts.rules import RowRule
from crm_pipeline.model.contracts import LIVE
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.ranking import ORDER, Ranking
from crm_pipeline.stages.normalized.sources import merge_sources
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys
from crm_pipeline.store import files
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files

_MERGER = "loser VARCHAR, winner VARCHAR, _modified_at TIMESTAMPTZ, _batch_id VARCHAR"
KEPT_VERSION = 1
"""To be raised when what is kept has another form: versions of before are followed by a whole one then."""
NOTHING_KEPT = (
    "SELECT 0::UBIGINT AS _h1, 0::UINTEGER AS _h2, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, "
    "NULL::TIMESTAMPTZ AS _extracted_at, '' AS _batch_id, 0::BIGINT AS _row, true AS _is_best, true AS _is_seen, "
    "false AS _is_many WHERE false"
)
"""SQL for no versions."""
NO_MERGERS = f"(SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in (c.split() for c in _MERGER.split(', ')))} WHERE false)"
"""SQL for no mergers."""


def hashes(obj: str, source_id: str = "_source_id") -> str:
    """Return SQL for the two hashes of a record: together they tell records apart."""
    name = literal(obj)
    return (
        f"hash({name}, {source_id}) AS _h1, (hash({source_id}, {name}, 1) >> 32)::UINTEGER AS _h2"
    )


def deciding(versions: str) -> str:
    """Return SQL for those of ranked versions that can still decide, whatever lands later, with `_is_best`.

    Beside the version that counts these are the best live one, the live ones with the last places, of all reads and of
    whole reads, the last tombstone without a modification time, and all tombstones with one.

    Args:
        versions: the relation of all versions of some records, as `ranking.marked` has them.
    """
    own = "PARTITION BY _source_id"
    last = f"max(_place) FILTER (WHERE {{}}) OVER ({own})"
    return (
        f"SELECT *, count(*) OVER ({own}, _batch_id) > 1 AS _is_many FROM {versions} QUALIFY _is_best "
        "OR (_deleted AND _modified_at IS NOT NULL) "
        f"OR (_is_unstamped AND _place = {last.format('_is_unstamped')}) "
        f"OR (NOT _deleted AND (row_number() OVER ({own}, _deleted ORDER BY _modified_at DESC NULLS LAST, _place DESC) = 1 "
        f"OR _place = {last.format('NOT _deleted')} OR (_is_whole AND _place = {last.format('NOT _deleted AND _is_whole')})))"
    )


def with_best(versions: str) -> str:
    """Return SQL for versions, as `ranking.marked` has them, with `_is_best`."""
    best = f"row_number() OVER (PARTITION BY _source_id ORDER BY {ORDER}) = 1"
    return f"(SELECT *, {best} AS _is_best FROM {versions})"


def kept_of(landed: ObjectInput, ranking: Ranking, seen: str) -> str:
    """Return SQL for what is kept of an object in a version that is made of all that has landed.

    Args:
        landed: the object.
        ranking: of all its versions.
        seen: SQL for whether a record counts as seen.
    """
    once = (
        f" ANTI JOIN {ranking.repeated} AS r ON hash(k._source_id) = r._hash"
        if ranking.repeated
        else ""
    )
    names = f"{hashes(landed.object)}, _modified_at, _deleted, _extracted_at, _batch_id"
    single = (
        # Of a record that is in a batch once, the row says nothing.
        f"SELECT {names}, 0::BIGINT AS _row, true AS _is_best, {seen} AS _is_seen, false AS _is_many "
        f"FROM {all_keys(landed.batches)} AS k{once} WHERE {HAS_ID}"
    )
    parts = [single]
    if ranking.versions:
        parts.append(
            f"SELECT {names}, _row, _is_best, {seen} AS _is_seen, _is_many "
            f"FROM ({deciding(with_best(ranking.versions))})"
        )
    return " UNION ALL ".join(parts)


def odd_of(rows: str, key: str, rules: Iterable[RowRule]) -> str:
    """Return SQL for the rows that are deleted, break one of the rules, or have a value that does not fit its column.

    Args:
        rows: SQL for rows of the table.
        key: the key column.
        rules: those that some row may break; without those about several rows.
    """
    where = {rule.name: rule.where(f"({LIVE})") for rule in rules}
    broken = ", ".join(f"CASE WHEN {sql} THEN {literal(name)} END" for name, sql in where.items())
    failed = f"list_filter([{broken}], lambda n: n IS NOT NULL)" if broken else "[]"
    is_odd = " OR ".join(
        ["is_deleted IS DISTINCT FROM false", "unconverted IS NOT NULL", *where.values()]
    )
    return (
        f"SELECT {quoted(key)} AS record_key, object, source_id, batch_id, is_deleted, "
        f"{failed}::VARCHAR[] AS failed, unconverted FROM {rows} WHERE {is_odd}"
    )


def last_mergers(mergers: str) -> str:
    """Return SQL for mergers, of those of one winner about one loser the last one."""
    return (
        f"SELECT loser, winner, max(_modified_at) AS _modified_at, max(_batch_id) AS _batch_id FROM {mergers} "
        "WHERE loser <> '' GROUP BY loser, winner"
    )


def mergers_in(landed: ObjectInput) -> str:
    """Return SQL for the mergers that were found when the records of an object were folded; "" for none."""
    if not (landed.batches and merge_sources(landed.entry, landed.linked)):
        return ""
    mergers = quoted(f"{landed.name} mergers")
    return f"SELECT {literal(landed.object)} AS object, * FROM ({last_mergers(mergers)})"


Counts = dict[tuple[str, str], tuple[int, int]]
"""Numbers of rows and of live rows by object and batch."""


def places_table(
    inputs: Iterable[ObjectInput], counts: Mapping[tuple[str, str], tuple[int, int]]
) -> pa.Table:
    """Return the landed batches of a version with their numbers of rows."""
    rows = [
        {
            "object": landed.object,
            "name": name,
            "batch_id": place.batch_id,
            "rows": rows,
            "live": live,
        }
        for landed in inputs
        for name, place in zip(landed.batch_names, landed.places, strict=True)
        for rows, live in [counts.get((landed.object, place.batch_id), (0, 0))]
    ]
    schema = pa.schema(
        {
            "object": pa.string(),
            "name": pa.string(),
            "batch_id": pa.string(),
            "rows": pa.int64(),
            "live": pa.int64(),
        }
    )
    return pa.Table.from_pylist(rows, schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a small table that was made in Python.

    Raises:
        StoreError: the disk is full or not writable.
    """
    with files.explained(path):
        pq.write_table(table, path, compression="zstd")


def counts_by_batch(engine: Engine, rows: str) -> Counts:
    """Return the numbers of rows and live rows of a table by object and batch."""
    sql = f"SELECT object, batch_id, count(*), count(*) FILTER (WHERE {LIVE}) FROM {rows} GROUP BY ALL"
    return {(obj, batch): (int(n), int(live)) for obj, batch, n, live in engine.rows(sql)}


def stored_places(version: TableVersion) -> list[Mapping[str, object]]:
    """Return what `places_table` wrote with a version."""
    tables = []
    for path in version.beside["places"]:
        # `read_table` would import pandas, which takes longer than the rest.
        with pq.ParquetFile(path) as file:
            tables.append(file.read())
    rows: list[Mapping[str, object]] = pa.concat_tables(tables).to_pylist()
    return rows


def stored(version: TableVersion, part: str) -> str:
    """Return SQL for the rows of files beside a version; "" where it has none."""
    paths: Sequence[Path] = next((p for name, p in version.beside.items() if name == part), ())
    return parquet_files(paths) if paths else ""
