"""A person is erased from the versions of records, in tables and in the analysts' file."""

from pathlib import Path

import pytest

from crm_pipeline.erasure.finding import find
from crm_pipeline.settings import Settings
from crm_pipeline.store.landing.erasing import LandingStore
from crm_pipeline.store.tables.erasing import SnapshotsStore, TablesStore
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import settings_in
from crm_pipeline_tests.stages.conftest import Org, schema

CONTACT = schema("Contact", "LastName", "Email:email")
FORMER, PRESENT, OTHER = "former@x.example", "present@x.example", "other@x.example"


@pytest.fixture
def changed(tmp_path: Path) -> tuple[Settings, Org]:
    """Two contacts who have got another address since, with landing that has forgotten the first ones."""
    settings = settings_in(tmp_path, "", {"acme": "http://127.0.0.1:1"}, case_of("salesforce"))
    org = Org(settings.data)
    for day, addresses in enumerate(((FORMER, OTHER), (PRESENT, f"new.{OTHER}")), 1):
        org.land(
            CONTACT,
            [
                {
                    "Id": key,
                    "LastName": key,
                    "Email": each,
                    "SystemModstamp": f"2026-01-0{day}T00:00:00Z",
                }
                for key, each in zip("AB", addresses, strict=True)
            ],
        )
        org.normalize("contacts")
    org.publish()
    return settings, org


def _rest(org: Org) -> str:
    stored = org.rows("contacts", "*", prefix="history")
    return f"{stored} {org.query('SELECT * FROM crm_history.contacts')}"


def test_a_person_goes_from_all_versions(changed: tuple[Settings, Org]) -> None:
    """Erasing by the present address removes every version of the record; others keep theirs."""
    settings, org = changed
    subject = find(settings, PRESENT).subject
    assert FORMER in _rest(org)
    assert FORMER in subject.addresses
    for store in (LandingStore(org.data), TablesStore(org.data), SnapshotsStore(org.data)):
        assert store.erase(subject, apply=True).rows
    for word in (FORMER, PRESENT, "acme:Contact:A"):
        assert word not in _rest(org)
    assert OTHER in _rest(org)
    org.normalize("contacts")
    org.publish()
    assert FORMER not in _rest(org)
    assert OTHER in _rest(org)


def test_a_former_address_finds_the_person(changed: tuple[Settings, Org]) -> None:
    """An address that only an earlier version has finds the record, whether landing still has that version or not."""
    settings, org = changed
    for batch in org.landing.batches("acme", "Contact")[:1]:
        batch.path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crm_pipeline.erasure.finding._landed", lambda *_: ())
        records = find(settings, FORMER).subject.records
    assert {str(record) for record in records} == {"acme:Contact:A"}
