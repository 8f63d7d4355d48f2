"""How much may be missing from a vendor's list before the list is held back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShrinkBounds:
    """A loss is too large where it reaches both limits.

    Attributes:
        percent: of the rows before.
        rows: a number of rows.
    """

    percent: float = 20.0
    rows: int = 5

    def exceeded(self, lost: int, before: int) -> bool:
        """Say whether `lost` of `before` rows are too many."""
        return lost >= self.rows and lost * 100 >= self.percent * before
