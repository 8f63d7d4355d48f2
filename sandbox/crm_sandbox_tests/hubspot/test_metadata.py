import pytest


def names(client, name: str = "contacts", **query) -> dict[str, dict]:
    answer = client.get(f"/crm/v3/properties/{name}", **query).json()
    assert list(answer) == ["results"]
    return {row["name"]: row for row in answer["results"]}


def definition(**more) -> dict:
    made = {
        "name": "shoe_size",
        "label": "Shoe size",
        "type": "number",
        "fieldType": "number",
        "groupName": "contactinformation",
    }
    return made | more


def test_properties_are_one_list(hubspot) -> None:
    """Statement 24: properties come in one list without pages, of every type that there is."""
    found = names(hubspot)
    assert len(found) > 60
    assert {row["type"] for row in found.values()} == {
        "string",
        "number",
        "date",
        "datetime",
        "enumeration",
        "bool",
        "phone_number",
    }
    kinds = {row["fieldType"] for row in found.values()}
    assert {"text", "textarea", "checkbox", "radio", "select", "file", "html"} <= kinds
    assert found["email"]["hasUniqueValue"]
    assert found["hs_email_optout"]["modificationMetadata"]["readOnlyValue"]
    options = found["preferred_channels"]["options"]
    assert {"label": "Chat; live", "value": "chat"}.items() <= options[3].items()
    assert names(hubspot, archived="true") == {}
    assert names(hubspot, dataSensitivity="sensitive") == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "category", "sub"),
    [
        ("GET", "/nope", None, 404, "OBJECT_NOT_FOUND", ""),
        ("PATCH", "/nope", {}, 404, "OBJECT_NOT_FOUND", ""),
        ("DELETE", "/nope", None, 404, "OBJECT_NOT_FOUND", ""),
        (
            "POST",
            "",
            definition(name="email"),
            409,
            "OBJECT_ALREADY_EXISTS",
            "Properties.PROPERTY_WITH_NAME_EXISTS",
        ),
        ("POST", "", {"name": "x"}, 400, "VALIDATION_ERROR", ""),
        ("POST", "", definition(type="colour"), 400, "VALIDATION_ERROR", ""),
        (
            "DELETE",
            "/email",
            None,
            400,
            "VALIDATION_ERROR",
            "PropertyValidationError.CANNOT_DELETE_PROPERTY_IN_USE",
        ),
    ],
)
def test_refusals(hubspot, method, path, body, status, category, sub) -> None:
    """Statement 24: unknown 404, known 409, wrong 400, each with its sub-category."""
    url = f"{hubspot.root}/crm/v3/properties/contacts{path}"
    response = hubspot.http.request(method, url, json=body)
    assert response.status_code == status
    assert response.json()["category"] == category
    assert response.json().get("subCategory", "") == sub


def test_the_life_of_a_property(own) -> None:
    """Statement 24: made, filled, archived, listed apart, and brought back by the same name."""
    path = "/crm/v3/properties/contacts"
    assert own.post(path, definition()).status_code == 201
    record = f"/crm/v3/objects/contacts/{own.first()}"
    own.patch(record, shoe_size="43")
    assert own.delete(f"{path}/shoe_size").status_code == 204
    assert "shoe_size" not in names(own)
    assert "archivedAt" in names(own, archived="true")["shoe_size"]
    assert own.get(f"{path}/shoe_size").status_code == 404
    assert "shoe_size" not in own.get(record, properties="shoe_size").json()["properties"]
    assert own.patch(record, shoe_size="44").status_code == 400
    assert own.post(path, definition(label="Size")).status_code == 201
    assert own.get(record, properties="shoe_size").json()["properties"]["shoe_size"] == "43"
    assert names(own)["shoe_size"]["label"] == "Size"


def test_a_property_in_use(own) -> None:
    """Statement 24: a property that is used somewhere cannot be archived."""
    own.admin("/hubspot/use_field", {"field": "tier"})
    response = own.delete("/crm/v3/properties/contacts/tier")
    assert response.json()["subCategory"] == "PropertyValidationError.CANNOT_DELETE_PROPERTY_IN_USE"
    own.admin("/hubspot/use_field", {"field": "tier", "used": False})
    assert own.delete("/crm/v3/properties/contacts/tier").status_code == 204


