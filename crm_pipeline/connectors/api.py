"""One account's calls: login, the rate limiter, retries, usage. What is a vendor's own comes in as data.

Every call of a connector goes through the verbs of `VendorApi`; a vendor's `api.py` derives from it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import requests

from crm_pipeline.connectors.base import ConnectorContext, LoginFlow, Usage, VendorLimits
from crm_pipeline.connectors.description import described
from crm_pipeline.connectors.metering import Meter, Operation, Reading, believed
from crm_pipeline.connectors.oauth.authorization_code import AuthorizationCodeFlow, ManualCodeFlow
from crm_pipeline.connectors.oauth.login import FixedToken, RefreshLogin
from crm_pipeline.connectors.oauth.profile import OAuthProfile
from crm_pipeline.connectors.oauth.token_endpoint import TokenEndpoint, renewed_at
from crm_pipeline.connectors.places import Places
from crm_pipeline.connectors.strange import Strange
from crm_pipeline.connectors.vendor_clock import VendorClock
from crm_pipeline.kernel.errors import (
    ConfigError,
    SessionExpired,
)
from crm_pipeline.ratelimit.limit_status import return_words
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import Connection
from crm_pipeline.settings.auth import BY_PERSON
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store import files
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire.session import HttpSession, ResponseClassifier, Times

T = TypeVar("T")
# Of a call, where none was made yet; of the last ones the middle counts, as single ones may be slow.
_ROUND_TRIP_S = 0.35
_ROUND_TRIPS = 15


class VendorApi:
    """Calls of one account.

    Args:
        connection: whose.
        context: from the outside.
        limits: of the vendor.
        classify_response: the error that a response stands for, None for a success.
        meter: what calls cost.
        profile: of the vendor's OAuth server.
        login: what gets tokens, where it is not one of the two usual ways.
        login_limits: what the vendor counts token requests under; usually nothing.
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
        login: type[RefreshLogin] = RefreshLogin,
        login_limits: Sequence[Limit] = (),
    ) -> None:
        self.connection = connection
        self.limits = limits
        self.meter = meter
        self.strange = Strange(connection.name)
        self.profile = profile
        self.version = connection.api_version or limits.api_version
        self._context = context
        self._token: StoredToken | None = None
        self._login_lock = threading.Lock()
        self.vendor_clock = VendorClock()
        self._counts_lock = threading.Lock()
        self._spent = 0
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
            strange=self.strange,
        )
        self._login: RefreshLogin | FixedToken = (
            FixedToken(context.settings, connection, context.clock)
            if "token" in connection.auth.variables
            else login(context.settings, connection, self._endpoint)
        )
        self._places = Places(connection, profile.api_hosts(connection))
        self._http = HttpSession(
            connection.name,
            allow_http=connection.sandbox,
            classify_response=classify_response,
            observe=self._observe,
            bounds=context.settings.bounds,
            trusts=self._places.includes,
            clock=context.clock,
        )

    @property
    def usage(self) -> Usage:
        """Calls made here and what they cost, and the vendor's counter as last seen."""
        told = self._reading
        return Usage(
            calls=self._http.calls,
            used=told.used if told else None,
            ceiling=told.ceiling if told else None,
            cost=self._spent,
            unit=self.meter.unit,
        )

    @property
    def bounds(self) -> Bounds:
        """How large answers and files may be."""
        return self._context.settings.bounds

    @property
    def round_trip_s(self) -> float:
        """How long a call lasts, as measured, or as is usual before any was made."""
        with self._counts_lock:
            return median(self._round_trips or (_ROUND_TRIP_S,))

    def close(self) -> None:
        """Close all connections."""
        self._endpoint.close()
        self._http.close()

    def now(self) -> datetime:
        """Return our clock in whole seconds: what is asked now was asked then, whatever answers say."""
        return self._context.clock.now().replace(microsecond=0)

    def vendor_now(self) -> datetime:
        """Return the vendor's clock in whole seconds as its answers tell it; ours where they tell none."""
        return self.vendor_clock.at(self._context.clock.now())

    def token(self) -> StoredToken:
        """Return a token that lives; the first use logs in."""
        if self._token is None:
            self._renew(None)
        assert self._token is not None
        due = renewed_at(self._token)
        if due is not None and due <= self._context.clock.now():
            self._renew(self._token)
        return self._token

    def log_in(self) -> None:
        """Log in anew with the secrets as they are configured now, whatever token is stored."""
        if isinstance(self._login, FixedToken):
            self._token = self._login()
            return
        stale = self._context.tokens.load(self.connection.name)
        self._context.retry.call(lambda: self._renew(stale))

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Begin a login by a person.

        Raises:
            ConfigError: this connection logs in by itself.
        """
        kind = self.connection.auth.kind
        kinds = " or ".join(f"'kind: {one}'" for one in sorted(BY_PERSON))
        if kind not in BY_PERSON or isinstance(self._login, FixedToken):
            raise ConfigError(
                f"connection '{self.connection.name}' is of kind {kind}: it logs in by itself.",
                cure=f"Run `crm-pipeline check {self.connection.name}`; a login by a person is for "
                f"{kinds}.",
            )
        desk = self.profile.code_pages.get(kind)
        if desk is not None:
            return ManualCodeFlow(self._login, self._endpoint, self._context.tokens, desk)
        return AuthorizationCodeFlow(
            self._login, self._endpoint, self._context.tokens, redirect_uri
        )

    @property
    def passed_over(self) -> str:
        """What to do about a refresh token of the environment that was refused; "" without one."""
        login = self._login
        if isinstance(login, FixedToken) or self.connection.auth.kind not in BY_PERSON:
            return ""
        return login.passed_over_cure() if login.is_passed_over(self.token()) else ""

    @property
    def remaining(self) -> int | None:
        """What is left of today's budget, in the vendor's unit; None where there is none."""
        limits = self.meter.limits(Operation("plan"))
        return self._context.limiter.remaining(
            self.connection.limit_group, limits, member=self.connection.name
        )

    @property
    def budget_returns(self) -> str:
        """Say when more of the day's budget is to be had, and what tells who has used it; "" without one."""
        limits = [one for one in self.meter.limits(Operation("plan")) if one.kind == "daily"]
        if not limits:
            return ""
        words = "; ".join(dict.fromkeys(return_words(limit) for limit in limits))
        return (
            f"{words[0].upper()}{words[1:]}. `crm-pipeline budget show {self.connection.name}` says whether it "
            "is our count or the vendor's counter that has used it up."
        )

    def get(self, path: str, operation: Operation, **params: str) -> requests.Response:
        """GET a path below the account's address, with retries."""
        return self.request("GET", path, operation, params=params)

    def request(
        self, method: str, path: str, operation: Operation, **given: Any
    ) -> requests.Response:
        """Send a request, with retries: only for what may happen twice.

        Args:
            method: the HTTP method.
            path: below the account's address, or a whole address of the vendor.
            operation: what is asked.
            **given: as `read` takes them.
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
        """Send a request and return what its answer says, with retries.

        Args:
            method: the HTTP method.
            path: below the account's address, or a whole address of the vendor.
            operation: what is asked.
            reader: reads the answer; where it raises MalformedAnswer, the request is sent again.
            **given: `params`, `json`, `data` and `headers` as `HttpSession.request` takes them.

        Raises:
            MalformedAnswer: no try brought an answer that the vendor documents.
        """
        headers = given.pop("headers", {})

        def attempt(token: StoredToken) -> T:
            with self._permitted(operation):
                response = self._http.request(
                    method,
                    self.place(token, path),
                    headers={**self.authorization(token), **headers},
                    **given,
                )
            return reader(response)

        return self.patiently(attempt)

    def decoded(
        self, method: str, path: str, operation: Operation, kind: type[T], what: str, **given: Any
    ) -> T:
        """Send a request and return its answer in a declared type, with retries.

        Args:
            method: the HTTP method.
            path: as `read` takes it.
            operation: what is asked.
            kind: the type, usually a `msgspec.Struct`.
            what: the answer in a few words, for the error text.
            **given: as `read` takes them.

        Raises:
            MalformedAnswer: no try brought an answer that the vendor documents.
        """

        def read(response: requests.Response) -> T:
            return described(response.content, kind, owner=self.connection.name, what=what)

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
        """GET into a file, bytes as received, and return the answer with its headers.

        A broken download starts again from its beginning; what does not arrive whole is not left, whatever
        the reason. An `encoding` of `identity` is for what is packed already. `accepts` looks at the headers;
        where it raises MalformedAnswer, the download starts again.
        """

        def attempt(token: StoredToken) -> requests.Response:
            headers = {
                **self.authorization(token),
                "Accept": accept,
                "Accept-Encoding": encoding,
            }
            with (
                self._permitted(operation),
                self._http.stream(self.place(token, path), params=params, headers=headers) as (
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

        return self.patiently(attempt)

    def place(self, token: StoredToken, path: str) -> str:
        """Return the whole address of a path, which may be one already; where it leads is checked there."""
        if "://" in path:
            return path
        # What does not begin with one slash would change the host: "@host/", "//host/", ".host/".
        return f"{token.instance_url}/{path.lstrip('/')}"

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the headers that say who we are."""
        return {"Authorization": f"Bearer {token.access_token.reveal()}"}

    def patiently(self, attempt: Callable[[StoredToken], T]) -> T:
        """Call with a living token, with retries."""
        return self._context.retry.call(lambda: self._with_login(attempt))

    def _with_login(self, attempt: Callable[[StoredToken], T]) -> T:
        """Call with the current token; log in again once where the session has expired."""
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
                if not (login.is_ours(token) and self._places.includes(token.instance_url)):
                    token = self._context.tokens.refreshed(self.connection.name, token, login)
                self._token = token

    @contextmanager
    def _permitted(self, operation: Operation) -> Iterator[None]:
        connection = self.connection
        with self._context.limiter.permit(
            connection.limit_group,
            self.meter.limits(operation),
            self.meter.costs(operation),
            member=connection.name,
        ):
            self._context.limiter.record(
                connection.limit_group,
                operation.name,
                cost=operation.cost,
                member=connection.name,
            )
            with self._counts_lock:
                self._spent += operation.cost
            yield

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
        for reading in believed(self.meter.reported_counters(response), self.strange):
            self.meter.heed(reading)
            self._reading = self._reading_kept(reading)
            self._context.limiter.observe(
                self.connection.limit_group,
                reading.limit,
                reading.used,
                reading.ceiling,
                member=self.connection.name,
            )

    def _reading_kept(self, reading: Reading) -> Reading | None:
        """Keep the counter of the day: that of a window of seconds says nothing to people."""
        daily = {
            limit.name for limit in self.meter.limits(Operation("any")) if limit.kind == "daily"
        }
        return reading if reading.limit in daily else self._reading
