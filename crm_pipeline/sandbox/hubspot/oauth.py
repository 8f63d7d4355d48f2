"""The token endpoints of all versions, and the page on which a user lets an app in.

Bodies are forms and nothing else. Later versions say more about the token than the first one.
Source: https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/tokens
"""

import secrets
from typing import Any
from urllib.parse import urlencode

from crm_pipeline.sandbox.clock import SandboxClock
from crm_pipeline.sandbox.grants import Access, GrantBook
from crm_pipeline.sandbox.http import Request, Response, json_response
from crm_pipeline.sandbox.hubspot.credentials import (
    APP_ID,
    CLIENT_ID,
    CLIENT_SECRET,
    PORTALS,
    is_callback,
)
from crm_pipeline.sandbox.hubspot.errors import ApiError, not_found, unsupported_method
from crm_pipeline.sandbox.hubspot.routes import Route

LIFETIME_S = 1800
_CODE_LIVES_S = 600
_FORM = "application/x-www-form-urlencoded"


class _Refused(Exception):
    """A refusal in the words of OAuth."""

    def __init__(self, status: str, error: str, words: str) -> None:
        super().__init__(words)
        self.body = {
            "status": status,
            "message": words,
            "error": error,
            "error_description": words,
        }


def _mint(kind: str) -> str:
    return f"{'CK' if kind == 'access' else 'na1-'}{secrets.token_urlsafe(40)}"


class OAuthDesk:
    """Answers everything below `/oauth`.

    Args:
        clock: the present.
        scopes: what an installed app may do.
    """

    def __init__(self, clock: SandboxClock, scopes: frozenset[str]) -> None:
        self._clock = clock
        self._scopes = scopes
        self.grants = GrantBook(clock, lifetime_s=LIFETIME_S, mint=_mint)
        self._verifiers: dict[str, str] = {}
        for account, facts in PORTALS.items():
            self.grants.begin_chain(account, scopes, facts.refresh_token)

    def authorize(self, request: Request) -> Response:
        """Send the browser back with a code: the user of the sandbox always agrees.

        Which portal is chosen stands in `portal`, which the vendor asks the user for.
        """
        asked = request.query
        back = asked.get("redirect_uri", "")
        if asked.get("client_id") != CLIENT_ID or not is_callback(back):
            text = (
                b"<html><body>Authorization failed: check client_id and redirect_uri.</body></html>"
            )
            return Response(400, text, content_type="text/html;charset=UTF-8")
        account = asked.get("portal", "main")
        code = self.grants.code(account, self._scopes, back, _CODE_LIVES_S)
        said = {"code": code} | ({"state": asked["state"]} if "state" in asked else {})
        return Response(302, b"", (("Location", f"{back}?{urlencode(said)}"),), "text/html")

    def handle(self, request: Request, route: Route) -> Response:
        """Answer one request to a version of the token endpoint."""
        try:
            return self._answer(request, route)
        except _Refused as refusal:
            return json_response(refusal.body, 400)

    def _answer(self, request: Request, route: Route) -> Response:
        head = route.parts[0] if route.parts else ""
        if route.version == "v1" and head in {"access-tokens", "refresh-tokens"}:
            return self._about(request, head, route.parts[1:])
        if request.method != "POST":
            raise unsupported_method()
        if not request.header("content-type").startswith(_FORM):
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "HTTP 415 Unsupported Media Type")
        form = request.form
        if route.parts == ("token",):
            return json_response(self._token(form, with_more=route.version != "v1"))
        self._client(form)
        if route.parts == ("token", "revoke"):
            self.grants.revoke(form.get("token", ""))
            return Response(204)
        if route.parts == ("token", "introspect"):
            return json_response(self._introspected(form.get("token", "")))
        raise not_found()

    def _token(self, form: dict[str, str], *, with_more: bool) -> dict[str, Any]:
        self._client(form)
        grant = form.get("grant_type", "")
        if grant == "refresh_token":
            traded = self.grants.refresh(form.get("refresh_token", ""))
            if traded is None:
                words = "refresh token is invalid, expired or revoked"
                raise _Refused("BAD_REFRESH_TOKEN", "invalid_grant", words)
            access, refresh = traded
        elif grant == "authorization_code":
            found = self.grants.redeem(form.get("code", ""), form.get("redirect_uri", ""))
            if found is None:
                words = "missing or unknown auth code"
                raise _Refused("BAD_AUTH_CODE", "invalid_grant", words)
            refresh = self.grants.begin_chain(*found)
            access = self.grants.issue(*found, refresh=refresh)
        else:
            words = "missing or unknown grant type"
            raise _Refused("BAD_GRANT_TYPE", "unsupported_grant_type", words)
        return self._told(access, refresh, with_more=with_more)

    def _told(self, access: Access, refresh: str, *, with_more: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "token_type": "bearer",
            "refresh_token": refresh,
            "access_token": access.token,
            "expires_in": LIFETIME_S,
        }
        if with_more:
            facts = PORTALS[access.account]
            made |= {
                "token_use": "access_token",
                "hub_id": facts.hub_id,
                "user_id": facts.user_id,
                "scopes": sorted(access.scopes),
            }
        return made

    def _client(self, form: dict[str, str]) -> None:
        if form.get("client_id") != CLIENT_ID:
            raise _Refused("BAD_CLIENT_ID", "invalid_client", "missing or unknown client id")
        if form.get("client_secret") != CLIENT_SECRET:
            raise _Refused(
                "BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret"
            )

    def _about(self, request: Request, head: str, parts: tuple[str, ...]) -> Response:
        token = parts[0] if parts else ""
        if head == "refresh-tokens":
            if request.method == "DELETE":
                self.grants.revoke(token)
                return Response(204)
            known = next((a for a in PORTALS if token in self.grants.chains(a)), None)
            if known is None:
                raise not_found("refresh token not found")
            return json_response({"token": token, "hub_id": PORTALS[known].hub_id})
        access = self.grants.find(token)
        if access is None:
            raise not_found("access token not found")
        shown = self._introspected(token)
        return json_response({"token": token, **shown})

    def _introspected(self, token: str) -> dict[str, Any]:
        access = self.grants.find(token)
        if access is None:
            return {"active": False, "token_use": "access_token"}
        facts = PORTALS[access.account]
        left = None
        if access.expires_at is not None:
            left = int((access.expires_at - self._clock.now()).total_seconds())
        return {
            "active": True,
            "token_use": "access_token",
            "hub_id": facts.hub_id,
            "user_id": facts.user_id,
            "user": f"user0@{facts.name}.sandbox.example",
            "hub_domain": f"{facts.name}.sandbox.example",
            "app_id": APP_ID,
            "client_id": CLIENT_ID,
            "scopes": sorted(access.scopes),
            "expires_in": left,
        }
