"""Fields that hold several addresses or numbers, taken apart: one row for each part, with the field that it is from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_MOST = 500
_MOST_BYTES = 10_000_000
REPLACEMENT = "\ufffd"
"""Stands where bytes could not be read as text, here or long before."""


@dataclass(frozen=True)
class Parts:
    """The parts of many fields, in the order of the fields and within them.

    Attributes:
        field: the row of the field that each part is from.
        position: where each part stands within its field, from 0 on.
        text: each part as written.
    """

    field: NDArray[np.int64]
    position: NDArray[np.int32]
    text: pa.StringArray

    def of(self, fields: pa.Array) -> pa.Array:
        """Return for each part what belongs to its field."""
        is_same = len(fields) == len(self.field) and not self.position.any()
        return fields if is_same else fields.take(pa.array(self.field))


def most_parts(text: str) -> int:
    """Return how many parts of a field are looked at: 500, and fewer of a text of more than 20 kB.

    Each part has a row with the whole text, and the rows of one text shall not fill the memory.
    """
    return max(1, min(_MOST, _MOST_BYTES // (len(text) or 1)))


def taken_from(
    fields: pa.StringArray, is_whole: pa.BooleanArray, take_apart: Callable[[str], list[str]]
) -> Parts:
    """Return the parts of fields.

    Args:
        fields: the fields; a null has no part.
        is_whole: which fields are one part as they are.
        take_apart: returns the parts of one of the others.
    """
    whole = np.asarray(pc.fill_null(is_whole, False))  # noqa: FBT003 - the parameter has no other form
    odd = np.flatnonzero(~whole & np.asarray(fields.is_valid()))
    if not len(odd) and not fields.null_count:
        count = len(fields)
        return Parts(np.arange(count), np.zeros(count, np.int32), fields)
    parts = [take_apart(text) for text in fields.take(pa.array(odd)).to_pylist()]
    sizes = np.array([len(texts) for texts in parts], np.int64)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    field = np.concatenate([np.flatnonzero(whole), np.repeat(odd, sizes)])
    position = np.concatenate([np.zeros(whole.sum(), np.int64), np.arange(sizes.sum()) - starts])
    order = np.argsort(field, kind="stable")
    odd_texts = pa.array([text for texts in parts for text in texts], pa.string())
    text = pa.concat_arrays([fields.filter(pa.array(whole)), odd_texts])
    return Parts(field[order], position[order].astype(np.int32), text.take(pa.array(order)))


def readable(texts: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """Return texts as one array of valid UTF-8; bytes that are none, such as lone surrogates, become U+FFFD."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    try:
        return pc.cast(pc.cast(whole, pa.binary()), pa.string())
    except pa.ArrowInvalid:
        raw = pc.cast(whole, pa.binary()).to_pylist()
        return pa.array(
            [None if b is None else b.decode(errors="replace") for b in raw], pa.string()
        )
