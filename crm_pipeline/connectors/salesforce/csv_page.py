"""One spooled page of Bulk CSV into record batches; memory is bounded by a block of CSV."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from isal import igzip, isal_zlib

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.salesforce import describe
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store import records

_BLOCK_BYTES = 8 << 20  # must hold the longest record: 400,000 characters by the vendor's limits
# A record without an id, or a line with too few or too many cells, cannot be landed.
_NO_ID = "record without Id"
_UNREADABLE: tuple[Any, ...] = (pa.ArrowInvalid, EOFError, OSError, isal_zlib.error)
_QUOTED = re.compile(r"'.*'", re.DOTALL)


class CsvPage:
    """A spooled page of CSV, parsed in blocks; every cell stays the text that it was."""

    def __init__(
        self,
        owner: str,
        plan: Plan,
        file: Path,
        expected: int | None,
        rejected: list[tuple[str, str]],
    ) -> None:
        self._owner = owner
        self._plan = plan
        self._file = file
        self._expected = expected
        self._rejected = rejected

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Raises:
            ProtocolError: other columns, or another number of records, than announced.
        """
        rows = 0
        try:
            self._check_header()
            with self._bytes() as file, self._opened(file) as source:
                for raw in source:
                    rows += raw.num_rows
                    yield self._keyed(raw)
        except _UNREADABLE as error:
            # Arrow quotes the value that it could not read, which may be anybody's.
            words = _QUOTED.sub("'***'", str(error))[:200]
            raise ProtocolError(
                f"{self._owner}: a Bulk page is no readable CSV: {words}",
                cure="Nothing of this window counts; run again.",
            ) from None
        rows += sum(reason != _NO_ID for reason, _ in self._rejected)
        if self._expected is not None and rows != self._expected:
            raise ProtocolError(
                f"{self._owner}: a Bulk page announced {self._expected} records and held {rows}.",
                cure="Nothing of this window counts; run again.",
            )

    def _keyed(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        names = self._plan.schema.by_name
        batch = records.keyed(
            raw,
            id_field="Id",
            modified_field=describe.stamp_field(self._plan.schema),
            deleted_field="IsDeleted" if "IsDeleted" in names else None,
        )
        has_id = pc.not_equal(raw.column("Id"), "")
        if pc.all(has_id).as_py() is not False:
            return batch
        for row in raw.filter(pc.invert(has_id)).to_pylist():
            self._rejected.append((_NO_ID, json.dumps(row, ensure_ascii=False)))
        return batch.filter(has_id)

    def _bytes(self) -> Any:
        # Inflates gzip in less than half the time of zlib, which is a third of what a page costs.
        return igzip.open(self._file) if self._file.suffix == ".gz" else self._file.open("rb")

    def _opened(self, file: Any) -> Any:
        names = self._plan.schema.names
        return pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._invalid
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
                null_values=[],
                check_utf8=True,
            ),
        )

    def _check_header(self) -> None:
        with self._bytes() as file:
            line = file.readline().decode("utf-8", "replace").rstrip("\r\n")
        found = [cell.strip('"') for cell in line.split(",")]
        names = list(self._plan.schema.names)
        if found == names:
            return
        missing = [name for name in names if name not in found]
        surplus = [name for name in found if name not in names]
        raise ProtocolError(
            f"{self._owner}: a Bulk page has other columns than were asked for (missing: "
            f"{', '.join(missing) or 'none'}; not asked for: {', '.join(surplus) or 'none'}"
            f"{'' if missing or surplus else '; other order'}).",
            cure="Nothing of this window counts; run again, the fields are described anew.",
        )

    def _invalid(self, row: Any) -> str:
        reason = f"{row.actual_columns} cells where {row.expected_columns} were expected"
        self._rejected.append((reason, row.text or ""))
        return "skip"
