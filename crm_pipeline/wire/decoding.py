"""Decode a response's bytes into a declared type, or raise one sentence about what is wrong with them.

Types are `msgspec.Struct`s that name only the keys that are used. A struct ignores all others, so a vendor may
add keys to its responses. Records themselves stay bytes (`msgspec.Raw`).
"""

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

import msgspec

from crm_pipeline.kernel.errors import MalformedResponse

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""A count in a response: not negative, and exact as a JSON number."""
# Values in a response may be personal data: text between quotation marks is left out. A text may hold the
# same marks, so the last one ends it.
_VALUE = re.compile(r"(['\"]).*\1", re.DOTALL)
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|\?xml|head|body)", re.IGNORECASE)
UNREADABLE: tuple[type[Exception], ...] = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)
"""The errors that msgspec raises for bytes of another type than declared."""


def decoded(body: bytes | memoryview, kind: type[T], *, owner: str, what: str = "an answer") -> T:
    """Return a response in the declared type.

    Args:
        body: of the response.
        kind: any type that msgspec reads, usually a struct.
        owner: the connection's name, for the error text.
        what: the response in a few words, such as "the description of Contact".

    Raises:
        MalformedResponse: the bytes have another form; a retry often helps.
    """
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(body)
    except UNREADABLE as error:
        raise malformed(body, error, owner=owner, what=what) from None
    return value


def malformed(
    body: bytes | memoryview, error: Exception, *, owner: str, what: str
) -> MalformedResponse:
    """Return the error for bytes that could not be decoded; it never quotes them."""
    return MalformedResponse(
        f"{owner}: {what} is not what the vendor documents: {_defect(body, error)}."
    )


def _defect(body: bytes | memoryview, error: Exception) -> str:
    size = len(body)
    if not size:
        return "it is empty"
    if _MARKUP.match(bytes(body[:200])):
        return f"it is a web page of {size:,} bytes where JSON was expected"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    words = str(error)
    if words == "Input data was truncated":
        return f"it ends in its middle, after {size:,} bytes"
    return _VALUE.sub("'***'", words).rstrip(".")


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)
