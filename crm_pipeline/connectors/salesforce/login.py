"""Salesforce logins: refresh token (with rotation) and client credentials.

Source: OAuth 2.0 flows in Salesforce Help, "Authorize Apps with OAuth". A token answer has no
`expires_in`; the session lives as long as it is used, so a new token is fetched on 401 and never by
the clock.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from crm_pipeline.kernel.errors import ConfigError, ProtocolError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession

_GENERIC_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
_RETIRED = {
    "password": "the OAuth username-password flow, which Salesforce switches off on 2027-02-20",
    "username_password": "the OAuth username-password flow, which Salesforce switches off on "
    "2027-02-20",
    "soap": "SOAP login(), which is gone since API v65.0 and retired for all versions in Summer '27",
}


def refuse_unusable(connection: Connection) -> None:
    """Refuse logins that cannot work, before anything is sent.

    Raises:
        ConfigError: a retiring login, or client credentials on a generic login host.
    """
    kind = connection.auth.kind
    where = f"connection '{connection.name}'"
    if kind in _RETIRED:
        raise ConfigError(
            f"{where} uses {_RETIRED[kind]}; it is not supported here.",
            cure="Create an External Client App with the client credentials flow, set "
            "'kind: client_credentials' and see docs/connections.md.",
        )
    if kind == "client_credentials" and urlsplit(connection.login_url).hostname in _GENERIC_HOSTS:
        raise ConfigError(
            f"{where}: client credentials do not work on {connection.login_url}.",
            cure="Set login_url to the org's My Domain, https://<MyDomain>.my.salesforce.com "
            "(Setup, My Domain).",
        )


class Login:
    """Fetches tokens for one connection; used by the token store, one process at a time."""

    def __init__(self, settings: Settings, connection: Connection, http: HttpSession) -> None:
        self._settings = settings
        self._connection = connection
        self._http = http

    def __call__(self, stored: StoredToken | None) -> StoredToken:
        """Return a new token; with rotation its refresh token replaces the stored one.

        Raises:
            SecretMissing: a variable is not set.
            AuthFailed: the vendor refuses; the text says what to check.
        """
        secret = self._settings.secret
        form = {"client_id": secret(self._connection, "client_id").reveal()}
        refresh_token: Secret | None = None
        if self._connection.auth.kind == "refresh_token":
            given = stored.refresh_token if stored and self.is_ours(stored) else None
            refresh_token = given or secret(self._connection, "refresh_token")
            form |= {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
            if "client_secret" in self._connection.auth.variables:
                form["client_secret"] = secret(self._connection, "client_secret").reveal()
        else:
            form |= {
                "grant_type": "client_credentials",
                "client_secret": secret(self._connection, "client_secret").reveal(),
            }
        url = f"{self._connection.login_url}/services/oauth2/token"
        return self._token(self._http.request("POST", url, data=form), refresh_token)

    def is_ours(self, token: StoredToken) -> bool:
        """Say whether a token was got with the address, app and secrets that are configured now.

        A connection that was pointed at another org must not go on with the old one's token, and a
        secret that was withdrawn or replaced must not be covered up by a session that still lives.

        Raises:
            SecretMissing: a variable is not set.
        """
        return token.extra.get("login") == self._identity()

    def _identity(self) -> str:
        auth = self._connection.auth
        secrets = [
            self._settings.secret(self._connection, name).reveal()
            for name in sorted(auth.variables)
        ]
        return fingerprint([auth.kind, self._connection.login_url, *secrets])

    def _token(self, response: requests.Response, used: Secret | None) -> StoredToken:
        try:
            body = response.json()
            issued = body.get("issued_at")
            return StoredToken(
                access_token=Secret(body["access_token"]),
                refresh_token=Secret(body["refresh_token"]) if body.get("refresh_token") else used,
                instance_url=str(body["instance_url"]).rstrip("/"),
                issued_at=datetime.fromtimestamp(int(issued) / 1000, UTC)
                if issued
                else datetime.now(UTC),
                extra={"id": str(body.get("id", "")), "login": self._identity()},
                version=0,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{self._connection.name}: the login answer is not what Salesforce documents "
                f"({type(error).__name__}).",
                cure="Check login_url.",
            ) from None
