"""Page tokens: where a listing goes on, bound to the user and to every parameter, for 24 hours.

Facts: https://www.zoho.com/crm/developer/docs/api/v8/get-records.html. A token carries its state, so
none is kept.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crm_sandbox.clock import SandboxClock
from crm_sandbox.zoho.errors import ZohoError, invalid_data

LIVES = timedelta(hours=24)


@dataclass(frozen=True)
class Position:
    """Where a page begins.

    Attributes:
        after: the sort key and the id of the last row before it.
        before: where the page before it began; None for the beginning.
        served: how many rows came before.
    """

    after: list[Any] | None = None
    before: list[Any] | None = None
    served: int = 0


class PageTokens:
    """Makes and reads the tokens of one emulation.

    Args:
        clock: the present.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def make(self, owner: str, parameters: str, position: Position) -> tuple[str, datetime]:
        """Return a token and when it ends."""
        until = self._clock.now().replace(microsecond=0) + LIVES
        state = [owner, _short(parameters), position.after, position.before, position.served]
        body = json.dumps([*state, until.timestamp()], separators=(",", ":")).encode()
        signed = self._signature(body) + body
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode(), until

    def read(self, token: str, owner: str, parameters: str) -> Position:
        """Return where a token goes on.

        Raises:
            ZohoError: it is no token of this user, too old, or meant for other parameters.
        """
        try:
            signed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error) as problem:
            raise _foreign() from problem
        body = signed[16:]
        if not hmac.compare_digest(signed[:16], self._signature(body)):
            raise _foreign()
        its_owner, its_parameters, after, before, served, until = json.loads(body)
        if its_owner != owner:
            raise _foreign()
        if self._clock.now().timestamp() >= until:
            raise ZohoError(
                400, "EXPIRED_VALUE", "page_token is expired", {"param_name": "page_token"}
            )
        if its_parameters != _short(parameters):
            raise ZohoError(
                400,
                "TOKEN_BOUND_DATA_MISMATCH",
                "The parameters given do not match those of the page_token",
                {"param_name": "page_token"},
            )
        return Position(after, before, served)

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:16]


def _short(parameters: str) -> str:
    return hashlib.sha256(parameters.encode()).hexdigest()[:24]


def _foreign() -> ZohoError:
    return invalid_data("the page_token is invalid", param_name="page_token")
