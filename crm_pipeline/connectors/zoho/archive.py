"""One downloaded export: a ZIP of one CSV, into record batches; memory is bounded by a block of CSV.

Every cell stays the text that it was. What a ZIP says of itself is a claim: it is looked at before anything is
unpacked, and bytes are counted while they are.
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
# Of a list of one file; a ZIP may hold millions of entries, all of which would be read at once.
_MOST_DIRECTORY_BYTES = 1 << 16
_END = b"PK\5\6"
_SHORTEST_END = 22  # an end without a comment
_END_BYTES = _SHORTEST_END + (1 << 16)  # one with the longest
_LOCATOR_BYTES = 20
_WIDE_BYTES = 56 + _LOCATOR_BYTES  # what stands before the end where sizes need 64 bits
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
    """A spooled export.

    Args:
        owner: for error texts.
        schema: whose fields were asked for.
        file: the ZIP.
        expected: how many records the vendor says it has.
        rejected: filled with records that cannot be landed.
        bounds: of what is unpacked.
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
            ProtocolError: no ZIP of one CSV, other columns, or another number of records.
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
                self._refuse_crowd(file)
                with zipfile.ZipFile(file) as archive, self._opened(archive) as body:
                    for batch in export.batches(body):
                        if export.seen > self._expected:
                            break  # what goes on for ever would fill the disk
                        yield batch
        except _UNREADABLE as error:
            # The words of the libraries quote what they could not read, which may be anybody's.
            raise self._broken(f"is no readable ZIP of CSV ({type(error).__name__})") from None
        except TooLarge as excess:
            raise self._broken(f"was not unpacked to its end: {excess}") from None
        if export.seen != self._expected:
            raise self._broken(f"announced {self._expected:,} records and held {export.seen:,}")

    def _refuse_crowd(self, file: IO[bytes]) -> None:
        """Refuse a ZIP with a long list of entries before that list is read."""
        size = _directory_bytes(file)
        if size > _MOST_DIRECTORY_BYTES:
            raise self._broken(f"lists its files on {size:,} bytes instead of one file")

    def _opened(self, archive: zipfile.ZipFile) -> zipfile.ZipExtFile:
        found = archive.open(self._member(archive))
        assert isinstance(found, zipfile.ZipExtFile)
        return found

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        members = [one for one in archive.infolist() if not one.is_dir()]
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
        """Return the columns by the schema's names; the vendor writes `Id` for `id`."""
        exact = self._schema.by_name
        known = {**{name.lower(): name for name in exact}, describe.ID: describe.ID}
        names = [cell if cell in exact else known.get(cell.strip().lower(), cell) for cell in cells]
        missing = [name for name in self._schema.names if name not in names]
        surplus = len([name for name in names if name not in exact])
        if missing or len(set(names)) != len(names):
            raise self._broken(
                f"has other columns than were asked for (missing: {', '.join(missing[:20]) or 'none'}; not "
                f"asked for: {surplus})"
            )
        return names

    def _broken(self, what: str) -> ProtocolError:
        return ProtocolError(
            f"{self._owner}: an export {what}.", cure="Nothing of this window counts; run again."
        )


def _directory_bytes(file: IO[bytes]) -> int:
    """Return how long the list of entries says it is; 0 where there is no end that could be read.

    The end is looked for where zipfile looks: another one that stands beside it says nothing.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _WIDE_BYTES))
    tail = file.read()
    file.seek(0)
    at = len(tail) - _SHORTEST_END
    if not (tail[max(0, at) :].startswith(_END) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END, max(0, len(tail) - _END_BYTES))
    if at < 0:
        return 0
    wide = tail[max(0, at - _WIDE_BYTES) : at]
    if wide.startswith(b"PK\6\6") and wide[-_LOCATOR_BYTES:].startswith(b"PK\6\7"):
        return int.from_bytes(wide[40:48], "little")
    return int.from_bytes(tail[at + 12 : at + 16], "little")
