"""Makes cells of CSV files harmless for spreadsheets.

A spreadsheet runs a cell that begins with `=` and its like as a formula, also one that a stranger typed
into a web form of the CRM (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re
from collections.abc import Iterable
from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant as they are
# A number is no formula: `-5` and `+493012345` stay unchanged.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?%?", re.ASCII)


def harmless_row(row: Iterable[Any]) -> list[Any]:
    """Return the cells of a row, an apostrophe before each text that would be run as a formula."""
    return [harmless(cell) for cell in row]


def harmless(cell: Any) -> Any:
    """Return a cell with an apostrophe before a formula; numbers, dates and other texts stay unchanged."""
    if isinstance(cell, str) and cell.startswith(_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
