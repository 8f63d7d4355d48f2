"""Numbering plans as automata: what the metadata of `phonenumbers` say of digits, by country calling code.

Nothing of the library's rules is written again here. Its regular expressions are read from its metadata, and an
automaton made of them tells digits apart exactly as far as they do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

from crm_pipeline.verification.automata import DIGITS, END, Automaton, automaton

Digits = NDArray[np.uint8]
"""A row for each number and a column for each digit, filled up with `END`."""
FIRST_PLACES = 10
"""The national number begins behind at most so many digits of its text."""
_KINDS = (
    *("general_desc", "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


@dataclass(frozen=True)
class Plan:
    """A numbering plan: all regions with one country calling code.

    Attributes:
        whole: tells apart what the metadata of the plan say of national numbers.
        prefix: is alive as long as the digits may be a prefix that is taken off.
    """

    whole: Automaton
    prefix: Automaton


@cache
def plan_of(code: int, region: str = "") -> Plan:
    """Return the plan of a country calling code, with the prefixes of a region; "" for its main one."""
    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    metadata = _metadata(region or regions[0], code)
    prefix, abroad = metadata.national_prefix_for_parsing, metadata.international_prefix
    prefixes = [f"{code}(?:{prefix})" if prefix else str(code)]
    return Plan(_whole(code), automaton([*prefixes, *filter(None, (prefix, abroad))]))


@cache
def _whole(code: int) -> Automaton:
    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    return automaton(text for name in regions for text in _expressions(code, name))


def _expressions(code: int, region: str) -> Iterator[str]:
    metadata = _metadata(region, code)
    for kind in _KINDS:
        description = getattr(metadata, kind)
        if description and description.national_number_pattern:
            yield description.national_number_pattern
    if metadata.leading_digits:
        yield f"(?:{metadata.leading_digits})[0-9]*"


def _metadata(region: str, code: int = 0) -> PhoneMetadata:
    """Return the metadata of a supported region, or of a code that is of no country."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None:
        raise ValueError(f"phonenumbers was expected to know the region {region!r}.")
    return metadata


def code_of(region: str) -> int:
    """Return the country calling code of a supported region."""
    return int(_metadata(region).country_code or 0)


@cache
def outside_prefix(region: str) -> Automaton:
    """Return what tells the prefix for calls abroad from a region; for regions without one it takes nothing."""
    return automaton([_metadata(region).international_prefix or "A"])


@cache
def known_regions() -> pa.StringArray:
    """Return the supported regions behind "", which stands for none."""
    return pa.array(["", *sorted(SUPPORTED_REGIONS)])


def calling_codes(numbers: Digits, place: int) -> NDArray[np.int64]:
    """Return the country calling code that stands at a place of each number; 0 where none does."""
    three = [numbers[:, place + i].astype(np.int64) for i in range(3)]
    codes: NDArray[np.int64] = _codes()[(three[0] * 11 + three[1]) * 11 + three[2]]
    return codes


@cache
def _codes() -> NDArray[np.int64]:
    """Return the country calling code by the first three digits, `END` among them; 0 where there is none."""
    table = np.zeros(11**3, np.int64)
    for index in range(11**3):
        digits = (index // 121, index // 11 % 11, index % 11)
        text = "".join(str(digit) if digit < END else "" for digit in digits)
        # No code begins with a zero, which a number would lose.
        codes = (int(text[:length]) for length in (1, 2, 3) if text and text[0] != "0")
        table[index] = next((code for code in codes if code in COUNTRY_CODE_TO_REGION_CODE), 0)
    return table


def abroad(region: str, numbers: Digits) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield behind how many digits numbers go on that begin with the prefix for calls abroad, and their rows."""
    machine = outside_prefix(region)
    state = np.zeros(len(numbers), np.int32)
    flat = machine.table.ravel()
    for place in range(FIRST_PLACES):
        state = flat[state * (DIGITS + 1) + numbers[:, place]]
        rows = np.flatnonzero(machine.accepts[state] & (numbers[:, place] != END))
        if len(rows):
            yield place + 1, rows
