"""The calls of one account: login, rate limits, retries and usage. The vendor's specifics are passed in as data.

Every call of a connector goes through the methods of `VendorApi`; a vendor's `api.py` derives from it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import requests

from crm_pipeline.connectors.base import ConnectorContext, LoginFlow, Usage, VendorLimits
from crm_pipeline.connectors.description import decoded_leniently
from crm_pipeline.connectors.implausible import ImplausibleValues
from crm_pipeline.connectors.metering import Meter, Operation, Reading, believed
from crm_pipeline.connectors.oauth.authorization_code import AuthorizationCodeFlow, ManualCodeFlow
from crm_pipeline.connectors.oauth.login import FixedToken, RefreshLogin
from crm_pipeline.connectors.oauth.profile import OAuthProfile
from crm_pipeline.connectors.oauth.token_endpoint import TokenEndpoint, renewed_at
from crm_pipeline.connectors.vendor_clock import VendorClock
from crm_pipeline.kernel.errors import (
    AllowanceSpent,
    ConfigError,
    SessionExpired,
)
from crm_pipeline.ratelimit.limit_status import return_words
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.settings.auth import BY_PERSON
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store import files
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession, ResponseClassifier, Times
from crm_pipeline.wire.trusted_hosts import TrustedHosts

T = TypeVar("T")
# The duration of a call before any was made; later the median of the last ones, as single calls may be slow.
_ROUND_TRIP_S = 0.35
_ROUND_TRIPS = 15


class VendorApi:
    """The calls of one account.

    Args:
        connection: of the account.
        context: its dependencies.
        limits: of the vendor.
        classify_response: returns the error for a response, None for a success.
        meter: the cost and the limits of calls.
        profile: of the vendor's OAuth server.
        login: obtains tokens, where the default does not fit.
        login_limits: the limits that token requests count towards; usually none.
    """

    def __init__(
        self,
        connection: Connection,
        context: ConnectorContext,
        limits: VendorLimits,
        *,
        classify_response: ResponseClassifier,
        meter: Meter,
        profile: OAuthProfile,
        login: Callable[
            [Settings, Connection, TokenEndpoint], RefreshLogin | FixedToken
        ] = RefreshLogin,
        login_limits: Sequence[Limit] = (),
    ) -> None:
        self.connection = connection
        self.limits = limits
        self.meter = meter
        self.implausible = ImplausibleValues(connection.name)
        self.profile = profile
        self.version = connection.api_version or limits.api_version
        self._context = context
        self._token: StoredToken | None = None
        self._login_lock = threading.Lock()
        self.vendor_clock = VendorClock()
        self._counts_lock = threading.Lock()
        self._spent = 0
        self._most_spent: int | None = None
        self._reading: Reading | None = None
        self._round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)
        self._login_limits = login_limits
        self._endpoint = TokenEndpoint(
            connection,
            context.clock,
            profile,
            permit=self._login_permitted,
            observe=self._read_counters,
            bounds=context.settings.bounds,
            implausible=self.implausible,
        )
        self._login: RefreshLogin | FixedToken = (
            FixedToken(context.settings, connection, context.clock)
            if "token" in connection.auth.variables
            else login(context.settings, connection, self._endpoint)
        )
        self._trusted_hosts = TrustedHosts(connection.login_url, profile.api_hosts(connection))
        self._http = HttpSession(
            connection.name,
            allow_http=connection.sandbox,
            classify_response=classify_response,
            observe=self._observe,
            bounds=context.settings.bounds,
            trusts=self._trusted_hosts.includes,
            clock=context.clock,
        )

    @property
    def usage(self) -> Usage:
        """The calls made here, their cost, and the vendor's last reported counter."""
        reading = self._reading
        return Usage(
            calls=self._http.calls,
            used=reading.used if reading else None,
            allowed=reading.allowed if reading else None,
            cost=self._spent,
            unit=self.meter.unit,
        )

    @property
    def bounds(self) -> Bounds:
        """The maximum sizes of responses and files."""
        return self._context.settings.bounds

    @property
    def round_trip_s(self) -> float:
        """The duration of a call: measured, or a usual one before any was made."""
        with self._counts_lock:
            return median(self._round_trips or (_ROUND_TRIP_S,))

    @contextmanager
    def spending(self, amount: int) -> Iterator[None]:
        """Refuse calls that would cost more than an amount, in the vendor's unit, in all within the context.

        Calls that are repeated count as often as they are sent, as with the vendor.
        """
        before = self._most_spent
        with self._counts_lock:
            most = self._spent + max(0, amount)
            self._most_spent = most if before is None else min(before, most)
        try:
            yield
        finally:
            self._most_spent = before

    def close(self) -> None:
        """Close all connections."""
        self._endpoint.close()
        self._http.close()

    def now(self) -> datetime:
        """Return our own time in whole seconds, for the time of requests."""
        return self._context.clock.now().replace(microsecond=0)

    def vendor_now(self) -> datetime:
        """Return the vendor's time by its responses, in whole seconds; ours where none has a date."""
        return self.vendor_clock.at(self._context.clock.now())

    def token(self) -> StoredToken:
        """Return a valid token; the first use logs in."""
        if self._token is None:
            self._renew(None)
        assert self._token is not None
        due = renewed_at(self._token)
        if due is not None and due <= self._context.clock.now():
            self._renew(self._token)
        return self._token

    def log_in(self) -> None:
        """Log in with the secrets as configured now, even where a token is stored."""
        if isinstance(self._login, FixedToken):
            self._token = self._login()
            return
        stale = self._context.tokens.load(self.connection.name)
        self._context.retry.call(lambda: self._renew(stale))

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Start a login by a person.

        Raises:
            ConfigError: this connection logs in by itself.
        """
        kind = self.connection.auth.kind
        kinds = " or ".join(f"'kind: {person}'" for person in sorted(BY_PERSON))
        if kind not in BY_PERSON or isinstance(self._login, FixedToken):
            raise ConfigError(
                f"connection '{self.connection.name}' is of kind {kind}: it logs in by itself.",
                cure=f"Run `crm-pipeline check {self.connection.name}`; a login by a person is for "
                f"{kinds}.",
            )
        code_page = self.profile.code_pages.get(kind)
        if code_page is not None:
            return ManualCodeFlow(self._login, self._endpoint, self._context.tokens, code_page)
        return AuthorizationCodeFlow(
            self._login, self._endpoint, self._context.tokens, redirect_uri
        )

    @property
    def passed_over(self) -> str:
        """The cure for a refresh token of the environment that was refused; "" where there is none."""
        login = self._login
        if isinstance(login, FixedToken) or self.connection.auth.kind not in BY_PERSON:
            return ""
        return login.passed_over_cure() if login.is_passed_over(self.token()) else ""

    @property
    def remaining(self) -> int | None:
        """What is left of today's budget, in the vendor's unit; None where there is no budget."""
        limits = self.meter.limits(Operation("plan"))
        return self._context.limiter.remaining(
            self.connection.limit_group, limits, member=self.connection.name
        )

    @property
    def budget_returns(self) -> str:
        """When more of the day's budget becomes available, and how to see who used it; "" where there is no budget."""
        limits = [limit for limit in self.meter.limits(Operation("plan")) if limit.kind == "daily"]
        if not limits:
            return ""
        words = "; ".join(dict.fromkeys(return_words(limit) for limit in limits))
        return (
            f"{words[0].upper()}{words[1:]}. `crm-pipeline budget show {self.connection.name}` says whether it "
            "is our count or the vendor's counter that has used it up."
        )

    def get(self, path: str, operation: Operation, **params: str) -> requests.Response:
        """Send a GET request to a path below the account's address, with retries."""
        return self.request("GET", path, operation, params=params)

    def request(
        self, method: str, path: str, operation: Operation, **given: Any
    ) -> requests.Response:
        """Send a request and return its response, with retries: only for requests that may happen twice.

        Args:
            method: the HTTP method.
            path: below the account's address, or a whole address of the vendor.
            operation: the kind of call.
            **given: as for `read`.
        """
        return self.read(method, path, operation, lambda response: response, **given)

    def read(
        self,
        method: str,
        path: str,
        operation: Operation,
        reader: Callable[[requests.Response], T],
        **given: Any,
    ) -> T:
        """Send a request and return the content of its response, with retries.

        Args:
            method: the HTTP method.
            path: below the account's address, or a whole address of the vendor.
            operation: the kind of call.
            reader: reads the response; where it raises MalformedResponse, the request is sent again.
            **given: `params`, `json`, `data` and `headers` as for `HttpSession.request`.

        Raises:
            MalformedResponse: no attempt got a response of the documented form.
        """
        headers = given.pop("headers", {})

        def attempt(token: StoredToken) -> T:
            with self._permitted(operation):
                address = self.address(token, path)
                arguments = self.prepared(method, address, token, {**given, "headers": headers})
                response = self._http.request(method, **arguments)
            return reader(response)

        return self.with_retries(attempt)

    def decoded(
        self, method: str, path: str, operation: Operation, kind: type[T], what: str, **given: Any
    ) -> T:
        """Send a request and return its response in a declared type, with retries.

        Args:
            method: the HTTP method.
            path: as for `read`.
            operation: the kind of call.
            kind: the type, usually a `msgspec.Struct`.
            what: the response in a few words, for the error text.
            **given: as for `read`.

        Raises:
            MalformedResponse: no attempt got a response of the documented form.
        """

        def read(response: requests.Response) -> T:
            return decoded_leniently(response.content, kind, owner=self.connection.name, what=what)

        return self.read(method, path, operation, read, **given)

    def download(
        self,
        path: str,
        to: Path,
        operation: Operation,
        *,
        accept: str,
        encoding: str = "gzip",
        accepts: Callable[[requests.Response], None] = lambda _: None,
        **params: str,
    ) -> requests.Response:
        """Download into a file, bytes as received, and return the response with its headers.

        A broken download starts again from its beginning; an incomplete file is removed, whatever the error.
        An `encoding` of `identity` is for files that are compressed already. `accepts` checks the headers; where
        it raises MalformedResponse, the download starts again.
        """

        def attempt(token: StoredToken) -> requests.Response:
            headers = {
                **self.authorization(token),
                "Accept": accept,
                "Accept-Encoding": encoding,
            }
            with (
                self._permitted(operation),
                self._http.stream(self.address(token, path), params=params, headers=headers) as (
                    response,
                    chunks,
                ),
            ):
                accepts(response)
                try:
                    with files.created(to) as file:
                        file.writelines(chunks)
                except BaseException:
                    to.unlink(missing_ok=True)
                    raise
                return response

        return self.with_retries(attempt)

    def address(self, token: StoredToken, path: str) -> str:
        """Return the whole address of a path, which may be one already; the HTTP session checks its host."""
        if "://" in path:
            return path
        # What does not begin with one slash would change the host: "@host/", "//host/", ".host/".
        return f"{token.instance_url}/{path.lstrip('/')}"

    def prepared(
        self,
        method: str,  # noqa: ARG002 - for those that sign requests
        address: str,
        token: StoredToken,
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the arguments of a request, with its address and with what authenticates it.

        Args:
            method: the HTTP method.
            address: of the request.
            token: of the login.
            given: `params`, `json`, `data` and `headers`.
        """
        headers = {**self.authorization(token), **given["headers"]}
        return {**given, "url": address, "headers": headers}

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the headers that authenticate a request."""
        return {"Authorization": f"Bearer {token.access_token.reveal()}"}

    def with_retries(self, attempt: Callable[[StoredToken], T]) -> T:
        """Return the result of an attempt with a valid token, with retries."""
        return self._context.retry.call(lambda: self._with_login(attempt))

    def _with_login(self, attempt: Callable[[StoredToken], T]) -> T:
        """Return the result of an attempt with the current token; log in again once where the session has expired."""
        token = self.token()
        try:
            return attempt(token)
        except SessionExpired:
            if isinstance(self._login, FixedToken):
                raise
            self._renew(token)
            return attempt(self.token())

    def _renew(self, stale: StoredToken | None) -> None:
        login = self._login
        if isinstance(login, FixedToken):
            self._token = login()
            return
        with self._login_lock:
            if stale is None or self._token is None or self._token.version == stale.version:
                token = self._context.tokens.refreshed(self.connection.name, stale, login)
                if not (login.is_ours(token) and self._trusted_hosts.includes(token.instance_url)):
                    token = self._context.tokens.refreshed(self.connection.name, token, login)
                self._token = token

    @contextmanager
    def _permitted(self, operation: Operation) -> Iterator[None]:
        connection = self.connection
        with ExitStack() as stack:
            self._charge(operation)
            try:
                stack.enter_context(
                    self._context.limiter.permit(
                        connection.limit_group,
                        self.meter.limits(operation),
                        self.meter.costs(operation),
                        member=connection.name,
                    )
                )
            except BaseException:
                with self._counts_lock:
                    self._spent -= operation.cost  # it was not sent
                raise
            self._context.limiter.record(
                connection.limit_group,
                operation.name,
                cost=operation.cost,
                member=connection.name,
            )
            yield

    def _charge(self, operation: Operation) -> None:
        """Count the cost of a call before it is sent.

        Raises:
            AllowanceSpent: it is more than what is left.
        """
        with self._counts_lock:
            if self._most_spent is not None and self._spent + operation.cost > self._most_spent:
                raise AllowanceSpent(
                    f"{self.connection.name}: a call of {operation.cost} {self.meter.unit} is more than what is left of "
                    "the amount that this work may cost.",
                    wait_s=0.0,
                    cure="It goes on where it stopped the next time; a larger `audit_percent` lets it do more at once.",
                )
            self._spent += operation.cost

    @contextmanager
    def _login_permitted(self) -> Iterator[None]:
        if not self._login_limits:
            yield
            return
        connection = self.connection
        with self._context.limiter.permit(
            connection.limit_group, self._login_limits, member=connection.name
        ):
            self._context.limiter.record(
                connection.limit_group, "login", cost=0, member=connection.name
            )
            yield

    def _observe(self, response: requests.Response, times: Times) -> None:
        with self._counts_lock:
            self._round_trips.append(response.elapsed.total_seconds())
        self._read_counters(response)
        self.vendor_clock.saw(response.headers.get("Date"), times.sent_at, times.head_at)

    def _read_counters(self, response: requests.Response) -> None:
        for reading in believed(self.meter.reported_counters(response), self.implausible):
            self.meter.heed(reading)
            self._reading = self._reading_kept(reading)
            self._context.limiter.observe(
                self.connection.limit_group,
                reading.limit,
                reading.used,
                reading.allowed,
                member=self.connection.name,
            )

    def _reading_kept(self, reading: Reading) -> Reading | None:
        """Return the counter of the day to report; a counter of a window of seconds is of no use to people."""
        daily = {
            limit.name for limit in self.meter.limits(Operation("any")) if limit.kind == "daily"
        }
        return reading if reading.limit in daily else self._reading
