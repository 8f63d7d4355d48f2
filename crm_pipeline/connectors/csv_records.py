"""The records of a CSV file as record batches of text cells; records that cannot be read are rejected one by one.

Arrow reads a block at once. Only an irregular block is split record by record: a record that cannot be read is
rejected with its reason and its bytes, and the others are landed.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crm_pipeline.connectors.csv_blocks import (
    Block,
    CsvBlocks,
    Readable,
    Splitter,
    are_quotes_in_place,
)
from crm_pipeline.connectors.record_page import NO_INSTANT, NO_UTF8, instants_or_none
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.bounds import Allowance

BLOCK_BYTES = 8 << 20
# Far above the longest record that vendors allow: those of Salesforce have 400,000 characters.
_LONGEST_BYTES = 32 << 20
_MOST_REJECTED_BYTES = 64 << 20
_HEAD_BYTES = 1 << 20
NO_ID = "the record has no id"
HAS_NUL = "the record holds a NUL byte"
_DEFAULT_ID = rb"[0-9A-Za-z]{1,64}"

Keys = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class CsvForm:
    """The form of a vendor's files.

    Attributes:
        owner: named in error texts.
        names: of the fields to return, in order.
        columns: returns the names of a file's columns by its header; raises ProtocolError where they do not fit.
        keys: returns the key columns of `store.landing.records`; `_source_id` is null for records that cannot be
            landed.
        id_name: the name of the id field.
        id_form: a regular expression for ids.
    """

    owner: str
    names: Sequence[str]
    columns: Callable[[list[str]], list[str]]
    keys: Keys
    id_name: str
    id_form: bytes = _DEFAULT_ID


class CsvRecords:
    """The records of one file.

    Args:
        form: of the file.
        allowance: limits its bytes.
        rejected: filled with the records that cannot be read.
        block_bytes: the number of bytes read at once.

    Attributes:
        seen: the number of records so far, readable or not.
    """

    def __init__(
        self,
        form: CsvForm,
        allowance: Allowance,
        rejected: list[Reject],
        *,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._form = form
        self._allowance = allowance
        self._rejected = rejected
        self._block_bytes = block_bytes
        self._rejected_bytes = 0
        self._names: list[str] = []
        self._order: list[int] = []
        self._read = 0

    @property
    def seen(self) -> int:
        """The number of records so far, readable or not."""
        return self._read + len(self._rejected)

    def batches(self, file: Readable) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Args:
            file: open at its beginning.

        Raises:
            ProtocolError: the file has other columns, or cannot be split into records.
            TooLarge: the file is larger than allowed.
        """
        blocks = CsvBlocks(
            file,
            size=self._block_bytes,
            longest=max(_LONGEST_BYTES, 4 * self._block_bytes),
            allowance=self._allowance,
        )
        head = blocks.head(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        self._names = self._form.columns(cells_of(head))
        if self._names != list(self._form.names):
            self._order = [self._names.index(name) for name in self._form.names]
        while (block := blocks.take()) is not None:
            batch = self._read_at_once(block)
            if batch is None:
                batch, tail = self._read_singly(block)
                blocks.give_back(tail)
            self._read += batch.num_rows
            if batch.num_rows:
                yield batch

    def _read_at_once(self, block: Block) -> pa.RecordBatch | None:
        """Return the records of a block read at once; None where it is irregular."""
        if block.has(b"\0"):
            return None
        try:
            raw = _parsed(pa.py_buffer(block.data), self._names)
        except pa.ArrowInvalid:
            return None
        if not (_is_all_quoted(raw, block) or are_quotes_in_place(block)):
            return None
        batch = self._keyed(raw)
        return batch if batch.column("_source_id").null_count == 0 else None

    def _keyed(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        wanted = raw.select(list(self._form.names))
        keys = self._form.keys(wanted)
        return pa.RecordBatch.from_arrays(
            [*keys.columns, *wanted.columns], names=[*keys.schema.names, *wanted.schema.names]
        )

    def _read_singly(self, block: Block) -> tuple[pa.RecordBatch, int]:
        """Read a block record by record.

        Returns:
            The records that can be read, and the size of the rest that continues in the next block.
        """
        parts, tail = self._splitter.parts(block)
        good: list[bytes] = []
        for part in parts:
            defect = part.defect or _defect(part.raw)
            if defect:
                source_id = self._splitter.id_of(part.raw)
                self._reject(defect, part.raw, source_id, is_torn=bool(part.defect))
            else:
                good.append(part.raw)
        if not good:
            return self._keyed(_empty(self._names)), tail
        raw = _parsed(pa.py_buffer(b"".join(map(_ended, good))), self._names)
        if raw.num_rows != len(good):
            raise ProtocolError(f"{self._form.owner}: a CSV file cannot be split into records.")
        batch = self._keyed(raw)
        is_readable = batch.column("_source_id").is_valid()
        ids = raw.column(self._form.id_name).to_pylist()
        for text, source_id, is_good in zip(good, ids, is_readable.to_pylist(), strict=True):
            if not is_good:
                self._reject(NO_INSTANT if source_id else NO_ID, text, source_id)
        return batch.filter(is_readable), tail

    def _reject(self, reason: str, raw: bytes, source_id: str, *, is_torn: bool = False) -> None:
        self._rejected_bytes += len(raw)
        if self._rejected_bytes > _MOST_REJECTED_BYTES:
            raise ProtocolError(
                f"{self._form.owner}: more than {_MOST_REJECTED_BYTES >> 20} MB of a CSV file cannot be read."
            )
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if self._order:
            line = self._splitter.reordered(line, self._order)
        self._rejected.append(Reject(reason, line, source_id, is_torn))

    @cached_property
    def _splitter(self) -> Splitter:
        id_column = self._names.index(self._form.id_name)
        return Splitter(len(self._names), id_column, self._form.id_form)


def key_columns(
    raw: pa.RecordBatch, *, id_field: str, modified_field: str | None, deleted_field: str | None
) -> pa.RecordBatch:
    """Return the key columns of raw text columns; `_source_id` is null where id or modification time is invalid."""
    ids = raw.column(id_field)
    rows = raw.num_rows
    is_good = pc.not_equal(ids, "")
    modified = pa.nulls(rows, records.TIMESTAMP)
    if modified_field is not None:
        modified, has_instant = instants_or_none(raw.column(modified_field))
        is_good = pc.and_(is_good, has_instant)
    deleted: pa.Array = (
        pc.equal(raw.column(deleted_field), "true")
        if deleted_field
        else pa.repeat(pa.scalar(value=False), rows)
    )
    if pc.all(is_good).as_py() is False:
        ids = pc.if_else(is_good, ids, pa.scalar(None, pa.string()))
    return pa.RecordBatch.from_arrays(
        [ids, modified, deleted.fill_null(fill_value=False)], names=list(records.KEY_COLUMNS)
    )


def without_nul(raw: pa.RecordBatch) -> pa.RecordBatch:
    """Return rejected records; those that hold NUL get empty cells, so that they stay rejected."""
    has_nul = pa.repeat(pa.scalar(value=False), raw.num_rows)
    for column in raw.columns:
        has_nul = pc.or_(has_nul, pc.match_substring(column, "\0"))
    if not pc.any(has_nul).as_py():
        return raw
    columns = [pc.if_else(has_nul, "", column) for column in raw.columns]
    return pa.RecordBatch.from_arrays(columns, names=raw.schema.names)


def cells_of(line: bytes) -> list[str]:
    """Return the cells of one line."""
    text = io.StringIO(line.decode("utf-8", "replace"), newline="")
    try:
        return next(csv.reader(text), [])
    except csv.Error:
        return []


def _parsed(data: pa.Buffer, names: list[str]) -> pa.RecordBatch:
    """Return whole records, read by Arrow as one block, so that no block ends inside of a cell."""
    table = pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(
            block_size=data.size + 1, use_threads=False, column_names=names
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
            null_values=[],
            check_utf8=True,
        ),
    )
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else _empty(names)


def _empty(names: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in names], names=names)


