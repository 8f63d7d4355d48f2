"""Classes of telephone numbers: `phonenumbers` is asked once for each, and its answer holds for all in it.

The library decides by the format of the text, the length of the number, and the regular expressions of its metadata.
Two numbers are in one class where all of these agree: the region, the plus sign, the length, the digits that decide
which prefix is taken off, and the states of the automata of the numbering plans for each place where the national
number may begin. Nothing of the library's rules is written again here; texts of unusual form have a class of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_pipeline.verification.automata import END
from crm_pipeline.verification.numbering_plans import (
    FIRST_PLACES,
    Digits,
    Plan,
    abroad,
    calling_codes,
    code_of,
    known_regions,
    plan_of,
)

Keys = NDArray[np.uint64]
Rows = NDArray[np.int64]
_FEWEST_DIGITS = 4
_MOST_DIGITS = 20
_USUAL = r"^\(?\+?[0-9][0-9 ()./-]*[0-9](?: ?(?:x|ext\.) ?[0-9]{1,6})?$"
_EXTENSION = r"(?: ?(?:x|ext\.) ?)(?P<extension>[0-9]{1,6})$"
_ODD = 7
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Classified:
    """Numbers by class.

    Attributes:
        number: the class of each number, from 0 on.
        first: the row of the first number of each class.
        digits: the digits of each number without its extension; null where the text is of unusual form.
        extension: as written; null where there is none.
    """

    number: Rows
    first: Rows
    digits: pa.StringArray
    extension: pa.StringArray


def classified(texts: pa.StringArray, regions: pa.StringArray) -> Classified:
    """Return the class of each number.

    Args:
        texts: distinct pairs with `regions`; without nulls.
        regions: ISO 3166 codes that the library supports; "" where none is known.
    """
    body = pc.replace_substring_regex(texts, _EXTENSION, "")
    extension = pc.struct_field(pc.extract_regex(texts, _EXTENSION), "extension")
    digits = pc.replace_substring_regex(body, "[^0-9]", "")
    length = np.asarray(pc.binary_length(digits))
    has_plus = np.asarray(pc.match_substring(pc.utf8_slice_codeunits(body, 0, 2), "+"))
    # Shorter ones are judged by their punctuation, too.
    usual = np.array(pc.match_substring_regex(texts, _USUAL))
    usual &= (length >= _FEWEST_DIGITS) & (length <= _MOST_DIGITS)
    rows = np.flatnonzero(usual)
    numbers = _matrix(digits.take(pa.array(rows)))
    # Where no country has the code behind the plus, the library reads the number once more without the plus.
    known = ~has_plus[rows] | (calling_codes(numbers, 0) > 0)
    usual[rows[~known]] = False
    rows, numbers = rows[known], numbers[known]
    region = np.asarray(pc.index_in(regions.take(pa.array(rows)), value_set=known_regions()))
    tail = np.asarray(pc.fill_null(pc.binary_length(extension), 0))[rows]
    keys = np.zeros(len(texts), np.uint64)
    key = _mixed(region, has_plus[rows], length[rows], tail)
    keys[rows] = _distinguished(numbers, region, has_plus[rows], key)
    odd = np.flatnonzero(~usual)
    keys[odd] = _mixed(odd, np.full(len(odd), _ODD))
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    nothing = pa.scalar(None, pa.string())
    written = (pc.if_else(pa.array(usual), column, nothing) for column in (digits, extension))
    return Classified(number, first, *written)


def _matrix(digits: pa.StringArray) -> Digits:
    """Return a row for each number, filled up with `END`."""
    padded = pc.ascii_rpad(digits, _MOST_DIGITS, ":")  # the character behind "9" stands for `END`
    flat = np.frombuffer(padded.buffers()[2] or b"", np.uint8, len(digits) * _MOST_DIGITS)
    return flat.reshape(-1, _MOST_DIGITS) - np.uint8(ord("0"))


def _distinguished(numbers: Digits, region: Rows, has_plus: NDArray[np.bool_], key: Keys) -> Keys:
    """Return keys with what the plans say of the numbers."""
    key = key.copy()
    at_home = list(_groups(np.where(has_plus, 0, region)))
    for index, rows in at_home:
        if index:
            name = known_regions()[index].as_py()
            plan = plan_of(code_of(name), name)
            key[rows] = _mixed(key[rows], *_plan_facts(plan, numbers[rows], 0))
    plus = np.flatnonzero(has_plus)
    key[plus] = _by_code(numbers[plus], 0, key[plus])
    for index, rows in at_home:
        if index:
            for place, outside in abroad(known_regions()[index].as_py(), numbers[rows]):
                there = rows[outside]
                key[there] = _by_code(numbers[there], place, key[there])
    return key


def _by_code(numbers: Digits, place: int, key: Keys) -> Keys:
    """Return keys with what the plan says whose country calling code stands at a place."""
    key = _mixed(key, np.full(len(key), place))
    for code, rows in _groups(calling_codes(numbers, place)):
        if code:
            facts = _plan_facts(plan_of(code), numbers[rows], place + len(str(code)))
            key[rows] = _mixed(key[rows], np.full(len(rows), code), *facts)
    return key


def _plan_facts(plan: Plan, numbers: Digits, begin: int) -> Iterator[NDArray[Any]]:
    """Yield what a plan says of numbers whose national part begins at a column, or later."""
    literal = plan.prefix.alive(numbers, begin)
    columns = np.arange(_MOST_DIGITS) - begin
    shown = np.where((columns >= 0) & (columns < literal[:, None]), numbers, END)
    yield _mixed(*shown.T)
    for place in range(begin, min(begin + FIRST_PLACES, _MOST_DIGITS)):
        may = literal > place - begin
        if not may.any():
            return
        yield np.where(may, plan.whole.run(numbers, place), -1)


def _groups(values: NDArray[Any]) -> Iterator[tuple[int, Rows]]:
    """Yield each value and the rows that have it."""
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order])) + 1
    for rows in np.split(order, ends):
        if len(rows):
            yield int(values[rows[0]]), rows


def _mixed(*columns: NDArray[Any]) -> Keys:
    """Return one number for the values of each row; equal rows have equal ones."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ np.asarray(column).astype(np.uint64)) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed
