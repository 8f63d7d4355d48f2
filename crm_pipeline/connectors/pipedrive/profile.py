"""The OAuth 2.0 profile of Pipedrive's login server.

The server has a host of its own, takes the app's id and secret in a Basic header, returns a new refresh
token each time, and returns the company's address in `api_domain`.
Source: https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from urllib.parse import urlsplit

from crm_pipeline.connectors.oauth.profile import CODE, OAuthProfile, Refused, TokenDetails
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.connectors.pipedrive import errors
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Connection

HOST = ".pipedrive.com"
_SHARED = frozenset({"api", "app", "oauth", "www", "developers", "support", "marketplace"})
_EXAMPLE = "https://acme.pipedrive.com"


def refuse_unusable(connection: Connection) -> None:
    """Refuse addresses and logins that cannot work, before anything is sent.

    Raises:
        ConfigError: the address is not a company's, or the kind of login is another vendor's.
    """
    where = f"connection '{connection.name}'"
    auth = connection.auth
    if auth.kind not in {"token", "refresh_token"}:
        raise ConfigError(
            f"{where} is of kind {auth.kind}, which Pipedrive does not have.",
            cure="Use 'kind: token' (an API token) or 'kind: refresh_token' (an OAuth app); see "
            "docs/connections.md.",
        )
    if auth.kind == "refresh_token" and "client_secret" not in auth.variables:
        raise ConfigError(
            f"{where} names no client_secret_env, and Pipedrive's apps log in with their secret.",
            cure="Add 'client_secret_env: NAME_OF_THE_VARIABLE' under auth (Developer Hub, the app, "
            "OAuth & access scopes).",
        )
    if connection.sandbox:
        return
    address = urlsplit(connection.login_url)
    host = (address.hostname or "").lower()
    company = host.removesuffix(HOST)
    if not host.endswith(HOST) or "." in company or company in _SHARED:
        raise ConfigError(
            f"{where}: {connection.login_url} is no company's address.",
            cure=f"Set login_url to the address in the browser when you use Pipedrive, like {_EXAMPLE}.",
        )
    if address.path not in ("", "/"):
        raise ConfigError(
            f"{where}: login_url goes on behind the host ({address.path}).",
            cure=f"Set login_url to https://{host}.",
        )


def _server(connection: Connection) -> str:
    host = (urlsplit(connection.login_url).hostname or "").lower()
    return "https://oauth.pipedrive.com" if host.endswith(HOST) else connection.login_url


def _read(connection: Connection, response: TokenResponse) -> TokenDetails:
    # `TokenEndpoint.token` checks that the address is one of Pipedrive's.
    url = response.required_text("api_domain")
    if urlsplit(url).netloc.lower() == urlsplit(connection.login_url).netloc.lower():
        url = connection.login_url  # without a path that the response adds
    return TokenDetails(
        instance_url=url,
        expires_in=response.get("expires_in"),
        documented_s=3599,
        extra={"scope": " ".join(response.text("scope").replace(",", " ").split())},
    )


def _cure(refused: Refused) -> str:
    name = refused.connection.name
    if refused.code == "invalid_client":
        return (
            "Check client id and client secret (Pipedrive: Settings, Tools and apps, Developer Hub, the "
            "app, OAuth & access scopes)."
        )
    if refused.code == "invalid_grant" and refused.grant == CODE:
        return (
            f"A code lives for five minutes and once only: run `crm-pipeline login {name}` again."
        )
    if refused.code == "invalid_grant":
        return (
            "The refresh token is worth nothing any more: it was used already (each is good for one "
            "login), lay idle for too long, or the app was uninstalled or got other scopes. Run "
            f"`crm-pipeline login {name}`."
        )
    if refused.code == "access_denied":
        return "The person, or an admin, did not let the app in: install it as a user who may."
    return (
        "Check that the app's callback URL and scopes in the Developer Hub are those that are used."
    )


PROFILE = OAuthProfile(
    vendor="Pipedrive",
    token_url=lambda connection: f"{_server(connection)}/oauth/token",
    authorize_url=lambda connection: f"{_server(connection)}/oauth/authorize",
    api_hosts=lambda _: ("*.pipedrive.com",),
    login_hosts=lambda _: ("oauth.pipedrive.com",),
    classify_response=errors.classify_token_response,
    read=_read,
    cure=_cure,
    client_auth="basic",
    pkce=False,
    no_refresh_cure="Pipedrive gives every app a refresh token; check that the app uses OAuth 2.0.",
)
