"""Erase a subject from rows: remove the person's own, and replace values in the others."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.subject import Subject

_OWNERS = ("connection", "object", "source_id")
_ENDS = ("record_key", "from_key", "to_key", "old_key", "new_key")
"""Columns of tables whose rows are about a record: they go with it. Other columns only refer to it."""


@dataclass(frozen=True)
class ErasedRows:
    """Rows without a subject, and how many were removed and changed."""

    batch: pa.RecordBatch
    removed: int
    changed: int


class RowEraser:
    """Erases a subject from record batches.

    Args:
        subject: who is erased.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._anywhere = Redaction(subject.addresses)
        self._linked = Redaction(subject.addresses | subject.names)

    def landed(self, batch: pa.RecordBatch, connection: str, obj: str) -> ErasedRows:
        """Return landed records, which have their ids in `_source_id`."""
        ids = batch.column("_source_id")
        owner = (connection, obj)
        is_own = _is_in(ids, self._subject.by_object.get(owner, frozenset()))
        is_linked = _is_in(ids, self._subject.linked_by_object.get(owner, frozenset()))
        return self._erased(batch, is_own, is_linked)

    def table(self, batch: pa.RecordBatch, key: Sequence[str] = ()) -> ErasedRows:
        """Return rows of a table.

        Args:
            batch: with the columns `connection`, `object` and `source_id`, or keys of records, or neither.
            key: the columns by which the table's rows are told apart: a row whose key is an address goes.
        """
        is_own = self._has_key(batch, (*_ENDS, *key))
        is_linked = _nothing(batch.num_rows)
        if set(_OWNERS) <= set(batch.schema.names):
            is_own = pc.or_(is_own, _of_records(batch, self._subject.by_object))
            is_linked = _of_records(batch, self._subject.linked_by_object)
        for name in key:
            if name in batch.schema.names and _is_text(batch.column(name).type):
                folded = pc.utf8_lower(pc.utf8_trim_whitespace(batch.column(name)))
                is_own = pc.or_(is_own, _is_in(folded, self._subject.addresses))
        return self._erased(batch, is_own, is_linked)

    def _has_key(self, batch: pa.RecordBatch, names: Collection[str]) -> pa.Array:
        is_own = _nothing(batch.num_rows)
        for name in names:
            if name in batch.schema.names and _is_text(batch.column(name).type):
                is_own = pc.or_(is_own, _is_in(batch.column(name), self._subject.keys))
        return is_own

    def _erased(self, batch: pa.RecordBatch, is_own: pa.Array, is_linked: pa.Array) -> ErasedRows:
        kept = pc.invert(is_own)
        rest, linked = batch.filter(kept), is_linked.filter(kept)
        changed: set[int] = set()
        for redaction, only in ((self._anywhere, None), (self._linked, linked)):
            if redaction and (only is None or pc.any(only).as_py()):
                rest, rows = _redacted(rest, redaction, only)
                changed |= rows
        return ErasedRows(rest, batch.num_rows - rest.num_rows, len(changed))


def _redacted(
    batch: pa.RecordBatch, redaction: Redaction, only: pa.Array | None
) -> tuple[pa.RecordBatch, set[int]]:
    """Return a batch with values replaced, and the rows that changed."""
    changed: set[int] = set()
    for index, field in enumerate(batch.schema):
        column = batch.column(index)
        if not _holds_text(field.type):
            continue
        is_candidate = _candidates(column, redaction)
        if only is not None:
            is_candidate = pc.and_(is_candidate, only)
        rows = pc.indices_nonzero(is_candidate).to_pylist()
        if not rows:
            continue
        values = column.to_pylist() if len(rows) * 2 > len(column) else None
        replaced = {}
        for row in rows:
            value = values[row] if values else column[row].as_py()
            redacted = redaction.value(value)
            if redacted != value:
                replaced[row] = redacted
        if not replaced:
            continue
        batch = batch.set_column(index, field, _with(column, replaced))
        changed |= replaced.keys()
    return batch, changed


def _with(column: pa.Array, replaced: dict[int, object]) -> pa.Array:
    pieces: list[pa.Array] = []
    at = 0
    for row, value in sorted(replaced.items()):
        pieces += [column.slice(at, row - at), pa.array([value], column.type)]
        at = row + 1
    pieces.append(column.slice(at))
    return pa.concat_arrays(pieces)


def _candidates(column: pa.Array, redaction: Redaction) -> pa.Array:
    """Return for each row whether a value may be in it."""
    if _is_text(column.type):
        found = pc.match_substring_regex(column, redaction.candidates)
        return pc.fill_null(found, fill_value=False)
    if not any(
        pc.any(pc.match_substring_regex(leaf, redaction.candidates)).as_py()
        for leaf in _texts(column)
    ):
        return _nothing(len(column))
    return pa.array([True] * len(column))


def _texts(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the arrays of texts in a nested array."""
    kind = array.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _texts(array.field(index))
    elif pa.types.is_map(kind):
        yield from _texts(array.keys)
        yield from _texts(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(array.values)
    elif _is_text(kind):
        yield array
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield pa.array(
            [None if raw is None else raw.decode("utf-8", "replace") for raw in array.to_pylist()],
            pa.string(),
        )


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return _holds_text(kind.key_type) or _holds_text(kind.item_type)
    if pa.types.is_nested(kind):
        return any(_holds_text(kind.field(index).type) for index in range(kind.num_fields))
    return _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _of_records(batch: pa.RecordBatch, ids: object) -> pa.Array:
    """Return for each row whether it is one of the records, or made of a part of one."""
    found = _nothing(batch.num_rows)
    for (connection, obj), wanted in dict(ids).items():  # type: ignore[call-overload]
        is_of = pc.and_(
            pc.equal(batch.column("connection"), connection), pc.equal(batch.column("object"), obj)
        )
        source_ids = batch.column("source_id")
        is_one = _is_in(source_ids, wanted)
        # Rows of lists in records: `<id>:<further parts>`.
        parts = pc.list_element(pc.split_pattern(pc.fill_null(source_ids, ""), ":"), 0)
        found = pc.or_(
            found,
            pc.and_(pc.fill_null(is_of, fill_value=False), pc.or_(is_one, _is_in(parts, wanted))),
        )
    return found


def _is_in(values: pa.Array, wanted: Collection[str]) -> pa.Array:
    if not wanted:
        return _nothing(len(values))
    return pc.is_in(values, value_set=pa.array(sorted(wanted), values.type))


def _nothing(rows: int) -> pa.Array:
    return pa.nulls(rows, pa.bool_()).fill_null(fill_value=False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
