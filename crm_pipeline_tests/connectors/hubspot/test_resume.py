"""A read that was killed is gone on with: what was done is not asked for again."""

from urllib.parse import parse_qs

import psutil
import pytest

from crm_pipeline.connectors import range_reader
from crm_pipeline.connectors.hubspot import reading
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store import files
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Still, landed
from crm_pipeline_tests.harness import Harness

SLICE = 20
ROUTES = ("search", "list", "both")
_MODULES = ("record_assembly", "search", "listing", "estimate")


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices and chunks of 20 records, so that a small world has many."""
    monkeypatch.setattr(range_reader, "_CHUNK_ROWS", SLICE)
    for name in _MODULES:
        monkeypatch.setattr(f"crm_pipeline.connectors.hubspot.{name}.BATCH_RECORDS", SLICE)


PAGES = {"search_records": 10, "list_records": 10}
AFTER = 60


def killed(hub: Harness, route: str, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Run a read whose process ends after some records, without any clean-up."""

    def stop(records: int, _: int | None) -> None:
        if records >= after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(WindowWriter, "__exit__", lambda *_: None)
        with pytest.raises(Killed):
            hub.extract("contacts", route=route, on_progress=stop)
    [marker] = hub.paths("landing/demo/contacts/windows/*.open")
    gone = next(pid for pid in range(4_000_000, 5_000_000) if not psutil.pid_exists(pid))
    files.write_json(marker, {**files.read_json(marker), "pid": gone})


def compare(hub: Harness) -> None:
    client, rows = Client(hub), landed(hub)
    assert {row["id"] for row in rows if not row["deleted"]} == set(client.all("contacts"))
    archived = set(client.all("contacts", archived="true"))
    assert {row["id"] for row in rows if row["deleted"]} == archived


def test_another_plan_begins_anew(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read with other associations is thrown away: half of it would lack some."""
    hub = still(objects=["contacts"], ceilings=PAGES)
    killed(hub, "search", monkeypatch, after=AFTER)
    others = (*hub.settings.connection("demo").objects, ObjectSettings("deals"))
    vars(hub.settings.connections["demo"])["objects"] = others
    done = hub.extract("contacts", route="search")
    assert "resumed" not in done.reason
    compare(hub)
    assert all("associations" in row["record"] for row in landed(hub) if not row["deleted"])


def test_a_list_goes_on_at_the_vendors_mark(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at an id of ours: the next call names the `after` that the last answer gave."""
    hub = still(objects=["contacts"], ceilings=PAGES)
    killed(hub, "list", monkeypatch, after=AFTER)
    hub.sandbox.journal.clear()
    hub.extract("contacts", route="list")
    again = _afters(hub)
    assert again
    assert "" not in again, "the list was read from its beginning again"
    assert set(again) <= _marks(hub)


def _afters(hub: Harness) -> list[str]:
    lists = [
        one
        for one in Client(hub).calls("/objects/2026-09/contacts", "GET")
        if "archived" not in one
    ]
    return [parse_qs(one.partition("?")[2]).get("after", [""])[0] for one in lists]


def _marks(hub: Harness) -> set[str]:
    """Return every mark that the list gives, page by page."""
    client, found, after = Client(hub), set(), ""
    while True:
        page = client.ask(
            "GET", "/crm/v3/objects/contacts", limit="10", **({"after": after} if after else {})
        )
        if "paging" not in page:
            return found
        after = page["paging"]["next"]["after"]
        found.add(after)


def test_archived_records_are_not_read_twice(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill at the very end leaves nothing to read but what was not noted."""
    hub = still(objects=["contacts"], ceilings=PAGES)
    total = len(Client(hub).all("contacts")) + len(Client(hub).all("contacts", archived="true"))
    killed(hub, "search", monkeypatch, after=total)
    hub.sandbox.journal.clear()
    done = hub.extract("contacts", route="search")
    assert done.read == total
    on_list = len(Client(hub).all("contacts", archived="true"))
    noted = hub.landing.notes("demo", "contacts")
    assert noted["archived_records"] == on_list, "those of the killed process are counted too"
    assert Client(hub).calls("/contacts/batch/read") == []
    compare(hub)


def test_a_request_of_an_older_version() -> None:
    """Checkpoints of before the workers were called so are resumed, and new ones are read by that version."""
    request = {"route": "list", "low": 1, "bound": 0, "high": 9, "lanes": 3, "archive": {}}
    division = reading._Division.of(request)
    assert division.workers == 3
    assert division.request() == request
    request["workers"] = request.pop("lanes")  # as it was for a day
    assert reading._Division.of(request) == division
