"""Members of campaigns: read campaign by campaign, completely, with the cost in the plan."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing.rejects import from_table
from crm_pipeline_tests.connectors.malformed import mutated
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker
from crm_sandbox.http import Response

NAME = "CampaignMembers"
OBJECTS = ("Campaigns", "Contacts", "Leads", NAME)


def truth(harness: ZohoHarness) -> set[tuple[str, str, str]]:
    """Return the live members of live campaigns with their status."""
    members = set()
    for module, column in (("Contacts", "contact_id"), ("Leads", "lead_id")):
        members |= set(
            harness.emulator.org("main")
            .tables.cursor()
            .execute(
                f"SELECT m.campaign_id::VARCHAR, m.{column}::VARCHAR, m.status "
                f'FROM "Campaign_Members" m JOIN "{module}" t ON t.id = m.{column} '
                'JOIN "Campaigns" c ON c.id = m.campaign_id '
                "WHERE t._ended IS NULL AND c._ended IS NULL"
            )
            .fetchall()
        )
    return members


def published(harness: ZohoHarness, folder: Path) -> set[tuple[str, str, str]]:
    build(harness, folder)
    return set(
        rows(
            harness,
            "campaign_members",
            "campaign_source_id, coalesce(contact_source_id, lead_source_id), status",
        )
    )


def test_members_are_those_of_the_org(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """Members are contacts and leads, also converted ones, with their status; calls and credits are as planned."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        done = harness.extract(NAME)
        assert published(harness, tmp_path / "engine") == truth(harness)
        members = {member for _, member, _ in truth(harness)}
        leads = [row for row in harness.emulator.rows("Leads") if row["id"] in members]
        assert {row["Converted__s"] for row in leads} == {True, False}
        keys = rows(harness, "campaign_members", "campaign_key, contact_key, lead_key")
        assert {key.split(":")[1] for row in keys for key in row if key} == {*OBJECTS} - {NAME}
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost)
        assert done.planned_calls == 2 + 2 * harness.emulator.count("Campaigns")
        assert "2 lists of each of" in done.reason


def test_lists_of_several_pages(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """A campaign with several pages of members is read to its end, beyond the reach of page numbers."""
    with make_harness(contacts=120, objects=OBJECTS, list_page_records=3) as harness:
        harness.emulator.set_paging(by_number=6)
        done = harness.extract(NAME)
        assert published(harness, tmp_path / "engine") == truth(harness)
        assert done.calls > done.planned_calls
        assert any("page_token" in call.query for call in harness.calls("/Contacts", "GET"))


def test_a_page_without_a_body_is_no_end(make_harness: ZohoHarnessMaker) -> None:
    """An empty response before the end fails the whole read."""
    with make_harness(contacts=120, objects=OBJECTS, list_page_records=3) as harness:
        harness.sandbox.faults.order("status", status=204, body="", path="page_token")
        with pytest.raises(ProtocolError, match="more are to come"):
            harness.extract(NAME)


def test_a_removed_member(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """A member that is missing from a complete read was removed."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        harness.extract(NAME)
        campaign, member, _ = min(truth(harness))
        harness.emulator.org("main").tables.cursor().execute(
            'DELETE FROM "Campaign_Members" WHERE campaign_id = ? AND '
            "coalesce(contact_id, lead_id) = ?",
            [campaign, member],
        )
        harness.advance(60)
        assert harness.extract(NAME).changed
        build(harness, tmp_path / "engine")
        gone = rows(harness, "campaign_members", "source_id, is_deleted")
        assert [key for key, is_deleted in gone if is_deleted] == [f"{campaign}-{member}"]


def test_a_defective_member(make_harness: ZohoHarnessMaker) -> None:
    """A defective member is rejected with its campaign; defects of unused fields do not matter."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        campaign, member, _ = min(truth(harness))

        def change(response: Response) -> Response:
            whole = json.loads(response.body)
            for entry in whole["data"]:
                entry["Modified_Time"] = 17
                entry["id"] = "abc" if entry["id"] == member else entry["id"]
            return replace(response, body=json.dumps(whole).encode())

        with mutated(harness.emulator, rf"/Campaigns/{campaign}/(Contacts|Leads)", change):
            done = harness.extract(NAME)
        assert (done.read, done.quarantined) == (len(truth(harness)), 1)
        [path] = harness.landing.quarantine("demo", NAME).glob("????-??/*.parquet")
        [reject] = from_table(pq.read_table(path))
        assert reject.source_id == f"{campaign}-abc"
        assert json.loads(reject.raw)["Campaign"] == {"id": campaign}


def test_a_campaign_that_is_deleted_during_the_read(make_harness: ZohoHarnessMaker) -> None:
    """A campaign that was deleted after it was listed has no members, and the read succeeds."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        campaign = min(truth(harness))[0]
        refusal = '{"code":"INVALID_DATA","details":{},"message":"no","status":"error"}'
        fault = {"status": 400, "body": refusal, "path": f"/{campaign}/Contacts"}
        harness.sandbox.faults.order("status", **fault)
        with pytest.raises(Rejected, match="INVALID_DATA"):
            harness.extract(NAME)
        harness.sandbox.faults.order("status", **fault)
        harness.sandbox.faults.order("status", status=204, body="", path=f"/Campaigns/{campaign}")
        done = harness.extract(NAME)
        gone = {member for member in truth(harness) if member[0] == campaign}
        assert done.read == len(truth(harness)) - len(gone)


def test_the_cost_of_members(make_harness: ZohoHarnessMaker) -> None:
    """A plan shows the cost; a preview reads no more campaigns than it needs."""
    with make_harness(contacts=120, objects=OBJECTS) as harness, harness.account() as account:
        assert NAME in {info.name for info in account.objects()}
        plan = account.plan(ObjectSettings(NAME), None)
        assert plan.calls == 2 + 2 * harness.emulator.count("Campaigns")
        before = account.usage.calls
        _, shown = account.preview(NAME, 2)
        assert len(shown) == 2
        assert account.usage.calls - before < plan.calls
