"""What an org says about itself, and what of it a login may read."""

import pytest

from crm_pipeline.connectors.base import ReportsFacts
from crm_pipeline.connectors.salesforce.describe import RELATIONS
from crm_pipeline.connectors.salesforce.facts import web_address
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.model.account import AccountFacts
from crm_pipeline_tests.harness import Harness


def asked(harness: Harness) -> AccountFacts:
    with harness.account() as account:
        assert isinstance(account, ReportsFacts)
        return account.facts()


def test_as_far_as_the_login_may_read(harness: Harness) -> None:
    """The zone is the org's and not the user's; what cannot be read stays unknown, and the rest is told."""
    url = f"{harness.sandbox.url}/salesforce"
    [row] = harness.org.rows("Organization")
    harness.org.edit("Organization", row["Id"], TimeZoneSidKey="Europe/Paris")
    [euro] = [one for one in harness.org.rows("CurrencyType") if one["IsoCode"] == "EUR"]
    [dollar] = [one for one in harness.org.rows("CurrencyType") if one["IsoCode"] == "USD"]
    harness.org.edit("CurrencyType", euro["Id"], IsCorporate=True)
    harness.org.edit("CurrencyType", dollar["Id"], IsCorporate=False)
    # Where there are several currencies, all rates are against the corporate one.
    assert asked(harness) == AccountFacts("Europe/Paris", "EUR", url)
    harness.org.hide_object("CurrencyType")
    assert asked(harness) == AccountFacts("Europe/Paris", "USD", url)
    harness.org.hide_field("Organization", "DefaultCurrencyIsoCode")
    assert asked(harness) == AccountFacts("Europe/Paris", "", url)
    harness.org.hide_field("Organization", "TimeZoneSidKey")
    assert asked(harness) == AccountFacts("", "", url)
    harness.org.hide_object("Organization")
    assert asked(harness) == AccountFacts("", "", url)


@pytest.mark.parametrize(
    ("obj", "reference", "related", "fields"),
    [
        ("User", "UserRoleId", "UserRole", {"UserRole.Name"}),
        (
            "PricebookEntry",
            "Pricebook2Id",
            "Pricebook2",
            {"Pricebook2.Name", "Pricebook2.IsStandard"},
        ),
    ],
)
def test_related_records_that_the_login_may_not_see(
    harness: Harness, obj: str, reference: str, related: str, fields: set[str]
) -> None:
    """Users are read without the names of their roles, prices without those of books, instead of not at all."""

    def read_through() -> set[str]:
        with harness.account() as account:
            return {name for name in account.describe(obj).names if "." in name}

    assert read_through() == fields
    harness.org.hide_object(related)
    assert read_through() == set()
    assert harness.extract(obj).read == harness.org.count(obj)
    harness.org.hide_object(related, hidden=False)
    harness.org.hide_field(obj, reference)
    assert read_through() == set()


def test_what_is_mapped_through_a_relation_is_read_through_it() -> None:
    """No column waits for a field that nobody asks for, and none is asked for in vain."""
    mapped = {(one.object, f.source) for one in MAPPING for f in one.fields if "." in f.source}
    assert mapped == {
        (obj, field.name)
        for obj, relations in RELATIONS.items()
        for relation in relations
        for field in relation.read
    }


@pytest.mark.parametrize(
    ("api", "pages"),
    [
        ("https://acme.my.salesforce.com", "https://acme.lightning.force.com"),
        (
            "https://acme--dev.sandbox.my.salesforce.com/",
            "https://acme--dev.sandbox.lightning.force.com",
        ),
        ("https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("http://127.0.0.1:8765/salesforce", "http://127.0.0.1:8765/salesforce"),
    ],
)
def test_where_records_are_shown(api: str, pages: str) -> None:
    """My Domain has a host of its own for pages; another host is taken as it is."""
    assert web_address(api) == pages
