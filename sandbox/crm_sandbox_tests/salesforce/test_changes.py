import pytest


def contact(own, number: int = 0) -> dict:
    return own.sandbox.salesforce.rows("Contact")[number]


def test_edit_moves_stamps(own) -> None:
    """An edit changes the value and moves both stamps to the sandbox's present."""
    before = contact(own)
    own.admin(
        "/salesforce/edit",
        {"name": "Contact", "record": before["Id"], "fields": {"FirstName": "Żółć"}},
    )
    after = contact(own)
    assert after["FirstName"] == "Żółć"
    assert after["Name"] == f"Żółć {after['LastName']}"
    assert after["SystemModstamp"] == after["LastModifiedDate"] == own.sandbox.clock.stamp()
    assert after["CreatedDate"] == before["CreatedDate"]


def test_formula_change_moves_nothing(own) -> None:
    """Statement 22: a formula's value changes while every stamp stays."""
    before = contact(own)
    own.sandbox.salesforce.formula_change("Contact", before["Id"], Region_Code__c="XX-99")
    after = contact(own)
    assert after.pop("Region_Code__c") == "XX-99"
    before.pop("Region_Code__c")
    assert after == before


def test_late_commit(own) -> None:
    """Statement 22: a row becomes visible with a stamp older than what was read already."""
    record = own.sandbox.salesforce.create("Contact", LastName="Late", stamp="2026-10-31T23:59:00Z")
    row = own.records(f"SELECT SystemModstamp FROM Contact WHERE Id = '{record}'")[0]
    assert row["SystemModstamp"] == "2026-10-31T23:59:00.000+0000"


def test_delete_and_restore(own) -> None:
    """A deleted record leaves query and comes back when restored, each with a new stamp."""
    record, total = contact(own)["Id"], own.sandbox.salesforce.count("Contact")
    own.admin("/salesforce/delete", {"name": "Contact", "record": record})
    assert own.query("SELECT COUNT() FROM Contact").json()["totalSize"] == total - 1
    own.sandbox.clock.advance(60)
    own.admin("/salesforce/restore", {"name": "Contact", "record": record})
    row = own.records(f"SELECT SystemModstamp FROM Contact WHERE Id = '{record}'")[0]
    assert row["SystemModstamp"] == "2026-11-01T12:01:00.000+0000"


def test_hard_delete(own) -> None:
    """A hard-deleted record is in no answer any more."""
    record = contact(own)["Id"]
    own.sandbox.salesforce.hard_delete("Contact", record)
    soql = f"SELECT Id FROM Contact WHERE Id = '{record}'"
    assert own.get("/queryAll", params={"q": soql}).json()["records"] == []


def test_merge(own) -> None:
    """A merge deletes the loser, points it to the winner and moves what hung on it."""
    winner, loser = contact(own, 0)["Id"], contact(own, 1)["Id"]
    case = own.sandbox.salesforce.create("Case", ContactId=loser)
    body = {"name": "Contact", "winner": winner, "loser": loser}
    assert own.admin("/salesforce/merge", body).json()["ok"] is True
    soql = f"SELECT IsDeleted, MasterRecordId FROM Contact WHERE Id = '{loser}'"
    row = own.get("/queryAll", params={"q": soql}).json()["records"][0]
    assert (row["IsDeleted"], row["MasterRecordId"]) == (True, winner)
    assert own.records(f"SELECT ContactId FROM Case WHERE Id = '{case}'")[0]["ContactId"] == winner


@pytest.mark.parametrize(
    ("action", "body", "status", "words"),
    [
        (
            "edit",
            {"name": "Contact", "record": "003Hr0000000000", "fields": {}},
            404,
            "no Contact has the id",
        ),
        ("edit", {"name": "Contact", "fields": {}}, 400, "record"),
        (
            "edit",
            {"name": "Nope", "record": "x", "fields": {}},
            400,
            "unknown object 'Nope'; known: Account",
        ),
        (
            "create",
            {"name": "Contact", "fields": {"Nope": 1}},
            400,
            "unknown field 'Nope' of Contact",
        ),
        ("merge", {"name": "Task", "winner": "x", "loser": "y"}, 400, "cannot be merged"),
        ("delete", {"name": "User", "record": "005Hr00000072wa"}, 400, "no recycle bin"),
        ("dance", {}, 400, "unknown admin action 'dance'; known:"),
        ("hide_field", {"name": "Contact", "field": "Nope"}, 400, "unknown field 'Nope'"),
    ],
)
def test_mistakes(client, action: str, body: dict, status: int, words: str) -> None:
    """A mistaken order answers with a sentence that names what is wrong."""
    response = client.admin(f"/salesforce/{action}", body)
    assert response.status_code == status
    assert words in response.json()["error"]


def test_truth_over_http(client) -> None:
    """Counts and rows of the admin API are those of Python, with windows."""
    truth = client.sandbox.salesforce
    seen = client.admin("/salesforce/count/Contact?include_deleted=true").json()
    assert seen == {"object": "Contact", "count": truth.count("Contact", include_deleted=True)}
    window = "?since=2026-01-01T00:00:00&until=2026-06-01T00:00:00%2B00:00"
    part = client.admin(f"/salesforce/count/Contact{window}").json()["count"]
    rows = client.admin(f"/salesforce/rows/Contact{window}").json()["rows"]
    assert 0 < part == len(rows) < truth.count("Contact")
