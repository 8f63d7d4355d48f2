from typing import Any

import pytest

from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.contracts import validate

V1 = "openapi-v1.2026-08.yaml"


def test_leads(own) -> None:
    """Statement 9: a lead is made (201), changed by PATCH and deleted under its own id."""
    body = {"title": "Emmy", "person_id": 1, "value": {"amount": 99.5, "currency": "EUR"}}
    response = own.post("/v1/leads", body)
    assert response.status_code == 201, response.text
    lead = response.json()["data"]
    assert (lead["value"], lead["person_id"]) == (body["value"], 1)
    validate("pipedrive", V1, "POST", "/leads", 201, response.json())
    changed = own.patch(f"/v1/leads/{lead['id']}", {"is_archived": True, "value": None})
    assert changed.json()["data"]["value"] is None
    assert lead["id"] in {row["id"] for row in own.every_v1("/v1/leads/archived")}
    assert own.delete(f"/v1/leads/{lead['id']}").json()["data"] == {"id": lead["id"]}
    assert own.get(f"/v1/leads/{lead['id']}").status_code == 404


@pytest.mark.parametrize(
    "body", [{"person_id": 1}, {"title": "x"}, {"title": "x", "person_id": 1, "value": 5}]
)
def test_refused_leads(main, body: dict[str, Any]) -> None:
    """Statement 9: a lead needs a title and somebody, and its value is an object."""
    assert main.post("/v1/leads", body).status_code == 400


def test_custom_fields_of_leads(own) -> None:
    """Statement 8: leads carry the deals' custom fields at the top level, and only those with a value."""
    code, money = own.code("deals", "Source"), own.code("deals", "Setup fee")
    rows = own.every_v1("/v1/leads")
    assert 0 < sum(code in row for row in rows) < len(rows)
    assert all(row[code] is not None for row in rows if code in row)
    option = own.data(f"/api/v2/dealFields/{code}")["options"][0]["id"]
    body = {"title": "x", "person_id": 1, code: option, money: 5, f"{money}_currency": "GBP"}
    lead = own.post("/v1/leads", body).json()["data"]
    assert (lead[code], lead[money], lead[f"{money}_currency"]) == (str(option), 5.0, "GBP")
    cleared = own.patch(f"/v1/leads/{lead['id']}", {code: None}).json()["data"]
    assert code not in cleared
    assert money in cleared
    fresh = own.truth.add_field("deals", "Region", "varchar", "North")
    assert all(fresh not in row for row in own.every_v1("/v1/leads"))
    own.truth.remove_field("deals", "Source")
    assert not any(code in row for row in own.every_v1("/v1/leads"))


def test_notes(own) -> None:
    """A note is made, changed and deleted; v1 answers true to a deletion."""
    note = own.post("/v1/notes", {"content": "<p>x</p>", "deal_id": 1}).json()["data"]
    assert note["deal"]["title"] == own.data("/api/v2/deals/1")["title"]
    path = f"/v1/notes/{note['id']}"
    changed = own.put(path, {"content": "y", "pinned_to_deal_flag": 1}).json()["data"]
    assert (changed["content"], changed["pinned_to_deal_flag"]) == ("y", True)
    assert own.delete(path).json() == {"success": True, "data": True}
    assert own.get(path).status_code == 404
    assert own.post("/v1/notes", {"content": "x"}).status_code == 400
    assert own.post("/v1/notes", {"deal_id": 1}).status_code == 400


