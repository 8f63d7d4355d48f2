import json
from datetime import timedelta

import pytest
import requests

from crm_sandbox_tests.conftest import NOW


def complaints(response: requests.Response) -> list[dict]:
    """Return the complaints that stand as JSON inside a message."""
    assert response.status_code == 400, response.text
    body = response.json()
    assert body["category"] == "VALIDATION_ERROR"
    head, _, inside = body["message"].partition(": ")
    assert head == "Property values were not valid"
    return json.loads(inside)


def stamp(seconds: int) -> str:
    moment = NOW + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_one_bad_input_fails_all(own) -> None:
    """Statement 8: without trace ids one invalid input answers 400 or 409, and nothing is written."""
    total = own.truth.count("contacts")
    bad = [
        {"properties": {"lastname": "A"}},
        {"properties": {"lastname": "B", "nope": "1"}},
    ]
    assert complaints(own.batch("contacts", "create", bad))[0]["name"] == "nope"
    assert own.truth.count("contacts") == total
    known = own.create("contacts", email="x@example.org").json()["id"]
    twice = [
        {"properties": {"email": "y@example.org"}},
        {"properties": {"email": "x@example.org"}},
        {"properties": {"email": "x@example.org"}},
    ]
    response = own.batch("contacts", "create", twice)
    assert response.status_code == 409
    assert response.json()["message"] == f"Contact already exists. Existing ID: {known}"
    assert own.truth.count("contacts") == total + 1


def test_trace_ids_let_the_good_ones_through(own) -> None:
    """Statement 8: with trace ids the good inputs are written and the bad ones named: 207."""
    inputs = [
        {"objectWriteTraceId": "1", "properties": {"lastname": "A"}},
        {"objectWriteTraceId": "2", "properties": {"nope": "1"}},
        {"objectWriteTraceId": "3", "properties": {"lastname": "C"}},
    ]
    response = own.batch("contacts", "create", inputs)
    body = response.json()
    assert response.status_code == 207
    assert [row["objectWriteTraceId"] for row in body["results"]] == ["1", "3"]
    assert body["numErrors"] == 1
    assert body["errors"][0]["context"]["objectWriteTraceId"] == ["2"]


def test_duplicates(own) -> None:
    """Statement 9: a known e-mail answers 409 with the id in the message; a known domain 201."""
    email = next(row["email"] for row in own.truth.rows("contacts") if row["email"])
    holder = next(row["id"] for row in own.truth.rows("contacts") if row["email"] == email)
    response = own.create("contacts", email=email.upper()) if "@" in email[1:] else None
    known = own.create("contacts", email="anna@example.org").json()["id"]
    for spelled in ("anna@example.org", "ANNA@example.org"):
        response = own.create("contacts", email=spelled)
        assert response.status_code == 409
        assert response.json()["category"] == "CONFLICT"
        assert f"Existing ID: {known}" in response.json()["message"]
    own.truth.edit("contacts", holder, hs_additional_emails="second@example.org;third@example.org")
    response = own.create("contacts", email="third@example.org")
    assert f"Existing ID: {holder}" in response.json()["message"]
    domain = own.truth.rows("companies")[0]["domain"]
    assert own.create("companies", domain=domain).status_code == 201


def test_upsert(own) -> None:
    """Statement 10: an upsert by e-mail creates or changes, and says which."""
    known = own.create("contacts", email="a@example.org").json()["id"]
    inputs = [
        {"idProperty": "email", "id": "A@example.org", "properties": {"city": "Ulm"}},
        {"idProperty": "email", "id": "b@example.org", "properties": {"city": "Bonn"}},
    ]
    body = own.batch("contacts", "upsert", inputs).json()
    assert [row["new"] for row in body["results"]] == [False, True]
    assert body["results"][0]["id"] == known
    made = body["results"][1]["id"]
    row = own.get(f"/crm/v3/objects/contacts/{made}", properties="email,city").json()
    assert (row["properties"]["email"], row["properties"]["city"]) == ("b@example.org", "Bonn")
    assert own.batch("contacts", "upsert", [{"id": "1", "properties": {}}]).status_code == 400


