"""Writes that fail, or that succeed and do nothing, on an admin's order."""

import threading
from dataclasses import dataclass

SILENT = "SILENT"


@dataclass
class RefusalOrder:
    """One order.

    Attributes:
        code: the code that records are refused with; `SILENT` answers success without writing.
        module: only records of this module; empty for all.
        record: only this record; empty for all.
        times: how many records it hits.
    """

    code: str
    module: str = ""
    record: str = ""
    times: int = 1


class RefusalStore:
    """The orders of one org."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[RefusalOrder] = []

    def order(self, order: RefusalOrder) -> None:
        """Add an order."""
        with self._lock:
            self._orders.append(order)

    def take(self, module: str, record: str) -> str:
        """Return the code of an order that hits this record, and count it; empty for none."""
        with self._lock:
            for one in self._orders:
                if one.times > 0 and one.module in {"", module} and one.record in {"", record}:
                    one.times -= 1
                    return one.code
        return ""
