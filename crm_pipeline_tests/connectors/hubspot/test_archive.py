"""The list of what is archived: counted in the plan, read as often as it is worth, and nothing of it missed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crm_pipeline.connectors.hubspot.archive import Archive
from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, landed, run_sql
from crm_pipeline_tests.harness import Harness

# A list of a few pages is long where the account has few calls a day: it is worth some minutes then.
FEW_CALLS = {"daily_calls": 1_500}
AGO = int(parse_instant("2026-11-20T00:00:00Z").timestamp() * 1000)
PAGES_OF_5 = {"list_records": 5, "batch_records": 5}


@pytest.fixture
def hub(portal: Portal) -> Iterator[Harness]:
    """A portal in which a list of 30 archived records is long."""
    with portal(contacts=80, objects=["contacts"], ceilings={**PAGES_OF_5, **FEW_CALLS}) as made:
        sql = 'SELECT _id FROM "contacts" WHERE NOT _archived ORDER BY _id LIMIT 30'
        run_sql(
            made,
            f'UPDATE "contacts" SET _archived = true, _archived_at = ? WHERE _id IN ({sql})',
            AGO,
        )
        yield made


def lists(hub: Harness) -> int:
    return len([one for one in Client(hub).calls("/contacts", "GET") if "archived=true" in one])


def archived(hub: Harness) -> set[str]:
    return {row["id"] for row in landed(hub) if row["deleted"]}


def planned(hub: Harness) -> Any:
    with hub.account() as account:
        return account.plan(
            hub.settings.connection("demo").object("contacts"),
            Window(hub.landing.watermark("demo", "contacts"), account.vendor_now()),
        )


def refreshed(hub: Harness, *, after_s: float) -> Any:
    """Archive a record, let time pass, refresh; return the record, the extraction and the calls to the list."""
    client = Client(hub)
    gone = min(client.all("contacts"))
    client.archive("contacts", gone)
    hub.advance(after_s)
    before = lists(hub)
    done = hub.extract("contacts", mode="refresh")
    return gone, done, lists(hub) - before


def test_a_plan_counts_the_pages_of_the_list(hub: Harness) -> None:
    """From the second read on it is known how long the list is: planned and spent are the same."""
    assert "which was never read yet" in planned(hub).strategies[0].how
    hub.extract("contacts", route="list")
    on_list = len(Client(hub).all("contacts", archived="true"))
    assert on_list >= 30
    assert f"their list of {on_list}" in planned(hub).strategies[0].how
    again = hub.extract("contacts", route="list")
    assert (again.planned_calls, again.deleted) == (again.calls, on_list)
    hub.advance(86_400)
    before = lists(hub)
    done = hub.extract("contacts", mode="refresh")
    assert (done.planned_calls, lists(hub) - before) == (done.calls, -(-on_list // 5))


def test_all_of_the_list_comes_without_reading_it_twice(hub: Harness) -> None:
    """A full read wants every archived record: it takes them from the list, whole, and none by id."""
    hub.extract("contacts")
    assert Client(hub).calls("/objects/2026-09/contacts/batch/read") == []
    assert archived(hub) == set(Client(hub).all("contacts", archived="true"))


def test_a_long_list_is_left_out_and_made_up_for(hub: Harness) -> None:
    """What was archived between two readings of the list comes with the second, late and once."""
    hub.extract("contacts")
    early, first, none = refreshed(hub, after_s=60)
    assert (none, first.deleted, early in archived(hub)) == (0, 0, False)
    assert "archived records not now" in planned(hub).strategies[0].how
    late, second, some = refreshed(hub, after_s=86_400)
    assert some > 0
    assert {early, late} <= archived(hub)
    assert second.deleted == 2
    assert archived(hub) == set(Client(hub).all("contacts", archived="true"))


def test_a_watermark_moves_on_without_the_list(hub: Harness) -> None:
    """Leaving the list out is no gap among the windows: live changes come as ever."""
    hub.extract("contacts")
    _, done, none = refreshed(hub, after_s=60)
    assert none == 0
    assert done.watermark == hub.clock.now()


def test_the_setting_says_how_much_it_is_worth(portal: Portal) -> None:
    """With a high `archived_percent` the list is read at each refresh, however long."""
    ceilings = {**PAGES_OF_5, **FEW_CALLS, "archived_percent": 100_000}
    with portal(contacts=80, objects=["contacts"], ceilings=ceilings) as hub:
        hub.extract("contacts")
        gone, _, pages = refreshed(hub, after_s=60)
        assert pages > 0
        assert gone in archived(hub)


def test_a_range_that_is_asked_for_is_read_whole(hub: Harness) -> None:
    """Only going on from the last read may leave the list out."""
    hub.extract("contacts")
    hub.advance(60)
    before = lists(hub)
    window = Window(parse_instant("2026-11-19T00:00:00Z"), hub.clock.now())
    done = hub.extract("contacts", window=window)
    assert lists(hub) > before
    assert done.deleted >= 30


def at(text: str) -> Any:
    return parse_instant(f"2026-11-23T{text}:00Z")


@pytest.mark.parametrize(
    ("until", "since", "is_due", "to_at", "expected"),
    [
        (None, None, True, "10:00", "10:00"),
        ("09:00", "08:50", True, "10:00", "10:00"),
        ("09:00", "08:50", False, "10:00", "09:00"),
        ("09:00", "09:30", True, "10:00", "09:00"),
        (None, "08:00", True, "10:00", None),
        ("09:00", "07:00", True, "08:00", "09:00"),
    ],
)
def test_up_to_when_the_list_was_read(until, since, is_due, to_at, expected) -> None:
    """It moves only where nothing lies between, never back, and not while the list is left out."""
    archive = Archive(7, at(until) if until else None, at(since) if since else None, is_due)
    notes = archive.notes(at(to_at), seen=9, bounds=ShrinkBounds())
    assert notes["archived_records"] == (9 if is_due else 7)
    assert notes["archived_until"] == (f"2026-11-23T{expected}:00Z" if expected else None)


@pytest.mark.parametrize(
    ("before", "seen", "size", "until"),
    [
        (100, 90, 90, "10:00"),
        (100, 80, 80, "09:00"),
        (100, 0, 100, "09:00"),
        (3, 1, 1, "10:00"),
        (3, 0, 3, "09:00"),
        (0, 0, 0, "10:00"),
    ],
)
def test_a_list_that_lost_too_much_is_not_believed(before, seen, size, until) -> None:
    """What was archived since it was believed last is asked for again; an empty list is not believed."""
    archive = Archive(before, at("09:00"), at("08:50"), is_due=True)
    notes = archive.notes(at("10:00"), seen, ShrinkBounds())
    assert notes["archived_records"] == size
    assert notes["archived_until"] == f"2026-11-23T{until}:00Z"


@pytest.mark.parametrize(
    ("days", "is_believed"), [(1, False), (89, False), (90, True), (400, True)]
)
def test_an_empty_list_is_believed_when_all_on_it_has_expired(days: int, is_believed: bool) -> None:
    """Records leave the list after 90 days, so that one which shows none is right then."""
    archive = Archive(1, at("10:00"), at("09:50"), is_due=True)
    to_at = at("10:00") + timedelta(days=days)
    assert archive.is_short(0, ShrinkBounds(), to_at) is not is_believed
    notes = archive.notes(to_at, 0, ShrinkBounds())
    moved = format_instant(to_at) if is_believed else "2026-11-23T10:00:00Z"
    assert notes == {"archived_records": 0 if is_believed else 1, "archived_until": moved}


def test_an_empty_list_without_a_moment_is_told_once() -> None:
    """Where nothing was believed up to a moment, nothing is kept by telling it again."""
    archive = Archive(3, None, at("08:50"), is_due=True)
    assert archive.is_short(0, ShrinkBounds(), at("10:00"))
    notes = archive.notes(at("10:00"), 0, ShrinkBounds())
    assert notes == {"archived_records": 0, "archived_until": None}


def test_an_empty_list_of_archived_records_revives_nobody(hub: Harness) -> None:
    """Records stay archived while the list shows none, and what was archived meanwhile is read when it is back."""
    hub.extract("contacts")
    before = archived(hub)
    key = min(Client(hub).all("contacts"))
    hub.advance(900)
    Client(hub).archive("contacts", key)
    # So long that the list is due, however few calls there are.
    hub.advance(86_400)
    emulator = hub.sandbox.emulations["hubspot"]
    handle = emulator.handle

    def handled(request: Any) -> Any:
        response = handle(request)
        is_list = request.query.get("archived") == "true" and request.method == "GET"
        return replace(response.unpacked(), body=b'{"results": []}') if is_list else response

    emulator.handle = handled
    hub.extract("contacts", mode="refresh")
    del emulator.handle
    assert archived(hub) == before
    hub.advance(3600)
    hub.extract("contacts", mode="refresh")
    assert archived(hub) == {*before, key}


def test_who_goes_on_reads_the_same_part() -> None:
    """What a read keeps of it for a process after it is all that there is."""
    archive = Archive(7, at("09:00"), at("08:50"), is_due=False)
    assert Archive.kept(archive.facts()) == archive
