"""Statement 12: collections."""

import pytest


def post(own, records, method: str = "POST", path: str = "", **more):
    body = {"records": records} | more
    return own.http.request(method, f"{own.base}/composite/sobjects{path}", json=body)


def account(**fields) -> dict:
    return {"attributes": {"type": "Account"}} | fields


def test_mixed_results(own) -> None:
    """Statement 12: a call answers 200 with one result per record in order, whatever became of each."""
    lead = {"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C"}
    before = own.sandbox.salesforce.count("Account")
    response = post(own, [account(Name="one"), account(Phone="1"), lead, account(Name="two")])
    assert response.status_code == 200
    one, refused, third, two = response.json()
    assert refused == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [Name]",
                "fields": ["Name"],
            }
        ],
    }
    assert [made["id"][:3] for made in (one, third, two)] == ["001", "00Q", "001"]
    assert one == {"id": one["id"], "success": True, "errors": []}
    names = {r["Id"]: r["Name"] for r in own.records("SELECT Id, Name FROM Account")}
    assert (names[one["id"]], names[two["id"]]) == ("one", "two")
    assert own.sandbox.salesforce.count("Account") == before + 2


def test_all_or_none(own) -> None:
    """Statement 12: with allOrNone the innocent records say that they were rolled back, without an id."""
    before = own.sandbox.salesforce.count("Account")
    response = post(own, [account(Name="one"), account(Phone="1")], allOrNone=True)
    assert response.status_code == 200
    innocent, guilty = response.json()
    assert innocent["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert innocent["errors"][0]["message"] == (
        "Record rolled back because not all records were valid and the request was using "
        "AllOrNone header"
    )
    assert "id" not in innocent
    assert guilty["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert own.sandbox.salesforce.count("Account") == before


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_too_many(client, method: str) -> None:
    """Statement 12: 201 records are refused as a whole."""
    refused = post(client, [account(Name="x")] * 201, method)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
    ids = ",".join(["001Hr00000072wa"] * 201)
    url = f"{client.base}/composite/sobjects?ids={ids}"
    assert client.http.delete(url).json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"


def test_two_hundred(own) -> None:
    """Statement 12: 200 records are one call, and what they set is what is there."""
    used = own.sandbox.salesforce.usage.used
    made = post(own, [account(Name=f"n{k}", AnnualRevenue=k) for k in range(200)]).json()
    assert own.sandbox.salesforce.usage.used == used + 1
    rows = {one["Id"]: one for one in own.sandbox.salesforce.rows("Account")}
    found = [(rows[one["id"]]["Name"], rows[one["id"]]["AnnualRevenue"]) for one in made]
    assert found == [(f"n{k}", float(k)) for k in range(200)]


def test_update(own) -> None:
    """Statement 12: updates set only the given fields, null clears, and bad ids fail alone."""
    first, second = own.sandbox.salesforce.rows("Account")[:2]
    gone = own.sandbox.salesforce.create("Account", Name="gone")
    own.sandbox.salesforce.delete("Account", gone)
    records = [
        account(id=first["Id"][:15], Phone="+1"),
        account(id=second["Id"], Website=None),
        account(id=gone, Phone="+1"),
        account(id="001Hr0000zzzzzz", Phone="+1"),
        account(id="nonsense", Phone="+1"),
        account(Phone="+1"),
    ]
    results = post(own, records, "PATCH").json()
    assert [one["success"] for one in results] == [True, True, False, False, False, False]
    assert [one["errors"][0]["statusCode"] for one in results[2:]] == [
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "MALFORMED_ID",
    ]
    assert results[0]["id"] == first["Id"]
    after = {one["Id"]: one for one in own.sandbox.salesforce.rows("Account")}
    stamps = dict.fromkeys(("SystemModstamp", "LastModifiedDate"), own.sandbox.clock.stamp())
    user = {"LastModifiedById": own.sandbox.salesforce.org.user_id}
    assert after[first["Id"]] == first | {"Phone": "+1"} | stamps | user
    assert after[second["Id"]] == second | {"Website": None} | stamps | user


def test_upsert(own) -> None:
    """Statement 12: an upsert says per record whether it created one; a doubled key fails."""
    own.sandbox.salesforce.create("Account", Name="old", External_Key__c="k-1")
    keys = ("k-1", "k-2", "k-3", "k-3", None)
    records = [account(Name="new", External_Key__c=key) for key in keys]
    results = post(own, records, "PATCH", "/Account/External_Key__c").json()
    assert [(one["success"], one["created"]) for one in results] == [
        (True, False),
        (True, True),
        (False, False),
        (False, False),
        (False, False),
    ]
    assert [one["errors"][0]["statusCode"] for one in results[2:]] == [
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "MISSING_ARGUMENT",
    ]
    rows = own.records("SELECT Name FROM Account WHERE External_Key__c IN ('k-1', 'k-2', 'k-3')")
    assert [one["Name"] for one in rows] == ["new", "new"]
    unknown = post(own, records, "PATCH", "/Account/Nope__c")
    assert (unknown.status_code, unknown.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_upsert_several_matches(own) -> None:
    """Statement 12: in a collection a key that several records have fails that record alone."""
    for _ in range(2):
        own.sandbox.salesforce.create("Invoice__c", Name="x", Reference__c="twice")
    records = [
        {"attributes": {"type": "Invoice__c"}, "Reference__c": key, "Tax__c": 1}
        for key in ("twice", "once")
    ]
    results = post(own, records, "PATCH", "/Invoice__c/Reference__c").json()
    assert results[0]["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"
    assert results[1]["created"] is True


def test_delete(own) -> None:
    """Statement 12: a delete answers per id, and with allOrNone it deletes all or none."""
    first, second = (row["Id"] for row in own.sandbox.salesforce.rows("Account")[:2])
    url = f"{own.base}/composite/sobjects"
    ids = f"{first},001Hr0000zzzzzz"
    none = own.http.delete(url, params={"ids": ids, "allOrNone": "true"}).json()
    assert [one["errors"][0]["statusCode"] for one in none] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    results = own.http.delete(url, params={"ids": f"{first},bad,{second}"}).json()
    assert [one["success"] for one in results] == [True, False, True]
    left = {row["Id"] for row in own.sandbox.salesforce.rows("Account")}
    assert not {first, second} & left


def test_retrieve(own) -> None:
    """Several records are read in the order asked for, with null for those that are not there."""
    rows = own.sandbox.salesforce.rows("Account")[:2]
    ids = [rows[1]["Id"], "001Hr0000zzzzzz", rows[0]["Id"][:15]]
    url = f"{own.base}/composite/sobjects/Account"
    posted = own.http.post(url, json={"ids": ids, "fields": ["Id", "Name"]}).json()
    gotten = own.http.get(url, params={"ids": ",".join(ids), "fields": "Id,Name"}).json()
    assert posted == gotten
    assert [one and one["Name"] for one in posted] == [rows[1]["Name"], None, rows[0]["Name"]]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ("x", "JSON_PARSER_ERROR"),
        ([1], "JSON_PARSER_ERROR"),
        ([{"Name": "x"}], "INVALID_TYPE"),
        ([account(Name="x", AnnualRevenue="many"), account(Name="y")], "JSON_PARSER_ERROR"),
    ],
)
def test_unreadable(client, records, code: str) -> None:
    """A body that cannot be read is refused as a whole, and nothing is created."""
    before = client.sandbox.salesforce.count("Account")
    response = post(client, records)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
    assert client.sandbox.salesforce.count("Account") == before
