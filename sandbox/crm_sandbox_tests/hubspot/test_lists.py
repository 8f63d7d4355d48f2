import re

import pytest

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TYPES = [
    "contacts",
    "companies",
    "deals",
    "tickets",
    "products",
    "line_items",
    "quotes",
    "tasks",
    "notes",
    "meetings",
    "calls",
    "emails",
    "leads",
    "machines",
]


@pytest.mark.parametrize("name", TYPES)
def test_a_list_read_to_its_end_is_the_truth(hubspot, name: str) -> None:
    """Statement 4: a list shows every live record once, by ascending id, and no archived one."""
    rows = hubspot.every(name)
    truth = hubspot.truth.rows(name)
    assert [row["id"] for row in rows] == [row["id"] for row in truth]
    assert rows
    assert [int(row["id"]) for row in rows] == sorted(int(row["id"]) for row in rows)


def test_default_and_largest_page(hubspot) -> None:
    """Statement 4: a page has 10 records by default; more than 100 are refused, with history 50."""
    page = hubspot.get("/crm/v3/objects/contacts").json()
    assert len(page["results"]) == 10
    assert page["paging"]["next"]["after"] == hubspot.first(number=10)
    assert hubspot.get("/crm/v3/objects/contacts", limit=101).status_code == 400
    history = {"propertiesWithHistory": "email"}
    assert hubspot.get("/crm/v3/objects/contacts", limit=51, **history).status_code == 400
    assert hubspot.get("/crm/v3/objects/contacts", limit=50, **history).status_code == 200
    assert hubspot.get("/crm/v3/objects/contacts", limit=0).status_code == 400
    assert hubspot.get("/crm/v3/objects/contacts", after="x").status_code == 400


def test_the_last_page_has_no_paging(hubspot) -> None:
    """Statement 4: `paging` is missing on the last page."""
    page = hubspot.get("/crm/v3/objects/products", limit=100).json()
    assert list(page) == ["results"]


def test_archived_records_are_a_list_of_their_own(hubspot) -> None:
    """Statement 4: `archived=true` shows only archived records, each with archivedAt."""
    live = {row["id"] for row in hubspot.every("contacts")}
    gone = hubspot.every("contacts", archived="true")
    total = hubspot.truth.count("contacts", include_deleted=True)
    assert len(gone) + len(live) == total
    assert gone
    for row in gone:
        assert row["archived"] is True
        assert ISO.fullmatch(row["archivedAt"])
        assert row["id"] not in live


def test_properties_of_an_answer(hubspot) -> None:
    """Statement 4: default properties as documented; unknown names are ignored silently."""
    page = hubspot.get("/crm/v3/objects/contacts", limit=1).json()
    names = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]
    assert sorted(page["results"][0]["properties"]) == names
    page = hubspot.get("/crm/v3/objects/deals", limit=1).json()
    expected = (
        "amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline"
    )
    assert sorted(page["results"][0]["properties"]) == expected.split()
    asked = hubspot.get(
        "/crm/v3/objects/contacts", limit=1, properties="city,nope,hs_language"
    ).json()
    names = ["city", "createdate", "hs_language", "hs_object_id", "lastmodifieddate"]
    assert sorted(asked["results"][0]["properties"]) == names


@pytest.mark.parametrize("name", TYPES)
def test_values_are_text_or_null(hubspot, name: str) -> None:
    """Statement 5: every property value is text or null, ids are text, stamps ISO with ms and Z."""
    known = hubspot.get(f"/crm/v3/properties/{name}").json()["results"]
    rows = hubspot.every(name, properties=",".join(one["name"] for one in known))
    for row in rows:
        assert isinstance(row["id"], str)
        assert all(isinstance(v, str | None) for v in row["properties"].values())
        assert ISO.fullmatch(row["createdAt"])
        assert ISO.fullmatch(row["updatedAt"])
        assert row["createdAt"] <= row["updatedAt"]
        assert row["properties"]["hs_object_id"] == row["id"]
        assert set(row["properties"]) == {one["name"] for one in known}
    truth = {row["id"]: row for row in hubspot.truth.rows(name)}
    for row in rows:
        assert row["properties"].items() <= truth[row["id"]].items()


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
@pytest.mark.parametrize(
    "name", ["contacts", "deals", "0-1", "contact", "p24100001_machines", "2-3800001"]
)
def test_the_same_data_under_every_version(hubspot, version: str, name: str) -> None:
    """Statement 3: numbered and dated addresses show the same; `link` names another version."""
    numbered = hubspot.get(f"/crm/v3/objects/{name}", limit=5).json()
    dated = hubspot.get(f"/crm/objects/{version}/{name}", limit=5).json()
    assert numbered["results"] == dated["results"]
    assert numbered["paging"]["next"]["after"] == dated["paging"]["next"]["after"]
    assert f"/{name}?" in numbered["paging"]["next"]["link"]
    assert "/crm/objects/2026-03/" in numbered["paging"]["next"]["link"]
    assert "/crm/v3/objects/" in dated["paging"]["next"]["link"]
    following = hubspot.http.get(dated["paging"]["next"]["link"]).json()
    assert following["results"][0]["id"] == dated["paging"]["next"]["after"]


