"""Events of records, and the listeners that get them, such as the webhook sender."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from crm_sandbox.hubspot.schema import ObjectType

Listener = Callable[[dict[str, Any]], None]
# propertyChange is not sent for these.
_UNTOLD = {"hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"}


class Events:
    """The events of one portal in order.

    Args:
        now_ms: the present.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._local = threading.local()

    def listen(self, listener: Listener) -> None:
        """Tell somebody everything from now on."""
        with self._lock:
            self._listeners.append(listener)

    def tell(
        self,
        one: ObjectType,
        record: int,
        kind: str,
        more: Mapping[str, Any] | None = None,
        source: str = "API",
    ) -> None:
        """Tell of one event.

        Args:
            one: the object type.
            record: the record's id.
            kind: what happened, as the vendor calls it.
            more: what else is known.
            source: what made it happen.
        """
        if more and more.get("propertyName") in _UNTOLD:
            return
        event = {
            "object": one.name,
            "objectId": record,
            "kind": kind,
            "occurredAt": self._now_ms(),
            "changeSource": source,
            **(more or {}),
        }
        held: list[dict[str, Any]] | None = getattr(self._local, "held", None)
        if held is not None:
            held.append(event)
        else:
            self._send([event])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep events back until the block ends well; what fails never happened."""
        if getattr(self._local, "held", None) is not None:
            yield
            return
        held: list[dict[str, Any]] = []
        self._local.held = held
        try:
            yield
        finally:
            self._local.held = None
        self._send(held)

    def _send(self, events: list[dict[str, Any]]) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for event in events:
            for listener in listeners:
                listener(event)