@pytest.mark.parametrize(
    ("name", "properties", "code"),
    [
        ("contacts", {"nope": "1"}, "PROPERTY_DOESNT_EXIST"),
        ("contacts", {"hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ("contacts", {"lastmodifieddate": "1"}, "READ_ONLY_VALUE"),
        ("contacts", {"hs_email_optout": "true"}, "READ_ONLY_VALUE"),
        ("contacts", {"region_code": "x"}, "READ_ONLY_VALUE"),
        ("contacts", {"email": "no mail"}, "INVALID_EMAIL"),
        ("contacts", {"budget": "much"}, "INVALID_NUMBER"),
        ("contacts", {"contract_start": "soon"}, "INVALID_LONG"),
        ("contacts", {"contract_start": "1767225600001"}, "INVALID_DATE"),
        ("contacts", {"is_vip": "maybe"}, "INVALID_BOOLEAN"),
        ("contacts", {"tier": "z"}, "INVALID_OPTION"),
        ("contacts", {"preferred_channels": "email;fax"}, "INVALID_OPTION"),
        ("contacts", {"hubspot_owner_id": "1"}, "INVALID_OPTION"),
        ("contacts", {"remarks": "x" * 70_000}, "VALUE_TOO_LONG"),
        (
            "deals",
            {"dealname": "D", "pipeline": "default", "dealstage": "nowhere"},
            "INVALID_OPTION",
        ),
        (
            "deals",
            {"dealname": "D", "pipeline": "default", "dealstage": "1044001"},
            "INVALID_OPTION",
        ),
    ],
)
def test_values_that_are_refused(hubspot, name: str, properties: dict, code: str) -> None:
    """Statements 11, 12: a wrong value answers 400, with its code as JSON inside the message."""
    found = complaints(hubspot.post(f"/crm/v3/objects/{name}", {"properties": properties}))
    assert code in [one["error"] for one in found]
    assert all(one["isValid"] is False for one in found)
    assert all(one["portalId"] == hubspot.facts.hub_id for one in found)


def test_every_complaint_at_once(hubspot) -> None:
    """Statement 11: all complaints about a record come in one answer."""
    found = complaints(hubspot.create("contacts", nope="1", budget="x", tier="z"))
    assert [one["name"] for one in found] == ["nope", "budget", "tier"]


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("companies", {"city": "Ulm"}),
        ("deals", {"dealname": "D", "pipeline": "default"}),
        ("deals", {"dealname": "D", "dealstage": "closedwon"}),
        ("tickets", {"subject": "T"}),
        ("machines", {"model": "M"}),
    ],
)
def test_what_a_record_has_to_have(hubspot, name: str, properties: dict) -> None:
    """A record that lacks what its type demands answers 400 and names it."""
    response = hubspot.post(f"/crm/v3/objects/{name}", {"properties": properties})
    assert response.status_code == 400
    assert "required properties" in response.json()["message"]


def test_emptying_and_appending(own) -> None:
    """Statement 12: an empty text clears; a leading semicolon adds to a list of choices."""
    path = f"/crm/v3/objects/contacts/{own.first()}"
    own.patch(path, city="Ulm", preferred_channels="email")
    row = own.patch(path, city="", preferred_channels=";phone;email").json()
    assert row["properties"]["city"] == ""
    assert row["properties"]["preferred_channels"] == "email;phone"
    found = own.search("contacts", {"propertyName": "city", "operator": "EQ", "value": "Ulm"})
    assert row["id"] not in {one["id"] for one in found.json()["results"]}


