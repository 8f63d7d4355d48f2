import pytest


def test_create_read_change_delete(own) -> None:
    """Statement 11: 201, 200, 204 without a body, 204; the deleted row is in queryAll only."""
    url = f"{own.base}/sobjects/Account"
    made = own.http.post(url, json={"Name": "New", "AnnualRevenue": 12})
    assert (made.status_code, made.json()["success"], made.json()["errors"]) == (201, True, [])
    record = made.json()["id"]
    read = own.http.get(f"{url}/{record[:15]}", params={"fields": "Name,AnnualRevenue"}).json()
    assert (read["Name"], read["AnnualRevenue"]) == ("New", 12.0)
    own.sandbox.clock.advance(60)
    changed = own.http.patch(f"{url}/{record}", json={"Name": "Newer"})
    assert (changed.status_code, changed.content) == (204, b"")
    row = own.records(
        f"SELECT Name, CreatedDate, SystemModstamp FROM Account WHERE Id = '{record}'"
    )[0]
    assert row["Name"] == "Newer"
    assert row["CreatedDate"] < row["SystemModstamp"]
    assert own.http.delete(f"{url}/{record}").status_code == 204
    assert own.http.get(f"{url}/{record}").status_code == 404
    gone = own.get(
        "/queryAll", params={"q": f"SELECT IsDeleted FROM Account WHERE Id = '{record}'"}
    )
    assert gone.json()["records"][0]["IsDeleted"] is True


def test_upsert(own) -> None:
    """Statement 11: upsert answers 201, then 200, 204 before v46, 300 for several, 404 for no field."""
    url = f"{own.base}/sobjects/Account/External_Key__c"
    made = own.http.patch(f"{url}/X-1", json={"Name": "One"})
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = own.http.patch(f"{url}/X-1", json={"Name": "Two"})
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["id"] == made.json()["id"]
    old = own.http.patch(url.replace("v66.0", "v45.0") + "/X-1", json={"Name": "Three"})
    assert (old.status_code, old.content) == (204, b"")
    for _ in range(2):
        own.sandbox.salesforce.create("Invoice__c", Name="x", Reference__c="twice")
    several = own.http.patch(
        f"{own.base}/sobjects/Invoice__c/Reference__c/twice", json={"Tax__c": 1}
    )
    assert several.status_code == 300
    assert all(
        link.startswith("/services/data/v66.0/sobjects/Invoice__c/a01") for link in several.json()
    )
    missing = own.http.patch(f"{own.base}/sobjects/Account/Nope__c/1", json={"Name": "x"})
    assert (missing.status_code, missing.json()[0]["errorCode"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"Name": "x", "Nope": 1}, "INVALID_FIELD", None),
        ({"Phone": "1"}, "REQUIRED_FIELD_MISSING", ["Name"]),
        (
            {"Name": "x", "CreatedDate": "2020-01-01T00:00:00Z"},
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            ["CreatedDate"],
        ),
        ({"Name": "x", "ParentId": "001xx"}, "MALFORMED_ID", ["ParentId"]),
        ({"Name": "x", "ParentId": "003Hr00000072wa"}, "MALFORMED_ID", ["ParentId"]),
        ({"Name": "x", "ParentId": "001Hr0000zzzzzz"}, "INVALID_CROSS_REFERENCE_KEY", ["ParentId"]),
        ({"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
        ({"Name": "x", "External_Key__c": "A-0"}, "DUPLICATE_VALUE", ["External_Key__c"]),
        ({"Name": "x", "AnnualRevenue": "many"}, "JSON_PARSER_ERROR", None),
        ({"Name": ["x"]}, "JSON_PARSER_ERROR", None),
        ([], "JSON_PARSER_ERROR", None),
    ],
)
def test_refused_bodies(client, body, code: str, fields) -> None:
    """Each mistake in a body has its code and names its fields, and nothing is created."""
    before = client.sandbox.salesforce.count("Account")
    response = client.http.post(f"{client.base}/sobjects/Account", json=body)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
    assert response.json()[0].get("fields") == fields
    assert client.sandbox.salesforce.count("Account") == before


def test_refused_email(client) -> None:
    """An e-mail address that is none is refused."""
    body = {"LastName": "x", "Email": "no address"}
    response = client.http.post(f"{client.base}/sobjects/Contact", json=body)
    assert response.json()[0]["errorCode"] == "INVALID_EMAIL_ADDRESS"


