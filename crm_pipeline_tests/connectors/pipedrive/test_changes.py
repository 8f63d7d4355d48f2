"""The history of deals, asked for deal by deal: what it says, what it costs, and who pays it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedAnswer, NotPermitted
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

NAME = "deal_changes"
OBJECTS = f"[deals, {NAME}]"


def changes(harness: Harness, field: str = "stage_id") -> list[dict[str, Any]]:
    """The changes of a field of living deals, as the company keeps them."""
    alive = {str(row["id"]) for row in deals(harness)}
    tables = harness.company.companies["main"].tables
    sql = "SELECT * FROM changes WHERE entity = 'deals' AND field_key = ? ORDER BY seq"
    return [row for row in tables.rows(sql, [field]) if row["record"] in alive]


def deals(harness: Harness) -> list[dict[str, Any]]:
    return harness.company.rows("deals")


def history(harness: Harness, folder: Path) -> dict[str, list[tuple[str, datetime, str]]]:
    """The published stages of each deal, in order."""
    build(harness, folder)
    found: dict[str, list[tuple[str, datetime, str]]] = {}
    columns = "deal_source_id, stage, changed_at AT TIME ZONE 'UTC', changed_by_source_id"
    told = rows(
        harness, "deal_stage_history", f"{columns}, custom ->> 'field_key', custom ->> 'number'"
    )
    for deal, *row, field, _ in sorted(told, key=lambda one: (one[0], int(one[-1]))):
        if field == "stage_id":
            found.setdefault(deal, []).append(tuple(row))
    return found


def truth(harness: Harness) -> dict[str, list[tuple[str, datetime, str]]]:
    moves: dict[str, list[dict[str, Any]]] = {}
    for row in changes(harness):
        moves.setdefault(row["record"], []).append(row)
    found = {}
    for row in deals(harness):
        told = moves.get(str(row["id"]), [])
        first = told[0]["old_value"] if told else str(row["stage_id"])
        begun = (first, row["add_time"], str(row["creator_user_id"]))
        later = [(one["new_value"], one["moment"], str(one["actor"])) for one in told]
        found[str(row["id"])] = [begun, *later]
    return found


def test_the_history_of_every_deal(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """Every living deal, archived ones too: the stage that it began in, then each change of it."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        done = harness.extract(NAME)
        assert history(harness, tmp_path / "engine") == truth(harness)
        assert max(len(told) for told in truth(harness).values()) > 2
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost)
        assert done.cost == 20 * len(deals(harness)) + 10 + 20 + 5
        stages = {row["new_value"] for row in changes(harness)}
        assert {row[0] for told in truth(harness).values() for row in told} >= stages
        landed = [json.loads(text) for text in harness.landed(done)["record"].to_pylist()]
        others = [one["field_key"] for record in landed for one in record["changes"]]
        assert others.count("value") == len(changes(harness, "value"))


def test_only_changed_deals_are_asked(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """A refresh asks the deals that changed since, and plans just that; nothing changed costs no history."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        harness.extract(NAME)
        first, second, *_ = (row for row in deals(harness) if not row["is_archived"])
        start = harness.clock.now()
        harness.advance(60)
        other = next(
            one for one in harness.company.rows("stages") if one["id"] != first["stage_id"]
        )
        harness.company.edit("deals", first["id"], stage_id=other["id"])
        harness.company.edit("deals", second["id"], title="Another")
        harness.advance(60)
        harness.sandbox.journal.clear()
        done = harness.extract(NAME, window=Window(start, harness.clock.now()))
        asked = [one.path for one in harness.sandbox.journal.entries(path="changelog")]
        assert sorted(asked) == sorted(
            f"/v1/deals/{one['id']}/changelog" for one in (first, second)
        )
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost) == (5, 75)
        found = history(harness, tmp_path / "engine")
        assert found == truth(harness)
        assert found[str(first["id"])][-1][0] == str(other["id"])
        start = harness.clock.now()
        harness.advance(60)
        again = harness.extract(NAME, window=Window(start, harness.clock.now()))
        assert (again.cost, again.planned_cost) == (30, 30)


def test_long_changelogs(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """A changelog of several pages is read to its end; that costs more than planned, and says so."""
    ceilings = f"{WIDE}, page_records: 2"
    with make_harness(contacts=20, objects=OBJECTS, ceilings=ceilings) as harness:
        done = harness.extract(NAME)
        assert history(harness, tmp_path / "engine") == truth(harness)
        assert done.calls > len(deals(harness)) + 2


def test_a_deal_that_is_deleted_meanwhile(make_harness: HarnessMaker) -> None:
    """It was listed and has no changelog any more: it is left out, and nothing fails."""
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        gone = deals(harness)[0]["id"]
        body = '{"success":false,"error":"Object was not found."}'
        path = f"/deals/{gone}/changelog"
        harness.sandbox.faults.order("status", status=404, body=body, path=path)
        assert str(gone) not in harness.ids(harness.extract(NAME))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"success":true,"data":null,"additional_data":{"next_cursor":"x"}}', "more are to come"),
        ("{}", "is not what the vendor documents"),
        ('{"success":true,"data":[]', "is not what the vendor documents"),
    ],
)
def test_an_answer_without_a_list_is_no_empty_history(
    make_harness: HarnessMaker, body: str, words: str
) -> None:
    """200 without data is no changelog; a null with nothing behind it is an empty one."""
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        path = f"/deals/{deals(harness)[0]['id']}/changelog"
        harness.sandbox.faults.order("status", status=200, body=body, path=path, times=3)
        with pytest.raises(MalformedAnswer, match=words):
            harness.extract(NAME)
        for told in ("", ',"additional_data":{"next_cursor":null}'):
            empty = f'{{"success":true,"data":null{told}}}'
            harness.sandbox.faults.order("status", status=200, body=empty, path=path)
            assert harness.extract(NAME).read == len(deals(harness))


def test_nobody_pays_who_did_not_ask(still: Harness) -> None:
    """It is no default object; its plan tells the price of each deal."""
    assert NAME not in connector("pipedrive").default_objects
    with still.account() as account:
        assert NAME in {one.name for one in account.objects()}
        plan = account.plan(ObjectSettings(NAME), None)
        _, shown = account.preview(NAME, 2)
        assert len(shown) == 2
        assert all(row["stages"] for row in shown)
        stamp = max(row["update_time"] for row in deals(still) if row["update_time"])
        assert account.probe_changes(plan.schema, stamp.replace(tzinfo=UTC))[1] is not None
    assert "the changelog of each of" in plan.strategies[0].how
    assert plan.cost > 20 * 0.8 * len(deals(still))


def test_the_scope_that_it_needs(make_harness: HarnessMaker) -> None:
    """An app without it is told which scope to add, also by `check`."""
    with make_harness(contacts=20, kind="refresh_token", objects=OBJECTS) as harness:
        harness.company.grant(["base", "deals:read"])
        with harness.account() as account:
            failed = [one.detail for one in account.check().findings if one.level == "fail"]
            assert [detail.split()[0] for detail in failed] == [NAME]
        with pytest.raises(NotPermitted) as caught:
            harness.extract(NAME)
        assert "'recents:read'" in caught.value.cure
