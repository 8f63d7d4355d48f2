"""Unexpected behaviours on order: pages that repeat, records that are left out, writes without effect."""

import json
import re
import threading
from collections.abc import Iterable

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot.paging import encoded


class Oddities:
    """The orders for one portal.

    Attributes:
        hidden: per object type, ids of records that are counted, but shown nowhere.
        idle_writes: so many changes by the API answer 200 and change nothing.
    """

    def __init__(self) -> None:
        self.hidden: dict[str, frozenset[int]] = {}
        self.idle_writes = 0
        self._lock = threading.Lock()
        self._repeats: list[tuple[re.Pattern[str], int]] = []

    def hide(self, name: str, ids: Iterable[int]) -> None:
        """Hide exactly these records of an object type."""
        self.hidden[name] = frozenset(ids)

    def repeat(self, path: str, times: int) -> None:
        """Let the next pages below a path lead to themselves."""
        with self._lock:
            self._repeats.append((re.compile(path), times))

    def is_idle(self) -> bool:
        """Say whether a change shall do nothing, and count it."""
        with self._lock:
            idle = self.idle_writes > 0
            self.idle_writes -= idle
            return idle

    def played(self, request: Request, response: Response) -> Response:
        """Return the answer, or the same one with a page that leads to itself."""
        if not self._repeats or response.status != 200:
            return response
        plain = response.unpacked()
        if b'"paging"' not in plain.body:
            return response
        with self._lock:
            for number, (pattern, times) in enumerate(self._repeats):
                if times > 0 and pattern.search(request.path):
                    self._repeats[number] = (pattern, times - 1)
                    break
            else:
                return response
        asked = request.query.get("after")
        if request.method == "POST":
            asked = str((json.loads(request.body or b"{}") or {}).get("after") or "0")
        body = json.loads(plain.body)
        body["paging"]["next"]["after"] = asked or body["results"][0]["id"]
        return Response(200, encoded(body), plain.headers, plain.content_type)
