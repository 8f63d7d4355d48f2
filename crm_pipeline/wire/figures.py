"""Numbers that a vendor writes into headers: whole or decimal, not negative and bounded, or none at all.

`str.isdigit` lets '²' pass, `int` raises at 4,301 digits and `float` knows 'nan' and '1e400': who reads
a figure from outside reads it here.
"""

import re

_MOST_DIGITS = 18  # of what fits into a BIGINT
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?\Z", re.ASCII)
_SHOWN = 40


def whole(text: str, most: int) -> int | None:
    """Return a whole number from 0 to `most`; None for anything else."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return None
    found = int(digits)
    return found if found <= most else None


def decimal(text: str) -> float | None:
    """Return a number of at most 18 digits, with or without decimals; None for anything else."""
    return float(text) if _DECIMAL.match(text := text.strip()) else None


def lasting(value: object, *, least: float, most: float) -> float | None:
    """Return seconds that a vendor's JSON tells, as a number or as text; None outside of the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        value = decimal(value)
    if value is None or not least <= value <= most:  # which NaN is not
        return None
    return float(value)


def shown(text: str) -> str:
    """Return a text of a vendor as it may stand in a warning: short, in quotes, without control signs."""
    told = ascii(text)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}... ({len(text):,} characters)"
