"""What an account says about itself, as far as tables depend on it."""

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

_CURRENCY = re.compile(r"[A-Z]{3}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?", re.IGNORECASE)
_PATH = re.compile(r"[A-Za-z0-9/_.~-]*")
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost"})
_NO_PLACES = ("posix/", "right/", "SystemV/", "posixrules", "localtime", "Factory")
"""How machines name their own settings, and clocks that count leap seconds: nobody lives there."""


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

    @property
    def credible(self) -> "AccountFacts":
        """The facts that can be so: tables are made with them, and people click the addresses."""
        return AccountFacts(
            self.zone,
            self.currency if _CURRENCY.fullmatch(self.currency) else "",
            self.web_address if is_web_address(self.web_address) else "",
        )


def is_time_zone(name: str) -> bool:
    """Return whether a time zone of that name is known: to Python, and to DuckDB, which makes the days.

    What DuckDB knows is a matter of tests, as nothing is asked of it here.
    """
    return name in _zones()


def is_web_address(text: str) -> bool:
    """Return whether ids can be put behind a text and a browser opens it: https, or http on this machine."""
    try:
        address = urlsplit(text)
        host = address.hostname or ""
    except ValueError:
        return False
    is_safe = address.scheme == "https" or (address.scheme == "http" and host in _THIS_MACHINE)
    plain = f"{address.scheme}://{address.netloc}{address.path}"
    return (
        is_safe
        and text == plain
        and _HOST.fullmatch(address.netloc) is not None
        and _PATH.fullmatch(address.path) is not None
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if not name.startswith(_NO_PLACES))
