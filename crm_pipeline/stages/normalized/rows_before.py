"""The rows that some records had in a version, as far as they are in a part of its files.

Records that changed are spread over all files of a large table. To compare their values with those before, a sample is
enough. So only some row groups of the base are read, and what later versions wrote beside it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.model.names import quoted
from crm_pipeline.stages.normalized.arrivals import NotFromParent
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files

MOST_GROUPS = 12
"""So many row groups of the base are read, evenly spread: of a table with fewer of them, all."""
ENOUGH_ROWS = 120
"""Once so many rows are found no further row group is read."""

_APART = 3
_Group = tuple[pq.ParquetFile, int]


def rows_before(engine: Engine, version: TableVersion, keys: str) -> str:
    """Read rows of a version, and return their relation.

    Args:
        engine: runs the SQL.
        version: the version.
        keys: SQL for the keys whose rows are wanted, in the column of `version.key`.

    Raises:
        NotFromParent: a base file cannot be read.
    """
    [key] = version.key
    wanted = engine.arrow(f"SELECT {quoted(key)} FROM {keys}").column(0).combine_chunks()
    later = f"FROM {parquet_files(version.delta)} SEMI JOIN {keys} USING ({quoted(key)})"
    gone = " UNION ALL ".join(
        f"SELECT {quoted(key)} FROM {parquet_files(paths)}"
        for paths in (version.tombstones, version.delta)
        if paths
    )
    try:
        found = list(_in_base(version, key, wanted))
        rows = pa.concat_tables(found) if found else _schema(version).empty_table()
    except (OSError, pa.ArrowException) as error:
        raise NotFromParent(f"a file of the version before cannot be read: {error}") from error
    base = engine.load("rows before in base", rows)
    kept = f"FROM {base} ANTI JOIN ({gone}) USING ({quoted(key)})" if gone else f"FROM {base}"
    parts = f"{kept} UNION ALL BY NAME {later}" if version.delta else kept
    return engine.table("rows before", parts)


def _in_base(version: TableVersion, key: str, wanted: pa.Array) -> Iterator[pa.Table]:
    with ExitStack() as stack:
        files = [stack.enter_context(pq.ParquetFile(path)) for path in version.base]
        groups = [(file, n) for file in files for n in range(file.metadata.num_row_groups)]
        step = max(1, -(-len(groups) // MOST_GROUPS))
        found = 0
        for file, group in _spread(groups[::step]):
            here = pc.is_in(file.read_row_group(group, [key]).column(0), value_set=wanted)
            if pc.any(here).as_py():
                rows = file.read_row_group(group).filter(here)
                yield rows
                found += rows.num_rows
            if found >= ENOUGH_ROWS:
                return


def _spread(groups: Sequence[_Group]) -> Iterator[_Group]:
    """Yield row groups so that the first ones are from all parts of the files."""
    for start in range(_APART):
        yield from groups[start::_APART]


def _schema(version: TableVersion) -> pa.Schema:
    return pq.read_schema(version.base[0])
