"""What an error answer says: whatever it holds, nothing in it makes an error of its own.

Errors come from the vendor, from its proxies and from whoever sits in between. Their keys may hold anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests

from crm_pipeline.kernel.errors import MalformedAnswer, Unavailable
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.wire.decoding import UNREADABLE

_SHORT = 300
# A request took too long, or there were too many.
_BUSY = frozenset({408, 429})


def error_body(response: requests.Response) -> Mapping[str, Any]:
    """Return the JSON object of an answer, or the first in a list; an empty one where there is none."""
    try:
        found = msgspec.json.decode(response.content, type=dict[str, Any] | list[Any])
    except UNREADABLE:
        return {}
    return part(next(iter(objects(found)), found))


def is_page(response: requests.Response) -> bool:
    """Say whether an answer is a web page, as those in front of an API send it."""
    return "text/html" in response.headers.get("Content-Type", "").lower()


def masked_page(
    owner: str, vendor: str, response: requests.Response, *, login_url: str
) -> MalformedAnswer | None:
    """Return the error for a web page that says that all went well; None for anything else.

    Args:
        owner: the connection's name.
        vendor: whose answer it is.
        response: with a status of success.
        login_url: what that setting should be, in a few words.
    """
    if not is_page(response):
        return None
    return MalformedAnswer(
        f"{owner}: {vendor} answered {response.status_code} with a web page where data was expected.",
        status=response.status_code,
        cure="Often a login or maintenance page: run again later; if it persists, check that login_url is "
        f"{login_url}.",
    )


def busy_login(owner: str, vendor: str, response: requests.Response) -> Unavailable | None:
    """Return the error for a login server that is busy or out of order; None for one that has decided.

    Such an answer may have a body that looks like a refusal. Tokens are refused with 400, 401 or 403.
    """
    status = response.status_code
    if status < 500 and status not in _BUSY:
        return None
    return Unavailable(
        f"{owner}: the login server of {vendor} answered {status}.",
        status=status,
        cure="Try again later.",
    )


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