def test_dates(own) -> None:
    """A date comes as text or as milliseconds at midnight, a moment in any form."""
    path = f"/crm/v3/objects/contacts/{own.first()}"
    row = own.patch(
        path, contract_start="1767225600000", last_survey_at="2026-01-01T12:00:00+02:00"
    )
    assert row.json()["properties"]["contract_start"] == "2026-01-01"
    assert row.json()["properties"]["last_survey_at"] == "2026-01-01T10:00:00.000Z"


def test_the_lifecycle_moves_forward_only(own) -> None:
    """Statement 12: a lifecycle stage is not moved back: it stays, or the write is refused."""
    path = f"/crm/v3/objects/contacts/{own.first()}"
    own.patch(path, lifecyclestage="")
    own.patch(path, lifecyclestage="opportunity")
    response = own.patch(path, lifecyclestage="lead")
    assert response.status_code == 200
    assert response.json()["properties"]["lifecyclestage"] == "opportunity"
    own.admin("/hubspot/set", {"lifecycle": "refuse"})
    assert complaints(own.patch(path, lifecyclestage="lead"))[0]["name"] == "lifecyclestage"
    assert own.patch(path, lifecyclestage="customer").status_code == 200
    own.patch(path, lifecyclestage="")
    assert own.patch(path, lifecyclestage="lead").json()["properties"]["lifecyclestage"] == "lead"


@pytest.mark.parametrize(
    ("name", "field", "stamped"),
    [
        ("contacts", "city", "lastmodifieddate"),
        ("companies", "city", "hs_lastmodifieddate"),
        ("deals", "dealname", "hs_lastmodifieddate"),
        ("machines", "model", "hs_lastmodifieddate"),
    ],
)
def test_every_write_moves_the_stamp(own, name: str, field: str, stamped: str) -> None:
    """Statement 13: each write moves the stamp to the sandbox's clock, even one that changes nothing."""
    path = f"/crm/v3/objects/{name}/{own.first(name)}"
    for seconds in (10, 20):
        own.sandbox.clock.stand_at(NOW + timedelta(seconds=seconds))
        row = own.patch(path, **{field: "same"}).json()
        assert row["updatedAt"] == row["properties"][stamped] == stamp(seconds)
    own.sandbox.clock.stand_at(NOW + timedelta(seconds=30))
    own.batch(name, "update", [{"id": row["id"], "properties": {field: "other"}}])
    assert own.get(path).json()["updatedAt"] == stamp(30)


def test_a_stage_has_consequences(own) -> None:
    """A deal's stage decides what is computed from it, and stands in its history."""
    deal = own.create(
        "deals", dealname="D", pipeline="default", dealstage="contractsent", amount="100"
    )
    path = f"/crm/v3/objects/deals/{deal.json()['id']}"
    own.sandbox.clock.advance(60)
    own.patch(path, dealstage="closedwon")
    names = "hs_is_closed,hs_is_closed_won,hs_deal_stage_probability"
    entered = "hs_v2_date_entered_current_stage"
    asked = {"properties": f"{names},{entered}", "propertiesWithHistory": "dealstage"}
    row = own.get(path, **asked).json()
    assert [row["properties"][name] for name in names.split(",")] == ["true", "true", "1.0"]
    entries = row["propertiesWithHistory"]["dealstage"]
    assert row["properties"][entered] == entries[0]["timestamp"]
    own.sandbox.clock.advance(60)
    own.patch(path, dealstage="closedwon", amount="200")
    assert own.get(path, **asked).json()["properties"][entered] == entries[0]["timestamp"]
    assert [entry["value"] for entry in entries] == ["closedwon", "contractsent"]
    assert [entry["timestamp"] for entry in entries] == [stamp(60), stamp(0)]


@pytest.mark.parametrize(
    ("currency", "wanted"), [("USD", "100"), ("EUR", "110"), ("JPY", "0.65"), (None, "100")]
)
def test_amounts_in_the_portals_own_currency(own, currency: str | None, wanted: str) -> None:
    """A deal's amount is converted whenever it or its currency is written."""
    deal = own.create("deals", dealname="D", pipeline="default", dealstage="contractsent")
    path = f"/crm/v3/objects/deals/{deal.json()['id']}"
    own.patch(path, amount="100")
    if currency:
        own.patch(path, deal_currency_code=currency)
    row = own.get(path, properties="amount_in_home_currency").json()
    assert row["properties"]["amount_in_home_currency"] == wanted


