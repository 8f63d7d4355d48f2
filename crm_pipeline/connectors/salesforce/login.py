"""Salesforce logins without a person: refresh token (with rotation), client credentials, JWT bearer.

Source: OAuth 2.0 flows in Salesforce Help, "Authorize Apps with OAuth". A token answer has no
`expires_in`; the session lives as long as it is used, so a new token is fetched on 401 and never by
the clock.
"""

from urllib.parse import urlsplit

import structlog

from crm_pipeline.connectors.salesforce import assertion, login_cures
from crm_pipeline.connectors.salesforce.chain import Chain, Source, mark_of, sources
from crm_pipeline.connectors.salesforce.token_endpoint import TokenEndpoint
from crm_pipeline.kernel.errors import AuthFailed, ConfigError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tokens import StoredToken

_log = structlog.get_logger(__name__)
_GENERIC_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
_RETIRED = {
    "password": "the OAuth username-password flow, which Salesforce switches off on 2027-02-20",
    "username_password": "the OAuth username-password flow, which Salesforce switches off on "
    "2027-02-20",
    "soap": "SOAP login(), which is gone since API v65.0 and retired for all versions in Summer '27",
}
_PAGES = (".lightning.force.com", ".salesforce-setup.com", ".visual.force.com")
_MY_DOMAIN = (
    "Set login_url to the org's My Domain, https://<MyDomain>.my.salesforce.com (Setup, My Domain)."
)


def refuse_unusable(connection: Connection) -> None:
    """Refuse logins that cannot work, before anything is sent.

    Raises:
        ConfigError: a retiring login, client credentials on a generic login host, or an address
            that was copied from a page.
    """
    kind = connection.auth.kind
    where = f"connection '{connection.name}'"
    if kind in _RETIRED:
        raise ConfigError(
            f"{where} uses {_RETIRED[kind]}; it is not supported here.",
            cure="Create an External Client App with the client credentials flow, set "
            "'kind: client_credentials' and see docs/connections.md.",
        )
    address = urlsplit(connection.login_url)
    host = (address.hostname or "").lower()
    if kind == "client_credentials" and host in _GENERIC_HOSTS:
        raise ConfigError(
            f"{where}: client credentials do not work on {connection.login_url}.", cure=_MY_DOMAIN
        )
    if not connection.sandbox and "." not in host:
        raise ConfigError(f"{where}: {connection.login_url} is no org's address.", cure=_MY_DOMAIN)
    if host.endswith(_PAGES):
        raise ConfigError(
            f"{where}: {host} shows pages to people; it has no login.", cure=_MY_DOMAIN
        )
    if host.endswith(".salesforce.com") and address.path not in ("", "/"):
        raise ConfigError(
            f"{where}: login_url goes on behind the host ({address.path}).",
            cure=f"Set login_url to {address.scheme}://{host}.",
        )


