import base64
import json
from datetime import timedelta

import pytest

from crm_sandbox_tests.conftest import NOW

LISTS = ("deals", "persons", "organizations", "activities", "products", "pipelines", "stages")
SCHEMA = "ERR_SCHEMA_VALIDATION_FAILED"


@pytest.mark.parametrize("name", LISTS)
def test_everything_is_listed_once(main, name: str) -> None:
    """A list read page by page has every living record once, in order of its ids."""
    rows = main.every(f"/{name}", limit=7 if name in {"pipelines", "stages"} else 40)
    rows += main.every("/deals/archived") if name == "deals" else []
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids)) == main.truth.count(name) > 0
    assert name == "deals" or ids == sorted(ids)


def test_page_size(main) -> None:
    """Statement 3: 100 records without a limit, 500 at most, more is a 400."""
    assert len(main.data("/api/v2/persons")) == 100
    assert len(main.data("/api/v2/persons", limit=500)) == main.truth.count("persons")
    for wrong in (501, 0, "ten"):
        refused = main.v2("/persons", limit=wrong)
        assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)


def test_cursor(main) -> None:
    """Statement 3: the cursor is opaque base64url; one of another order, or none at all, is a 400."""
    cursor = main.v2("/persons", limit=3).json()["additional_data"]["next_cursor"]
    place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    last = main.data("/api/v2/persons", limit=3)[-1]["id"]
    assert place == {"field": "id", "fieldValue": last, "sortDirection": "asc", "id": last}
    for wrong in ("nonsense", "e30", cursor[:-5]):
        assert main.v2("/persons", cursor=wrong).status_code == 400
    assert main.v2("/persons", cursor=cursor, sort_direction="desc").status_code == 400


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("persons", {"additional_data": {"next_cursor": None}}),
        ("products", {"additional_data": {"next_cursor": None}}),
        ("activities", {}),
        ("stages", {}),
    ],
)
def test_last_page(main, name: str, end: dict[str, object]) -> None:
    """Statement 3: a last page has a null cursor or no additional_data, as the object's description says."""
    body = main.v2(f"/{name}", limit=500).json()
    assert {key: value for key, value in body.items() if key not in {"success", "data"}} == end


def test_window_of_changes(main) -> None:
    """Statement 4: updated_since is inclusive, updated_until exclusive."""
    stamp = main.data("/api/v2/persons", sort_by="update_time", sort_direction="desc")[20]
    edge = stamp["update_time"]
    since = main.every("/persons", updated_since=edge)
    until = main.every("/persons", updated_until=edge)
    stamped = [row for row in main.every("/persons") if row["update_time"] is not None]
    assert stamp["id"] in {row["id"] for row in since}
    assert {row["id"] for row in since} | {row["id"] for row in until} == {
        row["id"] for row in stamped
    }
    assert all(row["update_time"] >= edge for row in since)
    assert all(row["update_time"] < edge for row in until)
    shifted = main.every("/persons", updated_since=edge.replace("Z", "+00:00"))
    assert [row["id"] for row in shifted] == [row["id"] for row in since]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/persons", {"updated_since": "2025-01-01T10:20:00.000Z"}),
        ("/persons", {"updated_since": "2025-01-01 10:20:00"}),
        ("/persons", {"updated_until": "2025-13-01T10:20:00Z"}),
        ("/products", {"updated_until": "2025-01-01T10:20:00Z"}),
        ("/pipelines", {"updated_since": "2025-01-01T10:20:00Z"}),
        ("/stages", {"updated_since": "2025-01-01T10:20:00Z"}),
    ],
)
def test_wrong_windows(main, path: str, query: dict[str, str]) -> None:
    """Statement 4: fractions, a space, what no calendar has, and objects without the parameter: 400."""
    refused = main.v2(path, **query)
    assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)


