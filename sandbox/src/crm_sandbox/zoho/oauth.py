"""The accounts server: codes, refresh tokens, access tokens, and how often they may be asked for.

Parameters come as a form or in the address. Most refusals come with HTTP 200:
https://www.zoho.com/crm/developer/docs/api/v8/access-refresh.html and, for the limits,
https://www.zoho.com/accounts/protocol/oauth/token-limits.html.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crm_sandbox.ceilings import Rolling
from crm_sandbox.clock import SandboxClock
from crm_sandbox.grants import Access, GrantStore
from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.accounts import ACCOUNTS
from crm_sandbox.zoho.centres import api_domain, centre_of
from crm_sandbox.zoho.consent import ConsentHandler
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox.zoho.scopes import ALL_SCOPES

LIFETIME_S = 3600
_DENIED = {
    "error_description": "You have made too many requests continuously. Please try again after some time.",
    "error": "Access Denied",
    "status": "failure",
}


@dataclass
class TokenLimits:
    """How often tokens may be asked for: `requests` within `period_s` for each refresh token."""

    requests: int = 10
    period_s: float = 600


class _Refused(Exception):
    """A refusal by its error word."""

    def __init__(self, word: str, status: int = 200) -> None:
        super().__init__(word)
        self.word = word
        self.status = status


def _mint(kind: str) -> str:
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}" if kind else ""


class OAuthHandler:
    """Answer everything below `/oauth/v2`.

    Args:
        clock: the present.
        org_id: the number of an account's org.
    """

    def __init__(self, clock: SandboxClock, org_id: Callable[[str], str]) -> None:
        self._clock = clock
        self._org_id = org_id
        self._lock = threading.Lock()
        self._asked: dict[str, Rolling] = {}
        self.limits = TokenLimits()
        self.grants = GrantStore(
            clock, lifetime_s=LIFETIME_S, most_access=10, most_refresh=20, mint=_mint
        )
        self._unused = {one.code: account for account, one in BY_ACCOUNT.items()}
        for account, one in BY_ACCOUNT.items():
            self.grants.begin_chain(account, ALL_SCOPES, one.refresh_token)
        self._consent = ConsentHandler(self.grants)

    def handle(self, request: Request) -> Response:
        """Answer one request to an accounts server."""
        action = request.path.removeprefix("/oauth/v2").strip("/")
        if action == "auth":
            return self._consent.handle(request)
        # The vendor's JavaScript SDK sends the parameters in parts.
        body = request.multipart or request.form
        asked = request.query | body
        if action == "token/revoke" and request.method == "POST":
            known = self.grants.revoke(asked.get("token", ""))
            return json_response({"status": "success"} if known else {"error": "invalid_code"})
        if action != "token" or request.method != "POST":
            return Response(404, b"", content_type="text/html;charset=UTF-8")
        try:
            return json_response(self._token(request, asked))
        except _Refused as refusal:
            if refusal.word == "Access Denied":
                return json_response(_DENIED, 400)
            return json_response({"error": refusal.word}, refusal.status)

    def set_limits(
        self,
        requests: int | None = None,
        period_s: float | None = None,
        most_access: int | None = None,
        most_refresh: int | None = None,
    ) -> None:
        """Change how often tokens may be asked for and how many may live; older pages say 30 and 5."""
        with self._lock:
            self._asked.clear()
        self.limits = TokenLimits(
            self.limits.requests if requests is None else requests,
            self.limits.period_s if period_s is None else period_s,
        )
        grants = self.grants
        grants.most_access = grants.most_access if most_access is None else most_access
        grants.most_refresh = grants.most_refresh if most_refresh is None else most_refresh

    def _token(self, request: Request, asked: dict[str, str]) -> dict[str, Any]:
        account = self._client(request, asked)
        grant = asked.get("grant_type", "")
        if grant == "refresh_token":
            return self._refreshed(request, account, asked.get("refresh_token", ""))
        if grant == "authorization_code":
            return self._redeemed(request, account, asked)
        if grant == "client_credentials":
            if asked.get("soid") != f"ZohoCRM.{self._org_id(account)}":
                raise _Refused("invalid_soid")
            scopes = [one for one in asked.get("scope", "").replace(" ", ",").split(",") if one]
            return self._answer(request, self.grants.issue(account, scopes)) | {
                "scope": " ".join(scopes)
            }
        raise _Refused("unsupported_grant_type")

    def _client(self, request: Request, asked: dict[str, str]) -> str:
        centre = centre_of(request)
        for account, one in BY_ACCOUNT.items():
            elsewhere = centre is not None and centre.key != ACCOUNTS[account].centre
            if one.client_id == asked.get("client_id") and not elsewhere:
                if one.client_secret != asked.get("client_secret"):
                    raise _Refused("invalid_client_secret")
                return account
        raise _Refused("invalid_client")

    def _refreshed(self, request: Request, account: str, token: str) -> dict[str, Any]:
        self._throttle(token)
        if token not in self.grants.chains(account):
            raise _Refused("invalid_code")
        traded = self.grants.refresh(token)
        if traded is None:
            raise _Refused("invalid_code")
        return self._answer(request, traded[0])

    def _redeemed(self, request: Request, account: str, asked: dict[str, str]) -> dict[str, Any]:
        code = asked.get("code", "")
        self._throttle(code)
        with self._lock:
            self_client = self._unused.pop(code, "") == account
        found = self.grants.redeem(code, asked.get("redirect_uri", ""))
        if not self_client and (found is None or found[0] != account):
            raise _Refused("invalid_code")
        scopes = found[1] if found is not None else frozenset(ALL_SCOPES)
        offline = self_client or self._consent.is_offline(code)
        chain = self.grants.begin_chain(account, scopes) if offline else ""
        document = self._answer(request, self.grants.issue(account, scopes, refresh=chain))
        document |= {"refresh_token": chain} if chain else {}
        return document | {"scope": " ".join(sorted(scopes))}

    def _answer(self, request: Request, access: Access) -> dict[str, Any]:
        return {
            "access_token": access.token,
            "api_domain": api_domain(request, ACCOUNTS[access.account].centre),
            "token_type": "Bearer",
            "expires_in": int(self.grants.lifetime_s),
        }

    def _throttle(self, token: str) -> None:
        with self._lock:
            asked = self._asked.setdefault(
                token,
                Rolling(
                    self.limits.requests,
                    self.limits.period_s,
                    now=lambda: self._clock.now().timestamp(),
                ),
            )
        if not asked.take():
            raise _Refused("Access Denied")
