"""Read the keys of landed records again under the connector's current rules, and retry quarantined records.

A connector extracts the keys of its records: id, modification time, deletion mark (`RecordKeys`). Its rules have
a version. Batches that landed under another version are read again, once: if a key differs, a copy of the batch
with the new keys is written, and tables are built from the copy. Records in quarantine are retried in the same
way. Originals stay unchanged. The results are kept in landing for batches and in quarantine for quarantined
records, see `store.landing.rereads`.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.model.schema import Schema
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import Landing, records
from crm_pipeline.store.landing.corruption import damaged_batch
from crm_pipeline.store.landing.manifest import Manifest, Shape, WindowCommit
from crm_pipeline.store.landing.origins import Place, microseconds, ordered
from crm_pipeline.store.landing.rejects import Reject, SetAside, read_rejects
from crm_pipeline.store.landing.rereads import Copy, Rereads

_ROWS = 20_000
_BEHIND = 1 << 40
"""Recovered records are folded behind the batches of their window, of which no window has so many."""


@dataclass(frozen=True)
class Reread:
    """The committed batches of an object with their current keys.

    Attributes:
        batches: the files, in the order of their commits.
        places: the landed batches that the files hold, in fold order; recovered records follow the batches of
            their window.
        recovered: number of quarantined records that can be read now, by commit.
    """

    batches: tuple[Manifest, ...]
    places: tuple[Place, ...]
    recovered: dict[str, int]


class Rereader:
    """Reads the batches of one object again where the rules of their keys have changed.

    Args:
        landing: where the batches are.
        connection: the connection of the object.
        obj: the object.
        keys: the current rules; None leaves everything as it landed.
    """

    def __init__(
        self, landing: Landing, connection: str, obj: str, keys: RecordKeys | None
    ) -> None:
        self._landing = landing
        self._connection = connection
        self._object = obj
        self._keys = keys

    def read(self, windows: Sequence[WindowCommit]) -> Reread:
        """Return the batches of committed windows, read again where that is due.

        Raises:
            CorruptFile: a batch is damaged.
            StoreError: the disk is full or not writable.
        """
        keys = self._keys
        places = self._landing.places(self._connection, self._object, windows)
        if keys is None:
            batches = tuple(batch for window in windows for batch in window.batches)
            return Reread(batches, tuple(places), {})
        landed = Rereads(self._landing.folder(self._connection, self._object), keys.version)
        quarantine = self._landing.quarantine(self._connection, self._object)
        quarantined, kept = Rereads(quarantine, keys.version), quarantine_files(quarantine)
        landed.keep_only({batch.batch_id for window in windows for batch in window.batches})
        found: list[Manifest] = []
        recovered: dict[str, int] = {}
        try:
            for window in windows:
                found += [self._current(batch, landed, keys) for batch in window.batches]
                paths = [path for name in window.rejected_ids for path in kept.get(name, ())]
                readable = self._recovered(window, paths, quarantined, keys)
                if readable:
                    found += readable
                    recovered[window.window_id] = sum(batch.records for batch in readable)
                    places += self._recovered_places(window, readable)
        finally:  # results from before a failure are kept
            landed.save()
            quarantined.save()
        return Reread(tuple(found), tuple(ordered(places)), recovered)

    def _recovered_places(
        self, window: WindowCommit, readable: Sequence[Manifest]
    ) -> Iterator[Place]:
        """Yield the places of recovered records: behind the batches of the window in which they were quarantined."""
        committed = {window.window_id: (window.committed_at, window.complete)}
        if window.origins:
            merged = self._landing.merged_commits(self._connection, self._object, window)
            committed = {one.window_id: (one.committed_at, one.complete) for one, _ in merged}
        for batch in readable:
            window_id = batch.batch_id.rpartition("-")[0]
            at, is_complete = committed[window_id]
            sequence = _BEHIND + int(batch.batch_id.rpartition("-")[2])
            name = batch.batch_id
            yield Place(microseconds(at), window_id, sequence, name, name, is_complete)

    def _current(self, batch: Manifest, landed: Rereads, keys: RecordKeys) -> Manifest:
        if batch.reader == keys.version:
            return batch
        if not landed.is_known(batch.batch_id):
            if (damage := damaged_batch([batch])) is not None:
                raise damage
            schema = self._schema(batch.schema_fingerprint)
            path = landed.path(batch.batch_id)
            landed.note(batch.batch_id, _written(path, self._rekeyed(batch, schema, keys)))
        copy = landed.copy(batch.batch_id)
        if copy is None:
            return batch
        return replace(
            batch,
            path=landed.path(batch.batch_id),
            sha256=copy.sha256,
            bytes=copy.bytes,
            reader=keys.version,
        )

    def _schema(self, fingerprint: str) -> Schema:
        return self._landing.schema(self._connection, self._object, fingerprint)

    def _rekeyed(
        self, batch: Manifest, schema: Schema, keys: RecordKeys
    ) -> Iterator[pa.RecordBatch] | None:
        """Return a batch with its current keys; None where they have not changed."""

        def again() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
            with pq.ParquetFile(batch.path) as file:
                for part in file.iter_batches(_ROWS):
                    yield (
                        part,
                        keys.of(
                            batch.object,
                            schema,
                            part.select(records.raw_names(part)),
                            shape=batch.shape,
                            route=batch.route,
                            origin=batch.origin if batch.reader else None,
                            deleted=part.column("_deleted"),
                        ),
                    )

        names = list(records.KEY_COLUMNS)
        if all(part.select(names).equals(fresh.select(names)) for part, fresh in again()):
            return None
        return (_with_keys(part, fresh) for part, fresh in again())

    def _recovered(
        self, window: WindowCommit, paths: Sequence[Path], quarantined: Rereads, keys: RecordKeys
    ) -> list[Manifest]:
        manifests = []
        for path in paths:
            batch_id = path.stem
            if not quarantined.is_known(batch_id):
                facts, rejects = read_rejects(path)
                parts = self._retried(batch_id, facts, rejects, keys)
                quarantined.note(batch_id, _written(quarantined.path(batch_id), parts, facts))
            copy = quarantined.copy(batch_id)
            if copy is not None and copy.aside is not None:
                manifests.append(_recovered_manifest(window, path, quarantined, copy, copy.aside))
        return manifests

    def _retried(
        self, batch_id: str, facts: SetAside, rejects: Sequence[Reject], keys: RecordKeys
    ) -> Iterator[pa.RecordBatch] | None:
        """Return the records of a quarantine file that can be read now; None where there are none."""
        schema = self._schema(facts.schema_fingerprint)
        raw = _raw_of(rejects, facts.shape, schema)
        if raw is None:
            return None
        fresh = keys.of(
            self._object,
            schema,
            raw,
            shape=facts.shape,
            route=facts.route or "",
            origin=facts.origin,
            deleted=None,
        )
        is_readable = fresh.column("_source_id").is_valid()
        fresh, raw = fresh.filter(is_readable), raw.filter(is_readable)
        if fresh.num_rows == 0:
            return None
        at = parse_instant(facts.extracted_at or facts.quarantined_at)
        return iter([self._landed(fresh, raw, batch_id, at)])

    @staticmethod
    def _landed(
        keys: pa.RecordBatch, raw: pa.RecordBatch, batch_id: str, at: datetime
    ) -> pa.RecordBatch:
        """Return records as a landed batch has them."""
        names = [*records.KEY_COLUMNS, *raw.schema.names]
        keyed = pa.RecordBatch.from_arrays(
            [*(keys.column(name) for name in records.KEY_COLUMNS), *raw.columns], names=names
        )
        return records.finished(
            keyed,
            batch_id=batch_id,
            extracted_at=pa.scalar(at, records.TIMESTAMP),
            hasher=records.RecordHasher(),
        )


def quarantine_files(folder: Path) -> dict[str, list[Path]]:
    """Return the quarantine files of each window, including those of which only the manifest is left."""
    paths = {path.with_suffix(".parquet") for path in folder.glob("????-??/*.*")}
    by_window: dict[str, list[Path]] = {}
    for path in sorted(paths):
        by_window.setdefault(path.stem.rpartition("-")[0], []).append(path)
    return by_window


def _written(
    path: Path, parts: Iterator[pa.RecordBatch] | None, quarantined: SetAside | None = None
) -> Copy | None:
    """Write a copy of a batch; return None where it is unchanged."""
    if parts is None:
        return None
    with files.replacing(path, "reread") as temporary:
        rows = _write(temporary, parts)
        written = FileSum.of(temporary)
    return Copy(rows, written.bytes, written.sha256, quarantined)


def _write(path: Path, parts: Iterator[pa.RecordBatch]) -> int:
    """Write record batches to a file and return the number of their rows."""
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for part in parts:
            writer = writer or pq.ParquetWriter(
                path, part.schema, compression="zstd", compression_level=1, use_dictionary=False
            )
            writer.write_batch(part)
            rows += part.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _recovered_manifest(
    window: WindowCommit, path: Path, quarantined: Rereads, copy: Copy, facts: SetAside
) -> Manifest:
    at = parse_instant(facts.quarantined_at)
    return Manifest(
        batch_id=path.stem,
        window_id=window.window_id,
        kind=window.kind,
        connection=window.connection,
        object=window.object,
        route=window.route if facts.route is None else facts.route,
        shape=facts.shape,
        window=window.window,
        records=copy.rows,
        bytes=copy.bytes,
        sha256=copy.sha256,
        vendor_count=None,
        calls=0,
        schema_fingerprint=facts.schema_fingerprint,
        extractor="",
        started_at=at,
        finished_at=at,
        sequence=0,
        month=path.parent.name,
        path=quarantined.path(path.stem),
        reader=quarantined.version,
        origin=facts.origin,
    )


def _with_keys(part: pa.RecordBatch, fresh: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        fresh.column(name) if name in records.KEY_COLUMNS else part.column(name)
        for name in part.schema.names
    ]
    return pa.RecordBatch.from_arrays(columns, names=part.schema.names)


def _raw_of(rejects: Sequence[Reject], shape: Shape, schema: Schema) -> pa.RecordBatch | None:
    """Return rejects as raw columns, without those that do not fit them; None where none is left."""
    if shape == "json":
        texts = [text for reject in rejects if (text := _json_text(reject.raw)) is not None]
        return pa.record_batch({"record": pa.array(texts, pa.string())}) if texts else None
    rows = [row for reject in rejects if (row := _cells(reject.raw, schema)) is not None]
    if not rows:
        return None
    columns = [pa.array([row[name] for row in rows], pa.string()) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, names=list(schema.names))


def _json_text(raw: bytes) -> str | None:
    try:
        text = raw.decode()
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    return text


def _cells(raw: bytes, schema: Schema) -> dict[str, str] | None:
    """Return the cells of a CSV record; older versions stored it as a JSON object."""
    try:
        if raw.startswith(b"{"):
            return msgspec.json.decode(raw, type=dict[str, str])
        [cells] = csv.reader([raw.decode()], strict=True)
    except (ValueError, csv.Error):
        return None
    if len(cells) != len(schema.names):
        return None
    return dict(zip(schema.names, cells, strict=True))
