"""Values that change without moving their record's modification time, so that no refresh sees the change.

There are two kinds. Lists, such as associations, are read again by the ids of records. Fields that the vendor computes are
read again by a list of records with nothing but their keys and these fields. An account says where landed records hold
the values and what reading them again costs. What is compared, and what lands, is decided in `stages.raw.unstamped`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.sweeps import Kind

COMPUTED = "computed fields"
SPAN_RECORDS = 50_000
"""So many records are listed at once; a sweep that is cut loses the comparison of no more than them."""


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

    kind: ClassVar[Kind] = "lists"

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
class UnstampedFields:
    """Fields of an object that the vendor computes, read again by `Auditable.plan_sweep`.

    Attributes:
        names: of the fields, as the description of the last read has them.
        page_records: the number of records that one call of the list returns.
        page_cost: of such a call, in the vendor's unit.
        round_cost: of a list beside its pages: the description, the counts before and after.
    """

    kind: ClassVar[Kind] = "fields"

    names: tuple[str, ...]
    page_records: int
    page_cost: int
    round_cost: int
    what: str = COMPUTED

    def cost(self, records: int) -> int:
        """Return what reading the values of some records costs at most, by lists of `SPAN_RECORDS`."""
        lists = max(1, -(-records // SPAN_RECORDS))
        pages = lists + records // self.page_records
        return lists * self.round_cost + pages * self.page_cost

    def affordable(self, amount: int) -> int:
        """Return how many records can be read by one list for an amount; 0 where it does not pay for a page."""
        pages = (amount - self.round_cost) // self.page_cost
        return max(0, pages * self.page_records - 1)


Unstamped = UnstampedList | UnstampedFields


def computed_names(obj: ObjectSettings, schema: Schema | None) -> tuple[str, ...]:
    """Return the fields of an object that are swept: those that its description calls computed, and those of the user.

    Hashed and excluded fields are left out: what landed of them cannot be compared.

    Args:
        obj: the object as configured.
        schema: the description of its last read; None where it has not been read, so that nothing is swept.
    """
    if schema is None:
        return ()
    left_out = {*obj.sweep_except, *obj.exclude, *obj.hash} | schema.hashed
    return tuple(
        field.name
        for field in schema.fields
        if (field.calculated or field.name in obj.sweep_also) and field.name not in left_out
    )


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

    def unstamped(self, obj: ObjectSettings, schema: Schema | None) -> tuple[Unstamped, ...]:
        """Return what such values an object has. Makes no call.

        Args:
            obj: the object as configured.
            schema: the description of its last read; None where it has not been read.
        """


@runtime_checkable
class ReadsLists(Protocol):
    """An account that reads such lists by the ids of records."""

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
