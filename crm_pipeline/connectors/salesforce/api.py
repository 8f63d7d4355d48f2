"""The calls of Salesforce's data API for one org."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import (
    Operation,
    Reading,
    ReportedCounter,
    last_reported_limits,
)
from crm_pipeline.connectors.salesforce import errors
from crm_pipeline.connectors.salesforce.login import SalesforceLogin, refuse_unusable
from crm_pipeline.connectors.salesforce.profile import PROFILE
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import Connection

T = TypeVar("T")
_HEADER = "Sforce-Limit-Info"
# Not anchored at the end: some responses add "; per-app-api-usage=...".
_USAGE = re.compile(r"(?<![-\w])api-usage=([^\s;,]*)")
_DAY_S = 86_400.0
DAILY = "daily_api_requests"
JOBS = "daily_bulk_query_jobs"
_NEW_JOB = Operation("bulk", kind="job")


class SalesforceMeter:
    """Implements `connectors.metering.Meter`: one daily limit for calls, and one for Bulk jobs."""

    unit = "calls"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._limits = limits.ceilings
        self._reported: int | None = None

    @property
    def day(self) -> DayLimit:
        """The org's daily limit of calls; a configured one has precedence over a reported one."""
        stated = self._connection.ceilings.get(DAILY) or self._reported or self._seen
        return DayLimit(stated or self._limits[DAILY], is_stated=stated is not None)

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call counts towards."""
        daily = self._limit(DAILY, self.day.amount)
        if operation.kind != "job":
            return (daily,)
        return (daily, self._limit(JOBS, self._limits[JOBS]))

    def costs(self, operation: Operation) -> Mapping[str, int]:  # noqa: ARG002 - every call costs one
        """Return no costs, as every call costs one."""
        return {}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Yield the counter of the header `Sforce-Limit-Info`."""
        match = _USAGE.search(response.headers.get(_HEADER, ""))
        if match:
            used, _, allowed = match[1].partition("/")
            yield ReportedCounter(DAILY, _HEADER, allowed, used=used, usual=self._limits[DAILY])

    def heed(self, reading: Reading) -> None:
        """Take over the org's own limit."""
        self._reported = reading.allowed

    def _limit(self, name: str, allowed: int) -> Limit:
        return Limit(name, max(1, int(allowed * self._connection.share)), _DAY_S, "daily")

    @cached_property
    def _seen(self) -> int | None:
        """The org's limit as any process last saw it."""
        usual = {DAILY: self._limits[DAILY]}
        return last_reported_limits(self._limiter, self._connection.limit_group, usual).get(DAILY)


class UserInfo(msgspec.Struct):
    """The user and the org of a login."""

    user_id: str
    organization_id: str
    preferred_username: str | None = None


class _NewJob(msgspec.Struct):
    # The pattern is safe to use in addresses.
    id: Annotated[str, msgspec.Meta(pattern=r"^\w{1,64}$")]


class Api(VendorApi):
    """The calls of one org."""

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        refuse_unusable(connection)
        super().__init__(
            connection,
            context,
            limits,
            classify_response=partial(errors.classify_response, connection.name),
            meter=SalesforceMeter(connection, context, limits),
            profile=PROFILE,
            login=SalesforceLogin,
        )

    @property
    def base(self) -> str:
        """The path of the pinned API version."""
        return f"/services/data/v{self.version}"

    def ask(self, path: str, kind: type[T], what: str, **params: str) -> T:
        """Send a GET request and return its response in a declared type, with retries.

        Args:
            path: below the instance.
            kind: the type.
            what: the response in a few words, for error texts.
            **params: of the query.
        """
        return self.decoded("GET", path, _operation(path), kind, what, params=params)

    def asked(self, path: str, reader: Callable[[requests.Response], T], **params: str) -> T:
        """Send a GET request and return what `reader` makes of its response, with retries."""
        return self.read("GET", path, _operation(path), reader, params=params)

    def create_job(self, body: Mapping[str, Any]) -> str:
        """Create a Bulk query job and return its id; jobs have a daily limit of their own.

        Raises:
            BudgetExhausted: our share of the daily jobs is spent.
        """
        path, what = f"{self.base}/jobs/query", "the answer to a new Bulk job"
        return self.decoded("POST", path, _NEW_JOB, _NewJob, what, json=body).id

    def delete(self, path: str) -> requests.Response:
        """Send a DELETE request, with retries."""
        return self.request("DELETE", path, _operation(path))

    def fetch(
        self, path: str, to: Path, reader: Callable[[requests.Response], T]
    ) -> tuple[requests.Response, T]:
        """Download CSV into a file, bytes as received; return the response, and what `reader` makes of its headers."""
        head: list[T] = []

        def accept(response: requests.Response) -> None:
            head[:] = [reader(response)]

        response = self.download(path, to, _operation(path), accept="text/csv", accepts=accept)
        return response, head[0]

    def identity(self) -> UserInfo:
        """Return the user and the org by the login server (OpenID Connect userinfo)."""
        return self.ask("/services/oauth2/userinfo", UserInfo, "the answer about the user")


def _operation(path: str) -> Operation:
    for part, name in (("/jobs/", "bulk"), ("/query", "query"), ("/describe", "describe")):
        if part in path:
            return Operation(name)
    return Operation("other")
