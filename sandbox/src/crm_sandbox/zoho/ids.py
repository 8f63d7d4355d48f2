"""Record ids of an org: whole numbers of 18 or 19 digits, beyond what a float can hold.

Every module has its own thousand million numbers, so an id tells its module.
"""

import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Integers = NDArray[np.int64]
_ORG = 10**12
_MODULE = 10**9
_FIRST = 1001
SLOTS = (
    "settings",
    "Users",
    "Leads",
    "Contacts",
    "Accounts",
    "Deals",
    "DealHistory",
    "Products",
    "Campaigns",
    "Tasks",
    "Events",
    "Calls",
    "Notes",
    "Cases",
    "Quotes",
    "Quoted_Items",
    "Service_Contracts",
    "Interested_Products",
    "Deal_Team",
    "Campaign_Members",
    "jobs",
    "uploads",
    "write_jobs",
)


class IdScheme:
    """The ids of one org.

    Args:
        prefix: the digits that all of the org's ids begin with: six for 18 digits, seven for 19.
    """

    def __init__(self, prefix: int) -> None:
        self._base = prefix * _ORG

    def first(self, table: str) -> int:
        """Return the id of a table's first record."""
        return self._base + SLOTS.index(table) * _MODULE + _FIRST

    def many(self, table: str, numbers: Integers) -> pa.Array:
        """Return ids for record numbers as whole numbers; a negative number gives null."""
        numbers = np.asarray(numbers, dtype=np.int64)
        return pa.array(numbers + self.first(table), mask=numbers < 0)

    def one(self, table: str, number: int) -> int:
        """Return the id of one record number."""
        return self.first(table) + number

    def setting(self, kind: str, name: str) -> str:
        """Return the id of a field, a layout, a profile or whatever else is set up by name."""
        return str(self._base + zlib.crc32(f"{kind}:{name}".encode()) % _MODULE)

    def table_of(self, record: int) -> str:
        """Return the table that an id belongs to, empty for an id of another org."""
        slot, rest = divmod(record - self._base, _MODULE)
        return SLOTS[slot] if 0 < slot < len(SLOTS) and rest >= 0 else ""


def id_of(text: object) -> int | None:
    """Return a written id as a number, None where it is none."""
    written = str(text)
    fits = written.isascii() and written.isdigit() and len(written) <= 19
    number = int(written) if fits else None
    return number if number is not None and number < 2**63 else None
