"""Keys of landed records under today's rules, and records that were set aside tried again.

A connector says what its records say of themselves: id, time stamp, deleted or not (`RecordKeys`). Its rules
have a version. Batches that landed under another version are looked at again, once: where a key differs, the
batch is written beside the original with the new keys, and tables are built from that. Records in quarantine
get the same chance. Originals stay as they are.

Layout: `<object>/reread/<version>/<batch>.json` says what came of a batch, `<batch>.parquet` holds it where it is
another. The folder lies in landing for batches, in quarantine for what was set aside.
"""

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.schema import Schema
from crm_pipeline.store import files, records
from crm_pipeline.store.damage import damaged_batch
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import Manifest, Shape, WindowCommit
from crm_pipeline.store.rejects import Reject, from_table

_FOLDER = "reread"
_ROWS = 20_000


@dataclass(frozen=True)
class Reread:
    """The committed batches of an object with their keys of today.

    Attributes:
        batches: in fold order; recovered records stand with the batches of their window.
        recovered: by window, how many records of its quarantine can be read now.
    """

    batches: tuple[Manifest, ...]
    recovered: dict[str, int]


class _Verdict(msgspec.Struct):
    """What came of one batch."""

    rows: int
    file: str | None = None
    bytes: int = 0
    sha256: str = ""


