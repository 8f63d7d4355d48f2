"""The content of error responses, read so that no content causes another error.

Error responses come from the vendor, from its proxies and from others on the way. Their keys may hold anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests

from crm_pipeline.kernel.errors import MalformedResponse, Unavailable
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.wire.decoding import UNREADABLE

_SHORT = 300
# The request took too long, or there were too many requests.
_BUSY = frozenset({408, 429})


def error_body(response: requests.Response) -> Mapping[str, Any]:
    """Return the JSON object of a response, or the first one of a list; an empty one where there is none."""
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any] | list[Any])
    except UNREADABLE:
        return {}
    return part(next(iter(objects(body)), body))


def is_page(response: requests.Response) -> bool:
    """Return whether a response is a web page, as servers in front of an API send it."""
    return "text/html" in response.headers.get("Content-Type", "").lower()


def masked_page(
    owner: str, vendor: str, response: requests.Response, *, login_url: str
) -> MalformedResponse | None:
    """Return the error for a web page with a status of success; None for anything else.

    Args:
        owner: the connection's name.
        vendor: named in the error text.
        response: with a status of success.
        login_url: a short description of the expected setting.
    """
    if not is_page(response):
        return None
    return MalformedResponse(
        f"{owner}: {vendor} answered {response.status_code} with a web page where data was expected.",
        status=response.status_code,
        cure="Often a login or maintenance page: run again later; if it persists, check that login_url is "
        f"{login_url}.",
    )


def busy_login(owner: str, vendor: str, response: requests.Response) -> Unavailable | None:
    """Return the error for a login server that is busy or out of order; None for one that has decided.

    The body of such a response may look like a refusal. Tokens are refused with 400, 401 or 403.
    """
    status = response.status_code
    if status < 500 and status not in _BUSY:
        return None
    return Unavailable(
        f"{owner}: the login server of {vendor} answered {status}.",
        status=status,
        cure="Try again later.",
    )


def word(value: Any) -> str:
    """Return a code or another short value as text; "" where it is neither a text nor a number."""
    return _plain(str(value))[:_SHORT] if _is_scalar(value) else ""


def sentence(value: Any) -> str:
    """Return the message of an error on one line, short and without secrets."""
    return vendor_text(value) if _is_scalar(value) else ""


def objects(value: Any) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a list; none where the value is no list."""
    return (
        [element for element in value if isinstance(element, Mapping)]
        if isinstance(value, list)
        else []
    )


def words(value: Any) -> Sequence[str]:
    """Return the texts of a list; none where the value is no list."""
    return list(filter(None, map(word, value))) if isinstance(value, list) else []


def part(value: Any) -> Mapping[str, Any]:
    """Return a nested object; an empty one where the value is no object."""
    return value if isinstance(value, Mapping) else {}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _plain(text: str) -> str:
    """Return a text without control characters, which a terminal would interpret."""
    return "".join(sign if sign.isprintable() else " " for sign in text[: 4 * _SHORT]).strip()
