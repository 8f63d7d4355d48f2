"""What an account says about itself, as far as tables depend on it."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True)
class AccountFacts:
    """Facts of one account of a vendor; "" is unknown.

    Attributes:
        time_zone: IANA name of the zone whose days the account's people mean.
        currency: ISO 4217 code of the account's main currency.
        web_address: where its records are found in a browser; `ObjectMap.page` says the rest.
    """

    time_zone: str = ""
    currency: str = ""
    web_address: str = ""

    @property
    def zone(self) -> str:
        """The zone in which instants become days; "" leaves that to the vendor, who names one with each instant."""
        return self.time_zone if is_time_zone(self.time_zone) else ""


def is_time_zone(name: str) -> bool:
    """Return whether a time zone of that name is known here."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return bool(name)
