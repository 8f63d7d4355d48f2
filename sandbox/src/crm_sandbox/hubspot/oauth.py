"""The token endpoints of all versions, and the page on which a portal lets the app in.

Source: https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide
"""

import base64
import hashlib
from html import escape
from typing import Any
from urllib.parse import urlencode

from crm_sandbox.clock import SandboxClock
from crm_sandbox.grants import Access, GrantStore
from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import credentials
from crm_sandbox.hubspot.errors import ApiError, not_found, unsupported_method
from crm_sandbox.hubspot.paging import answered
from crm_sandbox.hubspot.routes import Route
from crm_sandbox.hubspot.scopes import ALL_SCOPES, CONTACTS_ONLY

LIFETIME_S = 1_800
_CODE_LIVES_S = 60
_PAGE = """\
<!DOCTYPE html><html><head><title>Connect app</title></head><body>
<h1>Choose an account</h1><p>The app {client} asks for: {scope}</p>
<form method="post" action="{action}">{fields}<select name="account">{accounts}</select>
<button name="decision" value="allow">Connect app</button>
<button name="decision" value="deny">Cancel</button></form></body></html>"""


class OAuthHandler:
    """Gives out tokens.

    Args:
        clock: the sandbox's.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.grants = GrantStore(clock, lifetime_s=LIFETIME_S)
        self._clock = clock
        self._challenges: dict[str, str] = {}
        for facts in credentials.PORTALS.values():
            self.grants.lasting(facts.token, facts.name, ALL_SCOPES)
            self.grants.lasting(facts.contacts_token, facts.name, CONTACTS_ONLY)
            self.grants.begin_chain(facts.name, ALL_SCOPES, facts.refresh_token)

    def handle(self, request: Request, route: Route) -> Response:
        """Answer below `/oauth/<version>/`."""
        parts, is_first = route.parts, route.version == "v1"
        if parts == ("token",):
            return self._token(request, is_first)
        if parts == ("token", "introspect") and not is_first:
            return self._introspect(_form(request))
        if parts == ("token", "revoke") and not is_first:
            self.grants.revoke(_form(request).get("token", ""))
            return Response(200, b"")
        if len(parts) == 2 and is_first and parts[0] == "access-tokens":
            return self._access_token(parts[1])
        if len(parts) == 2 and is_first and parts[0] == "refresh-tokens":
            return self._refresh_token(request, parts[1])
        raise not_found()

    def authorize(self, request: Request) -> Response:
        """Answer the page on which a user lets the app in, or its form."""
        asked = request.form if request.method == "POST" else request.query
        known = asked.get("client_id") == credentials.CLIENT_ID
        if not known or not credentials.is_callback(asked.get("redirect_uri", "")):
            words = b"<h1>We couldn't find the app or the redirect URL does not match.</h1>"
            return Response(400, words, content_type="text/html")
        if request.method != "POST":
            return _page(request, asked)
        back = {"state": asked["state"]} if "state" in asked else {}
        if asked.get("decision") != "allow":
            back |= {"error": "access_denied", "error_description": "The user denied access"}
        else:
            account = asked.get("account", "main")
            uri = asked["redirect_uri"]
            code = self.grants.code(account, ALL_SCOPES, uri, _CODE_LIVES_S)
            if challenge := asked.get("code_challenge"):
                self._challenges[code] = challenge
            back["code"] = code
        return Response(302, b"", (("Location", f"{asked['redirect_uri']}?{urlencode(back)}"),))

    def _token(self, request: Request, is_first: bool) -> Response:
        if request.method != "POST":
            raise unsupported_method()
        form = _form(request)
        if form.get("client_id") != credentials.CLIENT_ID:
            raise _refused("BAD_CLIENT_ID", "missing or unknown client id", "invalid_client")
        if form.get("client_secret") != credentials.CLIENT_SECRET:
            raise _refused(
                "BAD_CLIENT_SECRET", "missing or invalid client secret", "invalid_client"
            )
        grant = form.get("grant_type")
        if grant == "refresh_token":
            traded = self.grants.refresh(form.get("refresh_token", ""))
            if traded is None:
                raise _refused(
                    "BAD_REFRESH_TOKEN",
                    "missing or invalid refresh token",
                    "invalid_grant",
                    "refresh token is invalid, expired or revoked",
                )
            return answered(self._answer(*traded, is_first=is_first))
        if grant == "authorization_code":
            return answered(self._redeemed(form, is_first))
        if grant == "client_credentials":
            access = self.grants.issue("app", {"developer.webhooks"})
            return answered(_plain(access))
        raise _refused("BAD_GRANT_TYPE", "missing or unknown grant type", "unsupported_grant_type")

    def _redeemed(self, form: dict[str, str], is_first: bool) -> dict[str, Any]:
        code = form.get("code", "")
        found = self.grants.redeem(code, form.get("redirect_uri", ""))
        challenge = self._challenges.pop(code, "")
        if found is None or (
            challenge and _challenge_of(form.get("code_verifier", "")) != challenge
        ):
            raise _refused("BAD_AUTH_CODE", "missing or unknown auth code", "invalid_grant")
        account, scopes = found
        refresh = self.grants.begin_chain(account, scopes)
        return self._answer(
            self.grants.issue(account, scopes, refresh=refresh), refresh, is_first=is_first
        )

    def _answer(self, access: Access, refresh: str, *, is_first: bool) -> dict[str, Any]:
        made = _plain(access) | {"refresh_token": refresh}
        if not is_first:
            facts = credentials.PORTALS[access.account]
            made |= {
                "hub_id": facts.hub_id,
                "user_id": facts.user_id,
                "scopes": sorted(access.scopes),
            }
        return made

    def _access_token(self, token: str) -> Response:
        found = self.grants.find(token)
        if found is None or found.account not in credentials.PORTALS:
            raise not_found("token not found")
        facts = credentials.PORTALS[found.account]
        return answered(
            _about(facts)
            | {
                "token": token,
                "scopes": sorted(found.scopes),
                "expires_in": self._left(found),
                "token_type": "access",
            }
        )

    def _refresh_token(self, request: Request, token: str) -> Response:
        for facts in credentials.PORTALS.values():
            if token in self.grants.chains(facts.name):
                if request.method == "DELETE":
                    self.grants.revoke(token)
                    return Response(204)
                return answered(
                    _about(facts)
                    | {
                        "token": token,
                        "client_id": credentials.CLIENT_ID,
                        "scopes": sorted(ALL_SCOPES),
                        "token_type": "refresh",
                    }
                )
        raise not_found("token not found")

    def _introspect(self, form: dict[str, str]) -> Response:
        token = form.get("token", "")
        found = self.grants.find(token)
        if found is not None and found.account in credentials.PORTALS:
            facts, scopes = credentials.PORTALS[found.account], found.scopes
            more = {
                "token_use": "access_token",
                "expires_in": self._left(found),
                "token_type": "access",
            }
        else:
            for facts in credentials.PORTALS.values():
                if token in self.grants.chains(facts.name):
                    break
            else:
                return answered({"active": False, "token_use": "access_token"})
            scopes, more = ALL_SCOPES, {"token_use": "refresh_token", "token_type": "refresh"}
        about = _about(facts) | {"active": True, "client_id": credentials.CLIENT_ID, "token": token}
        return answered(about | {"scopes": sorted(scopes)} | more)

    def _left(self, access: Access) -> int:
        if access.expires_at is None:
            return LIFETIME_S
        return int((access.expires_at - self._clock.now()).total_seconds())


def _plain(access: Access) -> dict[str, Any]:
    return {
        "token_type": "bearer",
        "access_token": access.token,
        "expires_in": LIFETIME_S,
        "token_use": "access_token",
    }


def _about(facts: credentials.PortalFacts) -> dict[str, Any]:
    return {
        "hub_id": facts.hub_id,
        "hub_domain": f"{facts.name}.sandbox.example",
        "user": "user0@sandbox.example",
        "user_id": facts.user_id,
        "app_id": credentials.APP_ID,
    }


def _form(request: Request) -> dict[str, str]:
    """Return the form of a request; JSON is refused.

    Raises:
        ApiError: it is no form.
    """
    if "application/x-www-form-urlencoded" not in request.header("content-type"):
        message = "HTTP 415 Unsupported Media Type"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return request.form


def _refused(status: str, message: str, error: str, description: str = "") -> ApiError:
    body = {"status": status, "message": message, "error": error}
    body["error_description"] = description or message
    return ApiError(400, status, message, body=body)


def _challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _page(request: Request, asked: dict[str, str]) -> Response:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in asked.items()
    )
    accounts = "".join(f"<option>{name}</option>" for name in credentials.PORTALS)
    text = _PAGE.format(
        client=escape(asked["client_id"]),
        scope=escape(asked.get("scope", "")),
        action=escape(f"{request.base_url}/oauth/authorize"),
        fields=fields,
        accounts=accounts,
    )
    return Response(200, text.encode(), content_type="text/html;charset=UTF-8")
