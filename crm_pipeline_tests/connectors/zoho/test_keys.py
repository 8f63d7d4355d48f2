"""Keys of landed records: pages and landed records go through the same rules."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from crm_pipeline.connectors.record_page import NO_KEY
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.zoho import responses
from crm_pipeline.connectors.zoho.keys import (
    DELETED,
    DELETED_RULE,
    LISTED,
    MODULE,
    Rule,
    ZohoKeys,
    of_csv,
)
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.connectors.malformed import mutated
from crm_pipeline_tests.connectors.rederived import differing
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarnessMaker
from crm_sandbox.http import Response

OBJECTS = (*connector("zoho").default_objects, "CampaignMembers")
SCHEMA = Schema("X", "X", tuple(Field(name, name, "text") for name in ("id", "Modified_Time")))


def test_keys_follow_from_the_records(make_harness: ZohoHarnessMaker) -> None:
    """Landed records of every object and kind of page, also deleted ones, give the same keys again."""
    with make_harness(contacts=40, objects=OBJECTS, concurrent_calls=100) as harness:
        gone = min(row["id"] for row in harness.emulator.rows("Contacts"))
        harness.emulator.delete("Contacts", gone)
        harness.advance()
        for obj in OBJECTS:
            harness.extract(obj)
        harness.advance(3600)
        harness.extract("Accounts", route="bulk")
        marks = [row["_source_id"] for row in harness.landed("Contacts") if row["_deleted"]]
        assert gone in marks
        for obj in OBJECTS:
            assert differing(harness, "zoho", obj, with_origin=True) == [], obj
            assert differing(harness, "zoho", obj, with_origin=False) == [], obj


def test_a_deletion_without_its_time(make_harness: ZohoHarnessMaker) -> None:
    """A record without a time of deletion counts as deleted from the time of the read on."""

    def change(response: Response) -> Response:
        body = re.sub(rb'"deleted_time": ?"[^"]+"', b'"deleted_time":null', response.body)
        return replace(response, body=body)

    with make_harness(contacts=40, objects=("Contacts",)) as harness:
        harness.extract("Contacts")
        gone = min(row["id"] for row in harness.emulator.rows("Contacts"))
        harness.emulator.delete("Contacts", gone)
        harness.advance()
        with mutated(harness.emulator, "/Contacts/deleted", change) as seen:
            harness.extract("Contacts")
        assert seen
        marked = [row for row in harness.landed("Contacts") if row["_deleted"]]
        assert [row["_modified_at"] for row in marked if row["_source_id"] == gone] == [None]
        assert differing(harness, "zoho", "Contacts", with_origin=True) == []


@pytest.mark.parametrize(
    ("text", "origin", "expected"),
    [
        ('{"id":"1","deleted_time":"2026-01-01T00:00:00Z"}', "", ("1", True)),
        ('{"id":"1","deleted_time":"2026-01-01T00:00:00Z"}', DELETED, ("1", True)),
        ('{"id":"1","Modified_Time":"2026-01-01T00:00:00Z","deleted_time":"x"}', "", ("1", False)),
        ('{"id":"1","Modified_Time":"0000-01-01T00:00:00Z"}', "", (None, False)),
        ('{"id":{}}', "", (None, False)),
        ('{"id":"abc","Modified_Time":"2026-01-01T00:00:00Z"}', "", (None, False)),
        ('{"id":"1\\n","Modified_Time":"2026-01-01T00:00:00Z"}', "", (None, False)),
        ('{"id":"1","deleted_time":null}', "", ("1", True)),
        ('{"id":"1","Name":"\\ud83d"}', "", (None, False)),
    ],
)
def test_rejected_records(text: str, origin: str, expected: tuple[str | None, bool]) -> None:
    """Rejected records with a time of deletion are deleted ones; unreadable ones have no id."""
    keys = ZohoKeys().of(
        "Contacts",
        SCHEMA,
        pa.record_batch({"record": [text]}),
        shape="json",
        route="",
        origin=origin,
        deleted=None,
    )
    assert (keys.column("_source_id")[0].as_py(), keys.column("_deleted")[0].as_py()) == expected


@pytest.mark.parametrize(
    ("text", "source_id"),
    [
        ('{"id":"12-34","Campaign":{"id":"12"},"Contact":{"id":"34"}}', "12-34"),
        ('{"id":"34","Member_Status":"Sent","Modified_Time":17}', None),
        ('{"id":"12-","Campaign":{"id":"12"}}', None),
    ],
)
def test_members_are_those_of_a_campaign(text: str, source_id: str | None) -> None:
    """A member that was rejected without its campaign stays rejected."""
    keys = ZohoKeys().of(
        "CampaignMembers",
        SCHEMA,
        pa.record_batch({"record": [text]}),
        shape="json",
        route="records",
        origin="",
        deleted=None,
    )
    assert keys.column("_source_id")[0].as_py() == source_id


def test_ids_of_exports_are_numbers() -> None:
    """The same rule applies to each strategy: a record that one rejects, no other lands."""
    ids = ["1", "abc", "12345678901234567890", None, "22"]
    raw = pa.record_batch({"id": pa.array(ids), "Modified_Time": ["2026-01-01T00:00:00Z"] * 5})
    assert of_csv(SCHEMA, raw).column("_source_id").to_pylist() == ["1", None, None, None, "22"]


@pytest.mark.parametrize("rule", [MODULE, LISTED, DELETED_RULE])
def test_pages_reject_ids_that_are_no_numbers(rule: Rule) -> None:
    """This holds for every list and query, as next pages are requested by numbers."""
    body = b'{"data":[{"id":"abc"},{"id":"7"}],"info":{"more_records":false}}'
    page = responses.read_body(body, "acme.Leads", rule=rule)
    assert page.ids == ["7"]
    assert [(reject.reason, reject.source_id) for reject in page.rejected] == [(NO_KEY, "abc")]
