"""The OAuth 2.0 profile of HubSpot's token endpoint, with the cures of its refusals.

Source: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/
"""

from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

from crm_pipeline.connectors.base import published_limits
from crm_pipeline.connectors.hubspot import errors
from crm_pipeline.connectors.hubspot.addresses import Addresses
from crm_pipeline.connectors.hubspot.catalog import scopes_for
from crm_pipeline.connectors.oauth.profile import CODE, OAuthProfile, Refused, TokenDetails
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Connection

_HOSTS = frozenset({"api.hubapi.com", "api.hubspot.com"})
_PAGES = "https://app.hubspot.com/oauth/authorize"
_KINDS = ("token", "refresh_token")


@cache
def _pinned_version() -> str:
    return published_limits(__package__).api_version


def refuse_unusable(connection: Connection) -> None:
    """Refuse logins that cannot work, before anything is sent.

    Raises:
        ConfigError: an unknown kind of login, or an address other than that of the API.
    """
    owner, auth = f"connection '{connection.name}'", connection.auth
    if auth.kind not in _KINDS:
        raise ConfigError(
            f"{owner}: HubSpot has no login of kind {auth.kind} for accounts.",
            cure="Use 'kind: token' with a private app's token or a service key, or 'kind: refresh_token' "
            "with an app that a person authorizes.",
        )
    if auth.kind == "refresh_token" and "client_secret" not in auth.variables:
        raise ConfigError(
            f"{owner}: HubSpot issues tokens only to apps that send their secret.",
            cure="Add 'client_secret_env: NAME_OF_THE_VARIABLE' under auth.",
        )
    address = urlsplit(connection.login_url)
    if connection.sandbox:
        return
    if address.hostname not in _HOSTS or address.path:
        raise ConfigError(
            f"{owner}: {connection.login_url} is not the address of HubSpot's API.",
            cure="Set login_url to https://api.hubapi.com, for every account and region.",
        )


def _cure(refused: Refused) -> str:
    connection = refused.connection
    variables = connection.auth.variables
    again = f"run `crm-pipeline login {connection.name}`"
    if (
        refused.code in {"invalid_client", "unauthorized_client"}
        or "client" in refused.description.lower()
    ):
        names = " and ".join(variables[name] for name in ("client_id", "client_secret"))
        return f"Compare {names} with the app's Auth settings: client ID and client secret."
    if refused.grant == CODE:
        return (
            f"A code works once and for a minute, with the callback address of the app's settings: {again} "
            "again."
        )
    return (
        "The refresh token is unknown to this app, or the account has uninstalled the app (Settings, "
        f"Integrations, Connected Apps): {again}."
    )


def _read(connection: Connection, answer: TokenResponse) -> TokenDetails:
    hub = answer.text("hub_id")  # v1 does not say
    return TokenDetails(
        instance_url=connection.login_url,
        expires_in=answer.get("expires_in"),
        documented_s=1800,
        extra={"hub_id": hub} if hub else {},
    )


def _token_url(connection: Connection) -> str:
    version = connection.api_version or _pinned_version()
    return f"{connection.login_url}{Addresses(version).token}"


def _authorize_url(connection: Connection) -> str:
    return f"{connection.login_url}/oauth/authorize" if connection.sandbox else _PAGES


def _asked(connection: Connection) -> Mapping[str, str]:
    # HubSpot refuses an address without scopes, and one that lacks a scope that the app requires.
    return {"scope": " ".join(scopes_for(obj.name for obj in connection.objects))}


PROFILE = OAuthProfile(
    vendor="HubSpot",
    token_url=_token_url,
    authorize_url=_authorize_url,
    api_hosts=lambda _: ("api.hubapi.com", "api.hubspot.com"),
    login_hosts=lambda _: ("api.hubapi.com", "api.hubspot.com"),
    classify_response=errors.classify_token_response,
    read=_read,
    cure=_cure,
    authorize_params=_asked,
    dead_token_codes=frozenset({"invalid_grant", "BAD_REFRESH_TOKEN"}),
)
