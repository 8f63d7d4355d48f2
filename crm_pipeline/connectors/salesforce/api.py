"""Salesforce's data API for one account."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import Tools, VendorLimits
from crm_pipeline.connectors.metering import Operation, Reading
from crm_pipeline.connectors.salesforce import answers
from crm_pipeline.connectors.salesforce.dialect import DIALECT
from crm_pipeline.connectors.salesforce.login import SalesforceLogin, refuse_unusable
from crm_pipeline.settings import Connection
from crm_pipeline.wire.throttle import Limit

# Not anchored at the end: some answers add "; per-app-api-usage=...".
_USAGE = re.compile(r"(?<![-\w])api-usage=(\d+)/(\d+)")
_DAY_S = 86_400.0
DAILY = "daily_api_requests"
JOBS = "daily_bulk_query_jobs"
_NEW_JOB = Operation("bulk", kind="job")


class SalesforceMeter:
    """Implements `connectors.metering.Meter`: one ceiling a day, and one for Bulk jobs."""

    unit = "calls"

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        self._connection = connection
        self._gate = tools.gate
        self._ceilings = limits.ceilings
        self._told: int | None = None

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""
        share = self._connection.share
        ceiling = self._told or self._last_told
        daily = Limit(DAILY, int(ceiling * share), _DAY_S, "daily")
        if operation.kind != "job":
            return (daily,)
        return (daily, Limit(JOBS, int(self._ceilings[JOBS] * share), _DAY_S, "daily"))

    def weights(self, operation: Operation) -> Mapping[str, int]:  # noqa: ARG002 - all weigh one
        """Return what a call weighs."""
        return {}

    def readings(self, response: requests.Response) -> Iterable[Reading]:
        """Return what `Sforce-Limit-Info` says."""
        found = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if found:
            self._told = int(found[2])
            yield Reading(DAILY, int(found[1]), int(found[2]))

    @cached_property
    def _last_told(self) -> int:
        """The org's ceiling as any account last saw it; the lowest published one before that."""
        standing = self._gate.usage(self._connection.limit_group)
        told = [limit.vendor_ceiling for limit in standing if limit.name == DAILY]
        return next(filter(None, told), self._ceilings[DAILY])


class Api(VendorApi):
    """Calls of one org."""

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        refuse_unusable(connection)
        super().__init__(
            connection,
            tools,
            limits,
            judge=partial(answers.judge, connection.name),
            meter=SalesforceMeter(connection, tools, limits),
            dialect=DIALECT,
            login=SalesforceLogin,
        )

    @property
    def base(self) -> str:
        """The path of the pinned API version."""
        return f"/services/data/v{self.version}"

    def ask(self, path: str, **params: str) -> requests.Response:
        """GET a path below the instance, with retries."""
        return self.get(path, _operation(path), **params)

    def create_job(self, body: Mapping[str, Any]) -> requests.Response:
        """Create a Bulk query job; they have a daily ceiling of their own.

        Raises:
            BudgetExhausted: our share of the jobs of a day is spent.
        """
        return self.request("POST", f"{self.base}/jobs/query", _NEW_JOB, json=body)

    def delete(self, path: str) -> requests.Response:
        """DELETE a path below the instance, with retries."""
        return self.request("DELETE", path, _operation(path))

    def fetch(self, path: str, to: Path, **params: str) -> requests.Response:
        """GET CSV into a file, bytes as received, and return the answer with its headers."""
        return self.download(path, to, _operation(path), accept="text/csv", **params)

    def identity(self) -> Mapping[str, Any]:
        """Return the login server's statement of who we are (OpenID Connect userinfo)."""
        return dict(self.ask("/services/oauth2/userinfo").json())


def _operation(path: str) -> Operation:
    for part, name in (("/jobs/", "bulk"), ("/query", "query"), ("/describe", "describe")):
        if part in path:
            return Operation(name)
    return Operation("other")
