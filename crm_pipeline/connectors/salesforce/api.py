"""Salesforce's data API for one account: login, calls through the gate, retries, usage.

Every call of the connector goes through the verbs of `Api`.
"""

import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import requests

from crm_pipeline.connectors.base import Tools, Usage, VendorLimits
from crm_pipeline.connectors.salesforce import answers
from crm_pipeline.connectors.salesforce.consent import CodeConsent
from crm_pipeline.connectors.salesforce.login import Login, refuse_unusable
from crm_pipeline.connectors.salesforce.token_endpoint import TokenEndpoint
from crm_pipeline.kernel.errors import ConfigError, ConnectionLost, ProtocolError, SessionExpired
from crm_pipeline.settings import Connection
from crm_pipeline.store import files
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession
from crm_pipeline.wire.throttle import Limit

T = TypeVar("T")
# Not anchored at the end: some answers add "; per-app-api-usage=...".
_USAGE = re.compile(r"(?<![-\w])api-usage=(\d+)/(\d+)")
_DAY_S = 86_400.0
DAILY = "daily_api_requests"
JOBS = "daily_bulk_query_jobs"


class Api:
    """Calls of one account."""

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        refuse_unusable(connection)
        self.connection = connection
        self.limits = limits
        self.version = connection.api_version or limits.api_version
        self._tools = tools
        self._token: StoredToken | None = None
        self._login_lock = threading.Lock()
        self._skew = timedelta(0)
        self._used: int | None = None
        self._ceiling: int | None = None
        self._endpoint = TokenEndpoint(connection, tools.clock)
        self._login = Login(tools.settings, connection, self._endpoint)
        self._http = HttpSession(
            connection.name,
            allow_http=connection.sandbox,
            judge=partial(answers.judge, connection.name),
            permit=self._permit,
            observe=self._observe,
        )

    @property
    def usage(self) -> Usage:
        """Calls made here, and the org's counter as last seen."""
        return Usage(self._http.calls, self._used, self._ceiling)

    @property
    def base(self) -> str:
        """The path of the pinned API version."""
        return f"/services/data/v{self.version}"

    def close(self) -> None:
        """Close all connections."""
        self._endpoint.close()
        self._http.close()

    def now(self) -> datetime:
        """Return the vendor's clock in whole seconds, from the `Date` of its answers."""
        return (self._tools.clock.now() + self._skew).replace(microsecond=0)

    def token(self) -> StoredToken:
        """Return the current token; the first use logs in."""
        if self._token is None:
            self._renew(None)
        assert self._token is not None
        return self._token

    def log_in(self) -> None:
        """Log in anew with the secrets as they are configured now, whatever token is stored."""
        stale = self._tools.tokens.load(self.connection.name)
        self._tools.retry.call(lambda: self._renew(stale))

    def consent(self, redirect_uri: str) -> CodeConsent:
        """Begin a login by a person.

        Raises:
            ConfigError: this connection logs in by itself.
        """
        kind = self.connection.auth.kind
        if kind != "refresh_token":
            raise ConfigError(
                f"connection '{self.connection.name}' is of kind {kind}: it logs in by itself.",
                cure=f"Run `crm-pipeline check {self.connection.name}`; a login by a person is for "
                "'kind: refresh_token'.",
            )
        return CodeConsent(self._login, self._endpoint, self._tools.tokens, redirect_uri)

    @property
    def passed_over(self) -> str:
        """What to do about a refresh token of the environment that was refused; "" without one."""
        is_kind = self.connection.auth.kind == "refresh_token"
        is_so = is_kind and self._login.is_passed_over(self.token())
        return self._login.passed_over_cure() if is_so else ""

    def get(self, path: str, **params: str) -> requests.Response:
        """GET a path below the instance, with retries."""
        return self._patiently(
            lambda token: self._http.request(
                "GET", token.instance_url + path, params=params, headers=_bearer(token)
            )
        )

    def post(self, path: str, body: Mapping[str, Any]) -> requests.Response:
        """POST JSON to a path below the instance, with retries: only for what may happen twice."""
        return self._patiently(
            lambda token: self._http.request(
                "POST", token.instance_url + path, json=body, headers=_bearer(token)
            )
        )

    def create_job(self, body: Mapping[str, Any]) -> requests.Response:
        """Create a Bulk query job; they have a daily ceiling of their own.

        Raises:
            BudgetExhausted: our share of the jobs of a day is spent.
        """
        share = int(self.limits.ceilings[JOBS] * self.connection.share)
        limit = Limit(JOBS, share, _DAY_S, "daily")

        def attempt(token: StoredToken) -> requests.Response:
            url = f"{token.instance_url}{self.base}/jobs/query"
            with self._tools.gate.permit(self.connection.limit_group, [limit]):
                return self._http.request("POST", url, json=body, headers=_bearer(token))

        return self._patiently(attempt)

    def delete(self, path: str) -> requests.Response:
        """DELETE a path below the instance, with retries."""
        return self._patiently(
            lambda token: self._http.request(
                "DELETE", token.instance_url + path, headers=_bearer(token)
            )
        )

    def download(self, path: str, to: Path, **params: str) -> requests.Response:
        """GET into a file, bytes as received, and return the answer with its headers.

        A broken download starts again from its beginning; a partial file is never left.
        """

        def attempt(token: StoredToken) -> requests.Response:
            headers = {**_bearer(token), "Accept": "text/csv", "Accept-Encoding": "gzip"}
            url = token.instance_url + path
            try:
                with (
                    self._http.stream(url, params=params, headers=headers) as (response, chunks),
                    files.explained(to),
                    to.open("wb") as file,
                ):
                    for chunk in chunks:
                        file.write(chunk)
                    return response
            except (ConnectionLost, SessionExpired):
                to.unlink(missing_ok=True)
                raise

        return self._patiently(attempt)

    def identity(self) -> Mapping[str, Any]:
        """Return the login server's statement of who we are (OpenID Connect userinfo)."""
        return dict(self.get("/services/oauth2/userinfo").json())

    def _patiently(self, attempt: Callable[[StoredToken], T]) -> T:
        return self._tools.retry.call(lambda: self._with_login(attempt))

    def _with_login(self, attempt: Callable[[StoredToken], T]) -> T:
        """Call with the current token; log in again once where the session has expired."""
        token = self.token()
        try:
            return attempt(token)
        except SessionExpired:
            self._renew(token)
            return attempt(self.token())

    def _renew(self, stale: StoredToken | None) -> None:
        with self._login_lock:
            if stale is None or self._token is None or self._token.version == stale.version:
                token = self._tools.tokens.refreshed(self.connection.name, stale, self._login)
                if not self._login.is_ours(token):
                    token = self._tools.tokens.refreshed(self.connection.name, token, self._login)
                self._token = token

    def _permit(self) -> AbstractContextManager[object]:
        ceiling = self._ceiling or self._last_ceiling
        share = Limit(DAILY, int(ceiling * self.connection.share), _DAY_S, "daily")
        return self._tools.gate.permit(self.connection.limit_group, [share])

    @cached_property
    def _last_ceiling(self) -> int:
        """The org's ceiling as any account last saw it; the lowest published one before that."""
        standing = self._tools.gate.usage(self.connection.limit_group)
        told = [limit.vendor_ceiling for limit in standing if limit.name == DAILY]
        return next(filter(None, told), self.limits.ceilings[DAILY])

    def _observe(self, response: requests.Response) -> None:
        self._tools.gate.record(self.connection.limit_group, _operation(response.url))
        found = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if found:
            self._used, self._ceiling = int(found[1]), int(found[2])
            self._tools.gate.observe(self.connection.limit_group, DAILY, self._used, self._ceiling)
        if "Date" in response.headers:
            try:
                vendor = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
            except ValueError as error:
                raise ProtocolError(
                    f"{self.connection.name}: the answer's Date header is no date."
                ) from error
            self._skew = vendor - self._tools.clock.now()


def _operation(url: str) -> str:
    for part, operation in (("/jobs/", "bulk"), ("/query", "query"), ("/describe", "describe")):
        if part in url:
            return operation
    return "other"


def _bearer(token: StoredToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access_token.reveal()}"}