def test_refused_addresses(own) -> None:
    """A record that is deleted, of another object, unknown or not the client's to write is refused."""
    gone = own.sandbox.salesforce.create("Account", Name="gone")
    own.sandbox.salesforce.delete("Account", gone)
    stage = own.sandbox.salesforce.rows("OpportunityStage")[0]["Id"]
    for path, status, code in (
        (f"Account/{gone}", 404, "ENTITY_IS_DELETED"),
        ("Account/003Hr00000072wa", 400, "MALFORMED_ID"),
        ("Account/001Hr0000zzzzzz", 404, "NOT_FOUND"),
        (f"OpportunityStage/{stage}", 400, "INVALID_TYPE_FOR_OPERATION"),
    ):
        for method, body in (("PATCH", {"Description": "x"}), ("DELETE", None)):
            response = own.http.request(method, f"{own.base}/sobjects/{path}", json=body)
            assert (response.status_code, response.json()[0]["errorCode"]) == (status, code), path


@pytest.mark.parametrize(
    "code", ["UNABLE_TO_LOCK_ROW", "DUPLICATES_DETECTED", "FIELD_CUSTOM_VALIDATION_EXCEPTION"]
)
def test_refusals_on_order(own, code: str) -> None:
    """A lock, a duplicate rule or a validation rule refuses as many writes as ordered, no others."""
    order = {"code": code, "name": "Account", "field": "Name", "times": 2}
    assert own.admin("/salesforce/refuse_writes", order).json()["ok"] is True
    before = own.sandbox.salesforce.count("Account")
    lead = own.http.post(f"{own.base}/sobjects/Lead", json={"LastName": "x", "Company": "y"})
    assert lead.status_code == 201
    for _ in range(2):
        response = own.http.post(f"{own.base}/sobjects/Account", json={"Name": "x"})
        assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
        assert response.json()[0]["fields"] == ["Name"]
    assert own.sandbox.salesforce.count("Account") == before
    assert own.http.post(f"{own.base}/sobjects/Account", json={"Name": "x"}).status_code == 201


def test_unknown_refusal(client) -> None:
    """A refusal that the vendor does not know is not accepted."""
    response = client.admin("/salesforce/refuse_writes", {"code": "BAD_MOOD"})
    assert response.status_code == 400
    assert "known: UNABLE_TO_LOCK_ROW" in response.json()["error"]


def test_conditional_update(own) -> None:
    """A write that is conditional on an older state answers 412 and writes nothing."""
    record = own.sandbox.salesforce.create("Account", Name="x")
    url = f"{own.base}/sobjects/Account/{record}"
    older = {"If-Unmodified-Since": "Sat, 31 Oct 2026 00:00:00 GMT"}
    assert own.http.patch(url, json={"Name": "y"}, headers=older).status_code == 412
    assert own.http.delete(url, headers=older).status_code == 412
    assert own.http.get(url).json()["Name"] == "x"
    newer = {"If-Unmodified-Since": "Mon, 02 Nov 2026 00:00:00 GMT"}
    assert own.http.patch(url, json={"Name": "y"}, headers=newer).status_code == 204
    assert own.http.get(url).json()["Name"] == "y"


def test_writes_are_seen(own) -> None:
    """Statement 11: what is written is in query, queryAll, the lists of changes and the truth, stamped
    by the sandbox's clock."""
    sales, url = own.sandbox.salesforce, f"{own.base}/sobjects/Contact"
    kept = own.http.post(url, json={"LastName": "Noether", "FirstName": "Emmy"}).json()["id"]
    gone = own.http.post(url, json={"LastName": "Gone"}).json()["id"]
    own.sandbox.clock.advance(3600)
    own.http.patch(f"{url}/{kept}", json={"FirstName": "Amalie"})
    own.http.delete(f"{url}/{gone}")
    row = next(one for one in sales.rows("Contact") if one["Id"] == kept)
    assert (row["Name"], row["CreatedDate"]) == (
        "Amalie Noether",
        sales.clock.stamp().replace(hour=12),
    )
    assert row["SystemModstamp"] == row["LastModifiedDate"] == sales.clock.stamp()
    assert row["CreatedById"] == row["OwnerId"] == sales.org.user_id
    own.sandbox.clock.advance(60)
    window = {"start": "2026-11-01T12:30:00Z", "end": "2026-11-01T13:01:00Z"}
    assert own.get("/sobjects/Contact/updated", params=window).json()["ids"] == [kept]
    deleted = own.get("/sobjects/Contact/deleted", params=window).json()["deletedRecords"]
    assert deleted == [{"id": gone, "deletedDate": "2026-11-01T13:00:00.000+0000"}]
    soql = f"SELECT Id FROM Contact WHERE Id IN ('{kept}', '{gone}')"
    assert [one["Id"] for one in own.records(soql)] == [kept]
    assert own.get("/queryAll", params={"q": soql}).json()["totalSize"] == 2


