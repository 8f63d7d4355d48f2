import pytest


def kind(number: int, category: str = "HUBSPOT_DEFINED") -> dict:
    return {"associationCategory": category, "associationTypeId": number}


def linked(
    own, record: str, other: str = "companies", name: str = "contacts"
) -> dict[str, list[int]]:
    answer = own.get(f"/crm/v4/objects/{name}/{record}/associations/{other}").json()
    return {
        str(row["toObjectId"]): [one["typeId"] for one in row["associationTypes"]]
        for row in answer["results"]
    }


def test_ids_are_numbers(hubspot) -> None:
    """Statement 20: toObjectId is a number, whatever the description says."""
    row = hubspot.get(f"/crm/v4/objects/contacts/{hubspot.first()}/associations/companies").json()
    assert all(isinstance(one["toObjectId"], int) for one in row["results"])


def test_a_primary_link_brings_the_plain_one(own) -> None:
    """Statement 20: a primary link also makes the plain one, and replaces the former primary."""
    record = own.first()
    first, second = own.first("companies"), own.first("companies", 1)
    for company in (first, second):
        path = f"/crm/v4/objects/contacts/{record}/associations/companies/{company}"
        response = own.put(path, [kind(1)])
        assert response.status_code == 201
        assert response.json()["labels"] == ["Primary"]
    found = linked(own, record)
    assert found[first] == [279]
    assert found[second] == [1, 279]
    back = linked(own, second, "contacts", "companies")
    assert back[record] == [2, 280]


def test_put_replaces_the_labels(own) -> None:
    """Statement 20: PUT replaces the labels of two records; the default address links plainly."""
    record, company = own.create("contacts", lastname="X").json()["id"], own.first("companies")
    label = own.truth.api().portal.link_types.labelled("contacts", "companies", "Former employer")
    path = f"/crm/v4/objects/contacts/{record}/associations"
    assert own.put(f"{path}/default/companies/{company}").status_code == 200
    assert linked(own, record) == {company: [279]}
    own.put(f"{path}/companies/{company}", [kind(label.id, "USER_DEFINED")])
    assert linked(own, record) == {company: [label.id, 279]}
    own.put(f"{path}/companies/{company}", [kind(1)])
    assert linked(own, record) == {company: [1, 279]}
    assert own.delete(f"{path}/companies/{company}").status_code == 204
    assert linked(own, record) == {}
    assert own.put(f"{path}/companies/{company}", [kind(5)]).status_code == 400
    assert own.put(f"{path}/companies/5", [kind(1)]).status_code == 404


def test_batches_of_links(own) -> None:
    """Statement 20: 1,000 are read and 2,000 written at once, not more."""
    base = "/crm/v4/associations/contacts/companies/batch"
    many = [{"id": "1"}] * 1_001
    assert own.post(f"{base}/read", {"inputs": many}).status_code == 400
    record, company = own.create("contacts", lastname="X").json()["id"], own.first("companies")
    pair = {"from": {"id": record}, "to": {"id": company}}
    made = own.post(f"{base}/create", {"inputs": [{**pair, "types": [kind(279)]}]})
    assert made.status_code == 201
    assert own.post(f"{base}/create", {"inputs": [pair] * 2_001}).status_code == 400
    own.admin("/hubspot/set", {"associated_status": 200})
    made = own.post(f"{base}/create", {"inputs": [{**pair, "types": [kind(279)]}]})
    assert made.status_code == 200
    assert (
        own.post(f"{base}/labels/archive", {"inputs": [{**pair, "types": [kind(279)]}]}).status_code
        == 204
    )
    assert linked(own, record) == {}
    assert own.post(f"{base}/associate/default", {"inputs": [pair]}).json()["results"]
    body = {"inputs": [{"from": {"id": record}, "to": [{"id": company}]}]}
    assert own.post(f"{base}/archive", body).status_code == 204
    assert linked(own, record) == {}


def test_who_has_no_links_is_an_error(own) -> None:
    """Records without links are missing in a batch, and stand in an error of a 207."""
    lonely = own.create("contacts", lastname="X").json()["id"]
    inputs = {"inputs": [{"id": lonely}, {"id": own.first()}]}
    response = own.post("/crm/v4/associations/contacts/companies/batch/read", inputs)
    assert response.status_code == 207
    assert [row["from"]["id"] for row in response.json()["results"]] == [own.first()]
    assert response.json()["errors"][0]["context"]["fromObjectId"] == [lonely]


