"""The logins of a source: secrets that are sent as they are, and sessions."""

from datetime import timedelta
from typing import Any

import msgspec

from crm_pipeline.connectors.oauth.login import FixedToken, RefreshLogin
from crm_pipeline.connectors.oauth.token_endpoint import EXPIRES, TokenEndpoint
from crm_pipeline.connectors.rest.auth import filled
from crm_pipeline.connectors.rest.source import SessionAuth, duration_s, keys_of
from crm_pipeline.kernel.clock import Clock, format_instant
from crm_pipeline.kernel.errors import AuthFailed, MalformedResponse
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.decoding import UNREADABLE
from crm_pipeline.wire.session import HttpSession, ResponseClassifier

# A session that ends before its time is noticed by a refusal; the token store renews two minutes early.
_RENEWED_EARLY = timedelta(seconds=120)


class StaticLogin(FixedToken):
    """No login: the secrets go with each request."""

    def __call__(self, stored: StoredToken | None = None) -> StoredToken:  # noqa: ARG002
        """Return an empty token."""
        return StoredToken(Secret(""), None, self._connection.login_url, self._clock.now())


class SessionLogin(RefreshLogin):
    """Logs in by a request whose response holds the token of a session."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        endpoint: TokenEndpoint,
        *,
        auth: SessionAuth,
        base: str,
        clock: Clock,
        classify_response: ResponseClassifier,
    ) -> None:
        super().__init__(settings, connection, endpoint)
        self._auth = auth
        self._base = base
        self._clock = clock
        self._classify = classify_response

    def __call__(self, stored: StoredToken | None) -> StoredToken:  # noqa: ARG002 - a login needs no earlier token
        """Return the token of a new session.

        Raises:
            SecretMissing: a variable is not set.
            AuthFailed: the API refuses, or its response holds no token.
        """
        login, connection = self._auth.login, self._connection

        def fill(texts: dict[str, str] | None) -> dict[str, str] | None:
            if texts is None:
                return None
            return {key: filled(text, self._reveal) for key, text in texts.items()}

        http = HttpSession(
            connection.name,
            classify_response=self._classify,
            allow_http=connection.sandbox,
            bounds=self._settings.bounds,
            clock=self._clock,
        )
        try:
            response = http.request(
                login.method,
                f"{self._base}/{login.path.lstrip('/')}",
                headers=fill(login.headers),
                json=fill(login.json_body),
                data=fill(login.form),
            )
        finally:
            http.close()
        token = self._token_of(
            response.content, response.headers.get(self._auth.token_from.removeprefix("header:"))
        )
        until = self._clock.now() + timedelta(seconds=duration_s(self._auth.ttl)) + _RENEWED_EARLY
        return StoredToken(
            Secret(token),
            None,
            connection.login_url,
            self._clock.now(),
            {"login": self.identity(), EXPIRES: format_instant(until)},
        )

    def is_ours(self, token: StoredToken) -> bool:
        """Return whether a session belongs to the secrets that are configured now."""
        return token.extra.get("login") == self.identity()

    def is_passed_over(self, token: StoredToken) -> bool:  # noqa: ARG002
        """Return False: there is no refresh token."""
        return False

    def identity(self) -> str:
        """Return a fingerprint of the address and all secrets."""
        names = sorted(self._connection.auth.variables)
        return fingerprint([self._base, *(self._reveal(name) for name in names)])

    def _reveal(self, name: str) -> str:
        return self._settings.secret(self._connection, name).reveal()

    def _token_of(self, body: bytes, header: str | None) -> str:
        where, owner = self._auth.token_from, self._connection.name
        value: object = header
        if not where.startswith("header:"):
            try:
                value = msgspec.json.decode(body, type=dict[str, Any] | list[Any])
            except UNREADABLE:
                raise MalformedResponse(f"{owner}: the answer to the login is no JSON.") from None
            for key in keys_of(where):
                value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise AuthFailed(
                f"{owner}: the answer to the login holds no token at '{where}'.",
                cure="Check the user and the password, and `token_from` in the source's file.",
            )
        return value
