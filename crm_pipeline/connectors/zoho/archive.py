"""One downloaded export: a ZIP of one CSV, into record batches; memory is bounded by a block of CSV.

Every cell stays the text that it was. Names inside the ZIP are not used, so they lead nowhere; what would
unpack to far more than exports have is refused before it is unpacked.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crm_pipeline.connectors.zoho import describe
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.model.schema import Schema
from crm_pipeline.store import records

_BLOCK_BYTES = 8 << 20
# 200,000 records of 500 fields with 80 characters each are 8 GB; sparse tables shrink to a hundredth.
MOST_BYTES = 8 << 30
MOST_RATIO = 200
_SMALL_BYTES = 64 << 20  # below this a ratio says nothing
_HEADER_BYTES = 1 << 20
_NO_ID = "record without id"
_UNREADABLE: tuple[Any, ...] = (
    pa.ArrowInvalid,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    csv.Error,
)
_QUOTED = re.compile(r"'.*'", re.DOTALL)


class CsvArchive:
    """A spooled export.

    Args:
        owner: for error texts.
        schema: whose fields were asked for.
        file: the ZIP.
        expected: how many records the vendor says it has.
        rejected: filled with rows that cannot be landed.
    """

    def __init__(
        self,
        owner: str,
        schema: Schema,
        file: Path,
        expected: int,
        rejected: list[tuple[str, str]],
    ) -> None:
        self._owner = owner
        self._schema = schema
        self._file = file
        self._expected = expected
        self._rejected = rejected

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Raises:
            ProtocolError: no ZIP of one CSV, other columns, or another number of records.
        """
        rows = 0
        try:
            with zipfile.ZipFile(self._file) as archive:
                member = self._member(archive)
                with archive.open(member) as head:
                    names = self._header(head)
                with archive.open(member) as body, self._opened(body, names) as source:
                    for raw in source:
                        rows += raw.num_rows
                        yield self._keyed(raw)
        except _UNREADABLE as error:
            # Arrow quotes the value that it could not read, which may be anybody's.
            words = _QUOTED.sub("'***'", str(error))[:200]
            raise self._broken(f"is no readable ZIP of CSV: {words}") from None
        rows += sum(reason != _NO_ID for reason, _ in self._rejected)
        if rows != self._expected:
            raise self._broken(f"announced {self._expected:,} records and held {rows:,}")

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) != 1:
            raise self._broken(f"holds {len(members)} files instead of one")
        [member] = members
        size, packed = member.file_size, max(1, member.compress_size)
        if size > MOST_BYTES or (size > _SMALL_BYTES and size / packed > MOST_RATIO):
            raise self._broken(
                f"would unpack from {packed:,} to {size:,} bytes, which no export does"
            )
        return member

    def _header(self, head: IO[bytes]) -> list[str]:
        """Return the columns by the schema's names; the vendor writes `Id` for `id`."""
        line = io.TextIOWrapper(io.BytesIO(head.read(_HEADER_BYTES)), "utf-8-sig", newline="")
        found = next(csv.reader(line), [])
        known = {name.lower(): name for name in self._schema.names}
        names = [known.get(cell.strip().lower(), cell) for cell in found]
        missing = [name for name in self._schema.names if name not in names]
        surplus = [name for name in names if name not in self._schema.by_name]
        if missing or len(set(names)) != len(names):
            raise self._broken(
                f"has other columns than were asked for (missing: {', '.join(missing) or 'none'}; not asked "
                f"for: {', '.join(surplus) or 'none'})"
            )
        return names

    def _opened(self, file: IO[bytes], names: list[str]) -> Any:
        return pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(
                block_size=_BLOCK_BYTES, use_threads=False, column_names=names, skip_rows=1
            ),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._invalid
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=list(self._schema.names),
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
                null_values=[],
                check_utf8=True,
            ),
        )

    def _keyed(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        batch = records.keyed(
            raw,
            id_field=describe.ID,
            modified_field=describe.stamp_field(self._schema),
            deleted_field=None,
        )
        has_id = pc.not_equal(raw.column(describe.ID), "")
        if pc.all(has_id).as_py() is not False:
            return batch
        for row in raw.filter(pc.invert(has_id)).to_pylist():
            self._rejected.append((_NO_ID, json.dumps(row, ensure_ascii=False)))
        return batch.filter(has_id)

    def _invalid(self, row: Any) -> str:
        reason = f"{row.actual_columns} cells where {row.expected_columns} were expected"
        self._rejected.append((reason, row.text or ""))
        return "skip"

    def _broken(self, what: str) -> ProtocolError:
        return ProtocolError(
            f"{self._owner}: an export {what}.", cure="Nothing of this window counts; run again."
        )
