"""What calls cost in credits, and under which of Zoho's ceilings they fall.

Source: zoho.com/crm/developer/docs/api/v8/api-limits.html. Credits are those of rolling 24 hours and depend
on edition and licences; the only counter in answers shows what is left, once half is used.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import requests

from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import (
    Operation,
    Reading,
    ReportedCounter,
    last_reported_limits,
)
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.connectors.zoho.documents import Licence, Organization
from crm_pipeline.connectors.zoho.errors import CREDITS_LEFT, is_locked_out
from crm_pipeline.ratelimit.limits import MOST_COUNTED, Limit
from crm_pipeline.settings import Connection
from crm_pipeline.wire.figures import whole

CREDITS = "daily_credits"
AT_ONCE = "concurrent_calls"
HEAVY_AT_ONCE = "concurrent_heavy_calls"
TOKENS = "token_requests"
HEAVY = "heavy"
_DAY_S = 86_400.0
_TOKENS_S = 600.0
_MOST_USERS = 1_000_000

LIST = Operation("list")
SORTED = Operation("list", kind=HEAVY)
ONE = Operation("get")
COUNT = Operation("count", kind=HEAVY)
METADATA = Operation("metadata")
SETUP = Operation("setup")
# Asked before the ceilings are known: it is not counted under them.
ORG = Operation("org")
DELETED = Operation("deleted")
JOB = Operation("bulk", cost=50)
JOB_RESULT = Operation("bulk")


def coql(limit: int) -> Operation:
    """Return what a query costs: 1, 2 or 3 credits by its LIMIT."""
    return Operation("coql", cost=1 if limit <= 200 else 2 if limit <= 1000 else 3, kind=HEAVY)


@dataclass(frozen=True)
class Edition:
    """What an edition gives.

    Attributes:
        names: words by which `license_details.paid_type` tells it.
        per_user: credits for each licence, beside the base.
        most: of the credits; 0 for no end.
    """

    names: tuple[str, ...]
    base: int
    per_user: int
    most: int
    at_once: int


EDITIONS = (
    Edition(("ultimate", "crmplus", "crm plus"), 50_000, 2_000, 0, 25),
    Edition(("enterprise", "zohoone", "zoho one"), 50_000, 1_000, 5_000_000, 20),
    Edition(("professional",), 50_000, 500, 3_000_000, 15),
    Edition(("standard", "starter"), 50_000, 250, 100_000, 10),
    Edition(("free",), 5_000, 0, 5_000, 5),
)


def edition_of(org: Organization) -> Edition | None:
    """Return the edition of an org; None where it is not told in words that are known."""
    licence = org.licence or Licence()
    if licence.paid is False:
        return EDITIONS[-1]
    told = (licence.paid_type or "").lower()
    return next((one for one in EDITIONS if any(name in told for name in one.names)), None)


def credits_of(edition: Edition, org: Organization) -> int:
    """Return the credits of 24 hours, without add-ons."""
    users = (org.licence or Licence()).users or 0
    amount = edition.base + edition.per_user * users
    return min(amount, edition.most) if edition.most else amount


class ZohoMeter:
    """Implements `connectors.metering.Meter`."""

    unit = "credits"

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        self._connection = connection
        self._limiter = context.limiter
        self._published = limits.ceilings
        self._told: dict[str, int] = {}

    def learn(self, org: Organization) -> None:
        """Take the ceilings from what the org says of its edition and licences."""
        edition = edition_of(org)
        if edition is not None:
            self._told[CREDITS] = credits_of(edition, org)
            self._told[AT_ONCE] = edition.at_once

    @property
    def day(self) -> DayLimit:
        """The org's credits of 24 hours."""
        stated = self._connection.ceilings.get(CREDITS) or self._told.get(CREDITS) or self._seen
        return DayLimit(self.limit(CREDITS), is_stated=stated is not None)

    def limit(self, name: str) -> int:
        """Return a ceiling of the vendor: as configured, as told by the org, or as published."""
        configured = self._connection.ceilings.get(name)
        told = self._told.get(name) or (self._seen if name == CREDITS else None)
        return configured or told or self._published[name]

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""
        found = [Limit(AT_ONCE, self._share(AT_ONCE), 1.0, "concurrency")]
        if operation != ORG:
            found.append(Limit(CREDITS, self._share(CREDITS), _DAY_S, "daily", unit="credits"))
        if operation.kind == HEAVY:
            found.append(Limit(HEAVY_AT_ONCE, self._share(HEAVY_AT_ONCE), 1.0, "concurrency"))
        return found

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return what a call weighs under each limit."""
        return {} if operation == ORG else {CREDITS: operation.cost}

    def login_limits(self) -> Sequence[Limit]:
        """Return what token requests are counted under: who is refused there must not ask again."""
        return (Limit(TOKENS, self._share(TOKENS), _TOKENS_S, "daily", unit="token requests"),)

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return what an answer tells of the credits, or of too many token requests."""
        if response.status_code == 400 and is_locked_out(response):
            most = str(self.limit(TOKENS))
            yield ReportedCounter(TOKENS, "Access Denied", most, used=most)
            return
        text = response.headers.get(CREDITS_LEFT, "")
        if text:
            left = whole(text, MOST_COUNTED) or 0
            # The header comes when half is used: there is at least as much again.
            least = left if self._connection.ceilings.get(CREDITS) else 2 * left
            ceiling = str(max(self.limit(CREDITS), least))
            yield ReportedCounter(CREDITS, CREDITS_LEFT, ceiling, left=text, usual=self._usual)

    def heed(self, reading: Reading) -> None:
        """Take over a ceiling of the org that is higher than what is known."""
        if reading.limit == CREDITS and reading.allowed > self.limit(CREDITS):
            self._told[CREDITS] = reading.allowed

    def _share(self, name: str) -> int:
        return max(1, int(self.limit(name) * self._connection.share))

    @property
    def _usual(self) -> int:
        return self._connection.ceilings.get(CREDITS) or self._published[CREDITS]

    @cached_property
    def _seen(self) -> int | None:
        """The ceiling that any account of the group last saw."""
        group, usual = self._connection.limit_group, {CREDITS: self._usual}
        return last_reported_limits(self._limiter, group, usual).get(CREDITS)
