"""Records of a CSV file into record batches, and aside those that cannot be read; every cell stays its text.

A block is read at once by Arrow. Only where something in it is odd is it taken apart, record by record: what
cannot be read is set aside with its reason and its bytes, and the others go on.
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
# The longest record by the vendors' limits is far shorter: Salesforce's have 400,000 characters.
_LONGEST_BYTES = 32 << 20
_MOST_REJECTED_BYTES = 64 << 20
_HEAD_BYTES = 1 << 20
NO_ID = "the record has no id"
HAS_NUL = "the record holds a NUL byte"
_DEFAULT_ID = rb"[0-9A-Za-z]{1,64}"

Keys = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class CsvForm:
    """What a file of a vendor looks like.

    Attributes:
        owner: for error texts.
        names: of the fields that are wanted, in their order.
        columns: the names of a file's columns, from its header; raises ProtocolError where they are others.
        keys: the key columns of `store.landing.records`; `_source_id` is null for records that cannot be landed.
        id_name: the field with the id.
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
        allowance: bounds its bytes.
        rejected: filled with records that cannot be read.
        block_bytes: how much is read at once.

    Attributes:
        seen: how many records there were so far, readable or not.
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
        self._places: list[int] = []
        self._read = 0

    @property
    def seen(self) -> int:
        """How many records there were so far, readable or not."""
        return self._read + len(self._rejected)

    def batches(self, file: Readable) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Args:
            file: open at its beginning.

        Raises:
            ProtocolError: the file has other columns, or cannot be told apart into records.
            TooLarge: it is larger than allowed.
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
            self._places = [self._names.index(name) for name in self._form.names]
        while (block := blocks.take()) is not None:
            batch = self._whole(block)
            if batch is None:
                batch, tail = self._apart(block)
                blocks.give_back(tail)
            self._read += batch.num_rows
            if batch.num_rows:
                yield batch

    def _whole(self, block: Block) -> pa.RecordBatch | None:
        """Return the records of a block; None where anything in it is odd."""
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

    def _apart(self, block: Block) -> tuple[pa.RecordBatch, int]:
        """Read a block record by record.

        Returns:
            The records that can be read, and the size of what goes on behind the block.
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
            raise ProtocolError(
                f"{self._form.owner}: a CSV file cannot be told apart into records."
            )
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
        if self._places:
            line = self._splitter.reordered(line, self._places)
        self._rejected.append(Reject(reason, line, source_id, is_torn))

    @cached_property
    def _splitter(self) -> Splitter:
        place = self._names.index(self._form.id_name)
        return Splitter(len(self._names), place, self._form.id_form)


def key_columns(
    raw: pa.RecordBatch, *, id_field: str, modified_field: str | None, deleted_field: str | None
) -> pa.RecordBatch:
    """Return the key columns of raw text columns; `_source_id` is null where id or stamp is none."""
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
    """Return set-aside records, with the cells of those that hold NUL emptied, so that they stay in quarantine."""
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
    """Read whole records in one block, so that no block of Arrow's ends inside of a cell."""
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
    found = table.combine_chunks().to_batches()
    return found[0] if found else _empty(names)


def _empty(names: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in names], names=names)


def _is_all_quoted(raw: pa.RecordBatch, block: Block) -> bool:
    """Say whether every cell stands between quotation marks, and those inside of cells are doubled.

    By sizes alone: a cell is as long as its value, two marks around it, one more for each inside, and what ends
    it. A mark that stands where none may, and a cell without marks, make more marks than that says.
    """
    rows, cells = raw.num_rows, raw.num_rows * raw.num_columns
    ends = 2 if block.buffer[block.size - 2 : block.size] == b"\r\n" else 1
    values = sum(map(_size, raw.columns))
    inside = block.size - values - 3 * cells - (ends - 1) * rows
    is_so: bool = block.quotes == 2 * (cells + inside)
    return is_so


def _size(column: pa.Array) -> int:
    """Return how many bytes the values of a column have."""
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
