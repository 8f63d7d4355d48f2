"""Read numbers in a vendor's headers: whole or decimal, not negative and bounded; None for anything else.

`str.isdigit` accepts '²', `int` raises at 4,301 digits and `float` accepts 'nan' and '1e400', so all numbers from
outside are read here.
"""

import re

_MOST_DIGITS = 18  # of what fits into a BIGINT
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?\Z", re.ASCII)
_SHOWN = 40


def whole(text: str, limit: int) -> int | None:
    """Return a whole number from 0 to `limit`; None for anything else."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return None
    number = int(digits)
    return number if number <= limit else None


def decimal(text: str) -> float | None:
    """Return a number of at most 18 digits, with or without decimals; None for anything else."""
    return float(text) if _DECIMAL.match(text := text.strip()) else None


def lasting(value: object, *, least: float, most: float) -> float | None:
    """Return seconds in a vendor's JSON, a number or a text; None outside of the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        value = decimal(value)
    if value is None or not least <= value <= most:  # which NaN is not
        return None
    return float(value)


def shown(text: str) -> str:
    """Return a vendor's text for a warning: short, in quotes, without control characters."""
    escaped = ascii(text)
    return (
        escaped if len(escaped) <= _SHOWN else f"{escaped[:_SHOWN]}... ({len(text):,} characters)"
    )
