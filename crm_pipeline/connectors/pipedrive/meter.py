"""The cost of Pipedrive's calls: daily tokens of the company, and calls in two seconds.

Source: https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting
"""

from collections.abc import Iterable, Mapping, Sequence

import requests

from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import (
    Operation,
    Reading,
    ReportedCounter,
    last_reported_limits,
)
from crm_pipeline.connectors.pipedrive.refusals import WINDOW_S
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import Connection

DAILY = "daily_tokens"
SEARCHES = "searches"
_DAY_S = 86_400.0
# The server's time zone is not published: assume UTC; the vendor's own counter overrides ours.
_ZONE = "UTC"


class PipedriveMeter:
    """Implements `connectors.metering.Meter`.

    Attributes:
        burst: the name of the limit of two seconds that applies to the login.
    """

    unit = "tokens"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._ceilings = {**limits.ceilings, **connection.ceilings}
        # API tokens and apps have burst limits of their own; the daily tokens they share.
        self.burst = "burst_by_token" if "token" in connection.auth.variables else "burst_by_app"
        self._reported: dict[str, int] | None = None

    @property
    def day(self) -> DayLimit:
        """The company's tokens of a day."""
        is_stated = DAILY in self._company_limits() or DAILY in self._connection.ceilings
        return DayLimit(self.limit(DAILY), is_stated=is_stated)

    @property
    def calls_per_s(self) -> float:
        """The calls a second that our share of the burst limit allows."""
        return self._share(self.burst) / WINDOW_S

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that apply to a call."""
        # Calls must stay possible where the reported daily limit is below the cost of one call.
        tokens = max(operation.cost, self._share(DAILY))
        limits = [
            Limit(DAILY, tokens, _DAY_S, "daily", resets=_ZONE, unit=self.unit),
            Limit(self.burst, self._share(self.burst), WINDOW_S),
        ]
        if operation.kind == "search":
            limits.append(Limit(SEARCHES, self._share(SEARCHES), WINDOW_S))
        return limits

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return the cost of a call in tokens; under other limits it counts as one call."""
        return {DAILY: operation.cost}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return the counters of the daily limit and the burst limit from the headers."""
        for limit, header in ((DAILY, "x-daily-ratelimit-token"), (self.burst, "x-ratelimit")):
            if limit == self.burst and "/search" in response.url.lower():
                continue  # searches have a limit of their own; which one the header reports is not documented
            names = f"{header}-limit", f"{header}-remaining"
            total, left = (response.headers.get(name, "") for name in names)
            if total and left:
                yield ReportedCounter(
                    limit, names[1], total, left=left, usual=self._ceilings[limit]
                )

    def heed(self, reading: Reading) -> None:
        """Take over a limit of the company."""
        self._company_limits()[reading.limit] = reading.allowed

    def limit(self, name: str) -> int:
        """Return the value of a limit: as reported by the vendor, else as configured or published."""
        return self._company_limits().get(name, self._ceilings[name])

    def _share(self, name: str) -> int:
        return max(1, int(self.limit(name) * self._connection.share))

    def _company_limits(self) -> dict[str, int]:
        """Return the company's limits as the vendor last reported them to any connection of the group."""
        if self._reported is None:
            usual = {name: self._ceilings[name] for name in (DAILY, self.burst)}
            self._reported = last_reported_limits(
                self._limiter, self._connection.limit_group, usual
            )
        return self._reported
