"""A person is found by an address in whatever spelling; what is to be erased is an address or a key, and nothing around it."""

from pathlib import Path

import pytest

from crm_pipeline.erasure.finding import Found, find
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Settings
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import settings_in
from crm_pipeline_tests.orchestration.projects import make_settings
from crm_pipeline_tests.stages.conftest import Org, schema

CONTACT = schema("Contact", "LastName", "Email:email")
WRITTEN = {
    "sharp": "Straße@x.example",
    "shown": "Jane <jane@x.example>",
    "two": "c1@x.example c2@x.example",
    "barred": "l1@x.example|l2@x.example",
    "spaced": "s @ x.example",
    "unicode": "d@bücher.example",
    "punycode": "e@xn--bcher-kva.example",
    "apart": "re\u0301ne@x.example",
    "wide": "f\uff20x.example",
    "link": "mailto:g@x.example?subject=x",
    "invisible": "h@x.example\u200b",
    "dotted": "İk@x.example",
    "shared": "i1@x.example; i2@x.example",
    "recipients": "; ".join(f"r{n}@x.example" for n in range(30)),
    "other": "Other <I2@x.example>",
    "before": "ann @ bücher.example",
}
ANN = {
    "plain": "ann@bücher.example",
    "shown": "Ann Doe <ann@bücher.example>",
    "link": "mailto:ann@xn--bcher-kva.example",
    "several": "bob@x.example; Ann @ bücher.example",
    "wide": "\uff41\uff4e\uff4e@bücher.example",
}
NOT_ANN = {
    "longer": "mary-ann@bücher.example",
    "end": "ann@bücher.examples",
    "domain": "ann @ x.example",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Contacts whose addresses are spelled in many ways."""
    folder = tmp_path_factory.mktemp("found")
    made = settings_in(folder, "", {"acme": "http://127.0.0.1:1"}, case_of("salesforce"))
    org = Org(made.data)
    org.land(
        CONTACT, [{"Id": name, "LastName": name, "Email": one} for name, one in WRITTEN.items()]
    )
    for group, written in (("ann", ANN), ("not ann", NOT_ANN)):
        rows = [
            {"Id": f"{group}, {name}", "LastName": name, "Email": one}
            for name, one in written.items()
        ]
        org.land(CONTACT, rows)
    org.normalize("contacts")
    org.land(CONTACT, [{"Id": "before", "LastName": "before", "Email": "new@x.example"}])
    former = {"Id": "former", "LastName": "former", "Email": "v\uff20x.example"}
    org.land(CONTACT, [former])
    org.land(CONTACT, [{**former, "Email": "w@x.example"}])
    org.normalize("contacts")
    for address in ("u@x.example", "new@x.example"):
        person = {"Id": "removed", "LastName": "removed", "Email": address}
        org.land(CONTACT, [person], connection="removed")
    return made


def records(found: Found) -> set[str]:
    return {record.source_id for record in found.subject.records}


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("straße@x.example", "sharp"),
        ("JANE@x.example", "shown"),
        ("c1@x.example", "two"),
        ("l2@x.example", "barred"),
        ("s@x.example", "spaced"),
        ("d@xn--bcher-kva.example", "unicode"),
        ("e@BÜCHER.example", "punycode"),
        ("r\u00e9ne@x.example", "apart"),
        ("f@x.example", "wide"),
        ("g@x.example", "link"),
        ("h@x.example", "invisible"),
        ("İk@x.example", "dotted"),
        ("v@x.example", "former"),
        ("u@x.example", "removed"),
    ],
)
def test_an_address_is_found_however_it_is_spelled(
    settings: Settings, target: str, name: str
) -> None:
    """As the verdicts on it say that it is this address: in lists, with names, in other forms of its characters.

    Also in an earlier version, and in landed records of a connection that is not configured any more.
    """
    assert records(find(settings, target)) == {name}


@pytest.mark.parametrize(
    "target", ["ann@bücher.example", "ANN@bücher.example", "ann@xn--bcher-kva.example"]
)
def test_all_records_of_an_address_are_found(settings: Settings, target: str) -> None:
    """Each spells it in its own way, one before its last change; of addresses that look alike none is found.

    What has the address as the records spell it, a note for instance, loses it.
    """
    found = find(settings, target)
    assert records(found) == {"before", *(f"ann, {name}" for name in ANN)}
    assert found.subject.addresses >= {
        *("ann @ bücher.example", "ann@xn--bcher-kva.example", "\uff41\uff4e\uff4e@bücher.example")
    }


def test_addresses_of_an_unfinished_erasure_are_asked_for_as_well(settings: Settings) -> None:
    """In whatever spelling a record has them; also when the next erasure is that of a key."""
    for target in ("u@x.example", "removed:Contact:removed"):
        found = find(settings, target, ["c1@x.example", "s@x.example"])
        assert records(found) == {"removed", "two", "spaced"}


def test_an_address_in_a_list_is_an_address(settings: Settings) -> None:
    """By key: those of a list in one field are erased each for itself, and one that another record has stays."""
    found = find(settings, "acme:Contact:shared")
    assert (found.subject.addresses, found.shared) == ({"i1@x.example"}, 1)


def test_a_list_of_recipients_is_not_one_person(settings: Settings) -> None:
    """The record goes with the list, but the addresses of the others in it stay wherever else they stand."""
    found = find(settings, "r3@x.example")
    assert (records(found), found.subject.addresses) == ({"recipients"}, {"r3@x.example"})


def test_both_forms_of_a_domain_are_replaced(settings: Settings) -> None:
    """A note may have the one where the record has the other."""
    found = find(settings, "acme:Contact:unicode")
    assert found.subject.addresses == {"d@bücher.example", "d@xn--bcher-kva.example"} | {
        "d@bu\u0308cher.example"
    }


@pytest.mark.parametrize(
    "target", ['"jane@acme.example"', "Jane <jane@acme.example>", "a@b.example,c@d.example"]
)
def test_what_stands_around_an_address_is_refused(tmp_path: Path, target: str) -> None:
    """Quotes around it would be replaced as a part of it, and break the records that it stands in."""
    with pytest.raises(ConfigError, match="no part of an address") as caught:
        find(make_settings(tmp_path), target)
    assert "Write the address alone" in caught.value.cure


@pytest.mark.parametrize("target", ["ja\udcffne@acme.example", "acme:Contact:\udcff"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, target: str) -> None:
    """They have no hash, so an erasure that noted them could never be finished, nor any other one begin."""
    with pytest.raises(ConfigError, match="no text"):
        find(make_settings(tmp_path), target)


@pytest.mark.parametrize("target", ["@acme.example", "jane@", "@", "ja\0ne@acme.example"])
def test_a_part_of_an_address_is_refused(tmp_path: Path, target: str) -> None:
    """It would be replaced in the addresses of others."""
    with pytest.raises(ConfigError, match="no whole e-mail address"):
        find(make_settings(tmp_path), target)


def test_an_apostrophe_is_a_part_of_an_address(tmp_path: Path) -> None:
    """Names such as O'Brien have one."""
    subject = find(make_settings(tmp_path), "O'Brien@acme.example").subject
    assert subject.addresses == {"o'brien@acme.example"}