def test_burst_of_one_second(main) -> None:
    """Statement 4: a bulk load left many records with one and the same stamp; all are in its second."""
    stamps = [row["update_time"] for row in main.every("/persons")]
    moment = max(set(stamps) - {None}, key=stamps.count)
    count = stamps.count(moment)
    edge = f"{moment[:-3]}{int(moment[-3:-1]) + 1:02d}Z"
    found = main.every("/persons", limit=10, updated_since=moment, updated_until=edge)
    assert len({row["id"] for row in found}) == count > 20


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("field", ["id", "update_time", "add_time"])
def test_order(main, field: str, direction: str) -> None:
    """Statement 5: sort_by and sort_direction hold over all pages, also where stamps are missing."""
    rows = main.every("/persons", sort_by=field, sort_direction=direction, limit=30)
    keys = [(row[field] or "", row["id"]) if field != "id" else row["id"] for row in rows]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert len({row["id"] for row in rows}) == main.truth.count("persons")


def test_due_dates(main) -> None:
    """Statement 5: activities can be sorted by their due date."""
    rows = main.every("/activities", sort_by="due_date", limit=30)
    assert [row["due_date"] for row in rows] == sorted(row["due_date"] for row in rows)
    assert len(rows) == main.truth.count("activities")
    assert main.v2("/persons", sort_by="due_date").status_code == 400


def test_ids(main) -> None:
    """Statement 5: up to 100 ids; missing ones are left out; 101 are a 400."""
    found = main.data("/api/v2/persons", ids="1,2,999999")
    assert {row["id"] for row in found} <= {1, 2}
    ids = ",".join(str(number) for number in range(1, 102))
    refused = main.v2("/persons", ids=ids)
    assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)


def test_unknown_parameters(main) -> None:
    """Statement 5: what is not a parameter is a 400, and one sentence names every problem."""
    refused = main.v2("/persons", shoe_size=44, limit=1000)
    body = refused.json()
    assert (refused.status_code, body["success"], body["data"]) == (400, False, None)
    assert "Parameter 'shoe_size' is not allowed for this request; limit: " in body["error"]
    assert body["code"] == SCHEMA
    assert body["error_info"].startswith("Please check developers.pipedrive.com")


def test_chosen_custom_fields(main) -> None:
    """Statement 5: custom_fields shows up to 15 of them; 16 are a 400."""
    codes = [one["code"] for one in main.truth.fields("persons")]
    row = main.data("/api/v2/persons", custom_fields=",".join(codes[:2]), limit=1)[0]
    assert list(row["custom_fields"]) == codes[:2]
    assert len(main.data("/api/v2/persons", limit=1)[0]["custom_fields"]) == len(codes) > 15
    refused = main.v2("/persons", custom_fields=",".join(codes[:16]))
    assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)


def test_filters(main) -> None:
    """owner_id, org_id, stage_id, done and the others compare their column."""
    everything = {name: main.every(f"/{name}") for name in ("persons", "deals", "activities")}
    for name, parameter, column in (
        ("persons", "org_id", "org_id"),
        ("persons", "owner_id", "owner_id"),
        ("deals", "stage_id", "stage_id"),
        ("deals", "pipeline_id", "pipeline_id"),
        ("activities", "deal_id", "deal_id"),
    ):
        value = next(row[column] for row in everything[name] if row[column] is not None)
        wanted = {row["id"] for row in everything[name] if row[column] == value}
        assert {row["id"] for row in main.every(f"/{name}", **{parameter: value})} == wanted
    undone = main.every("/activities", done="false")
    assert undone
    assert not any(row["done"] for row in undone)


def test_archived_deals(main) -> None:
    """Statement 6: archived deals are on their own list only, and cost twice as much."""
    plain, archived = main.every("/deals"), main.every("/deals/archived")
    assert archived
    assert all(row["is_archived"] and row["archive_time"] for row in archived)
    assert not any(row["is_archived"] for row in plain)
    assert not {row["id"] for row in plain} & {row["id"] for row in archived}


