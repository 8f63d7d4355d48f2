"""The OAuth 2.0 profile of Zoho's accounts server.

Sources: zoho.com/crm/developer/docs/api/v8/auth-request.html, access-refresh.html, scopes.html. The server
refuses with HTTP 200 and an error code, so only a response with a token is a success.
"""

from collections.abc import Mapping

from crm_pipeline.connectors.oauth.profile import (
    CODE,
    CodePage,
    OAuthProfile,
    Refused,
    TokenDetails,
)
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.connectors.zoho import data_centres, errors
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.settings import Connection
from crm_pipeline.wire.trusted_hosts import TrustedHosts

SCOPES = (
    "ZohoCRM.modules.READ",
    "ZohoCRM.settings.modules.READ",
    "ZohoCRM.settings.fields.READ",
    "ZohoCRM.settings.layouts.READ",
    "ZohoCRM.settings.pipeline.READ",
    "ZohoCRM.settings.currencies.READ",
    "ZohoCRM.coql.READ",
    "ZohoCRM.bulk.READ",
    "ZohoCRM.bulk.CREATE",
    "ZohoCRM.org.READ",
    "ZohoCRM.users.READ",
)
_CURES = {
    "invalid_client": "The client id is unknown at {url}: was the app made in another data centre? Set "
    "login_url to the accounts server of that one, or copy the id anew: {console}, the app, Client Secret.",
    "invalid_client_secret": "Copy the secret anew: {console}, the app, Client Secret.",
    "invalid_redirect_uri": "Add the callback address, exactly as it was printed, to the app: {console}, the "
    "app, Client Details, Authorized Redirect URIs.",
    "invalid_scope": "Check the scopes: {scopes}.",
}
_NEW_CODE = (
    "Make a new code, it is good once and for a few minutes: {console}, Self Client, Generate Code, with the "
    "scopes {scopes}; then run `crm-pipeline login {name}` at once."
)
_NEW_LOGIN = (
    "The refresh token was revoked, is of another app or data centre, or was pushed out by newer ones (20 "
    "live for a user and app). Run `crm-pipeline login {name}`."
)


def token_url(connection: Connection) -> str:
    """Return the token endpoint."""
    return f"{connection.login_url}/oauth/v2/token"


def exchange_url(connection: Connection, answer: Mapping[str, str]) -> str:
    """Return the token endpoint of the data centre that the redirect names; "" for the configured one.

    The user's account may be in another data centre than the app; the code is valid only there.

    Raises:
        AuthFailed: the answer names a server that is neither configured nor documented.
    """
    server = answer.get("accounts-server", "").rstrip("/")
    if not server or server == connection.login_url:
        return ""
    if not TrustedHosts(connection.login_url, data_centres.ACCOUNTS).includes(server):
        raise AuthFailed(
            f"{connection.name}: the answer names {vendor_text(server)} as the accounts server, which is neither "
            "configured nor one that Zoho documents.",
            cure="Nothing was sent there. Look at the address that the browser came back with. If a data centre "
            "of Zoho's is new, set login_url to its accounts server.",
        )
    return f"{server}/oauth/v2/token"


def _read(_: Connection, response: TokenResponse) -> TokenDetails:
    return TokenDetails(
        instance_url=response.required_text("api_domain"),
        expires_in=response.get("expires_in"),
        documented_s=3600,
    )


def _cure(refused: Refused) -> str:
    is_manual = refused.connection.auth.kind in PROFILE.code_pages
    text = _CURES.get(refused.code)
    if text is None:
        text = _NEW_CODE if refused.grant == CODE and is_manual else _NEW_LOGIN
    return text.format(
        name=refused.connection.name,
        url=refused.connection.login_url,
        console=data_centres.console(refused.connection),
        scopes=",".join(SCOPES),
    )


PROFILE = OAuthProfile(
    vendor="Zoho",
    token_url=token_url,
    authorize_url=lambda connection: f"{connection.login_url}/oauth/v2/auth",
    classify_response=errors.classify_token_response,
    read=_read,
    cure=_cure,
    api_hosts=data_centres.api_hosts,
    login_hosts=lambda _: data_centres.ACCOUNTS,
    pkce=False,
    authorize_params=lambda _: {
        "scope": ",".join(SCOPES),
        "access_type": "offline",
        # Without it a user's second consent returns no refresh token.
        "prompt": "consent",
    },
    dead_token_codes=frozenset({"invalid_code", "invalid_grant"}),
    no_refresh_cure="The app asked for offline access and did not get it; take the app out of the user's "
    "account (Connected Apps) first.",
    code_pages={
        "self_client": CodePage(
            data_centres.console,
            "Open this address as the user of the integration: Self Client, Generate Code. Scope: "
            f"{','.join(SCOPES)}. Time duration: 10 minutes. Choose the portal (production or sandbox), "
            "Create, and copy the code.",
        )
    },
    exchange_url=exchange_url,
)
