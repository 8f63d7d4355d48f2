"""Checks of two columns of one row that pandera does not have, as pandera checks that SQL knows as well.

class Deals(pa.DataFrameModel):
...

schema = pa.DataFrameSchema({...}, checks=[not_before("ends_on", "starts_on")])
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandera.pandas as pandera


def not_before(column: str, other: str, **options: Any) -> "pandera.Check":
    """Return the check that a column is not before another one; NULL in either satisfies it.

    Args:
        column: the later column.
        other: the earlier one.
        **options: as of any `pandera.Check`, such as `error`.
    """
    import pandera.pandas as pandera

    options.setdefault("error", f"{column} before {other}")
    return pandera.Check(is_not_before, name="not_before", column=column, other=other, **options)


def implies(column: str, other: str, **options: Any) -> "pandera.Check":
    """Return the check that a second column is true where the first one is; NULL in either satisfies it.

    Args:
        column: the first column.
        other: the second one.
        **options: as of any `pandera.Check`, such as `error`.
    """
    import pandera.pandas as pandera

    options.setdefault("error", f"{column} but not {other}")
    return pandera.Check(is_implied, name="implies", column=column, other=other, **options)


def is_not_before(frame: Any, *, column: str, other: str) -> Any:
    """Say for each row whether a column is not before another one."""
    return ~(frame[column] < frame[other]).fillna(value=False)


def is_implied(frame: Any, *, column: str, other: str) -> Any:
    """Say for each row whether a column is true only where another one is."""
    return ~(frame[column] & ~frame[other]).fillna(value=False)
