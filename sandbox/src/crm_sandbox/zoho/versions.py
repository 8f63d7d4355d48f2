"""Versions of the API, and the differences of older ones.

All stay addressable: https://www.zoho.com/crm/developer/docs/api/v8/ lists 2 to 8, with a change log for
each. The differences that are known are here. In everything else an older version answers like the eighth,
which is more than it did.
"""

import re
from dataclasses import dataclass

_PATH = re.compile(r"/crm/(?:bulk/)?v(\d(?:\.\d)?)(/.*)?")
_KNOWN = frozenset({"2", "2.1", "3", "4", "5", "6", "7", "8"})
_OLD_REACH = 10_000


@dataclass(frozen=True)
class Version:
    """One version of the API."""

    number: float

    @property
    def needs_fields(self) -> bool:
        """Whether lists must name their fields: since the third version (2.1 is not confirmed)."""
        return self.number >= 3

    @property
    def names_modules(self) -> bool:
        """Whether a module that another thing belongs to is its name, and not an object with one."""
        return self.number < 2.1

    def reach(self, newest: int) -> int:
        """Return how far LIMIT and OFFSET of a query go, given how far they do today."""
        return min(newest, _OLD_REACH) if self.number <= 5 else newest


def addressed(path: str) -> tuple[Version, str] | None:
    """Return the version of an address and what follows it; None where there is no such version.

    How the vendor answers an unknown version is not confirmed; here it is an unknown address.
    """
    match = _PATH.fullmatch(path)
    if match is None or match[1] not in _KNOWN:
        return None
    return Version(float(match[1])), match[2] or ""
