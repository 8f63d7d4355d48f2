"""Joined parts of records, edits in between, fields that queries refuse, texts that lists truncate."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crm_pipeline.connectors.zoho import field_backfill
from crm_pipeline.connectors.zoho.field_backfill import chunked
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError, UnknownField
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker
from crm_pipeline_tests.connectors.zoho.test_routes import live

LATER = "2026-11-23T10:00:30+00:00"


def records_of(harness: ZohoHarness, module: str = "Contacts") -> dict[str, dict[str, Any]]:
    return {key: json.loads(row["record"]) for key, row in live(harness.landed(module)).items()}


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change the org between two requests."""

    def at(harness: ZohoHarness, path: str, nth: int, change: Callable[[], None]) -> None:
        handle, seen = harness.emulator.handle, [0]

        def handling(request: Any) -> Any:
            if re.search(path, request.path):
                seen[0] += 1
                if seen[0] == nth:
                    change()
            return handle(request)

        monkeypatch.setattr(harness.emulator, "handle", handling)

    return at


@pytest.fixture
def narrow(make_harness: ZohoHarnessMaker) -> Iterator[ZohoHarness]:
    """A harness with at most 20 fields and 50 records per response."""
    with make_harness(
        list_fields=20, list_page_records=50, coql_select_fields=20, coql_page_records=50
    ) as made:
        made.emulator.set_coql(most_fields=20)
        yield made


@pytest.mark.parametrize("route", ["records", "coql"])
def test_records_in_several_responses(narrow: ZohoHarness, route: str) -> None:
    """Records of 64 fields come in four responses, and are landed whole, once."""
    narrow.extract("Contacts", route=route)
    landed = records_of(narrow)
    with narrow.account() as account:
        names = set(account.describe("Contacts").names)
    assert len(landed) == narrow.emulator.count("Contacts")
    assert all(set(record) == names for record in landed.values())
    truth = {row["id"]: row for row in narrow.emulator.rows("Contacts")}
    for key, record in landed.items():
        for name in ("Last_Name", "Email", "Mailing_City", "Phone", "Description"):
            assert record[name] == truth[key][name]


def test_each_chunk_of_fields_has_its_own_tokens(narrow: ZohoHarness) -> None:
    """A page token belongs to its parameters, so no chunk of fields uses another's."""
    assert narrow.extract("Contacts", route="records").reconciled
    assert {entry.status for entry in narrow.calls("/crm/v8/Contacts", "GET")} == {200}


PARTS = ("Last_Name", "Mailing_City", "Homepage")


@pytest.mark.parametrize(
    ("route", "snapshot", "nth"),
    [
        ("records", False, 2),
        ("records", False, 7),
        ("records", True, 6),
        ("coql", False, 11),
        ("coql", True, 12),
    ],
)
def test_an_edit_between_two_parts(
    narrow: ZohoHarness, tamper: Any, *, route: str, snapshot: bool, nth: int
) -> None:
    """A record that is edited between its parts is never half old and half new: it waits for the next
    window, or is read again."""
    key = narrow.emulator.rows("Contacts")[60]["id"]
    path = r"/coql$" if route == "coql" else r"/v8/Contacts$"
    narrow.advance(60)  # the window ends here
    tamper(
        narrow,
        path,
        nth,
        lambda: narrow.emulator.edit("Contacts", key, **dict.fromkeys(PARTS, "New")),
    )
    with narrow.account() as account:
        contacts = ObjectSettings("Contacts", route=route, snapshot=snapshot)
        names = account.describe("Contacts").names
        chunks = [[part in chunk for chunk in chunked(names, 20)].index(True) for part in PARTS]
        assert chunks == [0, 1, 2]
        extract(account, contacts, None, mode="range", landing=narrow.landing)
    for record in records_of(narrow).values():
        new = [record[name] == "New" for name in PARTS]
        assert new in ([False] * 3, [True] * 3)
    assert len(records_of(narrow)) >= narrow.emulator.count("Contacts") - (not snapshot)
    narrow.advance(60)
    narrow.extract("Contacts", route=route, mode="refresh")
    versions = [
        json.loads(row["record"]) for row in narrow.landed("Contacts") if row["_source_id"] == key
    ]
    assert versions[-1]["Homepage"] == "New"