def test_delete(own) -> None:
    """Statement 23: DELETE answers 204, also again; then GET 404, and 200 with archived=true."""
    events: list[dict] = []
    own.truth.api().portal.events.listen(events.append)
    record = own.first()
    path = f"/crm/v3/objects/contacts/{record}"
    assert own.delete(path).status_code == 204
    assert own.delete(path).status_code == 204
    assert own.get(path).status_code == 404
    gone = own.get(path, archived="true").json()
    assert (gone["archived"], gone["archivedAt"]) == (True, stamp(0))
    assert [(e["kind"], e["objectId"]) for e in events] == [("deletion", int(record))]
    own.truth.restore("contacts", record)
    assert own.get(path).status_code == 200
    assert events[-1]["kind"] == "restore"


def test_batch_archive(own) -> None:
    """Statement 23: a batch archives what there is and answers 204."""
    ids = [own.first(), own.first(number=1), "5"]
    assert own.batch("contacts", "archive", [{"id": one} for one in ids]).status_code == 204
    assert own.get(f"/crm/v3/objects/contacts/{ids[1]}").status_code == 404


def test_merge(own) -> None:
    """Statement 21: a merge makes a new id; both old ones lead to it, but not in lists and batches."""
    one, two = own.first(), own.first(number=1)
    rows = {row["id"]: row for row in own.truth.rows("contacts")}
    path = "/crm/v3/objects/contacts"
    made = own.post(f"{path}/merge", {"primaryObjectId": one, "objectIdToMerge": two}).json()["id"]
    assert made not in rows
    names = "hs_merged_object_ids,hs_calculated_merged_vids,firstname,email,hs_additional_emails"
    for old in (one, two, made):
        found = own.get(f"{path}/{old}", properties=names).json()
        assert found["id"] == made
    values = found["properties"]
    assert values["hs_merged_object_ids"] == f"{one};{two}"
    moment = int(NOW.timestamp() * 1000)
    assert values["hs_calculated_merged_vids"] == f"{one}:{moment};{two}:{moment}"
    assert values["firstname"] == rows[one]["firstname"]
    assert own.patch(f"{path}/{one}", city="Ulm").json()["id"] == made
    listed = {row["id"] for row in own.every("contacts")}
    assert made in listed
    assert not {one, two} & listed
    assert not {one, two} & {row["id"] for row in own.every("contacts", archived="true")}
    searched = own.search("contacts", limit=200).json()["results"]
    assert {row["id"] for row in searched} == listed
    inputs = [{"id": one, "properties": {"city": "B"}}, {"id": made, "properties": {"city": "C"}}]
    response = own.batch("contacts", "update", inputs)
    assert response.status_code == 207
    assert response.json()["errors"][0]["context"]["ids"] == [one]
    assert own.truth.merged("contacts")[two] == made


def test_merges_in_a_row(own) -> None:
    """Statement 21: what was merged before is named too, and the 251st merge answers 414."""
    ids = [own.first(number=k) for k in range(3)]
    path = "/crm/v3/objects/contacts"
    made = own.truth.merge("contacts", ids[0], ids[1])
    again = own.truth.merge("contacts", made, ids[2])
    assert own.get(f"{path}/{ids[0]}").json()["id"] == again
    listed = own.get(f"{path}/{again}", properties="hs_merged_object_ids").json()["properties"]
    assert listed["hs_merged_object_ids"] == f"{ids[0]};{ids[1]};{made};{ids[2]}"
    own.truth.edit("contacts", again, hs_merged_object_ids=";".join(str(k) for k in range(250)))
    body = {"primaryObjectId": again, "objectIdToMerge": own.first()}
    assert own.post(f"{path}/merge", body).status_code == 414


