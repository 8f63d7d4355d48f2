"""Count the bytes and the time of one response while it is read; the bounds are in `settings.bounds`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MB = 1_000_000


class TooLarge(Exception):
    """A response exceeds its bound of bytes."""


class TooSlow(Exception):
    """A response exceeds its bound of time."""


@dataclass
class Allowance:
    """The bytes and seconds that one response may take.

    Attributes:
        most_bytes: bytes in all.
        most_s: seconds since this object was made.
        taken: bytes counted so far.
    """

    most_bytes: int
    most_s: float
    monotonic: Callable[[], float] = time.monotonic
    taken: int = 0
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_s = self.monotonic()

    @property
    def left(self) -> int:
        """How many bytes may still come."""
        return self.most_bytes - self.taken

    def take(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            TooLarge: there are too many bytes.
            TooSlow: the time is over.
        """
        self.taken += size
        if self.left < 0:
            raise TooLarge(f"it is larger than {self.most_bytes // MB:,} MB")
        if self.monotonic() - self.started_s > self.most_s:
            raise TooSlow(f"it took longer than {self.most_s:,.0f} s")
