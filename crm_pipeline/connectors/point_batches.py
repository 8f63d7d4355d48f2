"""How many records one call of a read by ids brings, so that callers ask for full batches and know what they cost."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from crm_pipeline.model.schema import Schema

_RECORDS = 100


@dataclass(frozen=True)
class PointBatch:
    """What reading records by their ids costs, where all of them are there.

    Attributes:
        records: the number of records of a batch.
        cost: of a batch, in the vendor's unit; several calls where the fields do not fit into one.
        beside_records: the number of records of a further call, for what batches lack.
        beside_cost: of such calls, each time.
    """

    records: int = _RECORDS
    cost: int = 1
    beside_records: int = _RECORDS
    beside_cost: int = 0

    def cost_of(self, records: int) -> int:
        """Return the least that some records cost."""
        batches = -(-records // self.records)
        return batches * self.cost + -(-records // self.beside_records) * self.beside_cost


@runtime_checkable
class ReadsInBatches(Protocol):
    """An account that says how it batches reads by ids."""

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:
        """Return the batches in which records with some fields are read. Makes no call.

        Raises:
            Rejected: records of the object cannot be read by their ids.
        """


def point_batch(account: object, obj: str, schema: Schema) -> PointBatch:
    """Return the batches of an account; a hundred records a call where it does not say.

    Raises:
        Rejected: records of the object cannot be read by their ids.
    """
    return account.point_batch(obj, schema) if isinstance(account, ReadsInBatches) else PointBatch()
