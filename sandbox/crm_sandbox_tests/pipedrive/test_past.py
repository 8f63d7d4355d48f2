import itertools
import re
from datetime import timedelta

import pytest

from crm_sandbox_tests.conftest import NOW


def recent(days: float) -> str:
    return f"{NOW - timedelta(days=days):%Y-%m-%d %H:%M:%S}"


def test_recents(main, own) -> None:
    """Statement 20: recents are rows of item, id and data, changed since a moment, in v1's shape."""
    own.sandbox.clock.stand_at(NOW)
    rows = own.every_v1("/v1/recents", since_timestamp=recent(25), limit=10)
    assert {frozenset(row) for row in rows} == {frozenset({"item", "id", "data"})}
    changed = own.every("/persons", updated_since=f"{NOW - timedelta(days=25):%Y-%m-%dT%H:%M:%SZ}")
    persons = {row["id"]: row["data"] for row in rows if row["item"] == "person"}
    assert {row["id"] for row in changed} <= set(persons)
    assert all("email" in data for data in persons.values())
    only = own.every_v1("/v1/recents", since_timestamp=recent(25), items="deal,note")
    assert {row["item"] for row in only} <= {"deal", "note"}


def test_recents_skip_what_has_no_stamp(own) -> None:
    """Statement 20: records without an update time are never recent; deleted ones are, and say so."""
    rows = own.every_v1("/v1/recents", since_timestamp=recent(30))
    assert all(row["data"]["update_time"] for row in rows if row["item"] != "user")
    deals = [row["data"] for row in rows if row["item"] == "deal"]
    assert any(data["deleted"] for data in deals)


def test_recents_end_after_a_month(own) -> None:
    """Statement 20: older than a month is refused, or cut, by a switch."""
    assert own.get("/v1/recents", since_timestamp=recent(40)).status_code == 400
    assert own.get("/v1/recents", since_timestamp="yesterday").status_code == 400
    assert own.get("/v1/recents", since_timestamp=recent(1), items="shoe").status_code == 400
    own.truth.set_company(old_recents="cut")
    rows = own.every_v1("/v1/recents", since_timestamp=recent(400))
    assert rows
    assert min(row["data"]["update_time"] for row in rows if row["item"] == "person") >= recent(31)


def test_stage_history(main) -> None:
    """A deal's flow tells its way through the stages: it ends where the deal is."""
    deals = main.every("/deals")
    moved = 0
    for deal in deals[:15]:
        flow = main.data(f"/v1/deals/{deal['id']}/flow")
        stamps = [row["timestamp"] for row in flow]
        assert stamps == sorted(stamps, reverse=True)
        changes = [row["data"] for row in flow if row["object"] == "dealChange"]
        stages = [one for one in changes if one["field_key"] == "stage_id"]
        if stages:
            moved += 1
            assert stages[0]["new_value"] == str(deal["stage_id"])
            at = re.sub(r"[TZ]", " ", deal["stage_change_time"]).strip()
            assert stages[0]["log_time"] == at
            chain = stages[::-1]
            for before, after in itertools.pairwise(chain):
                assert before["new_value"] == after["old_value"]
    assert moved > 5


def test_flow_pages(main) -> None:
    """The flow has pages of v1; a deal's activities are in it."""
    activity = next(row for row in main.every("/activities") if row["deal_id"])
    flow = main.every_v1(f"/v1/deals/{activity['deal_id']}/flow", limit=1)
    assert activity["id"] in {row["data"]["id"] for row in flow if row["object"] == "activity"}
    assert {row["object"] for row in flow} == {"dealChange", "activity"}


def test_changelog(main) -> None:
    """The changelog has the same changes, newest first, with a cursor."""
    deal = next(
        row["id"]
        for row in main.every("/deals")
        if len(main.data(f"/v1/deals/{row['id']}/changelog")) > 3
    )
    whole = main.data(f"/v1/deals/{deal}/changelog")
    rows, cursor = [], ""
    while cursor is not None:
        body = main.get(f"/v1/deals/{deal}/changelog", limit=2, cursor=cursor).json()
        rows += body["data"]
        cursor = body["additional_data"]["next_cursor"]
    assert rows == whole
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)
    assert rows[-1]["field_key"] == "add_time"
    assert main.get(f"/v1/deals/{deal}/changelog", cursor="!").status_code == 400


@pytest.mark.parametrize("name", ["persons", "organizations", "deals", "activities", "products"])
def test_v1_shapes(main, name: str) -> None:
    """Statement 23: what is out of support answers in the old shape, with custom fields at the top."""
    rows = main.every_v1(f"/v1/{name}", limit=100)
    newer = main.every(f"/{name}")
    assert len({row["id"] for row in rows}) == len(newer)
    code = [one["code"] for one in main.truth.fields(name)][:1]
    assert set(code) <= set(rows[0])
    assert "custom_fields" not in rows[0]
    one = main.data(f"/v1/{name}/{rows[0]['id']}")
    assert one == rows[0]


def test_v1_custom_values(main) -> None:
    """Statement 23: v1 spreads structured values over siblings and writes options as texts."""
    rows = main.every_v1("/v1/persons", limit=500)
    money = main.code("persons", "Lifetime value")
    assert all(f"{money}_currency" in row for row in rows)
    interests = main.code("persons", "Interests")
    chosen = {row[interests] for row in rows} - {None}
    assert any(re.fullmatch(r"\d+,\d+", value) for value in chosen)
    manager = main.code("persons", "Account manager")
    assert any(row[manager] and row[manager]["value"] == row[manager]["id"] for row in rows)


@pytest.mark.parametrize("name", ["deals", "persons", "organizations", "activities"])
def test_collections(main, name: str) -> None:
    """Statement 23: old v1's collections have a cursor, and every record once."""
    ids, cursor = [], ""
    while cursor is not None:
        body = main.get(f"/v1/{name}/collection", limit=50, cursor=cursor).json()
        ids += [row["id"] for row in body["data"]]
        cursor = body["additional_data"]["next_cursor"]
    assert ids == [row["id"] for row in main.every(f"/{name}")]
    assert main.get(f"/v1/{name}/collection", cursor="!").status_code == 400


def test_deals_of(main) -> None:
    """v1 lists archived deals, and the deals of a stage, a pipeline, a person and an organization."""
    deals = main.every("/deals")
    archived = {row["id"] for row in main.every_v1("/v1/deals/archived")}
    assert archived == {row["id"] for row in main.every("/deals/archived")}
    deal = next(row for row in deals if row["person_id"] and row["org_id"])
    for path, column in (
        ("stages", "stage_id"),
        ("pipelines", "pipeline_id"),
        ("persons", "person_id"),
        ("organizations", "org_id"),
    ):
        found = main.every_v1(f"/v1/{path}/{deal[column]}/deals", limit=500)
        wanted = {row["id"] for row in deals if row[column] == deal[column]}
        assert {row["id"] for row in found} == wanted
    people = main.data(f"/v1/deals/{deal['id']}/participants")
    assert [row["person_id"]["value"] for row in people] == [deal["person_id"]]