def test_options_are_replaced(own) -> None:
    """Statement 24: a PATCH with options replaces the whole list."""
    options = [{"label": "Only", "value": "only"}]
    url = f"{own.root}/crm/v3/properties/contacts/tier"
    shown = own.http.patch(url, json={"options": options}).json()["options"]
    assert [one["value"] for one in shown] == ["only"]
    path = f"/crm/v3/objects/contacts/{own.first()}"
    assert own.patch(path, tier="a").status_code == 400
    assert own.patch(path, tier="only").status_code == 200
    twice = own.http.patch(url, json={"options": options * 2})
    assert twice.status_code == 400


def test_drift(own) -> None:
    """Statement 24: between two runs a property can vanish, be renamed, come, or change its type."""
    record = own.first()
    own.patch(f"/crm/v3/objects/contacts/{record}", customer_number="01234", department="12")
    order = {"name": "contacts", "field": "customer_number"}
    own.admin("/hubspot/rename_field", {**order, "new_name": "client_number"})
    row = own.get(f"/crm/v3/objects/contacts/{record}", properties="client_number,customer_number")
    assert row.json()["properties"]["client_number"] == "01234"
    assert "customer_number" not in row.json()["properties"]
    own.admin(
        "/hubspot/retype_field", {"name": "contacts", "field": "department", "new_type": "number"}
    )
    assert names(own)["department"]["type"] == "number"
    values = {row["department"] for row in own.truth.rows("contacts")}
    assert values == {"12", None}
    own.admin("/hubspot/hide_field", {"name": "contacts", "field": "tier"})
    assert "tier" not in names(own)
    own.admin("/hubspot/add_field", {"name": "contacts", "field": "wave", "value": "7"})
    row = own.get(f"/crm/v3/objects/contacts/{record}", properties="wave,tier").json()["properties"]
    assert row["wave"] == "7"
    assert "tier" not in row
    own.admin("/hubspot/hide_object", {"name": "deals"})
    assert own.get("/crm/v3/objects/deals").status_code == 403
    own.admin("/hubspot/hide_object", {"name": "deals", "hidden": False})
    assert own.get("/crm/v3/objects/deals").status_code == 200


def test_batches_of_properties(own) -> None:
    """Properties are read, made and archived in batches too."""
    path = "/crm/v3/properties/contacts/batch"
    made = own.post(f"{path}/create", {"inputs": [definition(), definition(name="email")]})
    assert made.status_code == 207
    assert [row["name"] for row in made.json()["results"]] == ["shoe_size"]
    read = own.post(f"{path}/read", {"inputs": [{"name": "shoe_size"}, {"name": "email"}]})
    assert len(read.json()["results"]) == 2
    assert own.post(f"{path}/archive", {"inputs": [{"name": "shoe_size"}]}).status_code == 204


def test_owners(hubspot) -> None:
    """Statement 25: archived owners are a list of their own, and have no user any more."""
    live = hubspot.get("/crm/v3/owners").json()["results"]
    gone = hubspot.get("/crm/v3/owners", archived="true").json()["results"]
    assert len(live) + len(gone) == 25
    assert all("userId" not in one and one["userIdIncludingInactive"] for one in gone)
    assert all(one["userId"] for one in live)
    ids = {one["id"] for one in live + gone}
    assert {row["hubspot_owner_id"] for row in hubspot.truth.rows("contacts")} - {None} <= ids
    one = live[3]
    assert hubspot.get(f"/crm/v3/owners/{one['id']}").json() == one
    assert hubspot.get(f"/crm/v3/owners/{one['userId']}", idProperty="userId").json() == one
    assert hubspot.get("/crm/v3/owners", email=one["email"]).json()["results"] == [one]
    page = hubspot.get("/crm/v3/owners", limit=20).json()
    rest = hubspot.get("/crm/v3/owners", after=page["paging"]["next"]["after"]).json()
    assert page["results"] + rest["results"] == live


