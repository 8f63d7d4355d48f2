import pytest

from crm_sandbox_tests.contracts import validate


def ask(client, query: str, **variables):
    response = client.post("/collector/graphql", {"query": query, "variables": variables})
    assert response.status_code == 200
    return response.json()


def test_a_collection(hubspot) -> None:
    """Statement 30: a collection is filtered, ordered and cut; its total is the truth's."""
    query = """query q($limit: Int!) { CRM { contact_collection(
        filter: {lifecyclestage__eq: "customer"}, limit: $limit, offset: 2, orderBy: hs_object_id__desc) {
        total hasMore offset items { hs_object_id mail: email } } } }"""
    found = ask(hubspot, query, limit=5)["data"]["CRM"]["contact_collection"]
    rows = [r for r in hubspot.truth.rows("contacts") if r["lifecyclestage"] == "customer"]
    assert found["total"] == len(rows)
    assert found["hasMore"] is True
    wanted = [{"hs_object_id": r["id"], "mail": r["email"]} for r in rows[::-1][2:7]]
    assert found["items"] == wanted


def test_a_record_with_links(hubspot) -> None:
    """Statement 30: a single record comes with what it is linked to."""
    record, company = min({(a, b) for a, b, _ in hubspot.truth.links("contacts", "companies")})
    query = """{ CRM { contact(uniqueIdentifier: "id", uniqueIdentifierValue: "%s") { email
        associations { company_collection__contact_to_company { total items { hs_object_id name } } } } } }"""
    found = ask(hubspot, query % record)["data"]["CRM"]["contact"]
    linked = found["associations"]["company_collection__contact_to_company"]
    assert company in {row["hs_object_id"] for row in linked["items"]}
    assert linked["total"] == len(linked["items"])


@pytest.mark.parametrize(
    "query",
    [
        "{ CRM { contact_collection { items { nope } } } }",
        "{ CRM { unicorn_collection { total } } }",
        "{ CRM { contact_collection(limit: 1000) { total } } }",
        '{ CRM { contact_collection(filter: {nope__eq: "1"}) { total } } }',
        "{ CRM {",
        "{ ERP { total } }",
        "",
    ],
)
def test_mistakes(hubspot, query: str) -> None:
    """Statement 30: a bad query answers 200 with `errors` and without data."""
    body = ask(hubspot, query)
    assert body["errors"][0]["message"]
    assert "data" not in body


def test_rules_of_properties(own) -> None:
    """Rules for values are kept and shown as the vendor describes them."""
    path = "/crm/property-validations/2026-09/0-1"
    file = "property-validations.2026-09.json"
    assert (
        own.put(f"{path}/city/rule-type/MAX_LENGTH", {"ruleArguments": ["20"]}).status_code == 204
    )
    template = "/crm/property-validations/2026-09/{objectTypeId}"
    for below, at in (
        ("", template),
        ("/city", f"{template}/{{propertyName}}"),
        ("/city/rule-type/MAX_LENGTH", f"{template}/{{propertyName}}/rule-type/{{ruleType}}"),
    ):
        response = own.get(path + below)
        validate("hubspot", file, "GET", at, 200, response.json(), closed=True)
    assert own.get(f"{path}/city/rule-type/REGEX").status_code == 404
    assert own.put(f"{path}/city/rule-type/WHIM", {"ruleArguments": []}).status_code == 400
