"""Salesforce logins without a person: refresh token (with rotation), client credentials, JWT bearer.

Source: OAuth 2.0 flows in Salesforce Help, "Authorize Apps with OAuth". A token response has no
`expires_in`, and a session lasts while it is used. So a new token is fetched on 401, and never by the clock.
"""

from urllib.parse import urlsplit

from crm_pipeline.connectors.oauth.login import RefreshLogin
from crm_pipeline.connectors.salesforce import assertion, login_cures
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken

KINDS = ("client_credentials", "jwt_bearer", "refresh_token")
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
        ConfigError: an unknown or retired kind of login, client credentials on a generic login host, or the
            address of a web page.
    """
    kind = connection.auth.kind
    owner = f"connection '{connection.name}'"
    if kind in _RETIRED:
        raise ConfigError(
            f"{owner} uses {_RETIRED[kind]}; it is not supported here.",
            cure="Create an External Client App with the client credentials flow, set "
            "'kind: client_credentials' and see docs/connections.md.",
        )
    if kind not in KINDS:
        raise ConfigError(
            f"{owner} is of kind {kind}, which Salesforce does not have.",
            cure=f"Use one of: {', '.join(KINDS)}; see docs/connections.md.",
        )
    address = urlsplit(connection.login_url)
    host = (address.hostname or "").lower()
    if kind == "client_credentials" and host in _GENERIC_HOSTS:
        raise ConfigError(
            f"{owner}: client credentials do not work on {connection.login_url}.", cure=_MY_DOMAIN
        )
    if not connection.sandbox and "." not in host:
        raise ConfigError(f"{owner}: {connection.login_url} is no org's address.", cure=_MY_DOMAIN)
    if host.endswith(_PAGES):
        raise ConfigError(
            f"{owner}: {host} is a host of web pages; it has no login.", cure=_MY_DOMAIN
        )
    if host.endswith(".salesforce.com") and address.path not in ("", "/"):
        raise ConfigError(
            f"{owner}: login_url has a path behind the host ({address.path}).",
            cure=f"Set login_url to {address.scheme}://{host}.",
        )


class SalesforceLogin(RefreshLogin):
    """Fetches tokens by the three OAuth flows that Salesforce has for servers."""

    def __call__(self, stored: StoredToken | None) -> StoredToken:
        """Return a new token; with rotation its refresh token replaces the stored one.

        Raises:
            SecretMissing: a variable is not set.
            AuthFailed: the vendor refuses; the text says what to check.
        """
        kind = self._connection.auth.kind
        if kind == "refresh_token":
            return self._refreshed(stored)
        if kind == "jwt_bearer":
            answer = self._endpoint.request(self._assertion(), {})
        else:
            answer = self._endpoint.request({"grant_type": login_cures.CREDENTIALS}, self.client())
        return self._endpoint.token(answer, None, {"login": self.identity()})

    def is_ours(self, token: StoredToken) -> bool:
        """Return whether a token was issued for the present configuration; see `connectors.oauth.login.Login`."""
        if self._connection.auth.kind == "refresh_token":
            return super().is_ours(token)
        return token.extra.get("login") == self.identity()

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

    def _secret_text(self, name: str) -> str:
        if name.startswith("private_key"):
            return assertion.key_text(self._settings, self._connection)
        return super()._secret_text(name)