def test_pipelines(own) -> None:
    """Statement 25: metadata are texts; stages and pipelines are renamed, added and removed."""
    path = "/crm/v3/pipelines/deals"
    [first, second] = own.get(path).json()["results"]
    assert first["id"] == "default"
    assert first["stages"][6]["metadata"] == {"isClosed": "true", "probability": "1.0"}
    assert (
        own.get("/crm/v3/pipelines/tickets").json()["results"][0]["stages"][3]["metadata"][
            "ticketState"
        ]
        == "CLOSED"
    )
    url = f"{own.root}{path}/default/stages/contractsent"
    assert own.http.patch(url, json={"label": "Sent"}).json()["label"] == "Sent"
    assert (
        own.http.patch(f"{own.root}{path}/{second['id']}", json={"label": "R"}).status_code == 200
    )
    made = own.post(
        f"{path}/default/stages",
        {"label": "New", "displayOrder": 9, "metadata": {"probability": 0.5}},
    )
    assert made.json()["metadata"] == {"probability": "0.5"}
    assert own.delete(f"{path}/default/stages/qualifiedtobuy").status_code == 204
    labels = {s["id"]: s["label"] for s in own.get(f"{path}/default").json()["stages"]}
    assert labels["contractsent"] == "Sent"
    assert labels[made.json()["id"]] == "New"
    assert "qualifiedtobuy" not in labels
    assert own.delete(f"{path}/{second['id']}").status_code == 204
    assert [one["id"] for one in own.get(path).json()["results"]] == ["default"]
    assert own.get(f"{path}/nope").status_code == 404


def test_own_object_types(own) -> None:
    """Object types are listed, asked for by any name, made, linked and dropped."""
    [listed] = own.get("/crm/v3/schemas").json()["results"]
    assert listed["fullyQualifiedName"] == f"p{own.facts.hub_id}_machines"
    assert own.get("/crm-object-schemas/2026-09/schemas/machines").json() == listed
    assert own.get("/crm/v3/schemas/contacts").json()["objectTypeId"] == "0-1"
    body = {
        "name": "boats",
        "labels": {"singular": "Boat", "plural": "Boats"},
        "requiredProperties": ["name"],
        "primaryDisplayProperty": "name",
        "properties": [{"name": "name", "label": "Name", "type": "string", "fieldType": "text"}],
    }
    made = own.post("/crm/v3/schemas", body).json()
    argo = {"properties": {"name": "Argo"}}
    assert own.post("/crm/v3/objects/boats", argo).status_code == 201
    assert own.create("boats").status_code == 400
    assert len(own.every(made["objectTypeId"])) == 1
    body = {
        "fromObjectTypeId": made["objectTypeId"],
        "toObjectTypeId": "0-1",
        "name": "boat_to_contact",
    }
    assert own.post("/crm/v3/schemas/boats/associations", body).status_code == 201
    pair = {"from": {"id": own.first("boats")}, "to": {"id": own.first()}}
    path = "/crm/v4/associations/boats/contacts/batch/associate/default"
    assert own.post(path, {"inputs": [pair]}).status_code == 200
    assert own.delete("/crm/v3/schemas/boats").status_code == 400
    own.delete(f"/crm/v3/objects/boats/{own.first('boats')}")
    assert own.delete("/crm/v3/schemas/boats").status_code == 204


def test_the_account(hubspot, second) -> None:
    """A portal says who it is and how much of the day's calls it has used."""
    details = hubspot.get("/account-info/v3/details").json()
    assert details["portalId"] == hubspot.facts.hub_id
    assert details["companyCurrency"] == "USD"
    assert second.get("/account-info/v3/details").json()["companyCurrency"] == "EUR"
    path = "/account-info/v3/api-usage/daily/private-apps"
    before, after = (hubspot.get(path).json()["results"][0]["currentUsage"] for _ in range(2))
    assert after == before + 1
    records = hubspot.get("/crm/limits/2026-09/records").json()["hubspotDefinedObjectTypes"]
    assert records[0]["usage"] == hubspot.truth.count("contacts")


