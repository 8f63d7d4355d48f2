"""HubSpot's limits: per 10 seconds, per second for searches, a separate one for associations, and per day.

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
# The limit of associations by the general limit, as both depend on the account's tier.
_ASSOCIATIONS_OF: Mapping[int, int] = {100: 100, 190: 150, 250: 200}
_HEADER = "X-HubSpot-RateLimit-"


class HubSpotMeter:
    """Implements `connectors.metering.Meter`.

    A configured limit has precedence over a reported one, and that over the published one.

    Args:
        connection: of the account; private apps and keys have a daily limit, OAuth apps have none.
        context: its limiter keeps the limits reported earlier.
        limits: as published.
    """

    unit = "calls"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._published = limits.ceilings
        self._reported_limits: dict[str, int] = {}
        self.has_daily = connection.auth.kind == "token"
        self.share = connection.share
        self._day: str | None = None

    def begins_day_in(self, time_zone: str) -> None:
        """Set the time zone at whose midnight the day's calls are reset.

        Before, no daily limit applies; this concerns only the call that reads the time zone.
        """
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            time_zone = ""  # unknown zone: any 24 hours count
        self._day = time_zone

    @property
    def day(self) -> DayLimit | None:
        """The account's daily limit; None for OAuth apps."""
        if not self.has_daily:
            return None
        is_stated = any(
            DAILY in ceilings or "daily_calls" in ceilings
            for ceilings in (self._connection.ceilings, self._reported_limits, self._last_reported)
        )
        return DayLimit(self._current("daily_calls", DAILY), is_stated=is_stated)

    @property
    def burst(self) -> int:
        """The limit of calls in 10 seconds."""
        name = "private_calls" if self.has_daily else "oauth_calls"
        return self._current(name, BURST)

    @property
    def search(self) -> int:
        """The limit of searches in a second."""
        return self._current("search_calls", SEARCH)

    @property
    def associations(self) -> int:
        """The limit of association calls in 10 seconds."""
        by_tier = _ASSOCIATIONS_OF.get(self.burst, self._published["association_calls"])
        return self._connection.ceilings.get("association_calls") or by_tier

    def limit(self, name: str) -> int:
        """Return a limit of limits.yaml that responses do not report, such as the size of a page."""
        return self._connection.ceilings.get(name) or self._published[name]

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call counts towards."""
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

    def costs(self, operation: Operation) -> Mapping[str, int]:  # noqa: ARG002 - every call costs one
        """Return no costs, as every call costs one."""
        return {}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Yield the counters of the headers; a search has those of the day only."""
        if self.has_daily:
            yield from self._reported(response, DAILY, "Daily", "Daily-Remaining")
        # It is not documented which limit the headers of association responses belong to.
        if "/associations/" not in urlsplit(response.url).path:
            yield from self._reported(response, BURST, "Max", "Remaining")

    def heed(self, reading: Reading) -> None:
        """Take over a limit of the account."""
        self._reported_limits[reading.limit] = reading.allowed

    def _reported(
        self, response: requests.Response, limit: str, allowed: str, left: str
    ) -> Iterator[ReportedCounter]:
        headers = [_HEADER + allowed, _HEADER + left]
        texts = [response.headers.get(name, "") for name in headers]
        if all(texts):
            yield ReportedCounter(
                limit, headers[1], texts[0], left=texts[1], usual=self._usual[limit]
            )

    def _daily(self) -> tuple[Limit, ...]:
        if not self.has_daily or self._day is None:
            return ()
        ours = self._ours(self._current("daily_calls", DAILY))
        return (Limit(DAILY, ours, _DAY_S, "daily", self._day),)

    def _limit(self, name: str, allowed: int, period_s: float) -> Limit:
        return rolling(name, allowed, period_s, self.share)

    def _ours(self, allowed: int) -> int:
        return max(1, int(allowed * self.share))

    def _current(self, name: str, limit: str) -> int:
        configured = self._connection.ceilings.get(name)
        return (
            configured
            or self._reported_limits.get(limit)
            or self._last_reported.get(limit)
            or self._published[name]
        )

    @cached_property
    def _usual(self) -> Mapping[str, int]:
        """The limits that responses report, as configured or published."""
        burst = "private_calls" if self.has_daily else "oauth_calls"
        return {BURST: self.limit(burst), DAILY: self.limit("daily_calls")}

    @cached_property
    def _last_reported(self) -> Mapping[str, int]:
        """The account's own limits as any process last saw them."""
        return last_reported_limits(self._limiter, self._connection.limit_group, self._usual)
