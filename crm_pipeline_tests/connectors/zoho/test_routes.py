"""Every module by every strategy, compared with the org's own records."""

import json
from typing import Any

import pytest

from crm_pipeline.kernel.clock import Month, Window, parse_instant
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker

ROUTES = ("records", "coql")
# Each with something of its own: many fields, a history, fields that queries refuse, records of any module
# pointed to, a custom one with rich texts.
MODULES = ("Contacts", "DealHistory", "Events", "Notes", "Service_Contracts")


def live(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    live_rows = {row["_source_id"]: row for row in rows if not row["_deleted"]}
    assert len(live_rows) == sum(not row["_deleted"] for row in rows), "a record came twice"
    return live_rows


@pytest.mark.parametrize("route", ROUTES)
def test_every_module_is_read_completely(harness: ZohoHarness, route: str) -> None:
    """Each strategy reads each live record once, as the vendor counts them."""
    for module in MODULES:
        done = harness.extract(module, route=route)
        truth = {row["id"]: row for row in harness.emulator.rows(module)}
        landed = live(harness.landed(module))
        assert set(landed) == set(truth), module
        assert done.vendor_count == len(truth), module
        assert done.route == route, module
        modified = {key: row["Modified_Time"] for key, row in truth.items()}
        assert {k: v["_modified_at"].replace(tzinfo=None) for k, v in landed.items()} == modified


def test_strategies_agree(harness: ZohoHarness) -> None:
    """The values of a record are equal by each strategy; look-ups are compared by id."""
    for route in ROUTES:
        harness.extract("Deals", route=route)
    seen: dict[str, list[dict[str, Any]]] = {}
    for row in harness.landed("Deals"):
        if not row["_deleted"]:
            seen.setdefault(row["_source_id"], []).append(plain(json.loads(row["record"])))
    assert seen
    for versions in seen.values():
        assert len(versions) == len(ROUTES)
        assert all(version == versions[0] for version in versions)


def plain(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v["id"] if isinstance(v, dict) else v for k, v in record.items()}


@pytest.mark.parametrize("route", [*ROUTES, "bulk"])
def test_windows_are_half_open(harness: ZohoHarness, route: str) -> None:
    """Adjacent months contain every record exactly once."""
    harness.emulator.hide_field(
        "Contacts", "Data_Processing_Basis_Details"
    )  # exports lack parts of it
    months = [Month(2026, month) for month in (6, 10, 11)]
    first = Window(None, months[0].start_at)
    between = Window(months[0].end_at, months[1].start_at)
    spans = [first, between, *(Window(m.start_at, m.end_at) for m in months)]
    for span in spans:
        done = harness.extract("Contacts", route=route, window=span)
        until = min(span.to_at, parse_instant("2026-11-23T10:00:00Z"))
        assert done.vendor_count == harness.emulator.count(
            "Contacts", since=span.from_at, until=until
        )
    assert len(live(harness.landed("Contacts"))) == harness.emulator.count("Contacts")


@pytest.mark.parametrize("route", ROUTES)
def test_a_record_at_the_windows_end(harness: ZohoHarness, route: str) -> None:
    """A record that is edited in the second of the window's end belongs to the next window."""
    key = harness.emulator.rows("Contacts")[0]["id"]
    harness.emulator.edit("Contacts", key, stamp=harness.clock.now(), Title="At the edge")
    before = harness.extract("Contacts", route=route)
    assert before.read == harness.emulator.count("Contacts") - 1 + before.deleted
    harness.advance(60)
    after = harness.extract("Contacts", route=route, mode="refresh")
    assert after.records == 1
    assert json.loads(harness.landed("Contacts")[-1]["record"])["Title"] == "At the edge"


@pytest.mark.parametrize("route", [*ROUTES, "bulk"])
def test_converted_leads_are_read(harness: ZohoHarness, route: str) -> None:
    """Converted leads are read like others, although lists and queries hide them by default."""
    converted = convert(harness)
    harness.emulator.hide_field(
        "Leads", "Data_Processing_Basis_Details"
    )  # exports lack parts of it
    harness.extract("Leads", route=route)
    assert set(converted) <= set(live(harness.landed("Leads")))


def convert(harness: ZohoHarness) -> list[str]:
    keys = [row["id"] for row in harness.emulator.rows("Leads")[::3]]
    for key in keys:
        harness.emulator.edit("Leads", key, stamp="2026-10-01T00:00:00+00:00", Converted__s=True)
    return keys


@pytest.mark.parametrize("shown", [True, False])
def test_queries_that_show_converted_leads(harness: ZohoHarness, *, shown: bool) -> None:
    """It makes no difference whether queries return converted leads by default."""
    convert(harness)
    harness.emulator.set_coql(shows_converted=shown)
    done = harness.extract("Leads", route="coql")
    assert done.vendor_count == harness.emulator.count("Leads")


def test_ids_and_offsets(quiet: ZohoHarness) -> None:
    """Ids of 19 digits stay texts; times with an offset become the right instant."""
    quiet.extract("Contacts", route="coql")
    row = quiet.landed("Contacts")[0]
    record = json.loads(row["record"])
    assert len(row["_source_id"]) == 19
    assert record["id"] == row["_source_id"]
    assert record["Modified_Time"].endswith(("-07:00", "-08:00"))
    assert parse_instant(record["Modified_Time"]) == row["_modified_at"]


def test_settings_are_snapshots(quiet: ZohoHarness) -> None:
    """Users, pipelines with their stages, and currencies are read completely, and landed again only if they changed."""
    users = quiet.extract("Users")
    assert users.read == len(quiet.emulator.rows("Users"))
    pipelines = quiet.extract("Pipelines")
    assert pipelines.read == 2
    assert json.loads(quiet.landed("Pipelines")[0]["record"])["maps"]
    assert quiet.extract("Currencies").read == 6
    assert not quiet.extract("Pipelines").changed


@pytest.mark.parametrize("name", ["Users", "CampaignMembers"])
def test_settings_have_no_windows(quiet: ZohoHarness, name: str) -> None:
    """Lists that the API gives as a whole cannot be asked for by windows, also where records have a time."""
    with quiet.account() as account, pytest.raises(ConfigError, match=f"{name} cannot be read by"):
        account.plan(ObjectSettings(name, snapshot=False), None)


def test_modules_without_fields_are_refused(quiet: ZohoHarness) -> None:
    """A listed module with 204 for its fields is refused, not taken for empty."""
    with pytest.raises(Exception, match="shows no fields"):
        quiet.extract("Visits")


def test_why_a_strategy_is_impossible(make_harness: ZohoHarnessMaker) -> None:
    """A module with more records than page tokens reach is not read by them."""
    with (
        make_harness(list_records=100) as harness,
        pytest.raises(ConfigError, match="reach 100 rec"),
    ):
        harness.extract("Contacts", route="records")
