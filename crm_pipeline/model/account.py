"""Facts that an account states about itself and that tables depend on."""

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
"""Names of machines' own settings and of clocks with leap seconds, which are no zones of people."""


@dataclass(frozen=True)
class AccountFacts:
    """Facts of one account of a vendor; "" is unknown.

    Attributes:
        time_zone: IANA name of the time zone of the account's days.
        currency: ISO 4217 code of the account's main currency.
        web_address: start of the addresses of its records in a browser; `ObjectMap.page` is the rest.
    """

    time_zone: str = ""
    currency: str = ""
    web_address: str = ""

    @property
    def zone(self) -> str:
        """The zone in which instants become days; "" takes the day as the vendor writes it in each instant."""
        return self.time_zone if is_time_zone(self.time_zone) else ""

    @property
    def credible(self) -> "AccountFacts":
        """The facts with a possible value, others ""; tables are built with them, and people click the addresses."""
        return AccountFacts(
            self.zone,
            self.currency if _CURRENCY.fullmatch(self.currency) else "",
            self.web_address if is_web_address(self.web_address) else "",
        )


def is_time_zone(name: str) -> bool:
    """Return whether Python knows a time zone of that name.

    DuckDB, which computes the days, has to know it as well; tests compare the two.
    """
    return name in _zones()


def is_web_address(text: str) -> bool:
    """Return whether a text is an address to which ids can be appended: https, or http on this machine."""
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