class Rereader:
    """Reads the batches of one object again where the rules of their keys have changed.

    Args:
        landing: where they are.
        connection: whose they are.
        obj: the object.
        keys: the rules of today; None leaves all as it landed.
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
        batches: list[Manifest] = []
        recovered: dict[str, int] = {}
        for window in windows:
            batches += [self._current(batch) for batch in window.batches]
            if window.quarantined and self._keys is not None:
                found = self._recovered(window, self._keys)
                batches += found
                if found:
                    recovered[window.window_id] = sum(batch.records for batch in found)
        return Reread(tuple(batches), recovered)

    def _current(self, batch: Manifest) -> Manifest:
        keys = self._keys
        if keys is None or batch.reader == keys.version:
            return batch
        place = _place(self._landing.folder(self._connection, self._object), keys, batch.batch_id)
        verdict = _known(place)
        if verdict is None:
            if (damage := damaged_batch([batch])) is not None:
                raise damage
            schema = self._schema(batch.schema_fingerprint)
            verdict = _settled(place, self._rekeyed(batch, schema, keys))
        return _as_read(batch, place, verdict, keys)

    def _schema(self, fingerprint: str) -> Schema:
        return self._landing.schema(self._connection, self._object, fingerprint)

    def _rekeyed(
        self, batch: Manifest, schema: Schema, keys: RecordKeys
    ) -> Iterator[pa.RecordBatch] | None:
        """Return a batch with the keys of today; None where they are what they were."""

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

    def _recovered(self, window: WindowCommit, keys: RecordKeys) -> list[Manifest]:
        folder = self._landing.quarantine(self._connection, self._object)
        found = []
        for path in sorted(folder.glob(f"????-??/{window.window_id}-*.parquet")):
            place = _place(folder, keys, path.stem)
            facts = _facts(path.with_suffix(".json"), self._connection)
            verdict = _known(place) or _settled(place, self._retried(path, facts, keys))
            if verdict.file is not None:
                found.append(_recovered_manifest(window, path, facts, place, verdict))
        return found

    def _retried(
        self, path: Path, facts: dict[str, Any], keys: RecordKeys
    ) -> Iterator[pa.RecordBatch] | None:
        """Return the records of a quarantine file that can be read now; None where there are none."""
        schema = self._schema(facts["schema_fingerprint"])
        shape: Shape = facts.get("shape", "csv")
        rejects = from_table(pq.read_table(path))
        raw = _raw_of(rejects, shape, schema)
        if raw is None:
            return None
        fresh = keys.of(
            self._object,
            schema,
            raw,
            shape=shape,
            route=facts.get("route", ""),
            origin=facts.get("origin", ""),
            deleted=None,
        )
        is_readable = fresh.column("_source_id").is_valid()
        fresh, raw = fresh.filter(is_readable), raw.filter(is_readable)
        if fresh.num_rows == 0:
            return None
        at = parse_instant(facts.get("extracted_at") or facts["quarantined_at"])
        return iter([self._landed(fresh, raw, path.stem, at)])

    @staticmethod
    def _landed(
        keys: pa.RecordBatch, raw: pa.RecordBatch, batch_id: str, at: datetime
    ) -> pa.RecordBatch:
        """Return records as a landed batch has them."""
        names = [*records.KEY_COLUMNS, *raw.schema.names]
        keyed = pa.RecordBatch.from_arrays(
            [*(keys.column(name) for name in records.KEY_COLUMNS), *raw.columns], names=names
        )
        hasher = records.RecordHasher()
        try:
            return records.finished(
                keyed, batch_id=batch_id, extracted_at=pa.scalar(at, records.STAMP), hasher=hasher
            )
        finally:
            hasher.close()


def _facts(record: Path, connection: str) -> dict[str, Any]:
    cure = (
        f"Restore it from a backup, or remove {record.stem}.parquet as well: `crm-pipeline backfill "
        f"{connection}` reads its window again and sets the rows aside anew."
    )
    try:
        return files.read_json(record, cure=cure)
    except FileNotFoundError as error:
        raise CorruptFile(f"{record} is gone.", cure=cure) from error


def _place(folder: Path, keys: RecordKeys, batch_id: str) -> Path:
    """Return where it stands what came of a batch; what older rules made of it goes."""
    ours = folder / _FOLDER / str(keys.version)
    for other in (folder / _FOLDER).glob("*"):
        if other != ours:
            shutil.rmtree(other, ignore_errors=True)
    return ours / f"{batch_id}.json"


def _known(place: Path) -> _Verdict | None:
    if not place.exists():
        return None
    return msgspec.convert(files.read_json(place), _Verdict)


def _settled(place: Path, parts: Iterator[pa.RecordBatch] | None) -> _Verdict:
    """Write what came of a batch, and note it."""
    verdict = _Verdict(rows=0)
    if parts is not None:
        path = place.with_suffix(".parquet")
        with files.replacing(path, "reread") as temporary:
            verdict = replace_rows(temporary, parts)
        verdict.file = path.name
        verdict.sha256, verdict.bytes = files.sha256_of(path), path.stat().st_size
    files.write_json(place, msgspec.to_builtins(verdict), "reread_verdict")
    return verdict


def replace_rows(path: Path, parts: Iterator[pa.RecordBatch]) -> _Verdict:
    """Write record batches to a file and count their rows."""
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
    return _Verdict(rows=rows)


def _as_read(batch: Manifest, place: Path, verdict: _Verdict, keys: RecordKeys) -> Manifest:
    if verdict.file is None:
        return batch
    return replace(
        batch,
        path=place.with_name(verdict.file),
        sha256=verdict.sha256,
        bytes=verdict.bytes,
        reader=keys.version,
    )


def _recovered_manifest(
    window: WindowCommit,
    path: Path,
    facts: dict[str, Any],
    place: Path,
    verdict: _Verdict,
) -> Manifest:
    at = parse_instant(facts["quarantined_at"])
    return Manifest(
        batch_id=path.stem,
        window_id=window.window_id,
        kind=window.kind,
        connection=window.connection,
        object=window.object,
        route=facts.get("route", window.route),
        shape=facts.get("shape", "csv"),
        window=window.window,
        records=verdict.rows,
        bytes=verdict.bytes,
        sha256=verdict.sha256,
        vendor_count=None,
        calls=0,
        schema_fingerprint=facts["schema_fingerprint"],
        extractor="",
        started_at=at,
        finished_at=at,
        sequence=0,
        month=path.parent.name,
        path=place.with_name(str(verdict.file)),
        reader=int(place.parent.name),
        origin=facts.get("origin", ""),
    )


def _with_keys(part: pa.RecordBatch, fresh: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        fresh.column(name) if name in records.KEY_COLUMNS else part.column(name)
        for name in part.schema.names
    ]
    return pa.RecordBatch.from_arrays(columns, names=part.schema.names)


def _raw_of(rejects: Sequence[Reject], shape: Shape, schema: Schema) -> pa.RecordBatch | None:
    """Return rejects as raw columns; what has not even that form stays out. None where nothing is left."""
    if shape == "json":
        texts = [text for one in rejects if (text := _json_text(one.raw)) is not None]
        return pa.record_batch({"record": pa.array(texts, pa.string())}) if texts else None
    rows = [row for one in rejects if (row := _cells(one.raw, schema)) is not None]
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
    """Return the cells of a record of CSV, or of the JSON object that older versions kept of one."""
    try:
        if raw.startswith(b"{"):
            return msgspec.json.decode(raw, type=dict[str, str])
        [cells] = csv.reader([raw.decode()], strict=True)
    except (ValueError, csv.Error):
        return None
    if len(cells) != len(schema.names):
        return None
    return dict(zip(schema.names, cells, strict=True))
