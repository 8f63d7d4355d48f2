"""Records of a JSON response as a batch for landing: the text of each record as received, and its keys."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import cast

import pyarrow as pa

from crm_pipeline.connectors.record_page import as_instants
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing import records

_Encoded = Sequence[bytes | memoryview]
SCHEMA = pa.schema(
    [
        ("_source_id", pa.string()),
        ("_modified_at", records.TIMESTAMP),
        ("_deleted", pa.bool_()),
        ("record", pa.string()),
    ]
)


def batch_of(
    *,
    ids: Sequence[str],
    modified_at: Sequence[str | datetime | None] | pa.Array,
    texts: Sequence[bytes | memoryview | str],
    deleted: Sequence[bool] | bool = False,
    owner: str,
) -> pa.RecordBatch:
    """Return records in the shape `json`.

    Args:
        ids: the vendor's ids as text.
        modified_at: ISO 8601 instants with `Z` or an offset, or datetimes; None or "" where there is none. Or
            the instants of a `RecordPage`, together with the texts of that page.
        texts: each record's JSON.
        deleted: a flag for each record, or one for all.
        owner: named in error texts.

    Raises:
        ProtocolError: a modification time is no instant, or a text is not UTF-8.
    """
    marks = [deleted] * len(ids) if isinstance(deleted, bool) else deleted
    try:
        # A `RecordPage` has read instants and has checked its texts already.
        is_read = isinstance(modified_at, pa.Array)
        encoded = cast("_Encoded", texts) if is_read else _encoded(texts)
        plain = _texts(encoded)
        if not is_read:
            plain.validate(full=True)
        instants = modified_at if is_read else as_instants(modified_at)
    except pa.ArrowInvalid:
        # Arrow quotes the value that it could not read: that may be somebody's data.
        raise ProtocolError(
            f"{owner}: a response holds a modification time that is no instant, or text that is not UTF-8.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        ) from None
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()),
            instants,
            pa.array(marks, pa.bool_()),
            plain,
        ],
        schema=SCHEMA,
    )


def _encoded(texts: Sequence[bytes | memoryview | str]) -> _Encoded:
    return [text.encode() if isinstance(text, str) else text for text in texts]


def _texts(texts: _Encoded) -> pa.Array:
    """Return texts as an array of strings; six times as fast as `pa.array` of a list of bytes."""
    ends = pa.array([0, *accumulate(map(len, texts))], pa.int32())
    data = pa.py_buffer(b"".join(texts))
    return pa.Array.from_buffers(pa.string(), len(texts), [None, ends.buffers()[1], data])
