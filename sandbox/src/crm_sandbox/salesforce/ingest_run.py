"""Process the records of one ingest job and keep what became of each of them."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.ingest_file import (
    UnreadableUploadError,
    Upload,
    UploadColumn,
    columns_of,
    record_of,
    wrong_type,
)
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import SObject
from crm_sandbox.salesforce.validation import WrongTypeError
from crm_sandbox.salesforce.writes import Order, Writer, key_field

OPERATIONS = {
    "insert": "create",
    "update": "update",
    "upsert": "upsert",
    "delete": "delete",
    "hardDelete": "hardDelete",
}
_CHUNK = 2_000


@dataclass
class Tally:
    """What became of the records: rows of the three result files, without their headers."""

    header: list[str] = field(default_factory=list)
    succeeded: list[list[str]] = field(default_factory=list)
    failed: list[list[str]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)

    @property
    def processed(self) -> int:
        """How many records were tried."""
        return len(self.succeeded) + len(self.failed)

    def shuffle(self, chance: random.Random) -> None:
        """Bring the results into an order that is not that of the upload."""
        for rows in (self.succeeded, self.failed, self.unprocessed):
            chance.shuffle(rows)


class IngestRun:
    """The processing of one job.

    Args:
        org: holds the objects.
        writer: how records are written.
        operation: as the job names it.
        name: the object.
        key: the external id field of an upsert, or empty.
    """

    def __init__(self, org: Org, writer: Writer, operation: str, name: str, key: str) -> None:
        self._org = org
        self._writer = writer
        self._operation = operation
        self._name = name
        self._key = key
        self.tally = Tally()

    def process(self, upload: Upload, most: int | None, stopped: Callable[[], bool]) -> None:
        """Process an upload, chunk by chunk, until its end or until it is stopped.

        Args:
            upload: the file.
            most: stop after so many records.
            stopped: asked before every chunk.

        Raises:
            UnreadableUploadError: the file cannot be read, or its columns do not fit.
            ApiError: the object is gone.
        """
        rows = upload.rows()
        self.tally.header = next(rows, [])
        sobject = self._org.visible(self._name)
        try:
            columns = columns_of(self.tally.header, self._org, sobject)
            self._check_columns(columns)
        except UnreadableUploadError:
            self.tally.unprocessed.extend(rows)
            raise
        left = most
        while not stopped():
            chunk = list(islice(rows, _CHUNK if left is None else min(_CHUNK, left)))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            self._write(sobject, columns, chunk)
        self.tally.unprocessed.extend(rows)

    def _check_columns(self, columns: Sequence[UploadColumn]) -> None:
        names = {one.field.name for one in columns if one.parent is None}
        if self._operation in {"delete", "hardDelete"} and (names != {"Id"} or len(columns) > 1):
            text = f"InvalidBatch : The '{self._operation}' batch must contain only ids"
            raise UnreadableUploadError(text)
        needed = {"update": "Id", "upsert": self._key}.get(self._operation, "")
        if needed and needed.lower() not in {name.lower() for name in names}:
            raise UnreadableUploadError(f"InvalidBatch : Field name not found : {needed}")

    def _write(
        self, sobject: SObject, columns: Sequence[UploadColumn], chunk: list[list[str]]
    ) -> None:
        orders = [self._order(sobject, columns, row) for row in chunk]
        self._writer.apply(orders, typed=False)
        for order, row in zip(orders, chunk, strict=True):
            if order.error is None:
                self.tally.succeeded.append([order.record, str(order.created).lower(), *row])
            else:
                self.tally.failed.append([order.record, _error_text(order.error), *row])

    def _order(self, sobject: SObject, columns: Sequence[UploadColumn], row: list[str]) -> Order:
        order = Order(OPERATIONS[self._operation], sobject)
        try:
            order.body = record_of(columns, row)
        except ApiError as problem:
            order.error = problem
            return order
        if self._operation == "upsert":
            order.key = key_field(sobject, self._key)
            order.key_value = order.body.pop(order.key.name if order.key else self._key, None)
        elif self._operation != "insert":
            order.record = str(order.body.pop("Id", None) or "")
            if not order.record:
                order.error = ApiError(400, "MISSING_ARGUMENT", "Id not specified", ["Id"])
        return order


def _error_text(problem: ApiError) -> str:
    if isinstance(problem, WrongTypeError):
        problem = wrong_type(problem.field, str(problem.value))
    fields = ",".join(problem.fields)
    return f"{problem.code}:{problem.message}:{fields}{' ' if fields else ''}--"


def result_rows(tally: Tally, kind: str, version: float) -> Iterator[list[str]]:
    """Yield the header and the rows of one of the three result files."""
    # The id of a failed record is there since v53.
    first = 0 if version >= 53 else 1
    if kind == "successfulresults":
        yield ["sf__Id", "sf__Created", *tally.header]
        yield from tally.succeeded
    elif kind == "failedresults":
        yield ["sf__Id", "sf__Error"][first:] + tally.header
        yield from (row[first:] for row in tally.failed)
    else:
        yield tally.header
        yield from tally.unprocessed
