"""Logins of a connection: with a refresh token (rotated or not), or with a token that never expires."""

from typing import Protocol

import structlog

from crm_pipeline.connectors.oauth.profile import REFRESH
from crm_pipeline.connectors.oauth.rotation import Source, TokenRotation, sources, token_fingerprint
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
        """Return whether a token was issued for the address, app and secrets that are configured now.

        A connection that now names another account must not use the old account's token. A living
        session must not hide that a secret was withdrawn or replaced. A newer refresh token must be
        used before that session ends.

        Raises:
            SecretMissing: a variable is not set.
        """


class FixedToken:
    """A token that a person made at the vendor and that does not expire; it is neither requested nor stored.

    Args:
        settings: where the secret is.
        connection: the token's connection.
        clock: the present.
    """

    def __init__(self, settings: Settings, connection: Connection, clock: Clock) -> None:
        self._settings = settings
        self._connection = connection
        self._clock = clock

    def __call__(self, stored: StoredToken | None = None) -> StoredToken:  # noqa: ARG002
        """Return the token as it is configured now.

        Raises:
            SecretMissing: its variable is not set.
        """
        return StoredToken(
            access_token=self._settings.secret(self._connection, "token"),
            refresh_token=None,
            instance_url=self._connection.login_url,
            issued_at=self._clock.now(),
        )

    def is_ours(self, token: StoredToken) -> bool:
        """Return whether a token is the configured one."""
        return token.access_token.reveal() == self().access_token.reveal()


class RefreshLogin:
    """Logs in with refresh tokens; the token store calls it in one process at a time.

    A vendor with further kinds of login derives a class of its own, which overrides `__call__` and
    `identity`.
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
        """Return whether a token was issued for what is configured now; see `Login`."""
        if token.extra.get("login") != self.identity():
            return False
        return sources(self.rotation(token), self.environment_token()) == ("stored",)

    def is_passed_over(self, token: StoredToken) -> bool:
        """Return whether the vendor refused the environment's refresh token, so that this one is used."""
        from_environment, rotation = self.environment_token(), self.rotation(token)
        if from_environment is None or rotation is None:
            return False
        return rotation.refused == token_fingerprint(from_environment)

    def identity(self) -> str:
        """Return a fingerprint of the address, the app and all secrets except the refresh token.

        Raises:
            SecretMissing: a variable is not set.
        """
        names = sorted(set(self._connection.auth.variables) - {"refresh_token"})
        return self._fingerprint(names)

    def rotation(self, token: StoredToken | None) -> TokenRotation | None:
        """Return the rotation that a stored token belongs to; None if it belongs to another app."""
        if token is None or token.refresh_token is None:
            return None
        rotation = TokenRotation.from_extra(token.extra) or self._older_form(token)
        return rotation if rotation is not None and rotation.app == self.app() else None

    def app(self) -> str:
        """Return a fingerprint of the address and the app: refresh tokens work with these alone.

        Raises:
            SecretMissing: a variable is not set.
        """
        client = self._settings.secret(self._connection, "client_id").reveal()
        return fingerprint([self._connection.login_url, client])

    def environment_token(self) -> Secret | None:
        """Return the environment's refresh token; None if there is none."""
        variable = self._connection.auth.variables.get("refresh_token", "")
        if not self._settings.environ.get(variable, "").strip():
            return None
        return self._settings.secret(self._connection, "refresh_token")

    def client(self) -> dict[str, str]:
        """Return the client id and, if configured, the client secret of the app.

        Raises:
            SecretMissing: a variable is not set.
        """
        fields = {"client_id", "client_secret"} & set(self._connection.auth.variables)
        return {name: self._settings.secret(self._connection, name).reveal() for name in fields}

    def passed_over_cure(self) -> str:
        """Return what to do about an environment token that the vendor refused."""
        variable = self._connection.auth.variables["refresh_token"]
        return (
            f"Take {variable} out of the environment and .env, or put a living token there; "
            f"`crm-pipeline login {self._connection.name}` gets one without it."
        )

    def _refreshed(self, stored: StoredToken | None) -> StoredToken:
        rotation, from_environment = self.rotation(stored), self.environment_token()
        order = sources(rotation, from_environment)
        if not order:
            raise self._no_token()
        try:
            return self._refresh_with(order[0], stored, rotation, from_environment)
        except AuthFailed as refusal:
            if len(order) == 1 or refusal.code not in self._endpoint.profile.dead_token_codes:
                raise
        token = self._refresh_with(order[1], stored, rotation, from_environment)
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
        from_environment: Secret | None,
    ) -> StoredToken:
        used = stored.refresh_token if stored and source == "stored" else from_environment
        assert used is not None  # `sources` names only sources that hold a token
        form = {"grant_type": REFRESH, "refresh_token": used.reveal()}
        url = stored.extra.get(ENDPOINT, "") if stored and source == "stored" else ""
        response = self._endpoint.request(form, self.client(), url=url)
        continued = (rotation or TokenRotation(self.app())).continued(from_environment, source)
        extra = {"login": self.identity(), **continued.extra(), **({ENDPOINT: url} if url else {})}
        return self._endpoint.token(response, used, extra)

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
        # Earlier versions stored no rotation; the environment's refresh token was part of the identity.
        from_environment = self.environment_token()
        names = sorted(self._connection.auth.variables)
        if from_environment is None or token.extra.get("login") != self._fingerprint(names):
            return None
        return TokenRotation(self.app(), frozenset({token_fingerprint(from_environment)}))

    def _fingerprint(self, names: list[str]) -> str:
        auth = self._connection.auth
        audience = [auth.audience] if auth.audience else []
        texts = [self._secret_text(name) for name in names]
        return fingerprint([auth.kind, self._connection.login_url, *texts, *audience])

    def _secret_text(self, name: str) -> str:
        return self._settings.secret(self._connection, name).reveal()