def test_a_page_has_500(own) -> None:
    """Statement 20: the links of one record come 500 at a time."""
    company = own.first("companies")
    ids = own.truth.api().writer.insert(
        own.truth.api().portal.catalog.known("contacts"), [{"lastname": str(k)} for k in range(510)]
    )
    pairs = [{"from": {"id": company}, "to": {"id": str(one)}} for one in ids]
    base = "/crm/v4/associations/companies/contacts/batch"
    assert own.post(f"{base}/associate/default", {"inputs": pairs}).status_code == 200
    path = f"/crm/v4/objects/companies/{company}/associations/contacts"
    assert own.get(path, limit=501).status_code == 400
    page = own.get(path).json()
    assert len(page["results"]) == 500
    following = own.get(path, after=page["paging"]["next"]["after"]).json()
    found = [row["toObjectId"] for row in page["results"] + following["results"]]
    assert set(ids) <= set(found)
    assert len(found) == len(set(found))
    read = own.post(f"{base}/read", {"inputs": [{"id": company}]}).json()["results"][0]
    assert len(read["to"]) == 500
    assert read["paging"]["next"]["after"] == page["paging"]["next"]["after"]
    inline = own.get(f"/crm/v3/objects/companies/{company}", associations="contacts").json()
    assert "paging" in inline["associations"]["contacts"]


def test_labels(own) -> None:
    """Labels of the portal are made, renamed and dropped; those of the vendor stay."""
    path = "/crm/v4/associations/contacts/deals/labels"
    made = own.post(path, {"label": "Payer", "name": "payer"}).json()["results"]
    assert len(made) == 2
    number = made[0]["typeId"]
    own.put(path, {"associationTypeId": number, "label": "Who pays"})
    shown = {row["typeId"]: row["label"] for row in own.get(path).json()["results"]}
    assert shown[number] == "Who pays"
    assert own.delete(f"{path}/{number}").status_code == 204
    assert number not in {row["typeId"] for row in own.get(path).json()["results"]}
    assert own.delete(f"{path}/4").status_code == 400


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_dated_statuses(own, version: str) -> None:
    """Archiving links answers 200 under dates, and creating them in the newest version too."""
    record, company = own.create("contacts", lastname="X").json()["id"], own.first("companies")
    base = f"/crm/associations/{version}/contacts/companies/batch"
    pair = {"from": {"id": record}, "to": {"id": company}, "types": [kind(279)]}
    status = own.post(f"{base}/create", {"inputs": [pair]}).status_code
    assert status == (200 if version == "2026-09" else 201)
    body = {"inputs": [{"from": {"id": record}, "to": [{"id": company}]}]}
    assert own.post(f"{base}/archive", body).status_code == 200


def test_links_to_archived_records(own) -> None:
    """A link to an archived record is shown nowhere, and is there again when it is restored."""
    record = own.first()
    company = next(iter(linked(own, record)))
    own.truth.delete("companies", company)
    assert company not in linked(own, record)
    row = own.get(f"/crm/v3/objects/contacts/{record}", associations="companies").json()
    assert company not in str(row.get("associations", {}))
    own.truth.restore("companies", company)
    assert company in linked(own, record)


def test_the_older_api(own) -> None:
    """The v3 batch reads, writes and archives links by name."""
    record, company = own.first(), own.first("companies")
    base = "/crm/v3/associations/contacts/companies"
    types = own.get(f"{base}/types").json()["results"]
    assert {"id": "1", "name": "contact_to_company"} in types
    pair = {"from": {"id": record}, "to": {"id": company}, "type": "contact_to_company"}
    assert own.post(f"{base}/batch/create", {"inputs": [pair]}).status_code == 201
    read = own.post(f"{base}/batch/read", {"inputs": [{"id": record}]}).json()["results"][0]
    assert {"id": company, "type": "contact_to_company"} in read["to"]
    assert own.post(f"{base}/batch/archive", {"inputs": [pair]}).status_code == 204
    listed = own.get(f"/crm/v3/objects/contacts/{record}/associations/companies").json()["results"]
    assert {"id": company, "type": "contact_to_company"} not in listed
