"""The keys of stored JSON records, read by the same functions that read responses."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from crm_pipeline.connectors.record_page import RecordPage
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.store.landing import records

EnvelopeT = TypeVar("EnvelopeT")
KeyT = TypeVar("KeyT")


def keys_of(
    raw: pa.RecordBatch,
    read: Callable[[bytes], RecordPage[EnvelopeT, KeyT]],
    *,
    list_name: str,
    id_of: Callable[[KeyT], str],
    deleted_of: Callable[[KeyT, int], bool],
) -> pa.RecordBatch:
    """Return the key columns, one row for each record; the id is null where a record cannot be read.

    Args:
        raw: records of the shape `json`.
        read: reads the body of a response.
        list_name: the key of the list of records in a response.
        id_of: returns the id of a readable record.
        deleted_of: returns whether a readable record is deleted, by its key and its row.
    """
    texts = [text.encode() for text in raw.column("record").to_pylist()]
    whole = _read(texts, read, list_name)
    if whole is not None and whole.seen == len(whole.texts) == len(texts):
        rows = list(range(len(texts)))
        ids: Sequence[str | None] = [id_of(key) for key in whole.keys]
        marks = [deleted_of(key, row) for key, row in zip(whole.keys, rows, strict=True)]
        return _batch(ids, whole.instants, marks)
    # At least one record cannot be read; reading each by itself shows which.
    pages = [_single(text, read, list_name) for text in texts]
    return _batch(
        [id_of(page.keys[0]) if page else None for page in pages],
        pa.array([page.instants[0].as_py() if page else None for page in pages], records.TIMESTAMP),
        [page is not None and deleted_of(page.keys[0], row) for row, page in enumerate(pages)],
    )


def _single(
    text: bytes, read: Callable[[bytes], RecordPage[EnvelopeT, KeyT]], list_name: str
) -> RecordPage[EnvelopeT, KeyT] | None:
    page = _read([text], read, list_name)
    return page if page is not None and len(page.texts) == page.seen == 1 else None


def _read(
    texts: Sequence[bytes], read: Callable[[bytes], RecordPage[EnvelopeT, KeyT]], list_name: str
) -> RecordPage[EnvelopeT, KeyT] | None:
    try:
        return read(b'{"%b":[%b]}' % (list_name.encode(), b",".join(texts)))
    except MalformedResponse:
        return None


def _batch(ids: Sequence[str | None], instants: pa.Array, marks: Sequence[bool]) -> pa.RecordBatch:
    columns = [pa.array(ids, pa.string()), instants, pa.array(marks, pa.bool_())]
    return pa.RecordBatch.from_arrays(columns, names=list(records.KEY_COLUMNS))
