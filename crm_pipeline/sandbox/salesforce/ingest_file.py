"""The CSV of an ingest job: read as it was uploaded, written again as results."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_pipeline.sandbox.salesforce.errors import ApiError
from crm_pipeline.sandbox.salesforce.results import DELIMITERS, LINE_ENDS
from crm_pipeline.sandbox.salesforce.schema import Field, SObject

NULL = "#N/A"


class UnreadableUploadError(Exception):
    """A CSV that no record can be taken from; its text is the job's `errorMessage`."""


@dataclass(frozen=True)
class Upload:
    """One uploaded file.

    Attributes:
        path: where it lies.
        delimiter: the name of the column delimiter, such as COMMA.
        line_ending: LF or CRLF.
    """

    path: Path
    delimiter: str
    line_ending: str

    def rows(self) -> Iterator[list[str]]:
        """Yield the header and every record.

        Raises:
            UnreadableUploadError: the file is not such a CSV.
        """
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                self._check_line_end(file.readline())
                file.seek(0)
                delimiter = DELIMITERS[self.delimiter]
                yield from (row for row in csv.reader(file, delimiter=delimiter) if row)
        except (csv.Error, UnicodeDecodeError) as problem:
            raise UnreadableUploadError(f"InvalidBatch : {problem}") from problem

    def _check_line_end(self, first: str) -> None:
        found = "CRLF" if first.endswith("\r\n") else "LF"
        if first.endswith("\n") and found != self.line_ending:
            raise UnreadableUploadError(
                "LineEnding is invalid on user data. "
                f"Current LineEnding setting is {self.line_ending}"
            )

    def written(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
        """Return rows as a result file: every cell quoted, with the job's own delimiter."""
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=DELIMITERS[self.delimiter],
            lineterminator=LINE_ENDS[self.line_ending],
            quoting=csv.QUOTE_ALL,
        )
        writer.writerow(header)
        writer.writerows(rows)
        return text.getvalue().encode()


def fields_of(header: Sequence[str], sobject: SObject) -> list[Field]:
    """Return the fields of a header.

    Raises:
        UnreadableUploadError: a column is unknown or there twice; then no record is processed.
    """
    fields = []
    for name in header:
        one = sobject.find(name.strip())
        if one is None:
            raise UnreadableUploadError(f"InvalidBatch : Field name not found : {name}")
        if one in fields:
            raise UnreadableUploadError(f"InvalidBatch : Field name duplicated : {name}")
        fields.append(one)
    return fields


def record_of(fields: Sequence[Field], row: Sequence[str]) -> dict[str, Any]:
    """Return the values that a row sets: an empty cell sets nothing, `#N/A` sets null.

    Raises:
        ApiError: a cell is not of its field's type, or the row has another number of cells.
    """
    if len(row) != len(fields):
        raise ApiError(
            400, "INVALID_CSV", f"{len(fields)} columns were expected, {len(row)} are there"
        )
    given = zip(fields, row, strict=True)
    return {one.name: None if cell == NULL else _typed(one, cell) for one, cell in given if cell}


def _typed(one: Field, cell: str) -> Any:
    if one.type != "boolean":
        return cell
    if cell.lower() not in {"true", "false", "1", "0"}:
        raise wrong_type(one, cell)
    return cell.lower() in {"true", "1"}


def wrong_type(one: Field, cell: str) -> ApiError:
    """Return the error for a cell that its field cannot hold."""
    return ApiError(
        400,
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        f"{one.label or one.name}: value not of required type: {cell}",
        [one.name],
    )
