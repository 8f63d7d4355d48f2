"""The OAuth 2.0 endpoints: authorize, token, revoke, introspect, userinfo, and the identity URL."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce import credentials
from crm_sandbox.salesforce.assertions import (
    claims_of,
    is_current,
    is_meant_here,
    public_key_of,
)
from crm_sandbox.salesforce.consent import ConsentHandler
from crm_sandbox.salesforce.identity import identity_of, userinfo_of
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.sessions import Session, SessionStore

_PASSWORD_ENDS = datetime(2027, 2, 20, tzinfo=UTC)
_LOGIN_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
_SCOPE = "refresh_token api"
_ASSERTION_KEYS = ("access_token", "scope", "instance_url", "id", "token_type")


class OAuthError(Exception):
    """A refusal by the token endpoint: HTTP 400 with a JSON object, unlike the data API."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status

    def response(self) -> Response:
        """Return the error as the endpoint sends it."""
        body = {"error": self.code, "error_description": self.description}
        return json_response(body, self.status)


class OAuthHandler:
    """Answer everything below `/services/oauth2`.

    Args:
        org: its user logs in.
        sessions: where tokens live.
    """

    def __init__(self, org: Org, sessions: SessionStore) -> None:
        self._org = org
        self._sessions = sessions
        self._signer: RSAPublicKey | None = None
        self._consent = ConsentHandler(org.clock)

    def handle(self, request: Request) -> Response:
        """Answer one OAuth request."""
        action = request.path.removeprefix("/services/oauth2/").strip("/")
        actions = {
            "authorize": self._consent.handle,
            "token": self._token,
            "revoke": self._revoke,
            "introspect": self._introspect,
            "userinfo": self._userinfo,
        }
        if action not in actions:
            return Response(404, b"", content_type="text/html")
        try:
            return actions[action](request)
        except OAuthError as refusal:
            return refusal.response()

    def identity(self, request: Request) -> Response:
        """Answer the identity URL."""
        token = request.header("authorization").removeprefix("Bearer ").strip()
        if self._sessions.use(token) is None:
            return Response(403, b"Bad_OAuth_Token", content_type="text/html;charset=UTF-8")
        return json_response(
            identity_of(self._org, self.identity_url(request), instance_url(request))
        )

    def identity_url(self, request: Request) -> str:
        """Return the address that says who the caller is."""
        base = "https://login.salesforce.com" if request.by_host else request.base_url
        return f"{base}/id/{self._org.organization_id}/{self._org.user_id}"

    def _token(self, request: Request) -> Response:
        if request.method != "POST":
            raise OAuthError("invalid_request", "must use HTTP POST")
        # The vendor takes the parameters in the address of the POST, too.
        form = request.query | request.form
        grants = {
            "refresh_token": self._refresh,
            "authorization_code": self._code,
            "client_credentials": self._client_credentials,
            "password": self._password,
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self._assertion,
        }
        grant = form.get("grant_type", "")
        if grant not in grants:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return json_response(grants[grant](request, form), headers=(("Cache-Control", "no-store"),))

    def _refresh(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        self._check_client(request, form, secret_needed=False)
        traded = self._sessions.refresh(form.get("refresh_token", ""))
        if traded is None:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        session, following = traded
        document = self._answer(request, session) | {"scope": _SCOPE}
        return document | ({"refresh_token": following} if following else {})

    def _code(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        self._check_client(request, form, secret_needed=False)
        wrong = self._consent.redeem(
            form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier", "")
        )
        if wrong is not None:
            raise OAuthError("invalid_grant", wrong)
        following = self._sessions.begin_chain()
        document = self._answer(request, self._sessions.issue())
        return document | {"refresh_token": following, "scope": _SCOPE}

    def _client_credentials(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        if request.host.split(":")[0].lower() in _LOGIN_HOSTS:
            raise OAuthError("invalid_grant", "request not supported on this domain")
        self._check_client(request, form, secret_needed=True)
        document = self._answer(request, self._sessions.issue())
        return document | {"scope": "api", "api_instance_url": "https://api.salesforce.com"}

    def _password(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        if self._org.clock.now() >= _PASSWORD_ENDS:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        self._check_client(request, form, secret_needed=True)
        # A security token may stand behind the password.
        right = form.get("password", "").startswith(credentials.PASSWORD)
        if form.get("username") != credentials.USERNAME or not right:
            raise OAuthError("invalid_grant", "authentication failure")
        return self._answer(request, self._sessions.issue())

    def register_certificate(self, pem: str) -> None:
        """Let JWT assertions in that are signed with the key of a certificate or public key."""
        self._signer = public_key_of(pem)

    def _assertion(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        if self._signer is None:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        try:
            claims = claims_of(form.get("assertion", ""), self._signer)
        except ValueError as problem:
            raise OAuthError("invalid_grant", "invalid assertion") from problem
        if claims.get("iss") != credentials.CLIENT_ID:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        own = (request.base_url, instance_url(request), f"https://{credentials.MY_DOMAIN}")
        if not is_meant_here(claims, own):
            raise OAuthError("invalid_grant", "audience is invalid")
        if claims.get("sub") != credentials.USERNAME:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        if not is_current(claims, self._org.clock.now()):
            raise OAuthError("invalid_grant", "expired authorization code")
        document = self._answer(request, self._sessions.issue()) | {"scope": "api"}
        return {key: document[key] for key in _ASSERTION_KEYS}

    def _check_client(self, request: Request, form: dict[str, str], *, secret_needed: bool) -> None:
        client, secret = form.get("client_id"), form.get("client_secret")
        if request.header("authorization").startswith("Basic "):
            try:
                plain = base64.b64decode(request.header("authorization")[6:]).decode()
            except (binascii.Error, UnicodeDecodeError) as problem:
                raise OAuthError("invalid_client", "invalid client credentials") from problem
            client, _, secret = plain.partition(":")
        if client != credentials.CLIENT_ID:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if (secret_needed or secret is not None) and secret != credentials.CLIENT_SECRET:
            raise OAuthError("invalid_client", "invalid client credentials")

    def _answer(self, request: Request, session: Session) -> dict[str, Any]:
        identity = self.identity_url(request)
        issued = str(int(session.issued_at.timestamp() * 1000))
        signed = hmac.new(
            credentials.CLIENT_SECRET.encode(), (identity + issued).encode(), hashlib.sha256
        )
        return {
            "access_token": session.token,
            "signature": base64.b64encode(signed.digest()).decode(),
            "instance_url": instance_url(request),
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
        }

    def _revoke(self, request: Request) -> Response:
        token = (request.form or request.query).get("token", "")
        if not self._sessions.revoke(token):
            raise OAuthError("unsupported_token_type", "this token type is not supported")
        return Response(200, b"")

    def _introspect(self, request: Request) -> Response:
        form = request.form
        self._check_client(request, form, secret_needed=True)
        token = form.get("token", "")
        session = self._sessions.find(token)
        if session is None and not self._sessions.knows_refresh(token):
            return json_response({"active": False})
        kind = "access_token" if session else "refresh_token"
        document: dict[str, Any] = {
            "active": True,
            "scope": _SCOPE,
            "client_id": credentials.CLIENT_ID,
            "username": credentials.USERNAME,
            "sub": self.identity_url(request),
            "token_type": kind,
        }
        if session is not None:
            issued = int(session.issued_at.timestamp())
            document |= {
                "iat": issued,
                "nbf": issued,
                "exp": int(session.used_at.timestamp()) + 7200,
            }
        return json_response(document)

    def _userinfo(self, request: Request) -> Response:
        token = request.header("authorization").removeprefix("Bearer ").strip()
        if self._sessions.use(token) is None:
            return Response(403, b"Bad_OAuth_Token", content_type="text/html;charset=UTF-8")
        return json_response(
            userinfo_of(self._org, self.identity_url(request), instance_url(request))
        )


def instance_url(request: Request) -> str:
    """Return where the API of the org is, as this client reaches it."""
    if not request.by_host:
        return request.base_url
    name = request.host.split(":")[0].lower()
    port = request.host.partition(":")[2]
    host = credentials.MY_DOMAIN if name in _LOGIN_HOSTS else name
    return f"https://{host}" + (f":{port}" if port else "")
