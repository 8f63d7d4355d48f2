"""What changes at the vendor arrives: edits, new and archived and merged records, late ones too."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from crm_pipeline.connectors.hubspot import record_assembly, responses
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import CountMismatch, Unavailable
from crm_pipeline.stages.raw import probe
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, emulator, landed, run_sql
from crm_pipeline_tests.harness import Harness


def by_id(harness: Harness, obj: str = "contacts") -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in landed(harness, obj)}


def test_a_refresh_reads_what_changed(hub: Harness) -> None:
    """Edited, new and archived records, and nothing else, by one search."""
    hub.extract("contacts")
    client = Client(hub)
    first, second, *_ = sorted(client.all("contacts"))
    hub.advance(3600)
    client.edit("contacts", first, jobtitle="Chief")
    client.archive("contacts", second)
    new = client.create("contacts", lastname="New", email="new@example.net")
    hub.advance()
    done = hub.extract("contacts", mode="refresh")
    rows = by_id(hub)
    assert rows[first]["record"]["properties"]["jobtitle"] == "Chief"
    assert (rows[second]["deleted"], rows[new]["deleted"]) == (True, False)
    assert rows[second]["record"]["archived"] is True
    assert rows[second]["record"]["properties"]["email"] is not None, (
        "what was archived is shown whole"
    )
    assert (done.records, done.deleted, done.route) == (3, 1, "search")
    assert done.watermark == hub.clock.now()


def test_an_archived_record_is_of_the_window_of_its_end(hub: Harness) -> None:
    """The list of them knows no time: those of other windows are left out, and are not read by id."""
    hub.extract("contacts")
    before = len(Client(hub).calls("/contacts/batch/read"))
    hub.advance(3600)
    done = hub.extract("contacts", mode="refresh")
    assert (done.deleted, done.read) == (0, 0)
    assert len(Client(hub).calls("/contacts/batch/read")) == before


def test_routes_of_full_reads_are_not_for_refreshes(portal: Portal) -> None:
    """`route: both` reads everything from both ends once; then changes are searched for."""
    with portal(contacts=60, objects=[]) as hub:
        hub.extract("companies", route="both")
        hub.advance(3600)
        assert hub.extract("companies", route="both", mode="refresh").route == "search"
        assert hub.extract("companies", route="list", mode="refresh").route == "search"


def test_a_merge_leaves_one_record(hub: Harness) -> None:
    """The winner is a new record that names both; of the losers nobody says anything."""
    hub.extract("contacts")
    client = Client(hub)
    first, second, *_ = sorted(client.all("contacts"))
    hub.advance(3600)
    client.ask(
        "POST",
        "/crm/v3/objects/contacts/merge",
        {"primaryObjectId": first, "objectIdToMerge": second},
    )
    hub.advance()
    hub.extract("contacts", mode="refresh")
    rows = by_id(hub)
    named = "hs_merged_object_ids"
    winners = [row["record"] for row in rows.values() if row["record"]["properties"].get(named)]
    [winner] = [one for one in winners if first in one["properties"][named]]
    assert {first, second} <= set(winner["properties"][named].split(";"))
    assert winner["id"] in client.all("contacts")


def test_a_lagging_index_loses_nothing(hub: Harness) -> None:
    """What search does not show yet is found by the look-back."""
    hub.extract("contacts")
    client = Client(hub)
    record = min(client.all("contacts"))
    emulator(hub).set(search_lag_s=30)
    hub.advance(3600)
    client.edit("contacts", record, jobtitle="Chief")
    hub.advance(10)
    assert hub.extract("contacts", mode="refresh").records == 0
    hub.advance(60)
    assert hub.extract("contacts", mode="refresh").records == 1
    assert by_id(hub)[record]["record"]["properties"]["jobtitle"] == "Chief"


@pytest.mark.parametrize("by_id_too", [False, True])
def test_a_match_that_has_left_the_window_is_left_to_the_next(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, by_id_too: bool
) -> None:
    """The index still counts a record that was edited since; the counts agree all the same."""
    with portal(contacts=60, ceilings={"search_characters": 900} if by_id_too else {}) as hub:
        client = Client(hub)
        record, gone = sorted(client.all("contacts"))[:2]
        emulator(hub).set(search_lag_s=8)
        edit = _once(
            lambda: (
                client.edit("contacts", record, jobtitle="Later"),
                client.archive("contacts", gone),
            )
        )
        plain = Api.search

        def search(self: Api, name: str, body: Any, reader: Any) -> Any:
            if body["limit"] > 1:  # the window was counted; its pages come now
                edit()
            return plain(self, name, body, reader)

        monkeypatch.setattr(Api, "search", search)
        # Waiting for the index, time passes at the vendor too.
        monkeypatch.setattr(FrozenClock, "sleep", lambda clock, seconds: hub.advance(seconds))
        done = hub.extract("contacts", route="search")
        assert done.reconciled
        assert record not in by_id(hub)
        hub.advance(7200)
        hub.extract("contacts", mode="refresh")
        assert by_id(hub)[record]["record"]["properties"]["jobtitle"] == "Later"
        assert by_id(hub)[gone]["deleted"]


@pytest.mark.parametrize("route", ["search", "list", "both"])
def test_pages_of_records_that_are_gone_are_no_end(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    """The index still counts a dozen that were archived just now: what lies behind them is read all the same."""
    pages = {"search_records": 4, "list_records": 4}
    with portal(contacts=60, objects=["contacts"], ceilings=pages) as hub:
        client = Client(hub)
        every = sorted(client.all("contacts"))
        emulator(hub).set(search_lag_s=8)
        for record in every[20:32]:
            client.archive("contacts", record)
        # Waiting for the index, time passes at the vendor too.
        monkeypatch.setattr(FrozenClock, "sleep", lambda clock, seconds: hub.advance(seconds))
        # The package has a function of the module's name.
        monkeypatch.setattr(import_module("crm_pipeline.stages.raw.extract"), "_ATTEMPTS", 1)
        done = hub.extract("contacts", route=route)
        assert done.reconciled
        assert {one for one, row in by_id(hub).items() if not row["deleted"]} == {
            *every[:20],
            *every[32:],
        }


def test_more_gone_records_than_a_search_shows_are_an_error(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No place beyond the wall is asked for; the counts say that something is missing, and nothing is kept."""
    with portal(
        contacts=60, objects=["contacts"], ceilings={"search_records": 4, "search_results": 10}
    ) as hub:
        client = Client(hub)
        emulator(hub).set(search_lag_s=8)
        for record in sorted(client.all("contacts"))[20:32]:
            client.archive("contacts", record)
        monkeypatch.setattr(FrozenClock, "sleep", lambda clock, seconds: hub.advance(seconds))
        monkeypatch.setattr(import_module("crm_pipeline.stages.raw.extract"), "_ATTEMPTS", 1)
        hub.sandbox.journal.clear()
        with pytest.raises(CountMismatch):
            hub.extract("contacts", route="search")
        asked = [
            row for row in hub.sandbox.journal.as_rows() if "/associations/" not in row["path"]
        ]
        assert {row["status"] for row in asked} == {200}
        assert hub.landing.windows("demo", "contacts") == []
        assert hub.extract("contacts", route="search").reconciled


