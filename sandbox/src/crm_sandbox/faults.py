"""Faults on order: their kinds, the requests that they hit, and how often.

Orders are served first in, first out. The server plays the transport faults; the vendors play
those that need their own state (`expire_session`, `fail_job`, `hold`, `query_timeout`).
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = (
    "status",
    "drop",
    "truncate",
    "slow",
    "hang",
    "expire_session",
    "fail_job",
    "html_login",
    "empty_body",
    "hold",
    "query_timeout",
)


@dataclass
class FaultOrder:
    """One order and what became of it.

    Attributes:
        kind: one of `KINDS`.
        vendor: only requests to this vendor; empty for all.
        method: only this HTTP method; empty for all.
        path: a regular expression searched in the path with its decoded query.
        nth: start with the n-th matching request (1 = the first).
        times: how many requests it hits.
        status: the status of `status` and `empty_body`.
        body: the body of `status`.
        headers: extra headers of `status`.
        after: how many body bytes `truncate` lets through; how many records a job that writes has
            processed when `fail_job` ends it.
        seconds: how long `slow` and `hang` wait; how long `hold` lasts by the sandbox's clock.
        message: the error text of `fail_job`.
    """

    kind: str
    vendor: str = ""
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int = 503
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 64
    seconds: float = 1.0
    message: str = "InternalServerError : the job was failed on order"
    seen: int = 0
    consumed: int = 0

    def matches(self, vendor: str, method: str, target: str) -> bool:
        """Tell whether a request is one of those meant by this order."""
        return (
            (not self.vendor or self.vendor == vendor)
            and (not self.method or self.method.upper() == method)
            and (not self.path or re.search(self.path, target) is not None)
        )


class FaultOrders:
    """The orders of one sandbox, safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[FaultOrder] = []

    def order(self, kind: str, **details: Any) -> FaultOrder:
        """Add an order; see `FaultOrder` for the details.

        Raises:
            ValueError: the kind or a detail is unknown.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind '{kind}'; known: {', '.join(KINDS)}")
        known = set(FaultOrder.__dataclass_fields__) - {"seen", "consumed", "kind"}
        if unknown := set(details) - known:
            raise ValueError(
                f"unknown fault detail {sorted(unknown)}; known: {', '.join(sorted(known))}"
            )
        try:
            re.compile(details.get("path", ""))
        except re.error as problem:
            raise ValueError(f"'path' must be a regular expression: {problem}") from problem
        order = FaultOrder(kind=kind, **details)
        with self._lock:
            self._orders.append(order)
        return order

    def take(self, vendor: str, method: str, target: str) -> FaultOrder | None:
        """Return the first order that hits this request, and count it as consumed."""
        with self._lock:
            for order in self._orders:
                if order.consumed >= order.times or not order.matches(vendor, method, target):
                    continue
                order.seen += 1
                if order.seen >= order.nth:
                    order.consumed += 1
                    return order
        return None

    def listed(self, vendor: str = "") -> list[dict[str, Any]]:
        """Return every order with its counts, or those for one vendor."""
        with self._lock:
            return [asdict(order) for order in self._orders if vendor in {"", order.vendor}]

    def clear(self, vendor: str = "") -> None:
        """Forget every order, or those for one vendor."""
        with self._lock:
            self._orders = [order for order in self._orders if vendor not in {"", order.vendor}]