def test_a_deletion_between_two_parts(narrow: ZohoHarness, tamper: Any) -> None:
    """A record that is deleted between its parts is not landed as live; its deletion is in the next window."""
    key = narrow.emulator.rows("Contacts")[10]["id"]
    narrow.advance(60)
    tamper(narrow, r"/v8/Contacts$", 3, lambda: narrow.emulator.delete("Contacts", key))
    narrow.extract("Contacts", route="records")
    assert key not in records_of(narrow)
    narrow.advance(60)
    narrow.extract("Contacts", route="records", mode="refresh")
    assert [r["_deleted"] for r in narrow.landed("Contacts") if r["_source_id"] == key] == [True]


def test_fields_that_queries_refuse(harness: ZohoHarness) -> None:
    """Queries refuse participants of meetings: they are read by lists, and the plan includes that."""
    done = harness.extract("Events", route="coql")
    assert all("Participants" in record for record in records_of(harness, "Events").values())
    assert len(records_of(harness, "Events")) == harness.emulator.count("Events")
    assert abs(done.calls - done.planned_calls) <= 5
    assert "Participants" not in "".join(e.query for e in harness.calls("/coql"))


def test_a_refusal_is_learned(harness: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected refusal of a field is found before anything is read; the field is read by lists."""
    monkeypatch.setattr("crm_pipeline.connectors.zoho.describe._REFUSED", {})
    done = harness.extract("Events", route="coql")
    assert done.reconciled
    assert all("Participants" in record for record in records_of(harness, "Events").values())


def test_an_unknown_field_is_an_error(harness: ZohoHarness) -> None:
    """A field that does not exist is refused by name."""
    with harness.account() as account, pytest.raises(UnknownField, match="Nonsense"):
        list(
            account.query(
                "select Nonsense from Contacts where id is not null", include_deleted=False
            )
        )


@pytest.mark.parametrize("route", ["records", "coql"])
def test_rich_texts_are_whole(harness: ZohoHarness, route: str) -> None:
    """Lists and queries truncate rich texts after 500 characters; those records are read singly."""
    key = harness.emulator.rows("Service_Contracts")[3]["id"]
    text = "<b>" + "long " * 300 + "</b>"
    harness.emulator.edit("Service_Contracts", key, stamp="2026-11-01T00:00:00+00:00", Remarks=text)
    harness.extract("Service_Contracts", route=route)
    assert records_of(harness, "Service_Contracts")[key]["Remarks"] == text
    assert len(harness.calls(f"/Service_Contracts/{key}")) == 1


def test_lists_of_ids_are_limited(harness: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list requests more ids at once than the vendor's older pages allow."""
    monkeypatch.setattr(field_backfill, "IDS", 7)
    harness.extract("Events", route="coql")
    asked = [e.query.count("%2C") for e in harness.calls("/v8/Events", "GET") if "ids=" in e.query]
    assert asked
    assert max(asked) <= 7 + 2


REPEATED = '{"data":[{"id":"1","Modified_Time":"2026-01-01T00:00:00Z"}],"info":{"more_records":true,"next_page_token":"same"}}'


MALFORMED = {
    REPEATED: "named the same page twice",
    REPEATED.replace('"same"', "null"): "sent no token of the next page",
    '{"data":[],"info":{"more_records":true}}': "without records",
    '{"data":null}': "not what the vendor documents",
    '{"data":[{"Last_Name":"x"}]}': "not what the vendor documents",
    '{"data":[{"id":"1"': "not what the vendor documents",
    '{"data":[]}': "does not say whether more is to come",
    "[]": "not what the vendor documents",
}


def test_malformed_lists(harness: ZohoHarness) -> None:
    """A repeated or missing token, an empty page before the end, null and a truncated body are named."""
    for body, words in MALFORMED.items():
        harness.sandbox.faults.clear()
        harness.sandbox.faults.order(
            "status", path="/v8/Contacts[?].*fields", status=200, body=body, times=9
        )
        with pytest.raises((ProtocolError, MalformedResponse), match=words):
            harness.extract("Contacts", route="records")
        assert harness.landed("Contacts") == []
