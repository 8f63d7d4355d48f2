"""Records of a JSON answer as a batch for landing: the text of each as received, and its keys."""

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
            instants as `record_page` has them, with the texts of that page.
        texts: each record's JSON.
        deleted: of each record, or of all.
        owner: for error texts.

    Raises:
        ProtocolError: a stamp is no instant, or a text is no UTF-8.
    """
    marks = [deleted] * len(ids) if isinstance(deleted, bool) else deleted
    try:
        # Where `record_page` has read the instants, it has looked at the texts, too.
        is_read = isinstance(modified_at, pa.Array)
        encoded = cast("_Encoded", texts) if is_read else _encoded(texts)
        plain = _texts(encoded)
        if not is_read:
            plain.validate(full=True)
        instants = modified_at if is_read else as_instants(modified_at)
    except pa.ArrowInvalid:
        # Arrow quotes the value that it could not read: that may be somebody's data.
        raise ProtocolError(
            f"{owner}: an answer holds a stamp that is no instant, or text that is not UTF-8.",
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
    """Return texts as an array of strings; six times as fast as Arrow takes bytes from a list."""
    ends = pa.array([0, *accumulate(map(len, texts))], pa.int32())
    data = pa.py_buffer(b"".join(texts))
    return pa.Array.from_buffers(pa.string(), len(texts), [None, ends.buffers()[1], data])
