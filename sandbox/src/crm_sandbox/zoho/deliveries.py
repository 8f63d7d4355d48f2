"""Calls from the vendor to receivers: callbacks of bulk jobs, and notifications.

They go to this machine and nowhere else; what would leave it is noted and not sent.
"""

import json
import threading
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from crm_sandbox.kernel.receivers import is_local, post

_TIMEOUT_S = 10
_KEPT = 1_000


@dataclass(frozen=True)
class Delivery:
    """One call, and what became of it: the receiver's status, or 0 where there was none."""

    url: str
    status: int
    body: Any


class DeliveryLog:
    """Delivers JSON documents, one after another, and remembers them.

    Attributes:
        ca_file: who signed the certificates of receivers; by default the system decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: list[Delivery] = []
        self.ca_file: str | None = None

    def send(self, url: str, body: Any) -> int:
        """Send a document and return the status of the answer; redirects are not followed."""
        status = self._post(url, json.dumps(body, ensure_ascii=False).encode())
        with self._lock:
            self._sent = [*self._sent[-_KEPT:], Delivery(url, status, body)]
        return status

    def listed(self) -> list[dict[str, Any]]:
        """Return every call."""
        with self._lock:
            return [asdict(one) for one in self._sent]

    def _post(self, url: str, body: bytes) -> int:
        if not is_local(url):
            return 0
        headers = {"Content-Type": "application/json;charset=utf-8"}
        reply = post(url, body, headers, timeout_s=_TIMEOUT_S, ca_file=self.ca_file)
        return reply.status if reply else 0


def is_address(url: object) -> bool:
    """Say whether a text is an address that the vendor would call."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
