from datetime import timedelta
from typing import Any

import pytest
import requests

from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.pipedrive.conftest import Client, as_colleague

SCHEMA = "ERR_SCHEMA_VALIDATION_FAILED"
BODIES: dict[str, dict[str, Any]] = {
    "deals": {"title": "Big one", "value": 1200, "currency": "GBP", "org_id": 1},
    "persons": {"name": "Emmy Noether", "emails": [{"value": "e@x.example", "primary": True}]},
    "organizations": {"name": "Göttingen GmbH", "address": {"value": "Markt 1"}},
    "activities": {"subject": "Call", "type": "call", "due_date": "2026-12-01", "done": False},
    "products": {"name": "Router X", "prices": [{"price": 10, "currency": "EUR"}]},
}


def created(client: Client, name: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(f"/api/v2/{name}", body)
    assert response.status_code in {200, 201}, response.text
    return response.json()["data"]


@pytest.mark.parametrize("name", BODIES)
def test_whole_life(own, name: str) -> None:
    """Statements 9, 12: POST answers 200 (products 201) with the record, PATCH changes what it names,
    DELETE answers 200 with the id; a deleted record is on no list."""
    response = own.post(f"/api/v2/{name}", BODIES[name])
    assert response.status_code == (201 if name == "products" else 200), response.text
    made = response.json()["data"]
    key = next(key for key in BODIES[name] if key not in {"emails", "address", "prices"})
    assert made[key] == BODIES[name][key]
    assert own.data(f"/api/v2/{name}/{made['id']}") == made
    text = {"deals": "title", "activities": "subject"}.get(name, "name")
    changed = own.patch(f"/api/v2/{name}/{made['id']}", {text: "Another"}).json()["data"]
    assert changed == made | {text: "Another"} | {
        key: changed[key] for key in ("update_time", "first_name", "last_name") if key in changed
    }
    gone = own.delete(f"/api/v2/{name}/{made['id']}")
    assert (gone.status_code, gone.json()["data"]) == (200, {"id": made["id"]})
    assert made["id"] not in {row["id"] for row in own.every(f"/{name}")}
    assert own.delete(f"/api/v2/{name}/{made['id']}").status_code == 404
    assert own.patch(f"/api/v2/{name}/{made['id']}", {text: "x"}).status_code == 404


def test_deleted_by_id(own) -> None:
    """Statement 12: a deleted record answers is_deleted or 404, by object; after 30 days it is gone."""
    person, product = (
        created(own, "persons", BODIES["persons"]),
        created(own, "products", BODIES["products"]),
    )
    own.delete(f"/api/v2/persons/{person['id']}")
    own.delete(f"/api/v2/products/{product['id']}")
    assert own.data(f"/api/v2/persons/{person['id']}")["is_deleted"] is True
    assert own.v2(f"/products/{product['id']}").status_code == 404
    own.truth.set_company(gone_as_404=["persons"])
    assert own.v2(f"/persons/{person['id']}").status_code == 404
    assert own.data(f"/api/v2/products/{product['id']}")["is_deleted"] is True
    own.sandbox.clock.stand_at(NOW + timedelta(days=32))
    assert own.v2(f"/products/{product['id']}").status_code == 404


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("persons", {"name": "x", "shoe_size": 4}, "Parameter 'shoe_size' is not allowed"),
        ("persons", {"name": "x", "org_id": "1"}, "org_id must be an integer"),
        ("persons", {"name": "x", "emails": "a@b.example"}, "emails must be an array"),
        ("persons", {"name": "x", "emails": [{"value": "a", "kind": "w"}]}, "emails must be"),
        ("persons", {"name": 5}, "name must be a string"),
        ("persons", {}, "name is required"),
        ("persons", {"name": "x", "org_id": 99_999}, "org_id: Organization not found"),
        ("deals", {"title": "x", "value": "1200"}, "value must be a number"),
        ("deals", {"title": "x", "expected_close_date": "01.02.2026"}, "YYYY-MM-DD"),
        ("deals", {"title": "x", "is_archived": "yes"}, "must be a boolean"),
        ("deals", {"title": "x", "add_time": "2026-01-01T00:00:00Z"}, "'add_time' is not allowed"),
        ("deals", {"title": "x", "status": "sold"}, "must be one of [open, won, lost]"),
        ("deals", {"title": "x", "org_id": 10**12}, "is out of range"),
        ("activities", {"custom_fields": {}}, "'custom_fields' is not allowed"),
        ("organizations", {"name": "x", "address": {"planet": "Mars"}}, "address object"),
    ],
)
def test_refused_bodies(main, name: str, body: dict[str, Any], words: str) -> None:
    """Statement 9: what does not fit is a 400 that names it; numbers in quotes are not coerced."""
    refused = main.post(f"/api/v2/{name}", body)
    assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)
    assert words in refused.json()["error"]


