"""What an error answer says: whatever it holds, nothing in it makes an error of its own.

Errors come from the vendor, from its proxies and from whoever sits in between. Their keys may hold anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests

from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.wire.decoding import UNREADABLE

_SHORT = 300


def error_body(response: requests.Response) -> Mapping[str, Any]:
    """Return the JSON object of an answer, or the first in a list; an empty one where there is none."""
    try:
        found = msgspec.json.decode(response.content, type=dict[str, Any] | list[Any])
    except UNREADABLE:
        return {}
    return part(next(iter(objects(found)), found))


def word(found: Any) -> str:
    """Return a code or another short value; "" where it is neither a text nor a number."""
    return _plain(str(found))[:_SHORT] if _is_said(found) else ""


def sentence(found: Any) -> str:
    """Return what an error says to people, on one line, short and without secrets."""
    return vendor_text(found) if _is_said(found) else ""


def objects(found: Any) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a list; none where it is no list."""
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def words(found: Any) -> Sequence[str]:
    """Return the texts of a list; none where it is no list."""
    return list(filter(None, map(word, found))) if isinstance(found, list) else []


def part(found: Any) -> Mapping[str, Any]:
    """Return an object inside of another one; an empty one where it is none."""
    return found if isinstance(found, Mapping) else {}


def _is_said(found: Any) -> bool:
    return isinstance(found, str | int | float) and not isinstance(found, bool)


def _plain(text: str) -> str:
    """Put a text on one line: control characters would speak to a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text[: 4 * _SHORT]).strip()
