"""Moments in the life of records, as whole seconds since 1970 in numpy arrays."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
DAY = 86_400
_YEARS = 8


@dataclass(frozen=True)
class Stamps:
    """When records were created, changed by a person, and changed by anything."""

    created: Integers
    modified: Integers
    touched: Integers


def seconds_of(moment: datetime) -> int:
    """Return a naive UTC datetime as seconds since 1970."""
    return int(moment.replace(tzinfo=UTC).timestamp())


def growing(rng: np.random.Generator, count: int, now: int) -> Integers:
    """Return sorted creation moments over eight years, more of them lately."""
    span = _YEARS * 365 * DAY
    drawn = np.sqrt(rng.random(count)) * (span - 2 * DAY)
    return np.sort(now - span + drawn.astype(np.int64))


def lives(rng: np.random.Generator, created: Integers, now: int) -> Stamps:
    """Return later changes for given creations: created <= modified <= touched < now."""
    count = len(created)
    left = np.maximum(now - 3600 - created, 1)
    changed = rng.random(count) < 0.8
    modified = created + np.where(changed, (left * rng.random(count) ** 1.5).astype(np.int64), 0)
    automated = rng.random(count) < 0.15
    delay = rng.integers(1, 3 * DAY, count)
    touched = np.minimum(modified + np.where(automated, delay, 0), now - 60)
    return Stamps(created, modified, np.maximum(touched, modified))


def with_burst(stamps: Stamps, chosen: Integers, moment: int) -> Stamps:
    """Let one bulk load touch the chosen rows in one and the same second."""
    created, modified, touched = (array.copy() for array in vars(stamps).values())
    touched[chosen] = moment
    modified[chosen] = np.minimum(modified[chosen], moment)
    created[chosen] = np.minimum(created[chosen], modified[chosen])
    return Stamps(created, modified, touched)


def as_datetimes(seconds: Integers) -> NDArray[np.datetime64]:
    """Return seconds as numpy datetimes, ready for Arrow."""
    return seconds.astype("datetime64[s]")