def test_several_problems(main) -> None:
    """Statement 9: one refusal names every problem, with semicolons between."""
    body = {"title": "x", "value": "1", "shoe": 1}
    error = main.post("/api/v2/deals", body).json()["error"]
    assert error.startswith("Validation failed: value: value must be a number; shoe: ")


def test_custom_fields(own) -> None:
    """Statement 9: custom values of every type go in below custom_fields, and come back as they were."""
    fields = {one["type"]: one for one in own.truth.fields("persons")}
    options = list(fields["set"]["options"])
    sent = {
        "varchar": "01234",
        "varchar_auto": "x",
        "text": "two\nlines",
        "double": 1.5,
        "phone": "+49 30 1",
        "date": "2026-02-28",
        "daterange": {"value": "2026-01-01", "until": "2026-02-01"},
        "time": {"value": "10:30:00", "timezone_id": 50},
        "timerange": {"value": "10:30:00", "until": "12:00:00", "timezone_id": 50},
        "set": options[:2],
        "enum": next(iter(fields["enum"]["options"])),
        "monetary": {"value": 10.5, "currency": "EUR"},
        "address": {"value": "Markt 1, Göttingen", "locality": "Göttingen"},
        "org": 1,
        "people": 2,
        "user": own.truth.companies["main"].admin,
    }
    assert set(sent) == set(fields)
    values = {fields[kind]["code"]: value for kind, value in sent.items()}
    values[fields["enum"]["code"]] = sent["enum"]
    made = created(own, "persons", {"name": "x", "custom_fields": values})
    for kind, value in sent.items():
        got = made["custom_fields"][fields[kind]["code"]]
        assert got == value or (isinstance(got, dict) and got.items() >= value.items()), kind


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("Interests", [], "non-empty array"),
        ("Interests", ["1"], "must be an integer"),
        ("Interests", [1], "has no option 1"),
        ("Tier", 99_999, "has no option"),
        ("Score", "1.5", "must be a number"),
        ("Lifetime value", 5, "must be an object"),
        ("Lifetime value", {"value": "5"}, "must be a number"),
        ("Lifetime value", {"amount": 5}, "must not have 'amount'"),
        ("Member since", "2026-13-01", "YYYY-MM-DD"),
        ("Legacy code", 1234, "must be a string"),
        ("Best time to call", {"value": "noon"}, "HH:MM:SS"),
    ],
)
def test_refused_custom_values(main, field: str, value: object, words: str) -> None:
    """Statement 9: wrong custom values are a 400: [] for a set, numeric strings, unknown options."""
    body = {"name": "x", "custom_fields": {main.code("persons", field): value}}
    refused = main.post("/api/v2/persons", body)
    assert (refused.status_code, refused.json()["code"]) == (400, SCHEMA)
    assert words in refused.json()["error"]


def test_custom_field_at_the_top(main) -> None:
    """Statement 9: a custom field beside the others, as v1 had it, is a 400."""
    code = main.code("persons", "Score")
    refused = main.post("/api/v2/persons", {"name": "x", code: 5})
    assert refused.status_code == 400
    assert f"Parameter '{code}' is not allowed for this request" in refused.json()["error"]
    unknown = main.post("/api/v2/persons", {"name": "x", "custom_fields": {"f" * 40: 1}})
    assert unknown.status_code == 400


def test_lists_are_replaced(own) -> None:
    """Statement 9: e-mails are replaced as a whole, a list without a primary gets one, null empties it."""
    made = created(own, "persons", BODIES["persons"])
    path = f"/api/v2/persons/{made['id']}"
    sent = [{"value": "new@x.example", "label": "home"}, {"value": "b@x.example"}]
    changed = own.patch(path, {"emails": sent}).json()["data"]["emails"]
    assert [(one["value"], one["primary"], one["label"]) for one in changed] == [
        ("new@x.example", True, "home"),
        ("b@x.example", False, "work"),
    ]
    assert own.patch(path, {"emails": None}).json()["data"]["emails"] == []


