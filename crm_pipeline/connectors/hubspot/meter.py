"""HubSpot's ceilings: per 10 seconds, per second for searches, a bucket for associations, and per day.

Source: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import requests

from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import (
    Operation,
    Reading,
    ReportedCounter,
    last_reported_limits,
)
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.ratelimit.limits import Limit, rolling
from crm_pipeline.settings import Connection

BURST = "burst"
SEARCH = "search"
ASSOCIATIONS = "associations"
DAILY = "daily"
DAILY_ASSOCIATIONS = "daily_associations"
_BURST_S, _SEARCH_S, _DAY_S = 10.0, 1.0, 86_400.0
# The bucket of associations by the account's tier, which only its general ceiling tells.
_ASSOCIATIONS_OF: Mapping[int, int] = {100: 100, 190: 150, 250: 200}
_HEADER = "X-HubSpot-RateLimit-"


class HubSpotMeter:
    """Implements `connectors.metering.Meter`.

    What is written in connections.yaml counts before what answers tell, and that before what is published.

    Args:
        connection: whose; private apps and keys have a ceiling of the day, apps with OAuth have none.
        context: the limiter knows what answers told earlier.
        limits: what is published.
    """

    unit = "calls"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._published = limits.ceilings
        self._told: dict[str, int] = {}
        self.has_daily = connection.auth.kind == "token"
        self.share = connection.share
        self._day: str | None = None

    def begins_day_in(self, time_zone: str) -> None:
        """Note at whose midnight the day's calls begin anew.

        Before that, no ceiling of the day is counted: it is for the call that asks for it only.
        """
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            time_zone = ""  # one that nobody knows: any 24 hours count
        self._day = time_zone

    @property
    def day(self) -> DayLimit | None:
        """The account's calls of a day; none for apps with OAuth."""
        if not self.has_daily:
            return None
        is_stated = any(
            DAILY in ceilings or "daily_calls" in ceilings
            for ceilings in (self._connection.ceilings, self._told, self._last_told)
        )
        return DayLimit(self._ceiling("daily_calls", DAILY), is_stated=is_stated)

    @property
    def burst(self) -> int:
        """Calls of 10 seconds that the account gives this app."""
        name = "private_calls" if self.has_daily else "oauth_calls"
        return self._ceiling(name, BURST)

    @property
    def search(self) -> int:
        """Searches of a second."""
        return self._ceiling("search_calls", SEARCH)

    @property
    def associations(self) -> int:
        """Calls of 10 seconds that associations have for themselves."""
        by_tier = _ASSOCIATIONS_OF.get(self.burst, self._published["association_calls"])
        return self._connection.ceilings.get("association_calls") or by_tier

    def limit(self, name: str) -> int:
        """Return a figure of limits.yaml that no answer tells, such as the size of a page."""
        return self._connection.ceilings.get(name) or self._published[name]

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""
        if operation.kind == SEARCH:
            return (self._limit(SEARCH, self.search, _SEARCH_S), *self._daily())
        if operation.kind == ASSOCIATIONS:
            daily = self.limit("daily_association_calls")
            return (
                self._limit(ASSOCIATIONS, self.associations, _BURST_S),
                Limit(DAILY_ASSOCIATIONS, self._ours(daily), _DAY_S, "daily", self._day or ""),
                *self._daily(),
            )
        return (self._limit(BURST, self.burst, _BURST_S), *self._daily())

    def costs(self, operation: Operation) -> Mapping[str, int]:  # noqa: ARG002 - all weigh one
        """Return what a call weighs."""
        return {}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return what the headers say; a search has those of the day only."""
        if self.has_daily:
            yield from self._reported(response, DAILY, "Daily", "Daily-Remaining")
        # Whose bucket the answers of associations speak of is not documented.
        if "/associations/" not in urlsplit(response.url).path:
            yield from self._reported(response, BURST, "Max", "Remaining")

    def heed(self, reading: Reading) -> None:
        """Take over a ceiling of the account."""
        self._told[reading.limit] = reading.allowed

    def _reported(
        self, response: requests.Response, limit: str, ceiling: str, left: str
    ) -> Iterator[ReportedCounter]:
        headers = [_HEADER + ceiling, _HEADER + left]
        texts = [response.headers.get(name, "") for name in headers]
        if all(texts):
            yield ReportedCounter(
                limit, headers[1], texts[0], left=texts[1], usual=self._usual[limit]
            )

    def _daily(self) -> tuple[Limit, ...]:
        if not self.has_daily or self._day is None:
            return ()
        ours = self._ours(self._ceiling("daily_calls", DAILY))
        return (Limit(DAILY, ours, _DAY_S, "daily", self._day),)

    def _limit(self, name: str, ceiling: int, period_s: float) -> Limit:
        return rolling(name, ceiling, period_s, self.share)

    def _ours(self, ceiling: int) -> int:
        return max(1, int(ceiling * self.share))

    def _ceiling(self, name: str, limit: str) -> int:
        own = self._connection.ceilings.get(name)
        return own or self._told.get(limit) or self._last_told.get(limit) or self._published[name]

    @cached_property
    def _usual(self) -> Mapping[str, int]:
        """The ceilings that answers tell, as configured or published."""
        burst = "private_calls" if self.has_daily else "oauth_calls"
        return {BURST: self.limit(burst), DAILY: self.limit("daily_calls")}

    @cached_property
    def _last_told(self) -> Mapping[str, int]:
        """The account's own figures as any process last saw them."""
        return last_reported_limits(self._limiter, self._connection.limit_group, self._usual)