def test_old_persons(own) -> None:
    """Statement 23: the old v1 takes e-mails as text, custom fields at the top and numbers in quotes."""
    score, money = own.code("persons", "Score"), own.code("persons", "Lifetime value")
    body = {
        "name": "Emmy Noether",
        "email": "emmy@x.example",
        "org_id": "1",
        score: "7.5",
        money: "10",
        f"{money}_currency": "EUR",
    }
    response = own.post("/v1/persons", body)
    assert response.status_code == 201, response.text
    made = response.json()["data"]
    assert made["email"][0]["value"] == "emmy@x.example"
    newer = own.data(f"/api/v2/persons/{made['id']}")
    assert (newer["org_id"], newer["custom_fields"][score]) == (1, 7.5)
    assert newer["custom_fields"][money] == {"value": 10.0, "currency": "EUR"}
    path = f"/v1/persons/{made['id']}"
    changed = own.put(path, {"phone": ["1", "2"]}).json()["data"]
    assert [one["value"] for one in changed["phone"]] == ["1", "2"]
    assert changed["name"] == "Emmy Noether"
    assert own.delete(path).json()["data"] == {"id": made["id"]}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("deals", {"title": "x", "value": "1200", "user_id": None}),
        ("organizations", {"name": "x", "label": 3}),
        ("activities", {"subject": "x", "done": 1, "busy_flag": 0}),
        ("products", {"name": "x"}),
    ],
)
def test_other_old_objects(own, name: str, body: dict[str, Any]) -> None:
    """Statement 23: the other objects are written as well, until v1 ends."""
    response = own.post(f"/v1/{name}", body)
    assert response.status_code == 201, response.text
    made = response.json()["data"]
    assert own.put(f"/v1/{name}/{made['id']}", {}).status_code == 200
    if name != "products":
        gone = own.delete(f"/v1/{name}", ids=str(made["id"]))
        assert gone.json()["data"] == {"id": [made["id"]]}
    own.truth.retire_v1(NOW)
    assert own.post(f"/v1/{name}", body).status_code == 410
    assert own.put(f"/v1/{name}/1", body).status_code == 410


def test_line_items(own) -> None:
    """Statement 9: products of a deal are added (201), changed and removed, and their sums follow."""
    product = own.every("/products")[0]
    deal = own.post("/api/v2/deals", {"title": "x", "currency": "GBP"}).json()["data"]["id"]
    path = f"/api/v2/deals/{deal}/products"
    body = {"product_id": product["id"], "item_price": 10, "quantity": 3, "discount": 10}
    response = own.post(path, body)
    assert response.status_code == 201, response.text
    item = response.json()["data"]
    assert (item["name"], item["currency"], item["sum"]) == (product["name"], "GBP", 27.0)
    taxed = {"tax": 20, "tax_method": "exclusive", "discount": 3, "discount_type": "amount"}
    changed = own.patch(f"{path}/{item['id']}", taxed).json()["data"]
    assert changed["sum"] == 32.4
    many = own.post(f"{path}/bulk", {"data": [body, body]})
    assert (many.status_code, len(many.json()["data"])) == (201, 2)
    assert [one["order_nr"] for one in own.every(f"/deals/{deal}/products")] == [1, 2, 3]
    assert own.delete(f"{path}/{item['id']}").json()["data"] == {"id": item["id"]}
    rest = own.delete(path).json()
    assert rest["data"]["ids"] == [one["id"] for one in many.json()["data"]]
    assert own.every(f"/deals/{deal}/products") == []
    assert own.post(path, {"product_id": product["id"]}).status_code == 400
    assert own.post(f"{path}/bulk", {"data": []}).status_code == 400
    assert own.delete(f"{path}/{item['id']}").status_code == 404


def test_followers(own) -> None:
    """Statement 9: a follower is added with 201, once, and leaves again."""
    user = own.truth.companies["main"].colleague
    path = "/api/v2/persons/1/followers"
    assert own.post(path, {"user_id": user}).status_code == 201
    assert own.post(path, {"user_id": user}).status_code == 201
    assert [one["user_id"] for one in own.data(path)] == [user]
    assert own.post(path, {"user_id": 5}).status_code == 400
    assert own.delete(f"{path}/{user}").json()["data"] == {"user_id": user}
    assert own.delete(f"{path}/{user}").status_code == 404


def test_permitted_users(own) -> None:
    """Who may see a record is told: everybody, or the owner and the administrators."""
    shared = next(row for row in own.every("/persons") if row["visible_to"] == 3)
    private = next(row for row in own.every("/persons") if row["visible_to"] == 1)
    everybody = own.data(f"/v1/persons/{shared['id']}/permittedUsers")
    assert len(everybody) == own.truth.count("users")
    few = own.data(f"/v1/persons/{private['id']}/permittedUsers")
    assert private["owner_id"] in few
    assert len(few) <= 2


def test_amounts_that_are_none(own) -> None:
    """An amount that is no number, or too large for one, is refused."""
    person = own.data("/api/v2/persons", limit=1)[0]["id"]
    code = next(one["code"] for one in own.truth.fields("deals") if one["type"] == "monetary")
    for amount in ({}, True, 10**400):
        lead = {"title": "x", "person_id": person, "value": {"amount": amount, "currency": "EUR"}}
        assert own.post("/v1/leads", lead).status_code == 400
    assert own.post("/v1/deals", {"title": "x", code: "much"}).status_code == 400
    assert own.sandbox.journal.failures() == []