def test_opportunities(own) -> None:
    """A stage sets probability and outcome; each change of stage, amount or date leaves a history row."""
    url = f"{own.base}/sobjects/Opportunity"
    body = {"Name": "x", "StageName": "Closed Won", "CloseDate": "2026-11-30", "Amount": 50}
    made = own.http.post(url, json=body).json()["id"]
    shown = "IsWon", "IsClosed", "Probability", "ExpectedRevenue", "Fiscal"
    seen = own.http.get(f"{url}/{made}").json()
    assert [seen[name] for name in shown] == [True, True, 100.0, 50.0, "2026 4"]
    own.sandbox.clock.advance(60)
    own.http.patch(f"{url}/{made}", json={"Description": "no history"})
    own.http.patch(f"{url}/{made}", json={"StageName": "Prospecting", "Probability": 20})
    seen = own.http.get(f"{url}/{made}").json()
    assert [seen[name] for name in shown] == [False, False, 20.0, 10.0, "2026 4"]
    history = own.records(
        "SELECT StageName, Amount, ExpectedRevenue, CreatedDate FROM OpportunityHistory "
        f"WHERE OpportunityId = '{made}' ORDER BY CreatedDate"
    )
    for row in history:
        row.pop("attributes")
    assert [tuple(row.values()) for row in history] == [
        ("Closed Won", 50.0, 50.0, "2026-11-01T12:00:00.000+0000"),
        ("Prospecting", 50.0, 10.0, "2026-11-01T12:01:00.000+0000"),
    ]


def test_parent_by_external_id(own) -> None:
    """A parent can be named by its external id; one that is not there refuses the record."""
    parent = own.sandbox.salesforce.create("Account", Name="p", External_Key__c="p-1")
    url = f"{own.base}/sobjects/Contact"
    body = {"LastName": "x", "Account": {"External_Key__c": "p-1"}}
    made = own.http.post(url, json=body).json()["id"]
    assert own.http.get(f"{url}/{made}").json()["AccountId"] == parent
    for wrong in ({"External_Key__c": "p-2"}, {"Name": "p"}, {}):
        refused = own.http.post(url, json=body | {"Account": wrong})
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_by_key(own) -> None:
    """A record is read, and deleted, by an external id, however the id has to be encoded."""
    record = own.sandbox.salesforce.create("Account", Name="x", External_Key__c="a/b c+d")
    url = f"{own.base}/sobjects/Account/External_Key__c/a%2Fb%20c+d"
    assert own.http.get(url).json()["Id"] == record
    assert own.http.delete(url).status_code == 204
    assert own.http.get(url).status_code == 404
    body = {"External_Key__c": "z", "Name": "x"}
    both = own.http.patch(f"{own.base}/sobjects/Account/External_Key__c/z", json=body)
    assert (both.status_code, both.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_replication_lists(own) -> None:
    """Statement 10: windows of 30 and 15 days, seconds ignored, latestDateCovered not after now."""
    sales = own.sandbox.salesforce
    kept = sales.create("Account", Name="kept", stamp="2026-10-20T10:00:30")
    gone = sales.create("Account", Name="gone")
    sales.delete("Account", gone)
    own.sandbox.clock.advance(120)

    def window(kind: str, start: str, end: str = "2026-11-01T13:00:00+00:00"):
        return own.get(f"/sobjects/Account/{kind}", params={"start": start, "end": end})

    updated = window("updated", "2026-10-20T10:00:59+00:00").json()
    assert kept in updated["ids"]
    assert gone not in updated["ids"]
    assert updated["latestDateCovered"] == "2026-11-01T12:02:00.000+0000"
    deleted = window("deleted", "2026-11-01T11:00:00+00:00").json()
    assert [one["id"] for one in deleted["deletedRecords"]] == [gone]
    for kind, start in (("updated", "2026-10-01T00:00:00Z"), ("deleted", "2026-10-15T00:00:00Z")):
        assert window(kind, start).json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    backwards = window("updated", "2026-11-01T11:00:30Z", "2026-11-01T11:00:00Z")
    assert backwards.status_code == 400


def test_open_transaction(own) -> None:
    """Statement 10: while a transaction is open, latestDateCovered stays before it, and so do the ids."""
    sales = own.sandbox.salesforce
    early = sales.create("Account", Name="early", stamp="2026-11-01T11:00:00Z")
    late = sales.create("Account", Name="late", stamp="2026-11-01T11:50:00Z")
    window = {"start": "2026-11-01T10:59:00Z", "end": "2026-11-01T11:55:00Z"}
    own.admin("/salesforce/set_replication", {"open_since": "2026-11-01T11:45:30Z"})
    body = own.get("/sobjects/Account/updated", params=window).json()
    assert body["latestDateCovered"] == "2026-11-01T11:45:00.000+0000"
    assert (early in body["ids"], late in body["ids"]) == (True, False)
    own.admin("/salesforce/set_replication", {"most_ids": 1})
    refused = own.get("/sobjects/Account/updated", params=window)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