def test_structures_are_replaced(own) -> None:
    """Statement 9: parts of a structure that are not sent become null."""
    code = own.code("persons", "Lifetime value")
    money = {"value": 5, "currency": "EUR"}
    made = created(own, "persons", {"name": "x", "custom_fields": {code: money}})
    path = f"/api/v2/persons/{made['id']}"
    changed = own.patch(path, {"custom_fields": {code: {"value": 7}}}).json()["data"]
    assert changed["custom_fields"][code] == {"value": 7.0, "currency": None}
    cleared = own.patch(path, {"custom_fields": {code: None}}).json()["data"]
    assert cleared["custom_fields"][code] is None
    other = own.code("persons", "Score")
    assert cleared["custom_fields"][other] is None


def test_nothing_is_unique(own) -> None:
    """Statement 10: the same POST twice makes two records; a dropped answer may hide a commit."""
    before = own.truth.count("persons")
    first, again = (created(own, "persons", BODIES["persons"]) for _ in range(2))
    assert first["id"] != again["id"]
    own.sandbox.faults.order("truncate", vendor="pipedrive", method="POST", after=0)
    with pytest.raises(requests.exceptions.RequestException):
        own.post("/api/v2/persons", BODIES["persons"]).json()
    assert own.truth.count("persons") == before + 3


def test_every_write_moves_the_stamp(own) -> None:
    """Statement 11: our own writes move update_time like any others."""
    made = created(own, "persons", BODIES["persons"])
    own.sandbox.clock.advance(60)
    changed = own.patch(f"/api/v2/persons/{made['id']}", {"name": "Emmy"}).json()["data"]
    assert changed["update_time"] > made["update_time"]
    since = own.every("/persons", updated_since=changed["update_time"])
    assert [row["id"] for row in since] == [made["id"]]


def test_deal_moves(own) -> None:
    """A stage decides the pipeline, a pipeline its first stage; winning and losing leave their moments."""
    stages = own.every("/stages")
    first = min(stages, key=lambda one: (one["pipeline_id"], one["order_nr"]))
    made = created(own, "deals", {"title": "x"})
    assert (made["stage_id"], made["status"]) == (first["id"], "open")
    other = next(one for one in stages if one["pipeline_id"] != first["pipeline_id"])
    path = f"/api/v2/deals/{made['id']}"
    own.sandbox.clock.advance(60)
    moved = own.patch(path, {"stage_id": other["id"]}).json()["data"]
    assert moved["pipeline_id"] == other["pipeline_id"]
    assert moved["stage_change_time"] > made["stage_change_time"]
    back = own.patch(path, {"pipeline_id": first["pipeline_id"]}).json()["data"]
    assert back["stage_id"] == first["id"]
    won = own.patch(path, {"status": "won"}).json()["data"]
    assert won["won_time"] == won["close_time"] == won["update_time"]
    lost = own.patch(path, {"status": "lost", "lost_reason": "Price"}).json()["data"]
    assert (lost["won_time"], lost["lost_time"]) == (None, lost["update_time"])
    open_again = own.patch(path, {"status": "open"}).json()["data"]
    assert (open_again["lost_time"], open_again["close_time"]) == (None, None)
    archived = own.patch(path, {"is_archived": True}).json()["data"]
    assert archived["archive_time"]
    assert made["id"] in {row["id"] for row in own.every("/deals/archived")}
    fields = [row["field_key"] for row in own.data(f"/v1/deals/{made['id']}/changelog")]
    assert fields.count("stage_id") == 2
    assert fields.count("status") == 3
    assert own.data(f"/v1/deals/{made['id']}/changelog")[0]["change_source"] == "api"


def test_names(own) -> None:
    """A person's name is split into first and last name."""
    made = created(own, "persons", {"name": "Ada King Lovelace"})
    assert (made["first_name"], made["last_name"]) == ("Ada", "King Lovelace")