def test_links_follow_a_merge(own) -> None:
    """What hung on two records hangs on the one that came out."""
    links = own.truth.links("contacts", "companies")
    one, two = (own.first(number=k) for k in (0, 1))
    companies = {to for record, to, _ in links if record in {one, two}}
    made = own.truth.merge("contacts", one, two)
    after = {to for record, to, _ in own.truth.links("contacts", "companies") if record == made}
    assert after == companies


def test_gdpr_delete(own) -> None:
    """Statement 22: gone for ever, known or unknown; the address is refused from then on."""
    events: list[dict] = []
    own.truth.api().portal.events.listen(events.append)
    path = "/crm/v3/objects/contacts"
    record = own.create("contacts", email="gone@example.org").json()["id"]
    assert own.post(f"{path}/gdpr-delete", {"objectId": record}).status_code == 204
    assert own.get(f"{path}/{record}").status_code == 404
    assert own.get(f"{path}/{record}", archived="true").status_code == 404
    assert record not in {row["id"] for row in own.every("contacts", archived="true")}
    assert own.create("contacts", email="Gone@example.org").status_code == 400
    kinds = {event["kind"] for event in events if event["objectId"] == int(record)}
    assert {"privacyDeletion", "deletion"} <= kinds
    body = {"objectId": "stranger@example.org", "idProperty": "email"}
    assert own.post(f"{path}/gdpr-delete", body).status_code == 204
    assert own.create("contacts", email="stranger@example.org").status_code == 400
    assert own.post(f"{path}/gdpr-delete", {"objectId": "999"}).status_code == 204


def test_rules_of_the_newest_version(own) -> None:
    """Statement 31: configured rules hold under the newest version only, each with its code."""
    own.admin("/hubspot/require", {"name": "contacts", "properties": ["city"]})
    rule = {"property": "hs_next_step", "when": "dealstage", "values": ["contractsent"]}
    own.admin("/hubspot/require_when", {"name": "deals", "rules": [rule]})
    body = {"properties": {"lastname": "N"}}
    assert own.post("/crm/v3/objects/contacts", body).status_code == 201
    refused = own.post("/crm/objects/2026-09/contacts", body)
    assert refused.status_code == 400
    assert [e["code"] for e in refused.json()["errors"]] == ["MISSING_REQUIRED_PROPERTY"]
    deal = {"dealname": "D", "pipeline": "default", "dealstage": "qualifiedtobuy"}
    made = own.post("/crm/objects/2026-09/deals", {"properties": deal}).json()["id"]
    url = f"{own.root}/crm/objects/2026-09/deals/{made}"
    change = {"properties": {"dealstage": "contractsent"}}
    refused = own.http.patch(url, json=change)
    assert refused.status_code == 400
    code = "MISSING_CONDITIONAL_REQUIRED_PROPERTY"
    assert [e["code"] for e in refused.json()["errors"]] == [code]
    change["properties"]["hs_next_step"] = "call"
    assert own.http.patch(url, json=change).status_code == 200


def test_a_record_with_links(own) -> None:
    """A create can link the record at once; a link that cannot be is the end of all."""
    company = own.first("companies")
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    body = {
        "properties": {"lastname": "L"},
        "associations": [{"to": {"id": company}, "types": [kind]}],
    }
    made = own.post("/crm/v3/objects/contacts", body).json()["id"]
    row = own.get(f"/crm/v3/objects/contacts/{made}", associations="companies").json()
    kinds = [e["type"] for e in row["associations"]["companies"]["results"]]
    assert kinds == ["contact_to_company", "contact_to_company_unlabeled"]
    total = own.truth.count("contacts")
    body["associations"][0]["to"]["id"] = "5"
    assert own.post("/crm/v3/objects/contacts", body).status_code == 404
    assert own.truth.count("contacts") == total
