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
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Scene, SceneMaker

NAME = "deal_changes"
OBJECTS = f"[deals, {NAME}]"


def changes(scene: Scene, field: str = "stage_id") -> list[dict[str, Any]]:
    """The changes of a field of living deals, as the company keeps them."""
    alive = {str(row["id"]) for row in deals(scene)}
    tables = scene.company.companies["main"].tables
    sql = "SELECT * FROM changes WHERE entity = 'deals' AND field_key = ? ORDER BY seq"
    return [row for row in tables.rows(sql, [field]) if row["record"] in alive]


def deals(scene: Scene) -> list[dict[str, Any]]:
    return scene.company.rows("deals")


def history(scene: Scene, folder: Path) -> dict[str, list[tuple[str, datetime, str]]]:
    """The published stages of each deal, in order."""
    build(scene, folder)
    found: dict[str, list[tuple[str, datetime, str]]] = {}
    columns = "deal_source_id, stage, changed_at AT TIME ZONE 'UTC', changed_by_source_id"
    told = rows(
        scene, "deal_stage_history", f"{columns}, custom ->> 'field_key', custom ->> 'number'"
    )
    for deal, *row, field, _ in sorted(told, key=lambda one: (one[0], int(one[-1]))):
        if field == "stage_id":
            found.setdefault(deal, []).append(tuple(row))
    return found


def truth(scene: Scene) -> dict[str, list[tuple[str, datetime, str]]]:
    moves: dict[str, list[dict[str, Any]]] = {}
    for row in changes(scene):
        moves.setdefault(row["record"], []).append(row)
    found = {}
    for row in deals(scene):
        told = moves.get(str(row["id"]), [])
        first = told[0]["old_value"] if told else str(row["stage_id"])
        begun = (first, row["add_time"], str(row["creator_user_id"]))
        later = [(one["new_value"], one["moment"], str(one["actor"])) for one in told]
        found[str(row["id"])] = [begun, *later]
    return found


def test_the_history_of_every_deal(make_scene: SceneMaker, tmp_path: Path) -> None:
    """Every living deal, archived ones too: the stage that it began in, then each change of it."""
    with make_scene(contacts=40, objects=OBJECTS) as scene:
        done = scene.extract(NAME)
        assert history(scene, tmp_path / "engine") == truth(scene)
        assert max(len(told) for told in truth(scene).values()) > 2
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost)
        assert done.cost == 20 * len(deals(scene)) + 10 + 20 + 5
        stages = {row["new_value"] for row in changes(scene)}
        assert {row[0] for told in truth(scene).values() for row in told} >= stages
        landed = [json.loads(text) for text in scene.landed(done)["record"].to_pylist()]
        others = [one["field_key"] for record in landed for one in record["changes"]]
        assert others.count("value") == len(changes(scene, "value"))


def test_only_changed_deals_are_asked(make_scene: SceneMaker, tmp_path: Path) -> None:
    """A refresh asks the deals that changed since, and plans just that; nothing changed costs no history."""
    with make_scene(contacts=40, objects=OBJECTS) as scene:
        scene.extract(NAME)
        first, second, *_ = (row for row in deals(scene) if not row["is_archived"])
        start = scene.clock.now()
        scene.advance(60)
        other = next(one for one in scene.company.rows("stages") if one["id"] != first["stage_id"])
        scene.company.edit("deals", first["id"], stage_id=other["id"])
        scene.company.edit("deals", second["id"], title="Another")
        scene.advance(60)
        scene.sandbox.journal.clear()
        done = scene.extract(NAME, window=Window(start, scene.clock.now()))
        asked = [one.path for one in scene.sandbox.journal.entries(path="changelog")]
        assert sorted(asked) == sorted(
            f"/v1/deals/{one['id']}/changelog" for one in (first, second)
        )
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost) == (5, 75)
        found = history(scene, tmp_path / "engine")
        assert found == truth(scene)
        assert found[str(first["id"])][-1][0] == str(other["id"])
        start = scene.clock.now()
        scene.advance(60)
        again = scene.extract(NAME, window=Window(start, scene.clock.now()))
        assert (again.cost, again.planned_cost) == (30, 30)


def test_long_changelogs(make_scene: SceneMaker, tmp_path: Path) -> None:
    """A changelog of several pages is read to its end; that costs more than planned, and says so."""
    ceilings = f"{WIDE}, page_records: 2"
    with make_scene(contacts=20, objects=OBJECTS, ceilings=ceilings) as scene:
        done = scene.extract(NAME)
        assert history(scene, tmp_path / "engine") == truth(scene)
        assert done.calls > len(deals(scene)) + 2


def test_a_deal_that_is_deleted_meanwhile(make_scene: SceneMaker) -> None:
    """It was listed and has no changelog any more: it is left out, and nothing fails."""
    with make_scene(contacts=20, objects=OBJECTS) as scene:
        gone = deals(scene)[0]["id"]
        body = '{"success":false,"error":"Object was not found."}'
        path = f"/deals/{gone}/changelog"
        scene.sandbox.faults.order("status", status=404, body=body, path=path)
        assert str(gone) not in scene.ids(scene.extract(NAME))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"success":true,"data":null,"additional_data":{"next_cursor":"x"}}', "more are to come"),
        ("{}", "is not what the vendor documents"),
        ('{"success":true,"data":[]', "is not what the vendor documents"),
    ],
)
def test_an_answer_without_a_list_is_no_empty_history(
    make_scene: SceneMaker, body: str, words: str
) -> None:
    """200 without data is no changelog; a null with nothing behind it is an empty one."""
    with make_scene(contacts=20, objects=OBJECTS) as scene:
        path = f"/deals/{deals(scene)[0]['id']}/changelog"
        scene.sandbox.faults.order("status", status=200, body=body, path=path, times=3)
        with pytest.raises(MalformedAnswer, match=words):
            scene.extract(NAME)
        for told in ("", ',"additional_data":{"next_cursor":null}'):
            empty = f'{{"success":true,"data":null{told}}}'
            scene.sandbox.faults.order("status", status=200, body=empty, path=path)
            assert scene.extract(NAME).read == len(deals(scene))


def test_nobody_pays_who_did_not_ask(still: Scene) -> None:
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
    assert "the changelog of each of" in plan.routes[0].how
    assert plan.cost > 20 * 0.8 * len(deals(still))


def test_the_scope_that_it_needs(make_scene: SceneMaker) -> None:
    """An app without it is told which scope to add, also by `check`."""
    with make_scene(contacts=20, kind="refresh_token", objects=OBJECTS) as scene:
        scene.company.grant(["base", "deals:read"])
        with scene.account() as account:
            failed = [one.detail for one in account.check().findings if one.level == "fail"]
            assert [detail.split()[0] for detail in failed] == [NAME]
        with pytest.raises(NotPermitted) as caught:
            scene.extract(NAME)
        assert "'recents:read'" in caught.value.cure
