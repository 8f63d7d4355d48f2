"""Values that change without moving their record's modification time, so that no refresh sees the change.

An account that has such values says where landed records hold them, and reads them again without the rest of the record.
What is compared, and what lands, is decided in `stages.raw.sweeping`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from crm_pipeline.settings import ObjectSettings


@dataclass(frozen=True)
class UnstampedList:
    """Values of an object that stand in JSON records as one list of objects.

    Attributes:
        what: the values, for people: "associations".
        key: of the list, at the root of a record.
        name: the key of an element with the name of the value that it is part of.
        parts: further keys of an element, whose texts make it what it is.
        names: the names of the values that are read again.
        batch_records: the number of records that one call can be about.
        batch_cost: what reading all values of so many records costs, in the vendor's unit.
    """

    what: str
    key: str
    name: str
    parts: tuple[str, ...]
    names: tuple[str, ...]
    batch_records: int
    batch_cost: int

    def cost(self, records: int) -> int:
        """Return what reading the values of some records costs."""
        return -(-records // self.batch_records) * self.batch_cost


@dataclass(frozen=True)
class PresentValues:
    """The present values of some records.

    Attributes:
        rows: a row of texts for each element; the columns are `source_id`, `name`, and the parts.
        silent: ids of records without a row for some name, of which the vendor did not say that they have none.
    """

    rows: pa.Table
    silent: frozenset[str] = frozenset()


@runtime_checkable
class HasUnstamped(Protocol):
    """An account with values that change without moving a modification time."""

    def unstamped(self, obj: ObjectSettings) -> UnstampedList | None:
        """Return what such values an object has; None where it has none. Makes no call."""

    def read_unstamped(self, obj: str, ids: Sequence[str]) -> PresentValues:
        """Return the present values of records.

        A record without any has no row, and neither has one that the vendor does not know.

        Args:
            obj: the object.
            ids: of the records, at most `batch_records`.

        Raises:
            VendorError: the vendor has no response for some records.
        """


def table_of(values: UnstampedList, rows: Iterable[tuple[str | None, ...]]) -> pa.Table:
    """Return rows of the id of a record, a name and the parts as `PresentValues.rows` has them."""
    names = ["source_id", "name", *values.parts]
    listed = list(rows)
    columns = list(zip(*listed, strict=True)) if listed else [()] * len(names)
    return pa.table([pa.array(column, pa.string()) for column in columns], names=names)
