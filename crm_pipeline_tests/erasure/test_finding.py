"""What is to be erased is an address or a key, and nothing around it."""

from pathlib import Path

import pytest

from crm_pipeline.erasure.finding import find
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Settings
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import settings_in
from crm_pipeline_tests.orchestration.projects import make_settings
from crm_pipeline_tests.stages.conftest import Org, schema

CONTACT = schema("Contact", "LastName", "Email:email")
SPELLINGS = {
    "Plain": "jane@bücher.example",
    "Spaced": "Jane @ bücher.example",
    "Shown": "Jane Doe <jane@bücher.example>",
    "Link": "mailto:jane@xn--bcher-kva.example",
    "Ascii": "jane@xn--bcher-kva.example",
    "Several": "bob@x.example; jane @ bücher.example",
    "Wide": "\uff4a\uff41\uff4e\uff45@bücher.example",
}
OTHERS = {"A": "mary-jane@bücher.example", "B": "jane@bücher.examples", "C": "jane @ x.example"}


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Contacts that have one address in several spellings, and one that had it before its last change."""
    folder = tmp_path_factory.mktemp("spelled")
    settings = settings_in(folder, "", {"acme": "http://127.0.0.1:1"}, case_of("salesforce"))
    org = Org(settings.data)
    rows = {**SPELLINGS, **OTHERS, "Former": "jane @ bücher.example"}
    org.land(
        CONTACT, [{"Id": f"003{n}", "LastName": n, "Email": email} for n, email in rows.items()]
    )
    org.normalize("contacts")
    org.land(CONTACT, [{"Id": "003Former", "LastName": "Former", "Email": "new@x.example"}])
    org.normalize("contacts")
    return settings


@pytest.mark.parametrize(
    "target", ["jane@bücher.example", "JANE@bücher.example", "jane@xn--bcher-kva.example"]
)
def test_an_address_is_found_however_it_is_spelled(spelled: Settings, target: str) -> None:
    """As `contact_points` reads it: with spaces, a name, a scheme, in Unicode or in ASCII, among others; earlier
    versions count. Other addresses that look alike do not."""
    subject = find(spelled, target).subject
    ids = {record.source_id for record in subject.records}
    assert ids == {f"003{name}" for name in (*SPELLINGS, "Former")}
    assert subject.addresses >= {"jane @ bücher.example", "jane@xn--bcher-kva.example"}


@pytest.mark.parametrize(
    "target", ['"jane@acme.example"', "Jane <jane@acme.example>", "a@b.example,c@d.example"]
)
def test_what_stands_around_an_address_is_refused(tmp_path: Path, target: str) -> None:
    """Quotes around it would be replaced as a part of it, and break the records that it stands in."""
    with pytest.raises(ConfigError, match="no part of an address") as caught:
        find(make_settings(tmp_path), target)
    assert "Write the address alone" in caught.value.cure


def test_an_apostrophe_is_a_part_of_an_address(tmp_path: Path) -> None:
    """Names such as O'Brien have one."""
    subject = find(make_settings(tmp_path), "O'Brien@acme.example").subject
    assert subject.addresses == {"o'brien@acme.example"}
