"""What Pipedrive's calls cost: tokens of the company's day, and calls of two seconds.

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
# The server's zone is not published: UTC, and the vendor's own counter overrules ours either way.
_ZONE = "UTC"


class PipedriveMeter:
    """Implements `connectors.metering.Meter`.

    Attributes:
        burst: the name of the window of two seconds that the login falls under.
    """

    unit = "tokens"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._ceilings = {**limits.ceilings, **connection.ceilings}
        # Tokens of users and of apps have windows of their own, also where they share a pot.
        self.burst = "burst_by_token" if "token" in connection.auth.variables else "burst_by_app"
        self._told: dict[str, int] | None = None

    @property
    def day(self) -> DayLimit:
        """The company's tokens of a day."""
        is_stated = DAILY in self._known() or DAILY in self._connection.ceilings
        return DayLimit(self.limit(DAILY), is_stated=is_stated)

    @property
    def calls_per_s(self) -> float:
        """How many calls a second our share of the burst window allows."""
        return self._share(self.burst) / WINDOW_S

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""
        # A company that claims to have fewer tokens than one call costs is asked now and then all the same.
        tokens = max(operation.cost, self._share(DAILY))
        found = [
            Limit(DAILY, tokens, _DAY_S, "daily", resets=_ZONE, unit=self.unit),
            Limit(self.burst, self._share(self.burst), WINDOW_S),
        ]
        if operation.kind == "search":
            found.append(Limit(SEARCHES, self._share(SEARCHES), WINDOW_S))
        return found

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return what a call weighs: its tokens, and one call."""
        return {DAILY: operation.cost}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return what the headers say of the day and of the burst window."""
        for limit, header in ((DAILY, "x-daily-ratelimit-token"), (self.burst, "x-ratelimit")):
            if limit == self.burst and "/search" in response.url.lower():
                continue  # searches have a window of their own, and which one is told is not documented
            names = f"{header}-limit", f"{header}-remaining"
            ceiling, left = (response.headers.get(name, "") for name in names)
            if ceiling and left:
                yield ReportedCounter(
                    limit, names[1], ceiling, left=left, usual=self._ceilings[limit]
                )

    def heed(self, reading: Reading) -> None:
        """Take over a ceiling of the company."""
        self._known()[reading.limit] = reading.allowed

    def limit(self, name: str) -> int:
        """Return a ceiling of the company: what the vendor told, else what is configured or published."""
        return self._known().get(name, self._ceilings[name])

    def _share(self, name: str) -> int:
        return max(1, int(self.limit(name) * self._connection.share))

    def _known(self) -> dict[str, int]:
        """The company's own ceilings, as any account of the group last saw them."""
        if self._told is None:
            usual = {name: self._ceilings[name] for name in (DAILY, self.burst)}
            self._told = last_reported_limits(self._limiter, self._connection.limit_group, usual)
        return self._told
