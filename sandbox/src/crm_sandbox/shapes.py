"""Checks of decoded JSON values against types, so that handlers need not expect any other type."""

from dataclasses import dataclass
from typing import Any

import msgspec

# Servers that read JSON into typed objects take numbers and flags where they want text.
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Misfit:
    """The first part of a value that is of another type.

    Attributes:
        place: its JSON path.
        reason: what was expected there and what came.
    """

    place: str
    reason: str

    @property
    def name(self) -> str:
        """The name at the end of the path."""
        return self.place.rpartition(".")[2].partition("[")[0].removeprefix("$")


def misfit(value: Any, shape: Any) -> Misfit | None:
    """Return what does not fit, or nothing. Names that a shape does not list are passed over."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        reason, _, place = str(problem).partition(" - at ")
        return Misfit(place.strip("`") or "$", reason)
    return None
