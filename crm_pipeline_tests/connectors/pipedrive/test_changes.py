"""The changelogs of deals: their states, their cost, and that only configured objects cost it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

NAME = "deal_changes"
OBJECTS = f"[deals, {NAME}]"


def changes(harness: Harness, field: str = "stage_id") -> list[dict[str, Any]]:
    """Return the changes of a field of live deals from the company's tables."""
    alive = {str(row["id"]) for row in deals(harness)}
    tables = harness.company.companies["main"].tables
    sql = "SELECT * FROM changes WHERE entity = 'deals' AND field_key = ? ORDER BY seq"
    return [row for row in tables.rows(sql, [field]) if row["record"] in alive]


def deals(harness: Harness) -> list[dict[str, Any]]:
    return harness.company.rows("deals")


def history(harness: Harness, folder: Path) -> dict[str, list[tuple[str, datetime, str]]]:
    """Return the published stages of each deal, in order."""
    build(harness, folder)
    histories: dict[str, list[tuple[str, datetime, str]]] = {}
    columns = "deal_source_id, stage, changed_at AT TIME ZONE 'UTC', changed_by_source_id"
    stored = rows(
        harness, "deal_stage_history", f"{columns}, custom ->> 'field_key', custom ->> 'number'"
    )
    for deal, *row, field, _ in sorted(stored, key=lambda values: (values[0], int(values[-1]))):
        if field == "stage_id":
            histories.setdefault(deal, []).append(tuple(row))
    return histories


def truth(harness: Harness) -> dict[str, list[tuple[str, datetime, str]]]:
    moves: dict[str, list[dict[str, Any]]] = {}
    for row in changes(harness):
        moves.setdefault(row["record"], []).append(row)
    histories = {}
    for row in deals(harness):
        own_moves = moves.get(str(row["id"]), [])
        first = own_moves[0]["old_value"] if own_moves else str(row["stage_id"])
        initial = (first, row["add_time"], str(row["creator_user_id"]))
        later = [(move["new_value"], move["moment"], str(move["actor"])) for move in own_moves]
        histories[str(row["id"])] = [initial, *later]
    return histories


def test_the_history_of_every_deal(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """Every live deal, including archived ones, has its first stage and each change of the stage."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        done = harness.extract(NAME)
        assert history(harness, tmp_path / "engine") == truth(harness)
        assert max(len(entered) for entered in truth(harness).values()) > 2
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost)
        assert done.cost == 20 * len(deals(harness)) + 10 + 20 + 5
        stages = {row["new_value"] for row in changes(harness)}
        assert {row[0] for entered in truth(harness).values() for row in entered} >= stages
        landed = [json.loads(text) for text in harness.landed(done)["record"].to_pylist()]
        others = [change["field_key"] for record in landed for change in record["changes"]]
        assert others.count("value") == len(changes(harness, "value"))


def test_only_changed_deals_are_requested(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """A refresh requests only the changelogs of changed deals, as planned; without changes it requests none."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        harness.extract(NAME)
        first, second, *_ = (row for row in deals(harness) if not row["is_archived"])
        start = harness.clock.now()
        harness.advance(60)
        other = next(
            stage for stage in harness.company.rows("stages") if stage["id"] != first["stage_id"]
        )
        harness.company.edit("deals", first["id"], stage_id=other["id"])
        harness.company.edit("deals", second["id"], title="Another")
        harness.advance(60)
        harness.sandbox.journal.clear()
        done = harness.extract(NAME, window=Window(start, harness.clock.now()))
        asked = [entry.path for entry in harness.sandbox.journal.entries(path="changelog")]
        assert sorted(asked) == sorted(
            f"/v1/deals/{deal['id']}/changelog" for deal in (first, second)
        )
        assert (done.calls, done.cost) == (done.planned_calls, done.planned_cost) == (5, 75)
        published = history(harness, tmp_path / "engine")
        assert published == truth(harness)
        assert published[str(first["id"])][-1][0] == str(other["id"])
        start = harness.clock.now()
        harness.advance(60)
        again = harness.extract(NAME, window=Window(start, harness.clock.now()))
        assert (again.cost, again.planned_cost) == (30, 30)


def test_long_changelogs(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """A changelog of several pages is read to its end; this costs more than planned, and is reported."""
    ceilings = f"{WIDE}, page_records: 2"
    with make_harness(contacts=20, objects=OBJECTS, ceilings=ceilings) as harness:
        done = harness.extract(NAME)
        assert history(harness, tmp_path / "engine") == truth(harness)
        assert done.calls > len(deals(harness)) + 2


def test_a_deal_that_is_deleted_during_the_read(make_harness: HarnessMaker) -> None:
    """A deal that was deleted after it was listed is left out, and the read succeeds."""
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
def test_a_response_without_a_list_is_no_empty_history(
    make_harness: HarnessMaker, body: str, words: str
) -> None:
    """A 200 without data is an error; null without further pages is an empty changelog."""
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        path = f"/deals/{deals(harness)[0]['id']}/changelog"
        harness.sandbox.faults.order("status", status=200, body=body, path=path, times=3)
        with pytest.raises(MalformedResponse, match=words):
            harness.extract(NAME)
        for paging in ("", ',"additional_data":{"next_cursor":null}'):
            empty = f'{{"success":true,"data":null{paging}}}'
            harness.sandbox.faults.order("status", status=200, body=empty, path=path)
            assert harness.extract(NAME).read == len(deals(harness))


def test_changes_are_no_default_object(still: Harness) -> None:
    """Changes of deals are not read by default; their plan shows the cost of each deal."""
    assert NAME not in connector("pipedrive").default_objects
    with still.account() as account:
        assert NAME in {info.name for info in account.objects()}
        plan = account.plan(ObjectSettings(NAME), None)
        _, shown = account.preview(NAME, 2)
        assert len(shown) == 2
        assert all(row["stages"] for row in shown)
        changed_at = max(row["update_time"] for row in deals(still) if row["update_time"])
        assert account.probe_changes(plan.schema, changed_at.replace(tzinfo=UTC))[1] is not None
    assert "the changelog of each of" in plan.strategies[0].how
    assert plan.cost > 20 * 0.8 * len(deals(still))


def test_the_scope_that_it_needs(make_harness: HarnessMaker) -> None:
    """The error for a missing scope, also that of `check`, names the scope to add."""
    with make_harness(contacts=20, kind="refresh_token", objects=OBJECTS) as harness:
        harness.company.grant(["base", "deals:read"])
        with harness.account() as account:
            failed = [
                finding.detail for finding in account.check().findings if finding.level == "fail"
            ]
            assert [detail.split()[0] for detail in failed] == [NAME]
        with pytest.raises(NotPermitted) as caught:
            harness.extract(NAME)
        assert "'recents:read'" in caught.value.cure
