"""Classifies Hunter's responses.

Source: https://hunter.io/api-documentation/v2#errors . 403 is the rate limit, 429 the allowance of the month; clients
report 429 for both, so its words decide.
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
from crm_pipeline.providers.errors import OutOfCredits
from crm_pipeline.wire.decoding import UNREADABLE

RESTRICTED = 451
_RATE, _USAGE = "too_many_requests", "usage"


class _Error(msgspec.Struct):
    id: Any = None
    details: Any = None


class _Body(msgspec.Struct):
    errors: list[_Error] = []


class ResponseClassifier:
    """Returns the error of a response.

    Args:
        owner: the provider's name.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def __call__(self, response: requests.Response) -> CrmError | None:
        """Return the error of a response; None for a success, which 202 is as well."""
        status = response.status_code
        if status in {200, 202}:
            return None
        code, details = _first(response)
        if status == 401:
            return AuthFailed(
                f"{self._owner}: Hunter refuses the key.",
                status=status,
                code=code or "authentication_failed",
                cure="Copy the key anew (Hunter: API) into the environment variable that `key_env` names.",
            )
        if status == 429 and _USAGE in details.lower():
            return OutOfCredits(
                f"{self._owner}: the account at Hunter has no verifications left.",
                status=status,
                code=code or "usage",
                cure="Wait for the next month of the plan, or choose a larger one.",
            )
        if status == 429 or (status == 403 and code == _RATE):
            return Throttled(
                f"{self._owner}: Hunter has had too many calls.",
                status=status,
                code=code or _RATE,
                retry_after_s=1.0,
            )
        return self._other(status, code)

    def _other(self, status: int, code: str) -> CrmError:
        if status >= 500 or status == 408:
            return Unavailable(f"{self._owner}: Hunter answered {status}.", status=status)
        if not code and status != RESTRICTED:
            return MalformedResponse(
                f"{self._owner}: Hunter answered {status} without an error of its own.",
                status=status,
            )
        if status == 403:
            return NotPermitted(
                f"{self._owner}: Hunter does not let this key verify: {code}.",
                status=status,
                code=code,
                cure="Check the plan and the rights of the key.",
            )
        return Rejected(
            f"{self._owner}: Hunter refuses: {status} {code}.",
            status=status,
            code=code or "restricted",
        )


def _first(response: requests.Response) -> tuple[str, str]:
    try:
        errors = msgspec.json.decode(response.content, type=_Body).errors
    except UNREADABLE:
        return "", ""
    error = errors[0] if errors else _Error()
    return (
        error.id[:100] if isinstance(error.id, str) else "",
        error.details if isinstance(error.details, str) else "",
    )
