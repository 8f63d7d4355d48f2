"""Which landed records were merged into others, where the vendor lists the losers of a merge in the winner's record.

Such a vendor marks no loser as deleted, so its last landed version looks alive. As in the normalized tables, a merge is
final: whatever landed version of a winner names a record, the record is gone. Records land as JSON at these vendors.
"""

import re
from collections.abc import Collection, Sequence

import pyarrow as pa

from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.json_paths import Path, pointer
from crm_pipeline.model.mapping import Merge
from crm_pipeline.model.names import literal
from crm_pipeline.settings import Connection
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables.engine import Engine, parquet_files


class MergedAway:
    """The losers of merges of one object, read once from each landed batch.

    Args:
        landing: where the object landed.
        connection: of the object.
        obj: its name.
    """

    def __init__(self, landing: Landing, connection: Connection, obj: str) -> None:
        self._landing = landing
        self._connection = connection.name
        self._object = obj
        entries = (e for e in connector(connection.vendor).mapping if e.object == obj)
        self._merges = tuple(dict.fromkeys(merge for entry in entries for merge in entry.merges))
        self._losers: set[str] = set()
        self._read: set[str] = set()

    def losers(self, engine: Engine, batches: Sequence[Manifest]) -> str:
        """Load the ids that winners name into a relation with `_source_id`, and return its name; "" for none.

        Args:
            engine: runs the SQL.
            batches: all landed ones of the object, checked.
        """
        if not self._merges:
            return ""
        fresh = [b for b in batches if b.shape == "json" and b.batch_id not in self._read]
        paths = self._paths({batch.schema_fingerprint for batch in fresh})
        if paths:
            named = engine.rows(f"SELECT DISTINCT loser FROM ({_named(fresh, paths)})")
            self._losers |= {loser for (loser,) in named}
        self._read |= {batch.batch_id for batch in fresh}
        if not self._losers:
            return ""
        ids = pa.table({"_source_id": pa.array(sorted(self._losers), pa.string())})
        return engine.load("audit merged away", ids)

    def _paths(self, fingerprints: Collection[str]) -> list[tuple[Merge, Path]]:
        """Return the lists of losers, and where records with these descriptions have them."""
        schemas = [
            self._landing.schema(self._connection, self._object, name)
            for name in sorted(fingerprints)
        ]
        found = {
            (merge, field.keys): None
            for schema in schemas
            for merge in self._merges
            if (field := schema.by_name.get(merge.source)) is not None
        }
        return list(found)


def _named(batches: Sequence[Manifest], paths: Sequence[tuple[Merge, Path]]) -> str:
    """Return SQL for the ids that records name as merged into themselves, of those that name any."""
    rows = parquet_files([batch.path for batch in batches])
    parts = []
    for merge, path in paths:
        # Most records name none, and to parse one takes longer than to look for a text in it.
        filled = literal(f'"{re.escape(path[-1])}"\\s*:\\s*"[^"]')
        listed = f"TRY(json_extract_string(record, {pointer(path)}))"
        part = f"split_part(p, {literal(merge.until)}, 1)" if merge.until else "p"
        ids = f"list_transform(string_split({listed}, {literal(merge.separator)}), lambda p: trim({part}))"
        parts.append(
            f"SELECT _source_id, unnest({ids}) AS loser FROM {rows} WHERE regexp_matches(record, {filled})"
        )
    named = " UNION ALL ".join(parts)
    return f"SELECT loser FROM ({named}) WHERE loser <> '' AND loser <> _source_id"
