"""The OAuth endpoints: consent, tokens, rotation.

Source: https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from crm_sandbox.clock import SandboxClock
from crm_sandbox.grants import Access, GrantStore
from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.pipedrive import credentials

SCOPES = (
    "base",
    *(
        f"{group}:{right}"
        for group in ("deals", "contacts", "activities", "products", "leads")
        for right in ("read", "full")
    ),
    *("users:read", "recents:read", "search:read", "deal-fields:full", "contact-fields:full"),
    *("product-fields:full", "admin"),
)
LIFETIME_S = 3599
_CODE_S = 300


class OAuthError(Exception):
    """A refusal: an OAuth code with a sentence."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> Response:
        """Return the refusal as the endpoint sends it."""
        body = {"success": False, "message": self.message, "error": self.code}
        return json_response(body, self.status)


class OAuthHandler:
    """Answer what stands below `/oauth`.

    Attributes:
        grants: every token that was given out.
        scopes: what the app was granted; fewer than all on order.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.grants = GrantStore(clock, lifetime_s=LIFETIME_S, rotates=True)
        self.scopes = {name: frozenset(SCOPES) for name in credentials.ACCOUNTS}
        self.restore()

    def restore(self) -> None:
        """Make the documented refresh tokens work again."""
        for name, access in credentials.ACCOUNTS.items():
            self.grants.begin_chain(name, self.scopes[name], access.refresh_token)

    def grant(self, account: str, scopes: list[str]) -> str:
        """Grant the app these scopes anew, as a reinstallation does; earlier tokens end.

        Returns:
            The refresh token, which is the documented one again.
        """
        for token in self.grants.chains(account):
            self.grants.revoke(token)
        self.scopes[account] = frozenset(scopes)
        token = credentials.ACCOUNTS[account].refresh_token
        return self.grants.begin_chain(account, self.scopes[account], token)

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        action = request.path.removeprefix("/oauth/").strip("/")
        try:
            if action == "authorize" and request.method == "GET":
                return self._authorize(request)
            if action == "token" and request.method == "POST":
                return self._token(request)
            if action == "revoke" and request.method == "POST":
                self._check_client(request)
                self.grants.revoke(request.form.get("token", ""))
                return Response(200, b"")
        except OAuthError as refusal:
            return refusal.response()
        return json_response({"success": False, "error": "Not found"}, 404)

    def _authorize(self, request: Request) -> Response:
        """Send the browser back at once: the person at the other end always consents."""
        query = request.query
        address = query.get("redirect_uri", "")
        if query.get("client_id") != credentials.CLIENT_ID:
            raise OAuthError("invalid_client", "Invalid client: client is invalid")
        if not credentials.is_callback(address):
            raise OAuthError("invalid_request", "Invalid request: `redirect_uri` is not registered")
        account = query.get("account", "main")
        code = self.grants.code(account, self.scopes[account], address, _CODE_S)
        back = {"code": code} | ({"state": query["state"]} if "state" in query else {})
        return Response(302, b"", (("Location", f"{address}?{urlencode(back)}"),))

    def _token(self, request: Request) -> Response:
        form = request.form
        kind = request.header("content-type")
        if request.body and not kind.startswith("application/x-www-form-urlencoded"):
            raise OAuthError(
                "invalid_request",
                "Invalid request: content must be application/x-www-form-urlencoded",
            )
        self._check_client(request)
        grant = form.get("grant_type", "")
        if not grant:
            raise OAuthError("invalid_request", "Missing parameter: `grant_type`")
        if grant == "refresh_token":
            traded = self.grants.refresh(form.get("refresh_token", ""))
            if traded is None:
                raise OAuthError("invalid_grant", "Invalid grant: refresh_token is invalid")
            return self._answer(request, *traded)
        if grant == "authorization_code":
            redeemed = self.grants.redeem(form.get("code", ""), form.get("redirect_uri", ""))
            if redeemed is None:
                raise OAuthError("invalid_grant", "Invalid grant: authorization_code has expired")
            account, scopes = redeemed
            refresh = self.grants.begin_chain(account, scopes)
            access = self.grants.issue(account, scopes, refresh=refresh)
            return self._answer(request, access, refresh)
        raise OAuthError(
            "unsupported_grant_type", "Unsupported grant type: `grant_type` is invalid"
        )

    def _check_client(self, request: Request) -> None:
        scheme, _, encoded = request.header("authorization").partition(" ")
        try:
            plain = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            plain = ""
        wanted = f"{credentials.CLIENT_ID}:{credentials.CLIENT_SECRET}"
        if scheme.lower() != "basic" or plain != wanted:
            raise OAuthError("invalid_client", "Invalid client: client is invalid", 401)

    def _answer(self, request: Request, access: Access, refresh: str) -> Response:
        domain = credentials.ACCOUNTS[access.account].domain
        port = request.host.partition(":")[2]
        by_name = f"https://{domain}.pipedrive.com" + (f":{port}" if port else "")
        body: dict[str, Any] = {
            "access_token": access.token,
            "token_type": "Bearer",
            "expires_in": LIFETIME_S,
            "refresh_token": refresh,
            "scope": ",".join(sorted(access.scopes)),
            "api_domain": by_name if request.by_host else request.base_url,
        }
        return json_response(body, headers=(("Cache-Control", "no-store"),))
