"""Who is asked about, and the key under which a purchase is remembered.

Everything here is personal data: it stands in no text, and a representation hides it.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import unquote

import idna

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_COUNTRY = re.compile(r"^(?:www|[a-z]{2})\.(?=linkedin\.com)")


@dataclass(frozen=True)
class Person:
    """A person, by all that is known; the first of these that is there is what a purchase is keyed by.

    Attributes:
        email: an address.
        profile: the address of a public profile.
        name: the whole name; `first_name` and `last_name` stand for it where it is missing.
        domain: a domain or website of the employer; `company` is its name.
        provider_id: the provider's own id, from a search.
    """

    email: str = field(default="", repr=False)
    profile: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    domain: str = field(default="", repr=False)
    company: str = field(default="", repr=False)
    provider_id: str = field(default="", repr=False)

    @property
    def whole_name(self) -> str:
        """The name, made of its parts where it is not given."""
        has_parts = self.first_name.strip() and self.last_name.strip()
        return self.name.strip() or (f"{self.first_name} {self.last_name}" if has_parts else "")


@dataclass(frozen=True)
class Company:
    """A company, by all that is known: its domain or website, its profile, its name, the provider's own id."""

    domain: str = ""
    profile: str = ""
    name: str = ""
    provider_id: str = ""


Subject = Person | Company


def key_of(subject: Subject) -> str:
    """Return the key of a purchase: the same for the same person in every account; "" where too little is known.

    A person is keyed by the normalized e-mail address, else by the profile's address, else by name and employer,
    else by the provider's own id. A key is personal data, as what it is made of.
    """
    if isinstance(subject, Company):
        return _first(
            company=normal_domain(subject.domain),
            company_profile=normal_profile(subject.profile),
            company_name=_folded(subject.name),
            company_id=subject.provider_id.strip(),
        )
    employer = normal_domain(subject.domain) or _folded(subject.company)
    name = _folded(subject.whole_name)
    return _first(
        email=normal_email(subject.email),
        profile=normal_profile(subject.profile),
        name=f"{name}@{employer}" if name and employer else "",
        id=subject.provider_id.strip(),
    )


def normal_email(text: str) -> str:
    """Return an address as purchases are keyed by it: without case, the domain in ASCII; "" for none."""
    local, at, domain = _folded(text).rpartition("@")
    return f"{local}@{_ascii(domain)}" if at and local and domain else ""


def normal_domain(text: str) -> str:
    """Return the domain of a website or a domain, in ASCII and without `www.`; "" for none."""
    host = re.split(r"[/?#]", _SCHEME.sub("", _folded(text)), maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0].removeprefix("www.").strip(".")
    return _ascii(host)


def normal_profile(text: str) -> str:
    """Return the address of a profile without scheme, country, query and case; "" for none."""
    address = re.split(r"[?#]", _SCHEME.sub("", _folded(unquote(text))), maxsplit=1)[0]
    return _COUNTRY.sub("", address.rstrip("/"))


def _first(**keys: str) -> str:
    return next((f"{kind}:{key}" for kind, key in keys.items() if key), "")


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain
