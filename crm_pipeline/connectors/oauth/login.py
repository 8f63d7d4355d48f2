"""Logins of a connection: with a refresh token (rotated or not), or with a token that never ends."""

from typing import Protocol

import structlog

from crm_pipeline.connectors.oauth.profile import REFRESH
from crm_pipeline.connectors.oauth.rotation import Source, TokenRotation, mark_of, sources
from crm_pipeline.connectors.oauth.token_endpoint import ENDPOINT, TokenEndpoint
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import AuthFailed, ConfigError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tokens import StoredToken

_log = structlog.get_logger(__name__)


class Login(Protocol):
    """Gets tokens for one connection."""

    def __call__(self, stored: StoredToken | None) -> StoredToken:
        """Return a new token.

        Raises:
            SecretMissing: a variable is not set.
            AuthFailed: the vendor refuses; the text says what to check.
        """

    def is_ours(self, token: StoredToken) -> bool:
        """Say whether a token was got with the address, app and secrets that are configured now.

        A connection that was pointed at another account must not go on with the old one's token, a
        secret that was withdrawn or replaced must not be covered up by a session that still lives,
        and a newer refresh token must not wait until that session ends.

        Raises:
            SecretMissing: a variable is not set.
        """


class FixedToken:
    """A token that was made by hand at the vendor and does not end: nothing is asked, nothing stored.

    Args:
        settings: where the secret is found.
        connection: whose.
        clock: the present.
        key: the secret's name in connections.yaml, without `_env`.
    """

    def __init__(
        self, settings: Settings, connection: Connection, clock: Clock, key: str = "token"
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._clock = clock
        self._key = key

    def __call__(self, stored: StoredToken | None = None) -> StoredToken:  # noqa: ARG002
        """Return the token as it is configured now.

        Raises:
            SecretMissing: its variable is not set.
        """
        return StoredToken(
            access_token=self._settings.secret(self._connection, self._key),
            refresh_token=None,
            instance_url=self._connection.login_url,
            issued_at=self._clock.now(),
        )

    def is_ours(self, token: StoredToken) -> bool:
        """Say whether it is the configured one."""
        return token.access_token.reveal() == self().access_token.reveal()


class RefreshLogin:
    """Logs in with refresh tokens; used by the token store, one process at a time.

    Where a vendor has further ways, a class of its own derives from this one and overrides
    `__call__`, `identity` and what they need.
    """

    def __init__(self, settings: Settings, connection: Connection, endpoint: TokenEndpoint) -> None:
        self._settings = settings
        self._connection = connection
        self._endpoint = endpoint

    def __call__(self, stored: StoredToken | None) -> StoredToken:
        """Return a new token; with rotation its refresh token replaces the stored one.

        Raises:
            SecretMissing: a variable is not set.
            AuthFailed: the vendor refuses; the text says what to check.
        """
        return self._refreshed(stored)

    def is_ours(self, token: StoredToken) -> bool:
        """Say whether a token was got with what is configured now; see `Login`."""
        if token.extra.get("login") != self.identity():
            return False
        return sources(self.rotation(token), self.given()) == ("stored",)

    def is_passed_over(self, token: StoredToken) -> bool:
        """Say whether the environment holds a refresh token that was refused in favour of this one."""
        given, rotation = self.given(), self.rotation(token)
        return bool(given and rotation and rotation.refused == mark_of(given))

    def identity(self) -> str:
        """Return what stands for the address, the app and all secrets but the refresh token.

        Raises:
            SecretMissing: a variable is not set.
        """
        names = sorted(set(self._connection.auth.variables) - {"refresh_token"})
        return self._fingerprint(names)

    def rotation(self, token: StoredToken | None) -> TokenRotation | None:
        """Return the chain of refresh tokens that a stored token belongs to, if it is of this app."""
        if token is None or token.refresh_token is None:
            return None
        rotation = TokenRotation.remembered(token.extra) or self._older_form(token)
        return rotation if rotation is not None and rotation.app == self.app() else None

    def app(self) -> str:
        """Return what stands for the address and the app: a chain works with these alone.

        Raises:
            SecretMissing: a variable is not set.
        """
        client = self._settings.secret(self._connection, "client_id").reveal()
        return fingerprint([self._connection.login_url, client])

    def given(self) -> Secret | None:
        """Return the environment's refresh token, if there is one."""
        variable = self._connection.auth.variables.get("refresh_token", "")
        if not self._settings.environ.get(variable, "").strip():
            return None
        return self._settings.secret(self._connection, "refresh_token")

    def client(self) -> dict[str, str]:
        """Return the fields by which the app says who it is.

        Raises:
            SecretMissing: a variable is not set.
        """
        fields = {"client_id", "client_secret"} & set(self._connection.auth.variables)
        return {name: self._settings.secret(self._connection, name).reveal() for name in fields}

    def passed_over_cure(self) -> str:
        """Return what to do about an environment token that was refused."""
        variable = self._connection.auth.variables["refresh_token"]
        return (
            f"Take {variable} out of the environment and .env, or put a living token there; "
            f"`crm-pipeline login {self._connection.name}` gets one without it."
        )

    def _refreshed(self, stored: StoredToken | None) -> StoredToken:
        rotation, given = self.rotation(stored), self.given()
        order = sources(rotation, given)
        if not order:
            raise self._no_token()
        try:
            return self._refresh_with(order[0], stored, rotation, given)
        except AuthFailed as refusal:
            if len(order) == 1 or refusal.code not in self._endpoint.profile.dead:
                raise
        token = self._refresh_with(order[1], stored, rotation, given)
        _log.warning(
            "refresh token of the environment refused, the stored one is used",
            connection=self._connection.name,
            variable=self._connection.auth.variables["refresh_token"],
            cure=self.passed_over_cure(),
        )
        return token

    def _refresh_with(
        self,
        source: Source,
        stored: StoredToken | None,
        rotation: TokenRotation | None,
        given: Secret | None,
    ) -> StoredToken:
        used = stored.refresh_token if stored and source == "stored" else given
        assert used is not None  # `sources` names no source that is not there
        form = {"grant_type": REFRESH, "refresh_token": used.reveal()}
        at = stored.extra.get(ENDPOINT, "") if stored and source == "stored" else ""
        answer = self._endpoint.ask(form, self.client(), at=at)
        following = (rotation or TokenRotation(self.app())).continued(given, source)
        extra = {"login": self.identity(), **following.extra(), **({ENDPOINT: at} if at else {})}
        return self._endpoint.token(answer, used, extra)

    def _no_token(self) -> ConfigError:
        connection = self._connection
        variable = connection.auth.variables.get("refresh_token")
        also = f", and the environment variable {variable} is not set" if variable else ""
        return ConfigError(
            f"connection '{connection.name}' has not been logged in: no refresh token is stored for "
            f"this app and address{also}.",
            cure=f"Run `crm-pipeline login {connection.name}`.",
        )

    def _older_form(self, token: StoredToken) -> TokenRotation | None:
        # Before chains were remembered, the refresh token of the environment was part of the identity.
        given = self.given()
        names = sorted(self._connection.auth.variables)
        if given is None or token.extra.get("login") != self._fingerprint(names):
            return None
        return TokenRotation(self.app(), frozenset({mark_of(given)}))

    def _fingerprint(self, names: list[str]) -> str:
        auth = self._connection.auth
        meant_for = [auth.audience] if auth.audience else []
        texts = [self._secret_text(name) for name in names]
        return fingerprint([auth.kind, self._connection.login_url, *texts, *meant_for])

    def _secret_text(self, name: str) -> str:
        return self._settings.secret(self._connection, name).reveal()
