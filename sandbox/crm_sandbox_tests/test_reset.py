from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.observations import differences, logged_in, observed
from crm_sandbox_tests.upheavals import turned_upside_down

VENDORS = ("salesforce", "hubspot", "pipedrive", "zoho")


def server(vendor: str) -> SandboxServer:
    return SandboxServer(contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=[vendor])


@pytest.fixture
def pipedrive() -> Iterator[SandboxServer]:
    with server("pipedrive") as running:
        yield running


@pytest.mark.parametrize("vendor", VENDORS)
def test_after_a_reset_nothing_is_left_of_any_change(vendor: str) -> None:
    """Whatever was changed by the admin API and the vendor's, everything equals a fresh server's."""
    with server(vendor) as fresh, server(vendor) as used:
        expected = observed(fresh, vendor)
        done = turned_upside_down(used, vendor)
        unknown = requests.post(f"{used.url}/_admin/{vendor}/nothing").json()["error"]
        assert done == set(re.split(r", ", unknown.split("known: ")[1])), "all actions are tried"
        assert requests.post(f"{used.url}/_admin/reset").status_code == 200
        assert differences(expected, observed(used, vendor)) == []


@pytest.mark.parametrize(
    "plant",
    [
        lambda s: s.emulations["pipedrive"].edit("persons", 1, name="Left over"),
        lambda s: s.emulations["pipedrive"].set_company(flat_paging=True),
        lambda s: s.emulations["pipedrive"].rotate(on=False),
        lambda s: s.emulations["pipedrive"].add_field("deals", "Left over"),
        lambda s: s.faults.order("drop", path="/never"),
        lambda s: s.clock.advance(1),
        lambda s: s.pace.set({"ceilings": [[1000, 1]]}),
        lambda s: logged_in(s, "pipedrive").get(f"{s.url}/pipedrive/v1/users/me"),
    ],
    ids=["record", "setting", "token", "schema", "fault", "clock", "pace", "journal"],
)
def test_a_leftover_is_seen(
    pipedrive: SandboxServer, untouched: dict[str, Any], plant: Callable[[Any], Any]
) -> None:
    """One leftover of any kind is enough for the comparison above to fail."""
    plant(pipedrive)
    assert differences(untouched, observed(pipedrive, "pipedrive"))


@pytest.fixture(scope="module")
def untouched() -> dict[str, Any]:
    with server("pipedrive") as running:
        return observed(running, "pipedrive")


def test_prepared_tables_are_not_touched_by_who_writes(pipedrive: SandboxServer) -> None:
    """Two servers of the same world share what was drawn, and neither sees what the other changes."""
    with server("pipedrive") as other:
        one, two = (any_of(running) for running in (pipedrive, other))
        before = two.rows("persons", limit=1)
        one.edit("persons", before[0]["id"], name="Changed")
        assert two.rows("persons", limit=1) == before
        assert one.rows("persons", limit=1)[0]["name"] == "Changed"
        two.edit("persons", before[0]["id"], name="Changed, too")
        assert one.rows("persons", limit=1)[0]["name"] == "Changed"


def test_a_world_is_drawn_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same vendor, seed, size and moment give prepared tables; another seed is drawn anew."""
    from crm_sandbox.pipedrive import company_data

    drawn: list[int] = []
    fill = company_data.fill  # type: ignore[attr-defined]
    monkeypatch.setattr(
        company_data, "fill", lambda staging, *rest: (drawn.append(1), fill(staging, *rest))
    )
    for seed in (912, 912, 913):
        with SandboxServer(contacts=20, seed=seed, now=NOW, vendors=["pipedrive"]) as running:
            any_of(running).count("persons")
            running.reset()
            any_of(running).count("persons")
    assert len(drawn) == 2


def test_a_waiting_request_is_let_go_and_leaves_no_trace(pipedrive: SandboxServer) -> None:
    """What a fault keeps waiting ends with the reset, and is not in the journal of the new world."""
    pipedrive.faults.order("slow", seconds=60)
    statuses: list[int] = []

    def ask() -> None:
        with logged_in(pipedrive, "pipedrive") as http:
            statuses.append(http.get(f"{pipedrive.url}/pipedrive/v1/users/me").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while not pipedrive.faults.listed()[0]["consumed"]:
        time.sleep(0.001)
    pipedrive.reset()
    asking.join(timeout=10)
    assert (statuses, pipedrive.journal.count()) == ([200], 0)


def test_only_a_post_resets(pipedrive: SandboxServer) -> None:
    """A GET of the address is refused with a sentence, and changes nothing."""
    any_of(pipedrive).edit("persons", 1, name="Kept")
    assert requests.get(f"{pipedrive.url}/_admin/reset").status_code == 400
    assert any_of(pipedrive).rows("persons", limit=1)[0]["name"] == "Kept"


def any_of(running: SandboxServer) -> Any:
    return running.emulations["pipedrive"]


def test_no_more_than_so_many_populations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unused one goes first, by number and by size; a large one is never kept."""
    from crm_sandbox import populations
    from crm_sandbox.world import World

    monkeypatch.setattr(populations, "_KEPT", populations._Kept())
    monkeypatch.setattr(populations, "_MOST_KEPT", 2)
    drawn: list[int] = []

    def opened(seed: int, contacts: int = 20) -> None:
        world = World(seed, contacts, NOW.replace(tzinfo=None))
        populations.Population.of("a", world, lambda _: drawn.append(seed)).open().close()

    for seed in (1, 2, 1, 3, 1, 2):
        opened(seed)
    assert drawn == [1, 2, 3, 2]
    monkeypatch.setattr(populations, "_MOST_CONTACTS", 50)
    for seed, contacts in ((5, 40), (6, 40), (5, 40), (7, 60), (7, 60)):
        opened(seed, contacts)
    assert drawn[4:] == [5, 6, 5, 7, 7]