class Login:
    """Fetches tokens for one connection; used by the token store, one process at a time."""

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
        kind = self._connection.auth.kind
        if kind == "refresh_token":
            return self._refreshed(stored)
        form = self._assertion() if kind == "jwt_bearer" else self._credentials()
        extra = {"login": self.identity()}
        return self._endpoint.token(self._endpoint.ask(form), None, extra)

    def is_ours(self, token: StoredToken) -> bool:
        """Say whether a token was got with the address, app and secrets that are configured now.

        A connection that was pointed at another org must not go on with the old one's token, a
        secret that was withdrawn or replaced must not be covered up by a session that still lives,
        and a newer refresh token must not wait until that session ends.

        Raises:
            SecretMissing: a variable is not set.
        """
        if token.extra.get("login") != self.identity():
            return False
        if self._connection.auth.kind != "refresh_token":
            return True
        return sources(self.chain(token), self.given()) == ("stored",)

    def is_passed_over(self, token: StoredToken) -> bool:
        """Say whether the environment holds a refresh token that was refused in favour of this one."""
        given, chain = self.given(), self.chain(token)
        return bool(given and chain and chain.refused == mark_of(given))

    def identity(self) -> str:
        """Return what stands for the address, the app and all secrets but the refresh token.

        Raises:
            SecretMissing: a variable is not set.
        """
        names = sorted(set(self._connection.auth.variables) - {"refresh_token"})
        return self._fingerprint(names)

    def chain(self, token: StoredToken | None) -> Chain | None:
        """Return the chain that a stored token continues; None if it is another app's, or has none."""
        if token is None or token.refresh_token is None:
            return None
        chain = Chain.remembered(token.extra) or self._older_form(token)
        return chain if chain is not None and chain.app == self.app() else None

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

    def _refreshed(self, stored: StoredToken | None) -> StoredToken:
        chain, given = self.chain(stored), self.given()
        order = sources(chain, given)
        if not order:
            raise self._no_token()
        try:
            return self._refresh_with(order[0], stored, chain, given)
        except AuthFailed as refusal:
            if len(order) == 1 or refusal.code != "invalid_grant":
                raise
        token = self._refresh_with(order[1], stored, chain, given)
        _log.warning(
            "refresh token of the environment refused, the stored one is used",
            connection=self._connection.name,
            variable=self._connection.auth.variables["refresh_token"],
            cure=self.passed_over_cure(),
        )
        return token

    def passed_over_cure(self) -> str:
        """Return what to do about an environment token that was refused."""
        variable = self._connection.auth.variables["refresh_token"]
        return (
            f"Take {variable} out of the environment and .env, or put a living token there; "
            f"`crm-pipeline login {self._connection.name}` gets one without it."
        )

    def _refresh_with(
        self, source: Source, stored: StoredToken | None, chain: Chain | None, given: Secret | None
    ) -> StoredToken:
        used = stored.refresh_token if stored and source == "stored" else given
        assert used is not None  # `sources` names no source that is not there
        form = {"grant_type": login_cures.REFRESH, "refresh_token": used.reveal(), **self.client()}
        answer = self._endpoint.ask(form)
        following = (chain or Chain(self.app())).continued(given, source)
        return self._endpoint.token(answer, used, {"login": self.identity(), **following.extra()})

    def _credentials(self) -> dict[str, str]:
        return {"grant_type": login_cures.CREDENTIALS, **self.client()}

    def _assertion(self) -> dict[str, str]:
        settings, connection = self._settings, self._connection
        signed = assertion.signed(
            assertion.private_key(settings, connection),
            issuer=settings.secret(connection, "client_id").reveal(),
            subject=settings.secret(connection, "username").reveal(),
            audience=assertion.audience(connection),
            now=self._endpoint.clock.now(),
        )
        return {"grant_type": login_cures.ASSERTION, "assertion": signed.reveal()}

    def _no_token(self) -> ConfigError:
        connection = self._connection
        variable = connection.auth.variables.get("refresh_token")
        also = f", and the environment variable {variable} is not set" if variable else ""
        return ConfigError(
            f"connection '{connection.name}' has not been logged in: no refresh token is stored for "
            f"this app and address{also}.",
            cure=f"Run `crm-pipeline login {connection.name}`.",
        )

    def _older_form(self, token: StoredToken) -> Chain | None:
        # Before chains were remembered, the refresh token of the environment was part of the identity.
        given = self.given()
        names = sorted(self._connection.auth.variables)
        if given is None or token.extra.get("login") != self._fingerprint(names):
            return None
        return Chain(self.app(), frozenset({mark_of(given)}))

    def _fingerprint(self, names: list[str]) -> str:
        auth = self._connection.auth
        secrets = [
            assertion.key_text(self._settings, self._connection)
            if name.startswith("private_key")
            else self._settings.secret(self._connection, name).reveal()
            for name in names
        ]
        meant_for = [auth.audience] if auth.audience else []
        return fingerprint([auth.kind, self._connection.login_url, *secrets, *meant_for])
