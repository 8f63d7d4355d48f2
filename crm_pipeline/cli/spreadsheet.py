"""Cells of CSV files that a spreadsheet takes for text, whatever they hold.

A spreadsheet runs a cell that begins with `=` and its like as a formula, also one that a stranger typed
into a web form of the CRM (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re
from collections.abc import Iterable
from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant as they are
# A number is none of a formula, and `-5` or `+493012345` as text is to stay what it is.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?%?", re.ASCII)


def harmless_row(row: Iterable[Any]) -> list[Any]:
    """Return the cells of a row, an apostrophe before each text that would be run as a formula."""
    return [harmless(cell) for cell in row]


def harmless(cell: Any) -> Any:
    """Return a cell; numbers, dates and texts that are plain numbers are as they were."""
    if isinstance(cell, str) and cell.startswith(_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
