"""Reads a downloaded export, a ZIP of one CSV, into record batches; memory is bounded by a block of CSV.

Every cell keeps its text. The sizes that a ZIP states are not trusted: they are checked before anything is
unpacked, and bytes are counted while unpacking.
"""

import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from crm_pipeline.connectors.csv_records import CsvForm, CsvRecords
from crm_pipeline.connectors.zoho import describe, keys
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.bounds import Allowance, TooLarge

# 200,000 records of 500 fields with 80 characters each are 8 GB; sparse tables shrink to a hundredth.
MOST_BYTES = 8 << 30
MOST_RATIO = 200
_SMALL_BYTES = 64 << 20  # below this a ratio says nothing
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
# Enough for one file; a ZIP may have millions of entries, which zipfile would read at once.
_MOST_DIRECTORY_BYTES = 1 << 16
_END = b"PK\5\6"
_SHORTEST_END = 22  # an end without a comment
_END_BYTES = _SHORTEST_END + (1 << 16)  # one with the longest
_LOCATOR_BYTES = 20
_ZIP64_BYTES = 56 + _LOCATOR_BYTES  # precedes the end where sizes need 64 bits
_UNREADABLE: tuple[Any, ...] = (
    pa.ArrowInvalid,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class CsvArchive:
    """A downloaded export.

    Args:
        owner: for error texts.
        schema: the requested fields.
        file: the ZIP.
        expected: the vendor's number of records.
        rejected: filled with records that cannot be landed.
        bounds: of the unpacked size.
    """

    def __init__(
        self,
        owner: str,
        schema: Schema,
        file: Path,
        expected: int,
        rejected: list[Reject],
        *,
        bounds: Bounds | None = None,
    ) -> None:
        self._owner = owner
        self._schema = schema
        self._file = file
        self._expected = expected
        self._rejected = rejected
        self._most = min(MOST_BYTES, (bounds or Bounds()).unpacked_bytes)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Raises:
            ProtocolError: the file is no ZIP of one CSV, or has other columns or another number of records.
        """
        form = CsvForm(
            owner=self._owner,
            names=self._schema.names,
            columns=self._columns,
            keys=partial(keys.of_csv, self._schema),
            id_name=describe.ID,
            id_form=keys.ID_FORM,
        )
        export = CsvRecords(form, Allowance(self._most, inf), self._rejected)
        try:
            with self._file.open("rb") as file:
                self._refuse_long_directory(file)
                with zipfile.ZipFile(file) as archive, self._opened(archive) as body:
                    for batch in export.batches(body):
                        if export.seen > self._expected:
                            break  # an endless export would fill the disk
                        yield batch
        except _UNREADABLE as error:
            # Error texts of the libraries quote the data, which may be personal.
            raise self._broken(f"is no readable ZIP of CSV ({type(error).__name__})") from None
        except TooLarge as excess:
            raise self._broken(f"was not unpacked to its end: {excess}") from None
        if export.seen != self._expected:
            raise self._broken(f"announced {self._expected:,} records and held {export.seen:,}")

    def _refuse_long_directory(self, file: IO[bytes]) -> None:
        """Refuse a ZIP with a long list of entries before that list is read."""
        size = _directory_bytes(file)
        if size > _MOST_DIRECTORY_BYTES:
            raise self._broken(f"lists its files on {size:,} bytes instead of one file")

    def _opened(self, archive: zipfile.ZipFile) -> zipfile.ZipExtFile:
        file = archive.open(self._member(archive))
        assert isinstance(file, zipfile.ZipExtFile)
        return file

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise self._broken(f"holds {len(members)} files instead of one")
        [member] = members
        if any(sign in member.orig_filename for sign in ("/", "\\", ":", "\0")):
            raise self._broken("holds a file whose name is a path")
        if member.flag_bits & _ENCRYPTED:
            raise self._broken("is encrypted")
        if member.compress_type not in _METHODS:
            raise self._broken(f"is packed by method {member.compress_type} instead of deflate")
        size, packed = member.file_size, max(1, member.compress_size)
        if size > self._most or (size > _SMALL_BYTES and size / packed > MOST_RATIO):
            raise self._broken(
                f"would unpack from {packed:,} to {size:,} bytes, which no export does"
            )
        return member

    def _columns(self, cells: list[str]) -> list[str]:
        """Return the columns with the schema's names; the vendor writes `Id` for `id`."""
        exact = self._schema.by_name
        by_lower = {**{name.lower(): name for name in exact}, describe.ID: describe.ID}
        names = [
            cell if cell in exact else by_lower.get(cell.strip().lower(), cell) for cell in cells
        ]
        missing = [name for name in self._schema.names if name not in names]
        surplus = len([name for name in names if name not in exact])
        if missing or len(set(names)) != len(names):
            raise self._broken(
                f"has other columns than were asked for (missing: {', '.join(missing[:20]) or 'none'}; not "
                f"asked for: {surplus})"
            )
        return names

    def _broken(self, defect: str) -> ProtocolError:
        return ProtocolError(
            f"{self._owner}: an export {defect}.", cure="Nothing of this window counts; run again."
        )


def _directory_bytes(file: IO[bytes]) -> int:
    """Return the stated length of the list of entries; 0 where there is no readable end.

    The end is located as zipfile does it, so that both see the same one.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _ZIP64_BYTES))
    tail = file.read()
    file.seek(0)
    at = len(tail) - _SHORTEST_END
    if not (tail[max(0, at) :].startswith(_END) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END, max(0, len(tail) - _END_BYTES))
    if at < 0:
        return 0
    zip64 = tail[max(0, at - _ZIP64_BYTES) : at]
    if zip64.startswith(b"PK\6\6") and zip64[-_LOCATOR_BYTES:].startswith(b"PK\6\7"):
        return int.from_bytes(zip64[40:48], "little")
    return int.from_bytes(tail[at + 12 : at + 16], "little")
