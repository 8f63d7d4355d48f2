"""The OAuth 2.0 profile of Salesforce's login server.

Source: Salesforce Help, "Authorize Apps with OAuth".
"""

from datetime import UTC, datetime

from crm_pipeline.connectors.oauth.profile import OAuthProfile, TokenDetails
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.connectors.salesforce import errors, login_cures
from crm_pipeline.settings import Connection
from crm_pipeline.wire.figures import lasting

_LATEST_MS = 4e12  # in the year 2096


def _read(_: Connection, answer: TokenResponse) -> TokenDetails:
    # Answers to assertions have none; it is kept for people only.
    issued_ms = lasting(answer.get("issued_at"), least=0, most=_LATEST_MS)
    return TokenDetails(
        instance_url=answer.required_text("instance_url"),
        issued_at=datetime.fromtimestamp(issued_ms / 1000, UTC) if issued_ms else None,
        extra={"id": answer.text("id")},
    )


# My Domain of production, sandboxes and government clouds. Salesforce blocks instance names such as na1.
_MY_DOMAINS = ("*.my.salesforce.com", "*.my.salesforce.mil")

PROFILE = OAuthProfile(
    vendor="Salesforce",
    token_url=lambda connection: f"{connection.login_url}/services/oauth2/token",
    authorize_url=lambda connection: f"{connection.login_url}/services/oauth2/authorize",
    classify_response=errors.classify_token_response,
    read=_read,
    cure=login_cures.cure,
    api_hosts=lambda _: _MY_DOMAINS,
    login_hosts=lambda _: (*_MY_DOMAINS, "login.salesforce.com", "test.salesforce.com"),
    no_refresh_cure="Add the scope 'Perform requests at any time (refresh_token, offline_access)' to "
    "the app, and choose a Refresh Token Policy other than 'Immediately expire'.",
)
