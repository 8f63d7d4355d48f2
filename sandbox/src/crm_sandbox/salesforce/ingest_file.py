"""The CSV of an ingest job: read as it was uploaded, written again as results."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.foreign_keys import ForeignKey, foreign_key
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.results import DELIMITERS, LINE_ENDS
from crm_sandbox.salesforce.schema import Field, SObject

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
        """Return rows as a result file with the job's own delimiter.

        Every cell is quoted, but the names of the upload's own columns are as they were sent.
        """
        text = io.StringIO(newline="")
        delimiter, line_end = DELIMITERS[self.delimiter], LINE_ENDS[self.line_ending]
        added = [name for name in header if name.startswith("sf__")]
        own = list(header[len(added) :])
        between = delimiter if own else line_end
        if added:
            csv.writer(
                text, delimiter=delimiter, lineterminator=between, quoting=csv.QUOTE_ALL
            ).writerow(added)
        if own or not added:
            csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerow(own)
        writer = csv.writer(
            text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL
        )
        writer.writerows(rows)
        return text.getvalue().encode()


@dataclass(frozen=True)
class UploadColumn:
    """One column: a field, or with `parent` a relationship by the parent's external id."""

    field: Field
    parent: ForeignKey | None = None

    def set_in(self, body: dict[str, Any], cell: str) -> None:
        """Set what a cell says: an empty one says nothing, `#N/A` says null.

        Raises:
            ApiError: the cell is not of its field's type.
        """
        if cell == NULL:
            body[self.field.name] = None
        elif cell and self.parent is not None:
            body[self.field.relationship] = {self.parent.key.name: cell}
        elif cell:
            body[self.field.name] = _typed(self.field, cell)


def columns_of(header: Sequence[str], org: Org, sobject: SObject) -> list[UploadColumn]:
    """Return the columns that a header names; `Account.External_Key__c` is a parent's external id.

    Raises:
        UnreadableUploadError: a column is unknown or there twice; then no record is processed.
    """
    columns: list[UploadColumn] = []
    for name in header:
        column = _column(name.strip(), org, sobject)
        if column.field in [one.field for one in columns]:
            raise UnreadableUploadError(f"InvalidBatch : Field name duplicated : {name}")
        columns.append(column)
    return columns


def _column(name: str, org: Org, sobject: SObject) -> UploadColumn:
    relationship, _, field = name.rpartition(".")
    one = sobject.find(name)
    if one is not None:
        return UploadColumn(one)
    try:
        parent = foreign_key(org, sobject, relationship, field)
    except ApiError as problem:
        text = f"InvalidBatch : Field name not found : {name}"
        raise UnreadableUploadError(text) from problem
    return UploadColumn(parent.link, parent)


def record_of(columns: Sequence[UploadColumn], row: Sequence[str]) -> dict[str, Any]:
    """Return the values that a row sets.

    Raises:
        ApiError: a cell is not of its field's type, or the row has another number of cells.
    """
    if len(row) != len(columns):
        raise ApiError(
            400, "INVALID_CSV", f"{len(columns)} columns were expected, {len(row)} are there"
        )
    body: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=True):
        column.set_in(body, cell)
    return body


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
