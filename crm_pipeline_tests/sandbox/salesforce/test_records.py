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
    ("body", "code"),
    [
        ({"Name": "x", "Nope": 1}, "INVALID_FIELD"),
        ({"Phone": "1"}, "REQUIRED_FIELD_MISSING"),
        ({"Name": "x", "CreatedDate": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Name": "x", "AnnualRevenue": "many"}, "JSON_PARSER_ERROR"),
        ([], "JSON_PARSER_ERROR"),
    ],
)
def test_refused_bodies(own, body, code: str) -> None:
    """Each mistake in a body has its code, and nothing is created."""
    before = own.sandbox.salesforce.count("Account")
    answer = own.http.post(f"{own.base}/sobjects/Account", json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert own.sandbox.salesforce.count("Account") == before


def test_conditional_update(own) -> None:
    """A write that is conditional on an older state answers 412."""
    record = own.sandbox.salesforce.create("Account", Name="x")
    url = f"{own.base}/sobjects/Account/{record}"
    header = {"If-Unmodified-Since": "Sat, 31 Oct 2026 00:00:00 GMT"}
    assert own.http.patch(url, json={"Name": "y"}, headers=header).status_code == 412


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