def test_unknown_addresses(hubspot) -> None:
    """Unknown versions, object types and resources are refused."""
    assert hubspot.get("/crm/v2/objects/contacts").status_code == 404
    assert hubspot.get("/crm/v3/objects/unicorns").status_code == 400
    assert hubspot.get("/crm/v4/objects/contacts").status_code == 404
    assert hubspot.get("/nothing").status_code == 404
    assert hubspot.put("/crm/v3/objects/contacts").status_code == 405


def test_a_long_address(hubspot) -> None:
    """Statement 6: an address longer than 16 kB answers 414."""
    names = ",".join(f"property_number_{k}" for k in range(900))
    assert hubspot.get("/crm/v3/objects/contacts", properties=names).status_code == 414
    short = ",".join(f"property_number_{k}" for k in range(600))
    assert hubspot.get("/crm/v3/objects/contacts", properties=short).status_code == 200


def test_inline_links_repeat_ids(hubspot) -> None:
    """Statement 20: inline associations name an id once for each label."""
    rows = hubspot.every("contacts", associations="companies,deals,p24100001_machines")
    linked = [row for row in rows if "associations" in row]
    kinds = [
        entry["type"]
        for row in linked
        for entry in row["associations"].get("companies", {}).get("results", ())
    ]
    assert {"contact_to_company", "contact_to_company_unlabeled", "former_employer"} == set(kinds)
    first = linked[0]["associations"]["companies"]["results"]
    assert first[0]["id"] == first[1]["id"]
    assert any("deals" in row["associations"] for row in linked)
    assert any("p24100001_machines" in row["associations"] for row in linked)
    shown = {
        (row["id"], entry["id"])
        for row in rows
        for entry in row.get("associations", {}).get("companies", {}).get("results", ())
    }
    assert shown == {(one, two) for one, two, _ in hubspot.truth.links("contacts", "companies")}


def test_line_items_are_linked_under_a_key_with_a_space(hubspot) -> None:
    """The links to line items stand under `line items`, whichever name was asked for."""
    rows = hubspot.every("deals", associations="line_items")
    assert {key for row in rows for key in row.get("associations", ())} == {"line items"}


def test_stage_history(hubspot) -> None:
    """propertiesWithHistory shows every stage of a deal, newest first, and the last is the value."""
    rows = []
    after = "0"
    while after:
        page = hubspot.get(
            "/crm/v3/objects/deals",
            limit=50,
            after=after,
            propertiesWithHistory="dealstage,amount,dealname",
        ).json()
        rows += page["results"]
        after = page.get("paging", {}).get("next", {}).get("after")
    assert len(rows) == hubspot.truth.count("deals")
    for row in rows:
        for name in ("dealstage", "amount", "dealname"):
            entries = row["propertiesWithHistory"][name]
            stamps = [entry["timestamp"] for entry in entries]
            assert entries[0]["value"] == row["properties"][name]
            assert stamps == sorted(stamps, reverse=True)
            assert stamps[-1] == row["createdAt"]
            assert stamps[0] <= row["updatedAt"]
    assert max(len(row["propertiesWithHistory"]["dealstage"]) for row in rows) > 3


def test_history_of_what_is_computed(hubspot) -> None:
    """The last value of a computed property is stamped with the time of reading."""
    query = {"propertiesWithHistory": "hs_is_closed", "limit": 1}
    one, two = (
        hubspot.get("/crm/v3/objects/deals", **query).json()["results"][0]["propertiesWithHistory"]
        for _ in range(2)
    )
    assert one["hs_is_closed"][0]["timestamp"] < two["hs_is_closed"][0]["timestamp"]


def test_one_record(hubspot) -> None:
    """A record is found by id, by e-mail and by a property of the portal that tells records apart."""
    row = next(r for r in hubspot.truth.rows("contacts") if r["email"] and r["customer_number"])
    path = "/crm/v3/objects/contacts"
    assert hubspot.get(f"{path}/{row['id']}").json()["id"] == row["id"]
    by_email = hubspot.get(f"{path}/{row['email'].upper()}", idProperty="email")
    assert by_email.json()["id"] == row["id"]
    by_number = hubspot.get(f"{path}/{row['customer_number']}", idProperty="customer_number")
    assert by_number.json()["id"] == row["id"]
    assert hubspot.get(f"{path}/{row['id']}", idProperty="city").status_code == 400
    missing = hubspot.get(f"{path}/999")
    assert missing.status_code == 404
    assert missing.json()["category"] == "OBJECT_NOT_FOUND"
    assert missing.headers["X-HubSpot-Correlation-Id"] == missing.json()["correlationId"]


