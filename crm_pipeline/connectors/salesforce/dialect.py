"""How Salesforce's login server speaks OAuth 2.0.

Source: Salesforce Help, "Authorize Apps with OAuth".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from crm_pipeline.connectors.dialect import Dialect, TokenAnswer
from crm_pipeline.connectors.salesforce import answers, login_cures
from crm_pipeline.settings import Connection


def _read(_: Connection, answer: Mapping[str, Any]) -> TokenAnswer:
    issued = answer.get("issued_at")  # answers to assertions have none
    return TokenAnswer(
        place=str(answer["instance_url"]),
        issued_at=datetime.fromtimestamp(int(issued) / 1000, UTC) if issued else None,
        extra={"id": str(answer.get("id", ""))},
    )


DIALECT = Dialect(
    vendor="Salesforce",
    token_url=lambda connection: f"{connection.login_url}/services/oauth2/token",
    authorize_url=lambda connection: f"{connection.login_url}/services/oauth2/authorize",
    judge=answers.judge_login,
    read=_read,
    cure=login_cures.cure,
    no_refresh_cure="Add the scope 'Perform requests at any time (refresh_token, offline_access)' to "
    "the app, and choose a Refresh Token Policy other than 'Immediately expire'.",
)
