"""The journal: one entry per request, so that tests see what a client really sent.

Entries are kept in a bounded ring; counts stay exact when old entries are dropped. Requests at which
the sandbox itself failed are kept separately, so that a test can assert that there was none.
"""

import re
import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

_SECRET_NAMES = frozenset(
    {
        "access_token",
        "refresh_token",
        "client_secret",
        "password",
        "token",
        "assertion",
        "code",
        "oauth_token",
        "api_key",
        "api_token",
        "hapikey",
    }
)

_MOST_FAILURES = 1_000


@dataclass(frozen=True)
class JournalEntry:
    """One request and its answer.

    Attributes:
        error: the exception of the sandbox that the answer stands for, and where it was raised.
    """

    sequence: int
    at: datetime
    monotonic: float
    vendor: str
    method: str
    path: str
    query: str
    status: int
    bytes: int
    duration: float
    fault: str = ""
    error: str = ""


def redacted(query_text: str) -> str:
    """Return a query string in which the values of secret parameters are replaced."""
    if not query_text:
        return ""
    pairs = parse_qsl(query_text, keep_blank_values=True)
    return urlencode([(k, "***" if k.lower() in _SECRET_NAMES else v) for k, v in pairs])


class Journal:
    """Requests in order of arrival.

    Args:
        capacity: how many entries the ring keeps.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._lock = threading.Lock()
        self._entries: deque[JournalEntry] = deque(maxlen=capacity)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._failures: deque[JournalEntry] = deque(maxlen=_MOST_FAILURES)
        self._sequence = 0

    def record(
        self,
        *,
        at: datetime,
        vendor: str,
        method: str,
        path: str,
        query_text: str,
        status: int,
        sent: int,
        duration: float,
        fault: str = "",
        error: str = "",
    ) -> None:
        """Write one request down; status 0 means that no answer was sent."""
        query = redacted(query_text)
        with self._lock:
            self._sequence += 1
            self._counts[vendor, method, status] += 1
            entry = JournalEntry(
                self._sequence,
                at,
                time.monotonic(),
                vendor,
                method,
                path,
                query,
                status,
                sent,
                duration,
                fault,
                error,
            )
            self._entries.append(entry)
            if error:
                self._failures.append(entry)

    def entries(
        self, vendor: str = "", method: str = "", path: str = "", status: int | None = None
    ) -> list[JournalEntry]:
        """Return the kept entries that match; `path` is a regular expression."""
        with self._lock:
            kept = list(self._entries)
        return [
            entry
            for entry in kept
            if (not vendor or entry.vendor == vendor)
            and (not method or entry.method == method.upper())
            and (not path or re.search(path, entry.path) is not None)
            and (status is None or entry.status == status)
        ]

    def failures(self) -> list[JournalEntry]:
        """Return the requests at which the sandbox itself failed, the latest of them."""
        with self._lock:
            return list(self._failures)

    def count(self, vendor: str = "", method: str = "", status: int | None = None) -> int:
        """Count all requests ever made, also those the ring forgot."""
        with self._lock:
            return sum(
                number
                for (its_vendor, its_method, its_status), number in self._counts.items()
                if (not vendor or its_vendor == vendor)
                and (not method or its_method == method.upper())
                and (status is None or its_status == status)
            )

    def clear(self) -> None:
        """Forget entries and counts."""
        with self._lock:
            self._entries.clear()
            self._failures.clear()
            self._counts.clear()

    def reset(self) -> None:
        """Begin anew, with the first sequence number."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._sequence = 0

    def as_rows(self, **filters: Any) -> list[dict[str, Any]]:
        """Return matching entries as dictionaries for the admin API."""
        return [asdict(entry) for entry in self.entries(**filters)]
