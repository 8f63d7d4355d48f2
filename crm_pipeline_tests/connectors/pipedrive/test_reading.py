"""Every strategy returns exactly the records of its window, each once, compared with the company's tables."""

import json
from datetime import timedelta
from typing import Any

import pytest

from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

V2 = ("persons", "organizations", "activities", "products", "deals")
NOW = parse_instant("2026-11-23T10:00:00Z")
SPAN = Window(parse_instant("2025-01-01T00:00:00Z"), parse_instant("2026-10-01T00:00:00Z"))


@pytest.mark.parametrize("obj", [*V2, "leads", "notes"])
def test_a_first_load_has_every_record_once(still: Harness, obj: str) -> None:
    """It includes records without a time of change, archived ones and deleted deals, none twice."""
    extraction = still.extract(obj)
    assert still.ids(extraction) == still.truth(obj, include_deleted=obj == "deals")
    assert extraction.route == "cursor"
    assert extraction.vendor_count is None


@pytest.mark.parametrize("route", ["cursor", "windows"])
@pytest.mark.parametrize("obj", V2)
def test_a_month_by_either_strategy(still: Harness, obj: str, route: str) -> None:
    """Both strategies read the records that were changed in the month and no others."""
    wanted = still.truth(obj, SPAN, include_deleted=obj == "deals")
    assert wanted
    extraction = still.extract(obj, window=SPAN, route=route)
    assert still.ids(extraction) == wanted


@pytest.mark.parametrize("obj", ["leads", "notes"])
def test_a_month_of_an_old_list(still: Harness, obj: str) -> None:
    """v1 lists have no upper end; later changes are left for the next window."""
    wanted = still.truth(obj, SPAN)
    assert 0 < len(wanted) < len(still.truth(obj))
    assert still.ids(still.extract(obj, window=SPAN)) == wanted


@pytest.mark.parametrize("obj", ["pipelines", "stages", "users", "activityTypes", "currencies"])
def test_setup_lists_are_read_whole(still: Harness, obj: str) -> None:
    """A list without a filter by time is a snapshot: absent records are deleted."""
    extraction = still.extract(obj)
    [commit] = still.landing.windows("pipe", obj)
    assert commit.complete
    assert extraction.read > 1
    if obj in {"pipelines", "stages", "users"}:
        assert still.ids(extraction) == still.truth(obj)


def test_products_of_deals(still: Harness) -> None:
    """Line items are requested for the deals that have any, a hundred at once, as planned."""
    living = {row["id"] for row in still.company.rows("deals")}
    rows = still.company.rows("deal_products")
    still.sandbox.journal.clear()
    extraction = still.extract("deal_products")
    assert still.ids(extraction) == sorted(
        str(row["id"]) for row in rows if row["deal_id"] in living
    )
    assert {row["deal_id"] for row in rows} & {
        row["id"] for row in still.company.rows("deals") if row["is_archived"]
    }
    assert abs(extraction.calls - extraction.planned_calls) <= 1
    asked = still.sandbox.journal.entries(path="/deals/products$")
    assert len(asked) == 1 + (extraction.records - 1) // 20


def test_a_first_load_by_windows(still: Harness) -> None:
    """With `route: windows`, records without a time of change are read from both ends of the list."""
    extraction = still.extract("persons", mode="range", window=None, route="windows")
    assert still.ids(extraction) == still.truth("persons")
    assert None in still.landed(extraction)["_modified_at"].to_pylist()
    assert extraction.route == "windows"


def test_records_land_as_received(harness: Harness) -> None:
    """The text of a record is the vendor's, byte by byte."""
    landed_rows = harness.landed(harness.extract("persons"))
    [entry] = [
        request
        for request in harness.sandbox.journal.entries(path="/api/v2/persons$")
        if request.status == 200
    ]
    import requests

    url = f"{harness.sandbox.url}/pipedrive{entry.path}?{entry.query}"
    token = harness.settings.environ["PIPE_TOKEN"]
    body = requests.get(url, headers={"x-api-token": token}, timeout=10).text
    for text in landed_rows["record"].to_pylist():
        assert text in body
    assert len(json.loads(body)["data"]) == landed_rows.num_rows


def test_deleted_deals_are_marked(harness: Harness) -> None:
    """Only deleted deals can be listed; they have the mark and their own time of change."""
    rows = harness.landed(harness.extract("deals")).to_pylist()
    gone = {row["_source_id"] for row in rows if row["_deleted"]}
    assert gone
    assert gone == set(harness.truth("deals", include_deleted=True)) - set(harness.truth("deals"))
    assert all(row["_modified_at"] for row in rows if row["_deleted"])


