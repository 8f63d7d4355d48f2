"""Refusals on order: locks, duplicate rules and validation rules that a test wants to meet."""

import threading
from dataclasses import dataclass

from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.ids import full_id

MESSAGES = {
    "UNABLE_TO_LOCK_ROW": "unable to obtain exclusive access to this record or 1 records: {record}",
    "DUPLICATES_DETECTED": "Use one of these records?",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refused this record.",
}


@dataclass
class Refusal:
    """One order.

    Attributes:
        code: one of `MESSAGES`.
        name: only this object; empty for every object.
        record: only this record; empty for every record.
        field: the field to name in the error.
        times: how many records it still refuses.
    """

    code: str
    name: str = ""
    record: str = ""
    field: str = ""
    message: str = ""
    times: int = 1

    def matches(self, name: str, record: str) -> bool:
        """Tell whether a write is one of those meant."""
        return (
            self.times > 0
            and self.name.lower() in {"", name.lower()}
            and self.record in {"", record}
        )


class RefusalStore:
    """The orders of one org, served first in, first out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Refusal] = []

    def order(self, refusal: Refusal) -> None:
        """Add an order.

        Raises:
            ValueError: the code is none of the known ones, or it would hit nothing.
        """
        if refusal.code not in MESSAGES:
            raise ValueError(f"unknown refusal '{refusal.code}'; known: {', '.join(MESSAGES)}")
        if refusal.times < 1:
            raise ValueError(f"'times' must be at least 1, not {refusal.times}")
        refusal.record = full_id(refusal.record)
        with self._lock:
            self._orders.append(refusal)

    def take(self, name: str, record: str) -> ApiError | None:
        """Return the refusal that meets a write, if one was ordered, and count it."""
        with self._lock:
            for order in self._orders:
                if order.matches(name, record):
                    order.times -= 1
                    message = order.message or MESSAGES[order.code].format(record=record)
                    return ApiError(400, order.code, message, [order.field] if order.field else [])
        return None