def _is_all_quoted(raw: pa.RecordBatch, block: Block) -> bool:
    """Return whether every cell is quoted and quotation marks inside of cells are doubled.

    Sizes decide: a cell is as long as its value, two marks around it, one more for each mark inside, and its
    separator. A misplaced mark or an unquoted cell changes the number of marks.
    """
    rows, cells = raw.num_rows, raw.num_rows * raw.num_columns
    ends = 2 if block.buffer[block.size - 2 : block.size] == b"\r\n" else 1
    values = sum(map(_size, raw.columns))
    inside = block.size - values - 3 * cells - (ends - 1) * rows
    is_quoted: bool = block.quotes == 2 * (cells + inside)
    return is_quoted


def _size(column: pa.Array) -> int:
    """Return the size of a column's values in bytes."""
    if not len(column):
        return 0
    offsets = memoryview(column.buffers()[1]).cast("i")
    size: int = offsets[column.offset + len(column)] - offsets[column.offset]
    return size


def _defect(raw: bytes) -> str:
    if b"\0" in raw:
        return HAS_NUL
    try:
        raw.decode()
    except UnicodeDecodeError:
        return NO_UTF8
    return ""


def _ended(raw: bytes) -> bytes:
    return raw if raw.endswith((b"\n", b"\r")) else raw + b"\n"
