"""What is left of the bounds of one answer while it is read; the bounds are `settings.bounds`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MB = 1_000_000


class TooLarge(Exception):
    """An answer exceeds its bound of bytes."""


class TooSlow(Exception):
    """An answer exceeds its bound of time."""


@dataclass
class Allowance:
    """What is left of the bounds of one answer.

    Attributes:
        most_bytes: in all.
        most_s: from the first look at `monotonic` on.
        taken: bytes so far.
    """

    most_bytes: int
    most_s: float
    monotonic: Callable[[], float] = time.monotonic
    taken: int = 0
    begun_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun_s = self.monotonic()

    @property
    def left(self) -> int:
        """How many bytes more there may be."""
        return self.most_bytes - self.taken

    def take(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            TooLarge: they are too many.
            TooSlow: they are too late.
        """
        self.taken += size
        if self.left < 0:
            raise TooLarge(f"it is larger than {self.most_bytes // MB:,} MB")
        if self.monotonic() - self.begun_s > self.most_s:
            raise TooSlow(f"it took longer than {self.most_s:,.0f} s")