@pytest.mark.parametrize(
    ("action", "body", "status", "words"),
    [
        ("edit", {"name": "contacts", "record": "5", "fields": {}}, 404, "no record of contacts"),
        ("edit", {"name": "contacts", "fields": {}}, 400, "record"),
        ("create", {"name": "nope", "fields": {}}, 400, "unknown object 'nope'; known: contacts"),
        ("create", {"name": "contacts", "fields": {"nope": 1}}, 400, "unknown property 'nope'"),
        ("merge", {"name": "tasks", "winner": "1", "loser": "2"}, 400, "cannot be merged"),
        ("restore", {"name": "contacts", "record": "5"}, 404, "has the id '5'"),
        ("set", {"nope": 1}, 400, "unknown setting"),
        ("set_limits", {"nope": 1}, 400, "unknown ceiling"),
        ("dance", {}, 400, "unknown admin action 'dance'; known:"),
        ("hide_field", {"name": "contacts", "field": "nope"}, 400, "unknown property 'nope'"),
        ("set", {"account": "third"}, 400, "unknown account 'third'; known: main, second"),
    ],
)
def test_mistakes(hubspot, action: str, body: dict, status: int, words: str) -> None:
    """A mistaken order answers with a sentence that names what is wrong."""
    response = hubspot.admin(f"/hubspot/{action}", body)
    assert response.status_code == status
    assert words in response.json()["error"]


def test_truth_over_http(hubspot) -> None:
    """Counts and rows of the admin API are those of Python, with windows."""
    seen = hubspot.admin("/hubspot/count/contacts?include_deleted=true").json()
    total = hubspot.truth.count("contacts", include_deleted=True)
    assert seen == {"object": "contacts", "count": total}
    window = "?since=2026-01-01T00:00:00&until=2026-06-01T00:00:00%2B00:00"
    part = hubspot.admin(f"/hubspot/count/contacts{window}").json()["count"]
    rows = hubspot.admin(f"/hubspot/rows/contacts{window}").json()["rows"]
    assert 0 < part == len(rows) < hubspot.truth.count("contacts")
    people = hubspot.admin("/hubspot/identities/contacts").json()["identities"]
    assert len({row["person"] for row in people}) < len(people)
    assert hubspot.admin("/hubspot/objects?account=second").json()["vehicles"] > 0
    assert hubspot.admin("/hubspot/merged/contacts").json()["merged"]


@pytest.mark.parametrize("kind", ["sensitive", "highly_sensitive"])
def test_sensitive_properties(own, kind: str) -> None:
    """Anybody may list them, apart; their values need a scope of their own, however they are asked for."""
    own.truth.add_field("contacts", "passport", value="X1", sensitivity=kind)
    record = own.first()
    assert "passport" not in names(own)
    assert list(names(own, dataSensitivity=kind)) == ["passport"]
    own.http.headers["Authorization"] = f"Bearer {own.facts.contacts_token}"
    assert names(own, dataSensitivity=kind)["passport"]["dataSensitivity"] == kind
    path = "/crm/v3/objects/contacts"
    asked = {"properties": ["email", "passport"]}
    answers = [
        own.get(path, properties="email,passport"),
        own.get(f"{path}/{record}", properties="passport"),
        own.search("contacts", **asked),
        own.batch("contacts", "read", [{"id": record}], **asked),
    ]
    for response in answers:
        assert response.status_code == 403
        context = response.json()["errors"][0]["context"]
        assert context == {"requiredGranularScopes": [f"crm.objects.contacts.{kind}.read.v2"]}
    assert own.get(path, properties="email").status_code == 200
    own.http.headers["Authorization"] = f"Bearer {own.facts.token}"
    assert (
        own.get(f"{path}/{record}", properties="passport").json()["properties"]["passport"] == "X1"
    )
    assert own.get("/crm/v3/properties/contacts", dataSensitivity="secret").status_code == 400


def test_the_second_version_of_properties(hubspot) -> None:
    """`/properties/v2` answers the same definitions as a bare list, with stamps in milliseconds."""
    listed = hubspot.get("/properties/v2/contacts/properties").json()
    assert [one["name"] for one in listed] == list(names(hubspot))
    one = hubspot.get("/properties/v2/deals/properties/named/dealstage").json()
    assert (one["name"], one["type"], one["deleted"]) == ("dealstage", "enumeration", False)
    assert one["createdAt"] > 10**12
    assert hubspot.get("/properties/v2/deals/properties/named/nope").status_code == 404
    assert hubspot.get("/properties/v2/deals/groups").status_code == 404
