"""The cost of Zoho's calls in credits, and the limits that apply to them.

Source: zoho.com/crm/developer/docs/api/v8/api-limits.html. Credits are those of rolling 24 hours and depend
on edition and licences; the only counter in responses shows the remaining credits, once half is used.
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

LIST = Operation("list")
SORTED = Operation("list", kind=HEAVY)
ONE = Operation("get")
COUNT = Operation("count", kind=HEAVY)
METADATA = Operation("metadata")
SETUP = Operation("setup")
# Requested before the limits are known, so they do not apply to it; `ZohoMeter.learn` counts its credit.
ORG = Operation("org")
DELETED = Operation("deleted")
JOB = Operation("bulk", cost=50)
JOB_RESULT = Operation("bulk")


def coql(limit: int) -> Operation:
    """Return the operation of a query, which costs 1, 2 or 3 credits by its LIMIT."""
    return Operation("coql", cost=1 if limit <= 200 else 2 if limit <= 1000 else 3, kind=HEAVY)


@dataclass(frozen=True)
class Edition:
    """The limits of an edition.

    Attributes:
        names: texts of `license_details.paid_type`.
        base: credits of the org.
        per_user: credits for each licence.
        most: the maximum of credits; 0 for none.
        at_once: parallel calls.
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
    """Return the edition of an org; None where it is unknown."""
    licence = org.licence or Licence()
    if licence.paid is False:
        return EDITIONS[-1]
    paid_type = (licence.paid_type or "").lower()
    matches = (edition for edition in EDITIONS if any(name in paid_type for name in edition.names))
    return next(matches, None)


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
        self._reported: dict[str, int] = {}

    def learn(self, org: Organization) -> None:
        """Take over the limits of the org's edition and licences, and count the call that read them."""
        edition = edition_of(org)
        if edition is not None:
            self._reported[CREDITS] = credits_of(edition, org)
            self._reported[AT_ONCE] = edition.at_once
        connection = self._connection
        # The vendor has charged it, whether anything is left or not.
        with self._limiter.try_reserve(
            connection.limit_group, [self._credits], {CREDITS: ORG.cost}, member=connection.name
        ):
            pass

    @property
    def day(self) -> DayLimit:
        """The org's credits of 24 hours."""
        stated = (
            self._connection.ceilings.get(CREDITS) or self._reported.get(CREDITS) or self._last_seen
        )
        return DayLimit(self.limit(CREDITS), is_stated=stated is not None)

    def limit(self, name: str) -> int:
        """Return the value of a limit: as configured, as reported by the vendor, or as published."""
        configured = self._connection.ceilings.get(name)
        reported = self._reported.get(name) or (self._last_seen if name == CREDITS else None)
        return configured or reported or self._published[name]

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that apply to a call."""
        limits = [Limit(AT_ONCE, self._share(AT_ONCE), 1.0, "concurrency")]
        if operation != ORG:
            limits.append(self._credits)
        if operation.kind == HEAVY:
            limits.append(Limit(HEAVY_AT_ONCE, self._share(HEAVY_AT_ONCE), 1.0, "concurrency"))
        return limits

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return the cost of a call under each limit."""
        return {} if operation == ORG else {CREDITS: operation.cost}

    def login_limits(self) -> Sequence[Limit]:
        """Return the limit of token requests, which must not be repeated after a refusal."""
        return (Limit(TOKENS, self._share(TOKENS), _TOKENS_S, "daily", unit="token requests"),)

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return the counters of a response: of the credits, or of too many token requests."""
        if response.status_code == 400 and is_locked_out(response):
            most = str(self.limit(TOKENS))
            yield ReportedCounter(TOKENS, "Access Denied", most, used=most)
            return
        text = response.headers.get(CREDITS_LEFT, "")
        if text:
            left = whole(text, MOST_COUNTED) or 0
            # The header is sent once half is used, so the limit is at least twice the rest.
            least = left if self._connection.ceilings.get(CREDITS) else 2 * left
            total = str(max(self.limit(CREDITS), least))
            yield ReportedCounter(CREDITS, CREDITS_LEFT, total, left=text, usual=self._usual)

    def heed(self, reading: Reading) -> None:
        """Take over a limit of the org that is higher than the present one."""
        if reading.limit == CREDITS and reading.allowed > self.limit(CREDITS):
            self._reported[CREDITS] = reading.allowed

    @property
    def _credits(self) -> Limit:
        return Limit(CREDITS, self._share(CREDITS), _DAY_S, "daily", unit="credits")

    def _share(self, name: str) -> int:
        return max(1, int(self.limit(name) * self._connection.share))

    @property
    def _usual(self) -> int:
        return self._connection.ceilings.get(CREDITS) or self._published[CREDITS]

    @cached_property
    def _last_seen(self) -> int | None:
        """The limit that the vendor last reported to any connection of the group."""
        group, usual = self._connection.limit_group, {CREDITS: self._usual}
        return last_reported_limits(self._limiter, group, usual).get(CREDITS)
