"""A vendor's token endpoint: a form goes in, an answer or an explained refusal comes out."""

import base64
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import requests

from crm_pipeline.connectors.dialect import Dialect, Refused
from crm_pipeline.kernel.clock import Clock, format_instant
from crm_pipeline.kernel.errors import AuthFailed, ProtocolError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession, Permit

EXPIRES = "expires_at"
# Where the chain of a stored token is refreshed, if not at the usual endpoint.
ENDPOINT = "token_endpoint"


class TokenEndpoint:
    """Asks for tokens of one connection; for one thread at a time.

    Args:
        connection: whose login server it is.
        clock: the present, which assertions carry and answers may lack.
        dialect: the vendor's.
        permit: entered around every request; the rate gate, where the vendor counts these.
        observe: sees every answer, errors included.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        dialect: Dialect,
        *,
        permit: Permit = nullcontext,
        observe: Callable[[requests.Response], None] | None = None,
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.dialect = dialect
        self._skew_s = 0.0
        self._observed = observe
        self._http = HttpSession(
            connection.name,
            judge=partial(dialect.judge, connection.name),
            permit=permit,
            observe=self._observe,
            allow_http=connection.sandbox,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(
        self, form: Mapping[str, str], client: Mapping[str, str], *, at: str = ""
    ) -> Mapping[str, Any]:
        """Return the answer to a form.

        Args:
            form: what is asked for.
            client: `client_id` and `client_secret` of the app; empty where the form proves who we are.
            at: the endpoint, where it is not the usual one.

        Raises:
            AuthFailed: the vendor refuses; the cure says what to do.
            ProtocolError: the answer is not what the vendor documents.
        """
        self._skew_s = 0.0
        headers: dict[str, str] = {}
        fields = {**form, **client}
        if self.dialect.client_auth == "basic" and client:
            fields = dict(form)
            headers["Authorization"] = _basic(client)
        try:
            response = self._http.request(
                "POST", at or self.dialect.token_url(self.connection), data=fields, headers=headers
            )
        except AuthFailed as refusal:
            refusal.cure = self.dialect.cure(
                Refused(
                    self.connection,
                    form["grant_type"],
                    refusal.code,
                    refusal.message,
                    self._skew_s,
                )
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
            ProtocolError: the answer is not what the vendor documents.
        """
        try:
            given = answer.get("refresh_token")
            told = self.dialect.read(self.connection, answer)
            now = self.clock.now()
            until: dict[str, str] = {}
            if told.expires_in_s is not None:
                until[EXPIRES] = format_instant(now + timedelta(seconds=told.expires_in_s))
            return StoredToken(
                access_token=Secret(answer["access_token"]),
                refresh_token=Secret(given) if given else used,
                instance_url=told.place.rstrip("/"),
                issued_at=told.issued_at or now,
                extra={**told.extra, **until, **extra},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> ProtocolError:
        return ProtocolError(
            f"{self.connection.name}: the login answer is not what {self.dialect.vendor} documents "
            f"({type(error).__name__}).",
            cure="Check login_url.",
        )

    def _observe(self, response: requests.Response) -> None:
        if self._observed is not None:
            self._observed(response)
        said = response.headers.get("Date", "")
        try:
            vendor = parsedate_to_datetime(said).astimezone(UTC)
        except ValueError:
            return  # no date, nothing to compare; only an error text would have used it
        self._skew_s = (self.clock.now() - vendor).total_seconds()


def expires_at(token: StoredToken) -> datetime | None:
    """Return when an access token ends by the clock, None where that is not known."""
    text = token.extra.get(EXPIRES)
    return datetime.fromisoformat(text) if text else None


def _basic(client: Mapping[str, str]) -> str:
    # Form-encoded first (RFC 6749, section 2.3.1).
    pair = ":".join(quote(client.get(name, ""), safe="") for name in ("client_id", "client_secret"))
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
