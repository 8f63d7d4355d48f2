"""The values that have landed, one digest for each name of each live record, compared with the vendor's in sets."""

from collections.abc import Collection, Sequence

import pyarrow as pa

from crm_pipeline.connectors.unstamped import UnstampedList
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.settings import Connection
from crm_pipeline.stages.raw.audit.landed import landed_keys
from crm_pipeline.stages.raw.new_fields.backfill import temporary_folder
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables.engine import Engine, parquet_files

_NONE = "(SELECT '' AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, '' AS _batch_id, 0 AS _row WHERE false)"


def folded_records(engine: Engine, landing: Landing, connection: Connection, obj: str) -> str:
    """Compute which landed version of each live record counts, as `live_records` does, by the rules of audits.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    batches = landing.batches(connection.name, obj)
    with temporary_folder(landing) as folder:
        keys = landed_keys(engine, landing, connection, obj, folder / "live.parquet")
        return live_records(engine, batches, keys.relation)


def live_records(engine: Engine, batches: Sequence[Manifest], alive: str) -> str:
    """Compute where the landed version of each live record that counts stands, and return the name of the relation.

    It has `_source_id`, `_modified_at`, `_batch_id`, `_row`, and `_place`: an order in which they can be compared and that
    can be kept without keeping an id. Batches of both shapes count.

    Args:
        engine: runs the SQL.
        batches: all landed ones of the object.
        alive: SQL for `id` and `batch_id` of the versions of live records that count.
    """
    # A batch that has a record twice has its last version behind the others.
    live = (
        f"(SELECT _source_id, _modified_at, _batch_id, file_row_number AS _row FROM {rows_of(batches)} AS k "
        f"SEMI JOIN {alive} AS a ON k._source_id = a.id AND k._batch_id = a.batch_id WHERE NOT _deleted "
        "QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY _modified_at DESC NULLS LAST, _row DESC) = 1)"
    )
    source = live if batches else _NONE
    return engine.table("live records", f"SELECT *, md5(_source_id) AS _place FROM {source}")


def rows_of(batches: Sequence[Manifest]) -> str:
    """Return SQL that reads batches, with the number of each row in its file."""
    return parquet_files([batch.path for batch in batches], ", file_row_number = true")


class LandedValues:
    """The values of one object as landed.

    Args:
        engine: of one piece of work.
        batches: all landed ones of the object, checked.
        values: which values, and where records hold them.
        live: the relation with the live records, see `live_records`.
    """

    def __init__(
        self, engine: Engine, batches: Sequence[Manifest], values: UnstampedList, live: str
    ) -> None:
        self._engine = engine
        self._values = values
        self._live = live
        self._digests = engine.table("landed digests", self._digest(self._elements(batches)))

    def ids(self, after: str, size: int) -> tuple[list[str], str]:
        """Return the ids of the next live records after a place, and the place of the last one."""
        rows = self._engine.rows(
            f"SELECT _source_id, _place FROM {self._live} WHERE _place > ? ORDER BY 2 LIMIT {size}",
            [after],
        )
        return [row[0] for row in rows], rows[-1][1] if rows else after

    def having(self, ids: Collection[str]) -> int:
        """Return how many of some records have landed with values."""
        if not ids:
            return 0
        asked = self._engine.load("asked", pa.table({"source_id": pa.array(ids, pa.string())}))
        counted = f"SELECT count(DISTINCT source_id) FROM {self._digests} SEMI JOIN {asked} USING (source_id)"
        return int(self._engine.row(counted)[0])

    def differing(self, ids: Sequence[str], present: pa.Table) -> list[str]:
        """Return those of some ids whose landed values are not the present ones.

        Args:
            ids: of the records that were asked about.
            present: their values, see `PresentValues.rows`.
        """
        asked = self._engine.load("asked", pa.table({"source_id": pa.array(ids, pa.string())}))
        rows = self._engine.load("present", present)
        element = ", ".join(
            f"{quoted(key)} := {column}"
            for key, column in (
                (self._values.name, "name"),
                *((part, quoted(part)) for part in self._values.parts),
            )
        )
        packed = f"SELECT source_id, struct_pack({element}) AS element FROM {rows}"
        vendor = self._engine.view("present digests", self._digest(packed))
        names = ", ".join(map(literal, self._values.names))
        landed = f"SELECT * FROM {self._digests} SEMI JOIN {asked} USING (source_id) WHERE name IN ({names})"
        found = self._engine.rows(
            f"SELECT DISTINCT source_id FROM ({landed}) AS l FULL JOIN {vendor} AS v USING (source_id, name) "
            "WHERE l.digest IS DISTINCT FROM v.digest ORDER BY 1"
        )
        return [row[0] for row in found]

    def _elements(self, batches: Sequence[Manifest]) -> str:
        """Return SQL for the elements of the lists of live records; a record without a list has none."""
        if not _json(batches):
            return "SELECT '' AS source_id, NULL AS element WHERE false"
        form = ", ".join(f'"{key}":"VARCHAR"' for key in (self._values.name, *self._values.parts))
        path = literal(f'$."{self._values.key}"')
        # A record that is no JSON has no values: it differs, and is read again.
        listed = f"TRY(from_json(json_extract(s.record, {path}), '[{{{form}}}]'))"
        return (
            f"SELECT s._source_id AS source_id, unnest({listed}) AS element "
            f"FROM (SELECT *, file_row_number AS _row FROM {_files(batches)}) AS s "
            f"SEMI JOIN {self._live} AS l ON s._batch_id = l._batch_id AND s._row = l._row"
        )

    def _digest(self, elements: str) -> str:
        """Return SQL for one digest of each name of each record: the same for the same elements in any order."""
        return (
            f"SELECT source_id, element.{quoted(self._values.name)} AS name, "
            f"hash(list_sort(list(DISTINCT element))) AS digest FROM ({elements}) "
            f"WHERE element IS NOT NULL GROUP BY ALL"
        )


def _json(batches: Sequence[Manifest]) -> list[Manifest]:
    return [batch for batch in batches if batch.shape == "json"]


def _files(batches: Sequence[Manifest]) -> str:
    return rows_of(_json(batches))