def test_what_is_counted_and_never_shown_is_an_error(
    hub: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index may lag; a record that stays hidden is missing."""
    hidden, plain = min(Client(hub).all("contacts")), responses.read

    def read(body: bytes, *given: Any, **options: Any) -> Any:
        answer = plain(body, *given, **options)
        kept = answer.records.only([one != hidden for one in answer.records.ids])
        return replace(answer, records=kept)

    monkeypatch.setattr(responses, "read", read)
    with pytest.raises(CountMismatch):
        hub.extract("contacts", route="search")
    assert hub.clock.slept
    assert hub.landing.windows("demo", "contacts") == []


def _once(act: Any) -> Any:
    done: list[int] = []

    def called() -> None:
        if not done:
            done.append(1)
            act()

    return called


def test_without_looking_for_strays_the_counts_would_differ(
    hub: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault of the claim before."""
    monkeypatch.setattr(record_assembly.StaleIndexHits, "add", lambda *_: None)
    client = Client(hub)
    record = min(client.all("contacts"))
    emulator(hub).set(search_lag_s=3600)
    client.edit("contacts", record, jobtitle="Later")
    with pytest.raises(CountMismatch):
        hub.extract("contacts", route="search")


def test_a_record_left_out_of_a_batch_is_asked_for_again(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an answer leaves out without a word is read again; left out twice, it is an error."""
    with portal(contacts=60, ceilings={"search_characters": 900}) as hub:
        client = Client(hub)
        left_out = sorted(client.all("contacts"))[5]
        plain, spoiled = Api.batch_read, {"left": 1}

        def batch_read(self: Api, name: str, body: Any, reader: Any, *, archived: bool) -> Any:
            if spoiled["left"]:
                spoiled["left"] -= 1
                body = {**body, "inputs": [x for x in body["inputs"] if x["id"] != left_out]}
            return plain(self, name, body, reader, archived=archived)

        monkeypatch.setattr(Api, "batch_read", batch_read)
        hub.extract("contacts", route="search")
        assert left_out in by_id(hub)
        spoiled["left"] = 1_000
        with pytest.raises(Unavailable, match="left 1 of"):
            hub.extract("contacts", route="search")


@pytest.mark.parametrize("status", [207, 200])
def test_a_record_that_goes_while_it_is_read(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Between a search and the batch a record was archived: both forms of the answer say so."""
    with portal(contacts=60, ceilings={"search_characters": 900}) as hub:
        client = Client(hub)
        gone = sorted(client.all("contacts"))[5]
        emulator(hub).set(partial_status=status, search_lag_s=3600)
        archive = _once(lambda: client.archive("contacts", gone))
        plain = Api.batch_read

        def batch_read(self: Api, name: str, body: Any, reader: Any, *, archived: bool) -> Any:
            archive()
            return plain(self, name, body, reader, archived=archived)

        monkeypatch.setattr(Api, "batch_read", batch_read)
        done = hub.extract("contacts", route="search")
        assert gone not in by_id(hub)
        assert done.reconciled


def test_a_probe_is_one_search(hub: Harness) -> None:
    """It says how many changed and when the last one did."""
    hub.extract("contacts")
    client = Client(hub)
    hub.sandbox.journal.clear()
    with hub.account() as account:
        objects = [hub.settings.connection("demo").object("contacts")]
        assert not probe(account, objects, hub.landing).news
        hub.advance(3600)
        client.edit("contacts", min(client.all("contacts")), jobtitle="Chief")
        [news] = probe(account, objects, hub.landing).news
    assert (news.changed, news.landed) == (1, 0)
    assert news.newest == hub.clock.now()
    assert len(client.calls("/contacts/search")) == 2


def test_stamps_from_a_clock_without_milliseconds(hub: Harness) -> None:
    """A stamp is kept to the millisecond."""
    run_sql(
        hub,
        'UPDATE "contacts" SET _updated = 1790000000123 WHERE _id = (SELECT min(_id) FROM "contacts")',
    )
    hub.extract("contacts")
    [row] = [r for r in landed(hub) if r["modified"].microsecond == 123_000]
    assert row["record"]["properties"]["lastmodifieddate"].endswith(".123Z")
