"""Record ids: 15 case-sensitive characters and the 3 that make them safe without case."""

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_DIGITS = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8
)
_CHECK = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", dtype=np.uint8)
_POD = b"Hr000"
_WIDTH = 7
# Ids begin well above zero, so that letters of both cases occur from the first record on.
_FIRST = 36**4
_FORM = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def make_ids(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    """Return 18-character ids for record numbers; a negative number gives null.

    Ids grow with their number when compared as bytes.
    """
    count = len(numbers)
    absent = numbers < 0
    rest = np.where(absent, 0, numbers).astype(np.int64) + _FIRST
    letters = np.empty((count, 18), dtype=np.uint8)
    letters[:, :8] = np.frombuffer(prefix.encode() + _POD, dtype=np.uint8)
    for position in range(8 + _WIDTH - 1, 7, -1):
        letters[:, position] = _DIGITS[rest % 62]
        rest = rest // 62
    upper = (letters[:, :15] >= ord("A")) & (letters[:, :15] <= ord("Z"))
    weights = np.array([1, 2, 4, 8, 16])
    for group in range(3):
        bits = upper[:, group * 5 : group * 5 + 5] @ weights
        letters[:, 15 + group] = _CHECK[bits]
    text = pa.array(letters.reshape(-1).view("S18"), pa.binary()).cast(pa.string())
    if not absent.any():
        return text
    import pyarrow.compute as pc

    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), text)


def make_id(prefix: str, number: int) -> str:
    """Return the id of one record number."""
    made: str = make_ids(prefix, np.array([number]))[0].as_py()
    return made


def checksum(short: str) -> str:
    """Return the three characters that turn a 15-character id into an 18-character one."""
    groups = (short[0:5], short[5:10], short[10:15])
    return "".join(
        chr(_CHECK[sum(1 << k for k, letter in enumerate(group) if "A" <= letter <= "Z")])
        for group in groups
    )


def full_id(text: str) -> str:
    """Return an id with 18 characters, whatever of both lengths was given."""
    return text + checksum(text) if len(text) == 15 else text


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a record id."""
    return _FORM.fullmatch(text) is not None