def test_windows_end_at_whole_seconds(harness: Harness) -> None:
    """A window that ends between two seconds has the changes before it, and the next window the rest."""
    rows = [row for row in harness.company.rows("persons") if row["update_time"]]
    changed_at = parse_instant(f"{sorted(row['update_time'] for row in rows)[5].isoformat()}Z")
    half = changed_at + timedelta(milliseconds=500)
    begin = Window(parse_instant("2000-01-01T00:00:00Z"), half)
    first = harness.ids(harness.extract("persons", window=begin))
    rest = harness.ids(harness.extract("persons", window=Window(half, NOW)))
    stamped = harness.truth("persons", Window(begin.from_at, NOW))
    assert sorted([*first, *rest]) == stamped
    assert first == harness.truth("persons", begin)


def test_more_records_of_one_second_than_a_page_holds(make_harness: HarnessMaker) -> None:
    """A cursor continues after the record, not after the second."""
    with make_harness(ceilings=f"{WIDE}, page_records: 7") as harness:
        tables = harness.company.companies["main"].tables
        at = parse_instant("2026-11-20T08:00:00Z").replace(tzinfo=None)
        tables.update("persons", "id", {number: {"update_time": at} for number in range(10, 60)})
        span = Window(parse_instant("2026-11-19T00:00:00Z"), parse_instant("2026-11-21T00:00:00Z"))
        wanted = harness.truth("persons", span)
        assert len(wanted) > 40
        for route in ("windows", "cursor"):
            assert harness.ids(harness.extract("persons", window=span, route=route)) == wanted


def test_a_refresh_reads_what_changed(harness: Harness) -> None:
    """After a first load only records that were changed land, in two calls."""
    harness.extract("persons", mode="refresh")
    harness.advance(3600)
    tables = harness.company.companies["main"].tables
    at = (harness.clock.now() - timedelta(minutes=30)).replace(tzinfo=None)
    tables.update("persons", "id", {5: {"name": "Changed", "update_time": at}})
    extraction = harness.extract("persons", mode="refresh")
    assert (harness.ids(extraction), extraction.calls) == (["5"], 2)


def test_a_snapshot_finds_deletions(harness: Harness) -> None:
    """Deleted persons cannot be listed: with `snapshot: true` all are read, and absent ones are deleted."""
    harness.extract("persons", snapshot=True)
    tables = harness.company.companies["main"].tables
    tables.update("persons", "id", {5: {"is_deleted": True}})
    extraction = harness.extract("persons", snapshot=True)
    commits = harness.landing.windows("pipe", "persons")
    assert [commit.complete for commit in commits] == [True, True]
    assert "5" not in harness.ids(extraction)


def test_a_setup_list_has_no_windows(harness: Harness) -> None:
    """`snapshot: false` for a list without a filter by time is refused with a text."""
    with pytest.raises(ConfigError, match="stages cannot be read by windows"):
        harness.extract("stages", snapshot=False)


def test_no_retired_path_is_requested(harness: Harness) -> None:
    """After the end of the old v1 every object is read as before."""
    harness.company.retire_v1(harness.clock.now() - timedelta(days=1))
    for obj in ITEMS:
        assert harness.extract(obj).read, obj
    entries = harness.sandbox.journal.entries(vendor="pipedrive")
    assert {entry.status for entry in entries} == {200}


def test_a_field_that_vanished(harness: Harness) -> None:
    """A custom field that is deleted, renamed or added between two reads is so in the next schema."""
    before = harness.extract("persons")
    fields = {field["name"]: field["code"] for field in harness.company.fields("persons")}
    harness.company.remove_field("persons", fields["Score"])
    harness.company.rename_field("persons", fields["Tier"], "Rank")
    harness.company.add_field("persons", "Shoe size", "double")
    after = harness.extract("persons")
    assert harness.ids(after) == harness.ids(before)
    changes = " ".join(map(str, after.schema_changes))
    assert f"persons.{fields['Score']} is gone ('Score', double)" in changes
    assert "is now called 'Rank'" in changes
    assert "is new ('Shoe size', double)" in changes


def test_a_deal_that_moves_between_the_lists(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a complete read, a deal that leaves the archive between the two lists is still read."""
    [moving] = [row["id"] for row in harness.company.rows("deals") if row["is_archived"]][:1]
    original = Lister.fetch

    def ask(lister: Lister, listing: Listing, *arguments: Any) -> Any:
        if listing.name == "archived":
            harness.company.edit("deals", moving, is_archived=False)
        return original(lister, listing, *arguments)

    monkeypatch.setattr(Lister, "fetch", ask)
    extraction = harness.extract("deals", snapshot=True)
    assert str(moving) in harness.ids(extraction)
