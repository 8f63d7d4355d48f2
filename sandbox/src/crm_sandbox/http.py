"""Requests and responses as plain values, between the server and the emulated vendors.

No socket is touched here; `server.py` reads and writes the bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from isal import igzip

from crm_sandbox.faults import FaultOrder


@dataclass(frozen=True)
class Request:
    """One request as a vendor sees it: the prefix is gone, header names are lower case."""

    method: str
    path: str
    query_text: str
    headers: Mapping[str, str]
    body: bytes
    host: str
    base_url: str = ""
    by_host: bool = False
    head_bytes: int = 0
    fault: FaultOrder | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query string decoded the way web servers do: a plus is a space."""
        return dict(parse_qsl(self.query_text, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body read as a URL-encoded form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.body or b"null")

    def header(self, name: str, default: str = "") -> str:
        """Return a header by its lower-case name."""
        return self.headers.get(name, default)


PACKED = ("Content-Encoding", "gzip")
"""The header of a body that is a gzip; the server unpacks it for those who take none."""


@dataclass(frozen=True)
class Response:
    """One answer: status, headers in order, and the whole body."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json;charset=UTF-8"

    def with_header(self, name: str, value: str) -> "Response":
        """Return the same answer with one more header."""
        return Response(self.status, self.body, (*self.headers, (name, value)), self.content_type)

    def unpacked(self) -> "Response":
        """Return the same answer with its body as it was before it became a gzip."""
        if PACKED not in self.headers:
            return self
        headers = tuple(header for header in self.headers if header != PACKED)
        return Response(self.status, igzip.decompress(self.body), headers, self.content_type)


def json_response(
    value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Answer with a JSON document in UTF-8, dates written as ISO text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return Response(status, text.encode(), headers)
