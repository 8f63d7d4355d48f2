"""How much may be missing from what a vendor lists before that is not believed any more."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShrinkBounds:
    """A loss is too much where it reaches both.

    Attributes:
        percent: of what there was.
        rows: in number.
    """

    percent: float = 20.0
    rows: int = 5

    def exceeded(self, lost: int, before: int) -> bool:
        """Say whether so many of so many are too many."""
        return lost >= self.rows and lost * 100 >= self.percent * before
