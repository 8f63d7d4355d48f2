"""Requests and responses as plain values, between the server and the emulated vendors.

No socket is touched here; `server.py` reads and writes the bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from isal import igzip

from crm_sandbox.faults import FaultOrder


class Parameters(dict[str, str]):
    """Parameters by name, each with one value; `every` and `joined` also return repeated ones.

    The vendor decides which of several values a plain look-up returns, see `Request.first_wins`.

    Args:
        pairs: names and values in their order.
        first_wins: whether a look-up sees the first of several values; otherwise the last.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), *, first_wins: bool = False) -> None:
        self.pairs = tuple(pairs)
        super().__init__(reversed(self.pairs) if first_wins else self.pairs)

    def every(self, name: str) -> list[str]:
        """Return all values of a parameter in their order."""
        return [value for key, value in self.pairs if key == name]

    def joined(self, name: str) -> str:
        """Return a list with commas, whether it came as one value or as several."""
        return ",".join(self.every(name))

    def is_repeated(self, name: str) -> bool:
        """Say whether a parameter came more than once."""
        return len(self.every(name)) > 1


@dataclass(frozen=True)
class Request:
    """One request as a vendor sees it: the prefix is gone, header names are lower case.

    Attributes:
        first_wins: which value of a repeated parameter counts where the vendor expects one: the first,
            as servers in Java take it, or the last. The vendor's code sets it.
    """

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
    first_wins: bool = False

    @cached_property
    def query(self) -> Parameters:
        """The query string decoded the way web servers do: a plus is a space."""
        pairs = parse_qsl(self.query_text, keep_blank_values=True)
        return Parameters(pairs, first_wins=self.first_wins)

    @cached_property
    def form(self) -> Parameters:
        """The body read as a URL-encoded form."""
        pairs = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return Parameters(pairs, first_wins=self.first_wins)

    @cached_property
    def multipart(self) -> Parameters:
        """The texts of a body in parts, `multipart/form-data`; nothing where it is none."""
        kind = self.header("content-type")
        if not kind.lower().startswith("multipart/form-data"):
            return Parameters()
        head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
        parts = message_from_bytes(head + self.body, policy=policy.HTTP).iter_parts()
        named = [(part.get_param("name", header="content-disposition"), part) for part in parts]
        pairs = [
            (str(name), (part.get_payload(decode=True) or b"").decode("utf-8", "replace"))  # type: ignore[union-attr]
            for name, part in named
            if name is not None
        ]
        return Parameters(pairs, first_wins=self.first_wins)

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        return decoded(self.body)

    def header(self, name: str, default: str = "") -> str:
        """Return a header by its lower-case name."""
        return self.headers.get(name, default)


def decoded(body: bytes) -> Any:
    """Read JSON that a client sent; an empty body is null.

    Raises:
        ValueError: it is no JSON, has half of a surrogate pair, or is nested too deep to be read.
    """
    try:
        return msgspec.json.decode(body or b"null")
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def is_number(text: str) -> bool:
    """Say whether a text is a whole number that fits into 64 bits.

    `str.isdigit` also takes digits that `int` refuses, and as many of them as there are.
    """
    return text.isascii() and text.isdigit() and len(text) <= 18


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
