"""Compare expected and shown facts row by row, and describe differences so that they can be looked up."""

from collections.abc import Collection
from dataclasses import dataclass

from crm_pipeline_tests.meaning.facts import Table
from crm_pipeline_tests.meaning.shown import plain

ROWS = "(rows)"
"""The name used instead of a column where rows are missing or unexpected."""


@dataclass(frozen=True)
class Difference:
    """A column that is not what the vendor says.

    Attributes:
        count: how many rows differ.
        of: how many rows were compared.
        examples: three of them, by key.
    """

    connection: str
    table: str
    column: str
    count: int
    of: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        head = (
            f"{self.connection} {self.table}.{self.column}: {self.count} of {self.of} rows differ"
        )
        return "\n    ".join([head, *self.examples])


def differences(
    connection: str, table: str, expected: Table, shown: Table, pending: Collection[str] = ()
) -> list[Difference]:
    """Compare every expected column of every row; columns that are pending are passed over."""
    wrong: dict[str, list[str]] = {}
    if table == "gone":
        shown = {key: row for key, row in shown.items() if key in expected}
        wrong["is_live"] = [f"{key} is deleted and shown as live" for key in shown]
    else:
        lost = [f"{key} is missing" for key in expected if key not in shown]
        more = [f"{key} is shown, and not there" for key in shown if key not in expected]
        wrong[ROWS] = lost + more
        for key in expected.keys() & shown.keys():
            for column, value in expected[key].items():
                right, is_shown = plain(value), plain(shown[key].get(column))
                if right != is_shown:
                    text = f"{key}: the vendor says {right!r}, the file {is_shown!r}"
                    wrong.setdefault(column, []).append(text)
    return [
        Difference(connection, table, column, len(many), len(expected), tuple(sorted(many)[:3]))
        for column, many in sorted(wrong.items())
        if many and column not in pending
    ]
