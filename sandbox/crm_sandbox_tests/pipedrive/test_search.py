import pytest


def test_by_email(main) -> None:
    """Statement 19: search finds a person by e-mail; results carry plain texts and a score."""
    person = next(row for row in main.every("/persons") if row["emails"] and row["phones"])
    address = person["emails"][0]["value"]
    found = main.data("/api/v2/persons/search", term=address, fields="email", exact_match="true")
    items = [one["item"] for one in found["items"]]
    assert person["id"] in {item["id"] for item in items}
    assert all(address.lower() in [one.lower() for one in item["emails"]] for item in items)
    item = next(item for item in items if item["id"] == person["id"])
    assert item["phones"] == [one["value"] for one in person["phones"]]
    assert (item["type"], item["owner"]) == ("person", {"id": person["owner_id"]})
    assert all(one["result_score"] > 0 for one in found["items"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"term": "a"}, 400),
        ({"term": "a", "exact_match": "true"}, 200),
        ({}, 400),
        ({"term": "an", "limit": 101}, 400),
        ({"term": "an", "fields": "shoes"}, 400),
        ({"term": "an", "shoes": "1"}, 400),
        ({"term": "an", "include_fields": "person.picture"}, 200),
    ],
)
def test_bounds(main, query: dict[str, object], status: int) -> None:
    """Statement 19: two letters at least (one where it must match exactly), 100 results at most."""
    assert main.v2("/persons/search", **query).status_code == status


def test_pages(main) -> None:
    """Statement 19: results come page by page, each once, the best first."""
    scores, ids, cursor = [], [], ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        body = main.v2("/persons/search", term="er", fields="name", limit=30, **more).json()
        scores += [one["result_score"] for one in body["data"]["items"]]
        ids += [one["item"]["id"] for one in body["data"]["items"]]
        cursor = body["additional_data"]["next_cursor"]
    assert scores == sorted(scores, reverse=True)
    wanted = {row["id"] for row in main.every("/persons") if "er" in row["name"].lower()}
    assert len(ids) == len(set(ids)) > 30
    assert set(ids) == wanted


def test_custom_fields(main) -> None:
    """Custom texts are searched as well, and shown."""
    code = main.code("persons", "Legacy code")
    person = main.every("/persons")[3]
    value = person["custom_fields"][code]
    found = main.data("/api/v2/persons/search", term=value, fields="custom_fields")["items"]
    item = next(one["item"] for one in found if one["item"]["id"] == person["id"])
    assert value in item["custom_fields"]


def test_everywhere(main) -> None:
    """itemSearch finds organizations, their deals and leads; item_types narrows it."""
    name = main.every("/organizations")[2]["name"]
    found = main.data("/api/v2/itemSearch", term=name)["items"]
    assert {"organization", "deal"} <= {one["item"]["type"] for one in found}
    deals = main.data("/api/v2/itemSearch", term=name, item_types="deal")["items"]
    assert {one["item"]["type"] for one in deals} == {"deal"}
    assert all(one["item"]["organization"]["name"] for one in deals)
    assert main.v2("/itemSearch", term=name, item_types="shoe").status_code == 400


@pytest.mark.parametrize("name", ["organizations", "deals", "products", "leads"])
def test_each_object(main, name: str) -> None:
    """Every object has its own search."""
    found = main.data(f"/api/v2/{name}/search", term="er")["items"]
    assert found
    assert {one["item"]["type"] for one in found} == {name[:-1]}


def test_values_of_a_field(main) -> None:
    """itemSearch/field looks into one field."""
    query = {"term": "Soft", "entity_type": "organization", "field": "name", "match": "middle"}
    rows = main.data("/api/v2/itemSearch/field", **query)
    assert all("Soft" in row["name"] for row in rows)


def test_lag(own) -> None:
    """Statement 19: the index may lag behind the records; by how much is a setting."""
    newest = max(row["update_time"] or "" for row in own.every("/persons"))
    person = next(row for row in own.every("/persons") if row["update_time"] == newest)
    query = {"term": person["name"], "fields": "name", "exact_match": "true"}

    def found() -> bool:
        items = own.data("/api/v2/persons/search", **query)["items"]
        return person["id"] in {one["item"]["id"] for one in items}

    assert found()
    own.truth.set_company(search_lag_s=86_400 * 400)
    assert not found()
