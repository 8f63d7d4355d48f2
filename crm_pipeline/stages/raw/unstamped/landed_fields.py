"""The landed values of some fields, one digest for each live record, compared with lists of the vendor in sets.

Values are compared by their texts as landed: a number is no text, and no value is something else than a field that was
not read. A list and a landed record may have different shapes, JSON and CSV, which write the same value differently;
these are compared by the values that the texts stand for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import pyarrow as pa

from crm_pipeline.model.json_paths import pointer
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.schema import Field
from crm_pipeline.stages.raw.unstamped.landed import rows_of
from crm_pipeline.store.landing.manifest import Manifest, Shape
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP, landed_name
from crm_pipeline.store.tables.engine import Engine

_NUMBERS = frozenset({"integer", "decimal", "double"})
_NONE = (
    "SELECT '' AS source_id, NULL::TIMESTAMPTZ AS modified_at, '' AS shape, 0::UBIGINT AS exact, 0::UBIGINT AS loose "
    "WHERE false"
)
_DIFFERS = "CASE WHEN l.shape = p.shape THEN l.exact <> p.exact ELSE l.loose <> p.loose END"
_SAME_TIME = "l.modified_at IS NOT DISTINCT FROM p.modified_at"
_SECOND = timedelta(seconds=1)


class LandedFields:
    """The values of some fields of one object as landed; safe with threads.

    Args:
        engine: of one piece of work.
        batches: all landed ones of the object, checked.
        fields: the fields whose values are compared.
        live: the relation with the live records, see `landed.live_records`.
    """

    def __init__(
        self, engine: Engine, batches: Sequence[Manifest], fields: Sequence[Field], live: str
    ) -> None:
        self._engine = engine
        self._fields = fields
        self._lock = Lock()
        parts = []
        shapes: tuple[Shape, ...] = ("json", "csv")
        for shape in shapes:
            own = [batch for batch in batches if batch.shape == shape]
            if own:
                rows = f"(SELECT *, file_row_number AS _row FROM {rows_of(own)})"
                newest = f"(SELECT s.* FROM {rows} AS s SEMI JOIN {live} AS l ON s._batch_id = l._batch_id AND s._row = l._row)"
                parts.append(self._digests(newest, shape, engine.columns(rows)))
        self._landed = engine.table("landed fields", " UNION ALL ".join(parts) or _NONE)
        self._span = self._landed
        self._differing = engine.table("differing", "SELECT '' AS source_id WHERE false")
        self._listed = engine.table("listed", "SELECT '' AS source_id WHERE false")

    def count(self, begin: datetime | None = None, end: datetime | None = None) -> int:
        """Return how many live records were modified in a span; all of them by default.

        Records without a time count in a span without a begin.
        """
        return int(
            self._engine.row(f"SELECT count(*) FROM {self._landed} WHERE {_within(begin, end)}")[0]
        )

    @property
    def has_undated(self) -> bool:
        """Whether live records have no modification time."""
        return bool(
            self._engine.rows(f"SELECT 1 FROM {self._landed} WHERE modified_at IS NULL LIMIT 1")
        )

    def begin(self) -> datetime | None:
        """Return the whole second of the oldest modification; None where no record has a time."""
        [first] = self._engine.row(f"SELECT min(modified_at) FROM {self._landed}")
        return first.replace(microsecond=0) if first else None

    def end(self, begin: datetime, records: int) -> tuple[datetime, bool]:
        """Return the end of a span of about so many records, in whole seconds, and whether it is the last one.

        A second is never divided, so a span may have more records.
        """
        at = f"SELECT modified_at FROM {self._landed} WHERE {_within(begin, None)} ORDER BY 1"
        beyond = self._engine.rows(f"{at} LIMIT 1 OFFSET {records}")
        if beyond:
            edge = max(beyond[0][0].replace(microsecond=0), begin + _SECOND)
            if self.count(edge):
                return edge, False
        [last] = self._engine.row(f"SELECT max(modified_at) FROM {self._landed}")
        newest = last.replace(microsecond=0) if last else begin
        return max(newest, begin) + _SECOND, True

    def start(self, begin: datetime | None = None, end: datetime | None = None) -> None:
        """Begin the comparison of a span, by default of everything, and forget what lists had so far."""
        rows = f"SELECT * FROM {self._landed} WHERE {_within(begin, end)}"
        self._span = self._engine.table("landed span", rows)
        self._engine.run(f"DELETE FROM {self._differing}")
        self._engine.run(f"DELETE FROM {self._listed}")

    def compare(self, rows: pa.Table, shape: Shape) -> None:
        """Note which records of a list have landed in the span, and which of them have other values there.

        A record that was modified after it landed is left to the refresh, which sees the modification.

        Args:
            rows: of the list: key columns and fields, see `store.landing.records`.
            shape: of the list.
        """
        with self._lock:
            present = self._present(rows, shape)
            known = f"FROM {present} AS p JOIN {self._span} AS l USING (source_id)"
            self._engine.run(f"INSERT INTO {self._listed} SELECT source_id {known}")
            self._engine.run(
                f"INSERT INTO {self._differing} SELECT source_id {known} WHERE {_SAME_TIME} AND {_DIFFERS}"
            )

    @property
    def listed(self) -> int:
        """The number of landed records that the lists had, each once."""
        return int(self._engine.row(f"SELECT count(DISTINCT source_id) FROM {self._listed}")[0])

    @property
    def differing(self) -> int:
        """The number of records whose values differ."""
        return int(self._engine.row(f"SELECT count(DISTINCT source_id) FROM {self._differing}")[0])

    def differing_ids(self, after: str, most: int) -> list[str]:
        """Return the ids of records whose values differ, in the order of the ids, from the one after `after`."""
        rows = self._engine.rows(
            f"SELECT DISTINCT source_id FROM {self._differing} WHERE source_id > ? ORDER BY 1 LIMIT {most}",
            [after],
        )
        return [row[0] for row in rows]

    def news(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the records of a JSON batch, read by their ids, that have to land.

        That are marks of deletion, records that were modified since they landed, and those whose values still differ.
        What is older than the landed version is left out.
        """
        with self._lock:
            present = self._present(pa.Table.from_batches([batch]), "json", every=True)
            is_new = (
                "p.is_deleted OR l.source_id IS NULL OR p.modified_at > l.modified_at OR "
                f"(coalesce(p.modified_at = l.modified_at, true) AND {_DIFFERS})"
            )
            rows = self._engine.rows(
                f"SELECT source_id FROM {present} AS p LEFT JOIN {self._landed} AS l USING (source_id) WHERE {is_new}"
            )
        wanted = {row[0] for row in rows}
        mask = [one in wanted for one in batch.column("_source_id").to_pylist()]
        return batch.filter(pa.array(mask, pa.bool_()))

    def _present(self, rows: pa.Table, shape: Shape, *, every: bool = False) -> str:
        names = {"json": ["record"], "csv": [landed_name(field.name) for field in self._fields]}
        kept = [name for name in (*KEY_COLUMNS, *names[shape]) if name in rows.column_names]
        loaded = self._engine.load("present rows", _plain(rows.select(kept)))
        live = loaded if every else f"(SELECT * FROM {loaded} WHERE NOT _deleted)"
        return self._engine.table("present fields", self._digests(live, shape, kept))

    def _digests(self, rows: str, shape: Shape, columns: Sequence[str] | dict[str, str]) -> str:
        """Return SQL for a row of digests for each record."""
        if shape == "json":
            paths = ", ".join(pointer(field.keys) for field in self._fields)
            # A record that is no JSON has no values, so it differs.
            values = f"TRY(json_extract(record, [{paths}]))"
            exact = "list_transform(v, lambda x: x::VARCHAR)"
            loose = [
                f"CASE WHEN v[{n}] IS NULL THEN NULL ELSE coalesce(v[{n}] ->> '$', '') END"
                for n in range(1, len(self._fields) + 1)
            ]
        else:
            cells = [
                quoted(name) if (name := landed_name(field.name)) in columns else "NULL"
                for field in self._fields
            ]
            values = f"[{', '.join(f'{cell}::VARCHAR' for cell in cells)}]"
            exact = "v"
            loose = [f"v[{n}]" for n in range(1, len(cells) + 1)]
        meant = ", ".join(
            _meant(field, text) for field, text in zip(self._fields, loose, strict=True)
        )
        return (
            f"SELECT _source_id AS source_id, _modified_at AS modified_at, _deleted AS is_deleted, {literal(shape)} AS shape, "
            f"hash({exact}) AS exact, hash([{meant}]) AS loose "
            f"FROM (SELECT _source_id, _modified_at, _deleted, {values} AS v FROM {rows})"
        )