def test_deleted_deals(own) -> None:
    """Statement 6: status=deleted lists deals for 30 days after their deletion; then they are gone."""
    living = own.truth.count("deals")
    deleted = own.every("/deals", status="deleted")
    assert len(deleted) == own.truth.count("deals", include_deleted=True) - living > 0
    assert all(row["is_deleted"] for row in deleted)
    assert not {row["id"] for row in own.every("/deals")} & {row["id"] for row in deleted}
    both = own.every("/deals", status="open,won,lost,deleted")
    assert len(both) == len(own.every("/deals")) + len(deleted)
    assert own.data(f"/api/v2/deals/{deleted[0]['id']}")["is_deleted"]
    own.sandbox.clock.stand_at(NOW + timedelta(days=32))
    assert own.every("/deals", status="deleted") == []
    assert own.get(f"/api/v2/deals/{deleted[0]['id']}").status_code == 404


def test_deleted_others(own) -> None:
    """Statement 6: deleted persons, organizations, activities and products are on no list."""
    for name in ("persons", "organizations", "activities", "products"):
        assert not any(row["is_deleted"] for row in own.every(f"/{name}"))
        assert own.v2(f"/{name}", status="deleted").status_code == 400


def test_status_of_deals(main) -> None:
    """Deals can be asked for by status; an unknown one is a 400."""
    won = main.every("/deals", status="won")
    assert won
    assert {row["status"] for row in won} == {"won"}
    assert main.v2("/deals", status="sold").status_code == 400


def test_missing_records(main) -> None:
    """Statement 18: a missing record is a 404 with a sentence, an id that is no number a 400."""
    missing = main.v2("/persons/999999")
    assert (missing.status_code, missing.json()["error"]) == (404, "Person not found")
    assert main.v2("/persons/nobody").status_code == 400
    assert main.v2("/nowhere").status_code == 404
    assert main.http.put(f"{main.root}/api/v2/persons").status_code == 405


def test_products_of_deals(main) -> None:
    """Line items come per deal, or for up to 100 deals at once, and add up to the deal's value."""
    deals = {row["id"]: row for row in main.every("/deals")}
    ids = ",".join(str(number) for number in list(deals)[:100])
    rows = main.every("/deals/products", deal_ids=ids, limit=20)
    assert rows
    of_one = [row for row in rows if row["deal_id"] == rows[0]["deal_id"]]
    assert main.every(f"/deals/{rows[0]['deal_id']}/products") == of_one
    assert sum(row["sum"] for row in of_one) == deals[rows[0]["deal_id"]]["value"]
    assert main.v2("/deals/products").status_code == 400
    assert main.v2("/deals/products", deal_ids=",".join("1" * 101)).status_code == 400


def test_repeated_cursor(own) -> None:
    """On order a page names its own cursor as the next one, once."""
    first = own.v2("/persons", limit=10).json()["additional_data"]["next_cursor"]
    own.truth.repeat_cursor("/api/v2/persons", times=1)
    assert own.v2("/persons", limit=10).json()["additional_data"]["next_cursor"] == first
    again = own.v2("/persons", limit=10, cursor=first).json()["additional_data"]["next_cursor"]
    assert again == first
    onward = own.v2("/persons", limit=10, cursor=first).json()["additional_data"]["next_cursor"]
    assert onward != first


def test_repeated_parameters(main) -> None:
    """Repeated lists are joined; of a plain parameter the last value counts (not confirmed)."""
    ids = [row["id"] for row in main.data("/api/v2/persons", limit=2)]
    rows = main.data("/api/v2/persons", ids=ids, include_fields=["notes_count", "next_activity_id"])
    assert [row["id"] for row in rows] == ids
    assert {"notes_count", "next_activity_id"} <= set(rows[0])
    assert len(main.data("/api/v2/persons", limit=["7", "2"])) == 2
