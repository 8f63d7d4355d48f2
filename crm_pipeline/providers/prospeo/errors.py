"""Classifies Prospeo's responses: business errors come with status 400, so the code decides and not the status.

Source: the API reference; codes as its official client (MCP server) knows them.
"""

from typing import Any

import msgspec
import requests

from crm_pipeline.kernel.errors import (
    AuthFailed,
    CrmError,
    MalformedResponse,
    NotPermitted,
    Rejected,
    Throttled,
    Unavailable,
)
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.providers.errors import OutOfCredits
from crm_pipeline.wire.decoding import UNREADABLE
from crm_pipeline.wire.figures import whole

NO_MATCH, NO_RESULTS = "NO_MATCH", "NO_RESULTS"
INVALID_DATAPOINTS, INVALID_FILTERS = "INVALID_DATAPOINTS", "INVALID_FILTERS"
_LONGEST_S = 86_400
_USUAL_S = 60.0


class _Body(msgspec.Struct):
    error: Any = None
    error_code: Any = None
    filter_error: Any = None


class ResponseClassifier:
    """Returns the error of a response.

    Args:
        owner: the provider's name.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def __call__(self, response: requests.Response) -> CrmError | None:
        """Return the error of a response; None for a success."""
        body, status = _body(response), response.status_code
        code = body.error_code if isinstance(body.error_code, str) else ""
        if status == 200 and body.error is not True:
            return None
        if code:
            return self._by_code(code[:100], response, vendor_text(body.filter_error or ""))
        if status == 429:
            return self._throttled(response, "RATE_LIMITED")
        if status == 401:
            return self._refused_key("INVALID_API_KEY")
        if status >= 500 or status == 408:
            return Unavailable(f"{self._owner}: Prospeo answered {status}.", status=status)
        return MalformedResponse(
            f"{self._owner}: Prospeo answered {status} without an error code.", status=status
        )

    def _by_code(self, code: str, response: requests.Response, filter_error: str) -> CrmError:
        status, said = response.status_code, f"{self._owner}: Prospeo refuses: {code}"
        if code == "INVALID_API_KEY":
            return self._refused_key(code)
        if code == "ACCOUNT_RESTRICTED":
            return NotPermitted(
                f"{self._owner}: Prospeo has restricted the account.",
                status=status,
                code=code,
                cure="Ask Prospeo's support; nothing is bought until then.",
            )
        if code == "INSUFFICIENT_CREDITS":
            return OutOfCredits(
                f"{self._owner}: the account at Prospeo has too few credits left.",
                status=status,
                code=code,
                cure="Wait for the next month of the plan, or buy credits.",
            )
        if code in {"RATE_LIMITED", "RATE_LIMIT_EXCEEDED"}:
            return self._throttled(response, code)
        if code == "INTERNAL_ERROR":
            return Unavailable(
                f"{self._owner}: Prospeo has a problem of its own.",
                status=status,
                code=code,
                cure="Run again later.",
            )
        return Rejected(
            f"{said}{': ' if filter_error else ''}{filter_error}.", status=status, code=code
        )

    def _refused_key(self, code: str) -> AuthFailed:
        return AuthFailed(
            f"{self._owner}: Prospeo refuses the key.",
            status=401,
            code=code,
            cure="Copy the key anew (Prospeo: API) into the environment variable that `key_env` names.",
        )

    def _throttled(self, response: requests.Response, code: str) -> Throttled:
        return Throttled(
            f"{self._owner}: Prospeo has had too many calls.",
            status=response.status_code,
            code=code,
            retry_after_s=_reset_s(response),
        )


def _reset_s(response: requests.Response) -> float:
    """Return how long to wait: until the longest window that is spent has room again; a second by default.

    Prospeo documents no `Retry-After`; its headers say when each window resets.
    """
    headers = response.headers
    for word in ("daily", "minute"):
        left = whole(headers.get(f"x-{word}-request-left", ""), 10**9)
        if left == 0:
            reset = whole(headers.get(f"x-{word}-reset-seconds", ""), _LONGEST_S)
            return float(reset) if reset is not None else _USUAL_S
    return 1.0


def _body(response: requests.Response) -> _Body:
    try:
        return msgspec.json.decode(response.content, type=_Body)
    except UNREADABLE:
        return _Body()
