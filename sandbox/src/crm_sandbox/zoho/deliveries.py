"""Calls from the vendor to somebody's address: callbacks of bulk jobs, and notifications.

They go to this machine and nowhere else; what would leave it is noted and not sent.
"""

import http.client
import json
import ssl
import threading
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT_S = 10
_KEPT = 1_000


@dataclass(frozen=True)
class Delivery:
    """One call, and what became of it: the receiver's status, or 0 where there was none."""

    url: str
    status: int
    body: Any


class Mailman:
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
        parts = urlsplit(url)
        if parts.hostname not in _LOCAL:
            return 0
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            headers = {"Content-Type": "application/json;charset=utf-8"}
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def is_address(url: object) -> bool:
    """Say whether a text is an address that the vendor would call."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