def _meant(field: Field, text: str) -> str:
    """Return SQL for one text of a value, however the shape writes it; "" is no value."""
    if field.common_type in _NUMBERS:
        number = f"coalesce(TRY_CAST({text} AS DECIMAL(38, 12))::VARCHAR, TRY_CAST({text} AS DOUBLE)::VARCHAR)"
        return f"coalesce({number}, {text})"
    if field.common_type == "timestamp":
        return f"coalesce(TRY_CAST({text} AS TIMESTAMPTZ)::VARCHAR, {text})"
    return f"lower({text})" if field.common_type == "boolean" else text


def _within(begin: datetime | None, end: datetime | None) -> str:
    parts = []
    if begin is not None:
        parts.append(f"modified_at >= TIMESTAMPTZ {literal(begin.isoformat())}")
    if end is not None:
        before = f"modified_at < TIMESTAMPTZ {literal(end.isoformat())}"
        parts.append(before if begin is not None else f"({before} OR modified_at IS NULL)")
    return " AND ".join(parts) or "true"


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows with texts as DuckDB takes them, whatever their encoding."""
    types = {"_modified_at": TIMESTAMP, "_deleted": pa.bool_()}
    return pa.table(
        {name: rows.column(name).cast(types.get(name, pa.string())) for name in rows.column_names}
    )