def test_activity_people(own) -> None:
    """An activity's person is its primary participant; done leaves its moment."""
    people = [{"person_id": 1, "primary": False}, {"person_id": 2, "primary": True}]
    made = created(own, "activities", {"subject": "Call", "participants": people})
    assert (made["person_id"], made["done"], made["marked_as_done_time"]) == (2, False, None)
    done = own.patch(f"/api/v2/activities/{made['id']}", {"done": True}).json()["data"]
    assert done["marked_as_done_time"] == done["update_time"]


def test_feature_capping(own) -> None:
    """Statement 18: a plan's number of open deals is a 403 with a code of its own."""
    own.truth.set_company(most_deals=0)
    refused = own.post("/api/v2/deals", {"title": "x"})
    assert refused.status_code == 403
    assert refused.json()["code"] == "feature_capping_deals_limit"


def test_permission(own) -> None:
    """Statement 18: what a user may not do, or not see at all, is a 403 with a sentence."""
    colleague = as_colleague(own)
    refused = colleague.post("/api/v2/pipelines", {"name": "x"})
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "You do not have permissions to do this.",
    )
    own.truth.hide_object("products")
    assert own.v2("/products").status_code == 403
    own.truth.hide_object("products", hidden=False)
    assert own.v2("/products").status_code == 200
    colleague.close()


def test_contact_sync(own) -> None:
    """Statement 25: writing what only contact sync fills is a 403 without it."""
    refused = own.post("/api/v2/persons", {"name": "x", "job_title": "CEO"})
    assert refused.status_code == 403
    own.truth.set_company(contact_sync=True)
    assert created(own, "persons", {"name": "x", "job_title": "CEO"})["job_title"] == "CEO"


def test_marketing_status(own) -> None:
    """Statement 25: marketing_status can be written with the marketing app only."""
    made = created(own, "persons", {"name": "x", "marketing_status": "unsubscribed"})
    row = own.data(f"/api/v2/persons/{made['id']}", include_fields="marketing_status")
    assert row["marketing_status"] == "unsubscribed"
    own.truth.set_company(marketing=False)
    assert own.post("/api/v2/persons", {"name": "x", "marketing_status": "x"}).status_code == 403


def test_pipelines(own) -> None:
    """Pipelines and stages are made, changed and deleted by administrators."""
    pipeline = own.post("/api/v2/pipelines", {"name": "New"}).json()["data"]
    body = {"name": "First", "pipeline_id": pipeline["id"], "deal_probability": 30}
    stage = own.post("/api/v2/stages", body).json()["data"]
    assert own.every("/stages", pipeline_id=pipeline["id"]) == [stage]
    renamed = own.patch(f"/api/v2/stages/{stage['id']}", {"name": "Zero"}).json()["data"]
    assert renamed["name"] == "Zero"
    assert own.delete(f"/api/v2/stages/{stage['id']}").status_code == 200
    assert own.every("/stages", pipeline_id=pipeline["id"]) == []


@pytest.mark.parametrize("name", ["persons", "deals", "organizations"])
def test_costs(main, own, name: str) -> None:
    """Statement 16: writing costs 5 tokens, deleting 3; POST counts against the legacy cap as well."""
    response = own.post(f"/api/v2/{name}", BODIES[name])
    assert own.truth.set_limits()["used"] == 5
    assert response.headers["x-daily-requests-left"] == "9999"
    path = f"/api/v2/{name}/{response.json()['data']['id']}"
    assert "x-daily-requests-left" not in own.patch(path, {}).headers
    own.delete(path)
    assert own.truth.set_limits()["used"] == 13


def test_bad_bodies(main) -> None:
    """What is no JSON object is a 400."""
    url = f"{main.root}/api/v2/persons"
    assert main.http.post(url, data=b"{", headers={"Content-Type": "x"}).status_code == 400
    assert main.post("/api/v2/persons", [1]).status_code == 400


def test_success_without_effect(own) -> None:
    """On order a change answers 200 and changes nothing; the next one does."""
    own.truth.ignore_writes(times=1)
    before = own.data("/api/v2/persons/1")
    response = own.patch("/api/v2/persons/1", {"name": "Emmy"})
    assert (response.status_code, own.data("/api/v2/persons/1")) == (200, before)
    own.patch("/api/v2/persons/1", {"name": "Emmy"})
    assert own.data("/api/v2/persons/1")["name"] == "Emmy"
