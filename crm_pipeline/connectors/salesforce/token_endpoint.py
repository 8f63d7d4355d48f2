"""Salesforce's token endpoint: a form goes in, an answer or an explained refusal comes out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import requests

from crm_pipeline.connectors.salesforce import answers, login_cures
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import AuthFailed, ProtocolError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession


class TokenEndpoint:
    """Asks for tokens of one connection; for one thread at a time.

    Args:
        connection: whose login server it is.
        clock: the present, which assertions carry and answers may lack.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self.clock = clock
        self._skew_s = 0.0
        self._http = HttpSession(
            connection.name,
            judge=partial(answers.judge_login, connection.name),
            observe=self._observe,
            allow_http=connection.sandbox,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the answer to a form.

        Raises:
            AuthFailed: Salesforce refuses; the cure says what to do.
            ProtocolError: the answer is not what Salesforce documents.
        """
        url = f"{self.connection.login_url}/services/oauth2/token"
        self._skew_s = 0.0
        try:
            response = self._http.request("POST", url, data=form)
        except AuthFailed as refusal:
            refusal.cure = login_cures.cure(
                self.connection,
                form["grant_type"],
                refusal.code,
                refusal.message,
                skew_s=self._skew_s,
            )
            raise
        try:
            return dict(response.json())
        except (ValueError, TypeError) as error:
            raise self._unreadable(error) from None

    def token(
        self, answer: Mapping[str, Any], used: Secret | None, extra: Mapping[str, str]
    ) -> StoredToken:
        """Return the token of an answer.

        Args:
            answer: what `ask` returned.
            used: the refresh token that stays valid where the answer has no new one.
            extra: what to remember with it.

        Raises:
            ProtocolError: the answer is not what Salesforce documents.
        """
        try:
            issued = answer.get("issued_at")
            given = answer.get("refresh_token")
            return StoredToken(
                access_token=Secret(answer["access_token"]),
                refresh_token=Secret(given) if given else used,
                instance_url=str(answer["instance_url"]).rstrip("/"),
                # Answers to assertions have none.
                issued_at=datetime.fromtimestamp(int(issued) / 1000, UTC)
                if issued
                else self.clock.now(),
                extra={"id": str(answer.get("id", "")), **extra},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> ProtocolError:
        return ProtocolError(
            f"{self.connection.name}: the login answer is not what Salesforce documents "
            f"({type(error).__name__}).",
            cure="Check login_url.",
        )

    def _observe(self, response: requests.Response) -> None:
        said = response.headers.get("Date", "")
        try:
            vendor = parsedate_to_datetime(said).astimezone(UTC)
        except ValueError:
            return  # no date, nothing to compare; only an error text would have used it
        self._skew_s = (self.clock.now() - vendor).total_seconds()
