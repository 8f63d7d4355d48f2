"""The participants of deals: links, cost, removals, and that only deals with participants cost calls."""

from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

NAME = "deal_participants"
OBJECTS = f"[deals, {NAME}]"


def people(harness: Harness) -> set[tuple[str, str]]:
    """Return the participants of live deals from the company's tables."""
    deals = {row["id"]: row["person_id"] for row in harness.company.rows("deals")}
    stored = tables(harness).rows("SELECT deal_id, person_id FROM participants")
    pairs = {(row["deal_id"], row["person_id"]) for row in stored if row["deal_id"] in deals}
    pairs |= {(deal, person) for deal, person in deals.items() if person is not None}
    return {(str(deal), str(person)) for deal, person in pairs}


def tables(harness: Harness) -> Any:
    return harness.company.companies["main"].tables


def linked(harness: Harness, folder: Path) -> set[tuple[str, str]]:
    """Return the live links of the tables."""
    build(harness, folder)
    stored = rows(harness, "associations", "from_source_id, to_source_id, is_deleted")
    return {row[:2] for row in stored if not row[2]}


def test_the_people_of_every_deal(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """Deals with a count of zero cost nothing; long lists are read to their end; the plan shows the cost."""
    with make_harness(
        contacts=60, objects=OBJECTS, ceilings=f"{WIDE}, page_records: 50"
    ) as harness:
        done = harness.extract(NAME)
        assert linked(harness, tmp_path / "engine") == people(harness)
        with_people = {deal for deal, _ in people(harness)}
        assert 0 < len(with_people) < len(harness.company.rows("deals"))
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost)
        assert done.cost == 10 * len(with_people) + 10 + 20
        assert NAME not in connector("pipedrive").default_objects


def test_lists_of_several_pages(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """All participants of a deal are read, also if they take several pages."""
    with make_harness(contacts=60, objects=OBJECTS, ceilings=f"{WIDE}, page_records: 1") as harness:
        harness.extract(NAME)
        assert linked(harness, tmp_path / "engine") == people(harness)
        counts = [deal for deal, _ in people(harness)]
        assert max(counts.count(deal) for deal in counts) > 1


def test_removed_participants(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """A changed deal is read again: new participants are linked, removed ones are not, down to the last."""
    with make_harness(contacts=60, objects=OBJECTS) as harness:
        harness.extract(NAME)
        before = people(harness)
        several = [deal for deal, _ in before if sum(link[0] == deal for link in before) > 1]
        first, second = (
            int(several[0]),
            int(next(other for other in several if other != several[0])),
        )
        start = harness.clock.now()
        harness.advance(60)
        with tables(harness).writing() as cursor:
            cursor.execute("DELETE FROM participants WHERE deal_id IN (?, ?)", [first, second])
        harness.company.edit("deals", first, person_id=None)
        harness.company.edit("deals", second, title="Another")
        harness.advance(60)
        harness.extract(NAME, window=Window(start, harness.clock.now()))
        after = linked(harness, tmp_path / "engine")
        assert after == people(harness)
        assert str(first) not in {deal for deal, _ in after}
        assert str(second) in {deal for deal, _ in after}


def test_a_repeated_page(make_harness: HarnessMaker) -> None:
    """A page that names itself as the next one ends the read."""
    body = (
        '{"success":true,"data":[{"id":1,"person_id":{"value":2}}],"additional_data":{"pagination":'
        '{"start":0,"more_items_in_collection":true,"next_start":0}}}'
    )
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        harness.sandbox.faults.order("status", status=200, body=body, path="/participants")
        with pytest.raises(ProtocolError, match="the same page twice"):
            harness.extract(NAME)