def test_portals_differ(hubspot, second) -> None:
    """The other portal has the same people under other cards, and other properties of its own."""
    one = {row["name"] for row in hubspot.get("/crm/v3/properties/contacts").json()["results"]}
    two = {row["name"] for row in second.get("/crm/v3/properties/contacts").json()["results"]}
    assert "customer_number" in one - two
    assert "kundennummer" in two - one
    assert second.get("/crm/v3/objects/vehicles").status_code == 200
    assert second.get("/crm/v3/objects/machines").status_code == 400
    people = [
        {row["person"] for row in c.truth.identities("contacts", account=c.facts.name)}
        for c in (hubspot, second)
    ]
    assert len(people[0] & people[1]) > 0.9 * len(people[0])
    assert hubspot.every("contacts") != second.every("contacts")


def test_a_list_is_packed_for_those_who_take_it(hubspot) -> None:
    """Whoever accepts no gzip gets the same bytes plainly."""
    url = f"{hubspot.root}/crm/v3/objects/contacts"
    packed, plain = (
        hubspot.http.get(url, headers={"Accept-Encoding": coding})
        for coding in ("gzip", "identity")
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["Content-Length"]) < len(plain.content)


def test_repeated_parameters(hubspot) -> None:
    """Lists come with commas or with the name repeated, as the vendor's JavaScript client sends them."""
    path, names = "/crm/v3/objects/contacts", ["email", "city", "lastname"]
    more = {"associations": ["companies", "deals"], "propertiesWithHistory": ["email", "city"]}
    repeated = hubspot.get(path, limit=20, properties=names, **more).json()
    joined = {key: ",".join(values) for key, values in {"properties": names, **more}.items()}
    assert repeated["results"] == hubspot.get(path, limit=20, **joined).json()["results"]
    assert set(names) <= set(repeated["results"][0]["properties"])
    assert set(repeated["results"][0]["propertiesWithHistory"]) == {"email", "city"}
    onward = hubspot.http.get(repeated["paging"]["next"]["link"]).json()["results"]
    assert set(names) <= set(onward[0]["properties"])
    record = hubspot.get(f"{path}/{hubspot.first()}", properties=names).json()
    assert set(names) <= set(record["properties"])


def test_one_of_several_values(hubspot) -> None:
    """Of a plain parameter that came twice the first counts (Java's habit; not confirmed)."""
    page = hubspot.get("/crm/v3/objects/contacts", limit=[2, 7]).json()
    assert len(page["results"]) == 2


def test_more_links_stand_behind_a_whole_address(own) -> None:
    """A record with more links than it shows says where the others are, as an address that can be asked."""
    company = own.create("companies", domain="big.example").json()["id"]
    inputs = [{"properties": {"lastname": f"C{number}"}} for number in range(100)]
    people = [one["id"] for one in own.batch("contacts", "create", inputs).json()["results"]]
    people.append(own.create("contacts", lastname="C100").json()["id"])
    pairs = [{"from": {"id": company}, "to": {"id": one}} for one in people]
    path = "/crm/v4/associations/companies/contacts/batch/associate/default"
    assert own.post(path, {"inputs": pairs}).status_code == 200
    shown = own.get(f"/crm/v3/objects/companies/{company}", associations="contacts").json()
    listed = shown["associations"]["contacts"]
    assert len(listed["results"]) == 100
    assert listed["paging"]["next"]["link"].startswith(f"{own.root}/crm/")
    rest = own.http.get(listed["paging"]["next"]["link"]).json()["results"]
    assert [one["id"] for one in rest] == [listed["paging"]["next"]["after"]]


def test_quotes_have_a_public_key(own) -> None:
    """A quote has the key that its public page is found by; a new one gets its own."""
    path = "/crm/v3/objects/quotes"
    rows = own.get(path, properties="hs_public_url_key", limit=100).json()["results"]
    made = own.create("quotes", hs_title="x", hs_expiration_date="2027-01-01").json()["id"]
    new = own.get(f"{path}/{made}", properties="hs_public_url_key").json()
    keys = [row["properties"]["hs_public_url_key"] for row in (*rows, new)]
    assert len(set(keys)) == len(rows) + 1
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)
