"""Records of a JSON answer as a batch for landing: the text of each as received, and its keys."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

import pyarrow as pa

from crm_pipeline.connectors.record_page import as_instants
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store import records

SCHEMA = pa.schema(
    [
        ("_source_id", pa.string()),
        ("_modified_at", records.STAMP),
        ("_deleted", pa.bool_()),
        ("record", pa.string()),
    ]
)


def batch_of(
    *,
    ids: Sequence[str],
    stamps: Sequence[str | datetime | None] | pa.Array,
    texts: Sequence[bytes | memoryview | str],
    deleted: Sequence[bool] | bool = False,
    owner: str,
) -> pa.RecordBatch:
    """Return records in the shape `json`.

    Args:
        ids: the vendor's ids as text.
        stamps: ISO 8601 instants with `Z` or an offset, or datetimes; None or "" where there is none. Or
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
        is_read = isinstance(stamps, pa.Array)
        plain = _texts(texts, is_read=is_read)
        modified = stamps if is_read else as_instants(stamps)
    except pa.ArrowInvalid:
        # Arrow quotes the value that it could not read: that may be somebody's data.
        raise ProtocolError(
            f"{owner}: an answer holds a stamp that is no instant, or text that is not UTF-8.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        ) from None
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()),
            modified,
            pa.array(marks, pa.bool_()),
            plain,
        ],
        schema=SCHEMA,
    )


def _texts(texts: Sequence[bytes | memoryview | str], *, is_read: bool) -> pa.Array:
    """Return texts as an array of strings; six times as fast as Arrow takes bytes from a list.

    Raises:
        pa.ArrowInvalid: one is not UTF-8.
    """
    encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    ends = pa.array([0, *accumulate(map(len, encoded))], pa.int32())
    data = pa.py_buffer(b"".join(encoded))
    found = pa.Array.from_buffers(pa.string(), len(encoded), [None, ends.buffers()[1], data])
    if not is_read:
        found.validate(full=True)
    return found
