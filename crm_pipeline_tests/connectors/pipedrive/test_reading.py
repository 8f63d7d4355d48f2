"""Every route returns exactly the records of its window, each once, against the company's own tables."""

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
def test_a_first_load_is_everything_once(still: Harness, obj: str) -> None:
    """Records without a stamp, archived ones and deleted deals are among it, none twice."""
    found = still.extract(obj)
    assert still.ids(found) == still.truth(obj, include_deleted=obj == "deals")
    assert found.route == "cursor"
    assert found.vendor_count is None


@pytest.mark.parametrize("route", ["cursor", "windows"])
@pytest.mark.parametrize("obj", V2)
def test_a_month_by_either_route(still: Harness, obj: str, route: str) -> None:
    """Both routes read the records that were changed in the month and no others."""
    wanted = still.truth(obj, SPAN, include_deleted=obj == "deals")
    assert wanted
    found = still.extract(obj, window=SPAN, route=route)
    assert still.ids(found) == wanted


@pytest.mark.parametrize("obj", ["leads", "notes"])
def test_a_month_of_an_old_list(still: Harness, obj: str) -> None:
    """v1 lists have no upper end; what was changed later is left for the next window."""
    wanted = still.truth(obj, SPAN)
    assert 0 < len(wanted) < len(still.truth(obj))
    assert still.ids(still.extract(obj, window=SPAN)) == wanted


@pytest.mark.parametrize("obj", ["pipelines", "stages", "users", "activityTypes", "currencies"])
def test_setup_lists_are_read_whole(still: Harness, obj: str) -> None:
    """What has no filter by time is a snapshot: what is absent from it is gone."""
    found = still.extract(obj)
    [commit] = still.landing.windows("pipe", obj)
    assert commit.complete
    assert found.read > 1
    if obj in {"pipelines", "stages", "users"}:
        assert still.ids(found) == still.truth(obj)


def test_products_of_deals(still: Harness) -> None:
    """They are asked for by the deals that have any, a hundred at once, and planned so."""
    living = {row["id"] for row in still.company.rows("deals")}
    rows = still.company.rows("deal_products")
    found = still.extract("deal_products")
    assert still.ids(found) == sorted(str(row["id"]) for row in rows if row["deal_id"] in living)
    assert {row["deal_id"] for row in rows} & {
        row["id"] for row in still.company.rows("deals") if row["is_archived"]
    }
    assert abs(found.calls - found.planned_calls) <= 1
    asked = still.sandbox.journal.entries(path="/deals/products$")
    assert len(asked) == 1 + (found.records - 1) // 20


def test_a_first_load_in_lanes(still: Harness) -> None:
    """Where `route: windows` is asked for, what has no stamp is looked for at both ends of time."""
    found = still.extract("persons", mode="range", window=None, route="windows")
    assert still.ids(found) == still.truth("persons")
    assert None in still.landed(found)["_modified_at"].to_pylist()
    assert found.route == "windows"


def test_records_land_as_received(harness: Harness) -> None:
    """The text of a record is the vendor's, byte by byte."""
    found = harness.landed(harness.extract("persons"))
    [entry] = [
        one for one in harness.sandbox.journal.entries(path="/api/v2/persons$") if one.status == 200
    ]
    import requests

    url = f"{harness.sandbox.url}/pipedrive{entry.path}?{entry.query}"
    token = harness.settings.environ["PIPE_TOKEN"]
    body = requests.get(url, headers={"x-api-token": token}, timeout=10).text
    for text in found["record"].to_pylist():
        assert text in body
    assert len(json.loads(body)["data"]) == found.num_rows


def test_deleted_deals_are_marked(harness: Harness) -> None:
    """Only deals can be listed after their deletion; they carry the mark and their own stamp."""
    rows = harness.landed(harness.extract("deals")).to_pylist()
    gone = {row["_source_id"] for row in rows if row["_deleted"]}
    assert gone
    assert gone == set(harness.truth("deals", include_deleted=True)) - set(harness.truth("deals"))
    assert all(row["_modified_at"] for row in rows if row["_deleted"])


def test_windows_are_cut_to_whole_seconds(harness: Harness) -> None:
    """A window that ends between two seconds holds the stamps before it, and the next one the rest."""
    rows = [row for row in harness.company.rows("persons") if row["update_time"]]
    stamp = parse_instant(f"{sorted(row['update_time'] for row in rows)[5].isoformat()}Z")
    half = stamp + timedelta(milliseconds=500)
    begin = Window(parse_instant("2000-01-01T00:00:00Z"), half)
    first = harness.ids(harness.extract("persons", window=begin))
    rest = harness.ids(harness.extract("persons", window=Window(half, NOW)))
    stamped = harness.truth("persons", Window(begin.from_at, NOW))
    assert sorted([*first, *rest]) == stamped
    assert first == harness.truth("persons", begin)


def test_more_records_of_one_second_than_a_page_holds(make_harness: HarnessMaker) -> None:
    """A cursor goes on behind the record, not behind the second."""
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
    found = harness.extract("persons", mode="refresh")
    assert (harness.ids(found), found.calls) == (["5"], 2)


def test_a_sweep_finds_what_was_deleted(harness: Harness) -> None:
    """Deleted persons cannot be listed: with `snapshot: true` the whole is read, and absence counts."""
    harness.extract("persons", snapshot=True)
    tables = harness.company.companies["main"].tables
    tables.update("persons", "id", {5: {"is_deleted": True}})
    found = harness.extract("persons", snapshot=True)
    commits = harness.landing.windows("pipe", "persons")
    assert [commit.complete for commit in commits] == [True, True]
    assert "5" not in harness.ids(found)


def test_a_setup_list_has_no_windows(harness: Harness) -> None:
    """`snapshot: false` of something that cannot be asked for by time is refused in words."""
    with pytest.raises(ConfigError, match="stages cannot be filtered by the time of change"):
        harness.extract("stages", snapshot=False)


def test_nothing_retired_is_asked_for(harness: Harness) -> None:
    """After the end of the old v1 every object is read as before."""
    harness.company.retire_v1(harness.clock.now() - timedelta(days=1))
    for obj in ITEMS:
        assert harness.extract(obj).read, obj
    answers = harness.sandbox.journal.entries(vendor="pipedrive")
    assert {one.status for one in answers} == {200}


def test_a_field_that_vanished(harness: Harness) -> None:
    """A custom field that is deleted, renamed or new between two reads is so in the next schema."""
    before = harness.extract("persons")
    fields = {one["name"]: one["code"] for one in harness.company.fields("persons")}
    harness.company.remove_field("persons", fields["Score"])
    harness.company.rename_field("persons", fields["Tier"], "Rank")
    harness.company.add_field("persons", "Shoe size", "double")
    after = harness.extract("persons")
    assert harness.ids(after) == harness.ids(before)
    told = " ".join(after.schema_changes)
    assert f"persons.{fields['Score']} is gone ('Score', double)" in told
    assert "is now called 'Rank'" in told
    assert "is new ('Shoe size', double)" in told


def test_a_deal_that_moves_between_the_lists(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where absence means deletion, a deal that leaves the archive between its two lists is still found."""
    [moving] = [row["id"] for row in harness.company.rows("deals") if row["is_archived"]][:1]
    original = Lister.fetch

    def ask(lister: Lister, listing: Listing, *arguments: Any) -> Any:
        if listing.name == "archived":
            harness.company.edit("deals", moving, is_archived=False)
        return original(lister, listing, *arguments)

    monkeypatch.setattr(Lister, "fetch", ask)
    found = harness.extract("deals", snapshot=True)
    assert str(moving) in harness.ids(found)
