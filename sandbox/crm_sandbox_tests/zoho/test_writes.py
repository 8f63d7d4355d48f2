import pytest


def codes(response) -> list[str]:
    return [one["code"] for one in response.json()["data"]]


def ids(response) -> list[str]:
    return [one["details"]["id"] for one in response.json()["data"]]


def upsert(client, *records: dict, keys: list[str] | None = None):
    body = {"data": list(records)} | ({"duplicate_check_fields": keys} if keys else {})
    return client.post("/Contacts/upsert", body)


def test_insert(own_zoho) -> None:
    """New records are answered in order with 201, their ids and stamps, and can be read at once."""
    records = [{"Last_Name": f"n{k}", "Visits": k, "Interests": ["CRM"]} for k in range(5)]
    response = own_zoho.post("/Contacts", {"data": records})
    assert response.status_code == 201
    first = response.json()["data"][0]
    assert (first["code"], first["status"], first["message"]) == (
        "SUCCESS",
        "success",
        "record added",
    )
    assert first["details"]["Created_Time"] == "2026-11-01T04:00:00-08:00"
    assert {"Modified_Time", "Created_By", "Modified_By", "$approval_state"} < set(first["details"])
    for number, record in zip(ids(response), records, strict=True):
        shown = own_zoho.data(f"/Contacts/{number}")[0]
        assert {key: shown[key] for key in record} == record
        assert shown["Full_Name"] == record["Last_Name"]


def test_upsert(own_zoho) -> None:
    """Statement 13: an upsert says for each record, in order, what it did and by which field it knew it."""
    old = upsert(own_zoho, {"Last_Name": "old", "Email": "old@example.org", "External_Key": "k1"})
    (known,) = ids(old)
    response = upsert(
        own_zoho,
        {"Last_Name": "new", "Email": "new@example.org"},
        {"Last_Name": "by mail", "Email": "OLD@example.org"},
        {"Last_Name": "by key", "External_Key": "k1"},
        {"Last_Name": "again", "Email": "new@example.org"},
    )
    assert response.status_code == 200
    entries = response.json()["data"]
    assert [one["action"] for one in entries] == ["insert", "update", "update", "update"]
    assert [one["duplicate_field"] for one in entries] == [None, "Email", "External_Key", "Email"]
    assert [one["message"] for one in entries] == ["record added"] + ["record updated"] * 3
    numbers = ids(response)
    assert numbers[1] == numbers[2] == known
    assert numbers[0] == numbers[3] != known
    assert own_zoho.data(f"/Contacts/{known}")[0]["Last_Name"] == "by key"
    assert own_zoho.data(f"/Contacts/{numbers[0]}")[0]["Last_Name"] == "again"


def test_upsert_by_chosen_fields(own_zoho) -> None:
    """Statement 13: duplicate_check_fields are tried in their order; one that is not unique is refused."""
    mail, key = ids(
        upsert(
            own_zoho,
            {"Last_Name": "a", "Email": "a@example.org"},
            {"Last_Name": "b", "External_Key": "kb"},
        )
    )
    both = {"Last_Name": "c", "Email": "a@example.org", "External_Key": "kb"}
    by_mail = upsert(own_zoho, both, keys=["Email"])
    # The other record has the key already, so this one cannot take it.
    assert codes(by_mail) == ["DUPLICATE_DATA"]
    assert by_mail.json()["data"][0]["details"]["id"] == key
    by_key = upsert(own_zoho, both, keys=["External_Key", "Email"])
    assert ids(by_key) == [key]
    refused = upsert(own_zoho, both, keys=["Title"])
    assert own_zoho.refusal(refused) == (400, "INVALID_DATA")
    assert mail != key


def test_a_hundred_at_once(own_zoho) -> None:
    """Statement 13: 100 records are taken in order, 101 are refused as a whole."""
    records = [{"Last_Name": f"r{k}", "Email": f"r{k}@example.org"} for k in range(101)]
    before = own_zoho.zoho.count("Contacts")
    assert own_zoho.refusal(upsert(own_zoho, *records)) == (400, "LIMIT_EXCEEDED")
    assert own_zoho.zoho.count("Contacts") == before
    answer = upsert(own_zoho, *records[:100])
    assert codes(answer) == ["SUCCESS"] * 100
    names = {row["id"]: row["Last_Name"] for row in own_zoho.zoho.rows("Contacts")}
    assert [names[number] for number in ids(answer)] == [one["Last_Name"] for one in records[:100]]


def test_mixed_and_all_failed(own_zoho) -> None:
    """Statement 13: a mixed result is 207, all failed is 400 with the same array of data."""
    good, bad = {"Last_Name": "good"}, {"Last_Name": "bad", "Visits": "many"}
    mixed = own_zoho.post("/Contacts", {"data": [bad, good, {"First_Name": "x"}]})
    assert mixed.status_code == 207
    assert codes(mixed) == ["INVALID_DATA", "SUCCESS", "MANDATORY_NOT_FOUND"]
    failed = own_zoho.post("/Contacts", {"data": [bad]})
    assert failed.status_code == 400
    assert failed.json()["data"][0] == {
        "code": "INVALID_DATA",
        "details": {
            "expected_data_type": "integer",
            "api_name": "Visits",
            "json_path": "$.data[0].Visits",
        },
        "message": "invalid data",
        "status": "error",
    }


@pytest.mark.parametrize(
    ("record", "code", "details"),
    [
        ({"First_Name": "x"}, "MANDATORY_NOT_FOUND", {"api_name": "Last_Name"}),
        ({"Last_Name": ""}, "MANDATORY_NOT_FOUND", {"json_path": "$.data[0].Last_Name"}),
        (
            {"Last_Name": "x", "Email": "no address"},
            "INVALID_DATA",
            {"expected_data_type": "email"},
        ),
        (
            {"Last_Name": "x", "Newsletter": "yes"},
            "INVALID_DATA",
            {"expected_data_type": "boolean"},
        ),
        (
            {"Last_Name": "x", "Member_Since": "yesterday"},
            "INVALID_DATA",
            {"expected_data_type": "date"},
        ),
        ({"Last_Name": "x", "Last_Login": "x"}, "INVALID_DATA", {"expected_data_type": "datetime"}),
        (
            {"Last_Name": "x", "Interests": "CRM"},
            "INVALID_DATA",
            {"expected_data_type": "jsonarray"},
        ),
        ({"Last_Name": "x" * 81}, "INVALID_DATA", {"maximum_length": 80}),
        (
            {"Last_Name": "x", "Account_Name": {"id": "1"}},
            "INVALID_DATA",
            {"api_name": "Account_Name"},
        ),
        ({"Last_Name": "x", "External_Key": "C-3"}, "DUPLICATE_DATA", {"api_name": "External_Key"}),
        ({"Last_Name": "x", "Visits": "a", "Score": "b"}, "MULTIPLE_OR_MULTI_ERRORS", {}),
        ("no record", "INVALID_DATA", {"expected_data_type": "jsonobject"}),
    ],
)
def test_refused_records(shared_zoho, record, code: str, details: dict) -> None:
    """Statement 13: a record that does not fit says why, and is not written."""
    before = shared_zoho.zoho.count("Contacts")
    response = shared_zoho.post("/Contacts", {"data": [record]})
    assert response.status_code == 400
    (entry,) = response.json()["data"]
    assert (entry["code"], entry["status"]) == (code, "error")
    assert details.items() <= entry["details"].items()
    assert shared_zoho.zoho.count("Contacts") == before


def test_activity_without_its_module(own_zoho) -> None:
    """What_Id without $se_module is DEPENDENT_FIELD_MISSING; a note says its module beside the parent."""
    deal = own_zoho.zoho.rows("Deals")[0]["id"]
    task = {"Subject": "x", "What_Id": {"id": deal}}
    answer = own_zoho.post("/Tasks", {"data": [task, task | {"$se_module": "Deals"}]})
    assert codes(answer) == ["DEPENDENT_FIELD_MISSING", "SUCCESS"]
    note = {"Note_Title": "n", "Parent_Id": {"id": deal, "module": {"api_name": "Deals"}}}
    (made,) = ids(own_zoho.post("/Notes", {"data": [note]}))
    assert own_zoho.data(f"/Notes/{made}")[0]["Parent_Id"]["module"] == {"api_name": "Deals"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MANDATORY_NOT_FOUND"),
        ({"data": {}}, "INVALID_DATA"),
        ({"data": []}, "INVALID_DATA"),
        ([], "INVALID_DATA"),
    ],
)
def test_refused_bodies(zoho, body, code: str) -> None:
    """A body without records is refused as a whole."""
    assert zoho.refusal(zoho.post("/Contacts", body)) == (400, code)


def test_unknown_fields_are_ignored(own_zoho) -> None:
    """Statement 14: a name that the module has not is passed over, and the answer says SUCCESS."""
    response = own_zoho.post(
        "/Contacts", {"data": [{"Last_Name": "x", "Legacy_Cod": "1", "Full_Name": "y"}]}
    )
    assert (response.status_code, codes(response)) == (201, ["SUCCESS"])
    shown = own_zoho.data(f"/Contacts/{ids(response)[0]}")[0]
    assert shown["Legacy_Code"] is None
    assert shown["Full_Name"] == "x"
    assert "Legacy_Cod" not in shown


def test_update(own_zoho) -> None:
    """Updates move the stamp and change what they name, by list and one by one."""
    first, second = (row["id"] for row in own_zoho.zoho.rows("Contacts")[:2])
    email = own_zoho.data(f"/Contacts/{first}")[0]["Email"]
    own_zoho.advance(30)
    body = {"data": [{"id": first, "Title": "T"}, {"id": "1", "Title": "T"}, {"Title": "T"}]}
    response = own_zoho.put("/Contacts", body)
    assert response.status_code == 207
    assert codes(response) == ["SUCCESS", "INVALID_DATA", "MANDATORY_NOT_FOUND"]
    shown = own_zoho.data(f"/Contacts/{first}")[0]
    assert (shown["Title"], shown["Email"]) == ("T", email)
    assert shown["Modified_Time"] == "2026-11-01T04:00:30-08:00"
    one = own_zoho.put(f"/Contacts/{second}", {"data": [{"Title": None}]})
    assert (one.status_code, codes(one)) == (200, ["SUCCESS"])
    assert own_zoho.data(f"/Contacts/{second}")[0]["Title"] is None
    header = {"X-EXTERNAL": "Contacts.External_Key"}
    keyed = own_zoho.put("/Contacts/C-4", {"data": [{"Title": "by key"}]}, headers=header)
    assert codes(keyed) == ["SUCCESS"]
    assert own_zoho.data("/Contacts/C-4", headers=header)[0]["Title"] == "by key"


def test_guarded_update(own_zoho) -> None:
    """A guarded update of a record that was modified later is 412 ALREADY_MODIFIED; the header is a switch."""
    record = own_zoho.zoho.rows("Contacts")[0]["id"]
    own_zoho.admin("edit", name="Contacts", record=record, fields={"Title": "mine"})
    body = {"data": [{"Title": "yours"}]}
    early = {"If-Unmodified-Since": "2026-11-01T11:59:59+00:00"}
    response = own_zoho.put(f"/Contacts/{record}", body, headers=early)
    assert (response.status_code, codes(response)) == (412, ["ALREADY_MODIFIED"])
    assert response.json()["data"][0]["details"]["Modified_Time"] == "2026-11-01T04:00:00-08:00"
    assert own_zoho.data(f"/Contacts/{record}")[0]["Title"] == "mine"
    own_zoho.admin("set_guard", header="")
    assert own_zoho.put(f"/Contacts/{record}", body, headers=early).status_code == 200


def test_delete(own_zoho) -> None:
    """Deleting answers for each id, and the records are in the recycle bin."""
    rows = [row["id"] for row in own_zoho.zoho.rows("Contacts")[:3]]
    response = own_zoho.delete(f"/Contacts?ids={rows[0]},{rows[1]},1")
    assert (response.status_code, codes(response)) == (207, ["SUCCESS", "SUCCESS", "INVALID_DATA"])
    assert own_zoho.delete(f"/Contacts/{rows[2]}").status_code == 200
    binned = {row["id"] for row in own_zoho.data("/Contacts/deleted?type=recycle")}
    assert set(rows) <= binned
    again = own_zoho.delete(f"/Contacts?ids={rows[0]}")
    assert (again.status_code, codes(again)) == (400, ["INVALID_DATA"])
    many = ",".join(str(k) for k in range(101))
    assert own_zoho.refusal(own_zoho.delete(f"/Contacts?ids={many}")) == (400, "LIMIT_EXCEEDED")
    assert own_zoho.refusal(own_zoho.delete("/Contacts")) == (400, "REQUIRED_PARAM_MISSING")


def test_lines_of_a_quote(own_zoho) -> None:
    """A quote needs lines; new ones take the place of the old ones, and the sums follow."""
    products = own_zoho.zoho.rows("Products")[:2]
    lines = [
        {"Product_Name": {"id": row["id"]}, "Quantity": 2, "List_Price": 10.0} for row in products
    ]
    assert codes(own_zoho.post("/Quotes", {"data": [{"Subject": "q"}]})) == ["MANDATORY_NOT_FOUND"]
    made = own_zoho.post("/Quotes", {"data": [{"Subject": "q", "Quoted_Items": lines}]})
    (number,) = ids(made)
    shown = own_zoho.data(f"/Quotes/{number}")[0]
    assert (shown["Grand_Total"], len(shown["Quoted_Items"])) == (40.0, 2)
    own_zoho.put(f"/Quotes/{number}", {"data": [{"Quoted_Items": lines[:1]}]})
    shown = own_zoho.data(f"/Quotes/{number}")[0]
    assert (shown["Grand_Total"], len(shown["Quoted_Items"])) == (20.0, 1)


def test_several_lookups(own_zoho) -> None:
    """Lookups of several records are written as a list and read from the single record."""
    products = [row["id"] for row in own_zoho.zoho.rows("Products")[:2]]
    liked = [{"Interested_Products": {"id": number}} for number in products]
    made = own_zoho.post("/Contacts", {"data": [{"Last_Name": "x", "Interested_Products": liked}]})
    shown = own_zoho.data(f"/Contacts/{ids(made)[0]}")[0]["Interested_Products"]
    assert [one["Interested_Products"]["id"] for one in shown] == products


def test_a_new_deal_has_history(own_zoho) -> None:
    """A new deal begins its history, and moving it on goes on with it."""
    deal = {"Deal_Name": "d", "Stage": "Qualification", "Amount": 100}
    (number,) = ids(own_zoho.post("/Deals", {"data": [deal]}))
    shown = own_zoho.data(f"/Deals/{number}")[0]
    assert (shown["Probability"], shown["Expected_Revenue"]) == (10, 10.0)
    own_zoho.advance(86_400)
    own_zoho.login()
    own_zoho.put("/Deals", {"data": [{"id": number, "Stage": "Needs Analysis"}]})
    rows = own_zoho.data(
        f"/Deals/{number}/Stage_History?fields=Stage,Moved_To__s,Stage_Duration_Calendar_Days"
    )
    assert [(r["Stage"], r["Moved_To__s"], r["Stage_Duration_Calendar_Days"]) for r in rows] == [
        ("Needs Analysis", None, None),
        ("Qualification", "Needs Analysis", 1),
    ]


def test_writes_on_order(own_zoho) -> None:
    """Writes can be refused with a code, or answer SUCCESS without any effect."""
    record = own_zoho.zoho.rows("Contacts")[0]
    own_zoho.admin("refuse_writes", code="RECORD_LOCKED", record=record["id"])
    change = {"data": [{"id": record["id"], "Title": "changed"}]}
    assert codes(own_zoho.put("/Contacts", change)) == ["RECORD_LOCKED"]
    own_zoho.admin("refuse_writes", code="SILENT", module="Contacts", times=2)
    response = own_zoho.put("/Contacts", change)
    assert (response.status_code, codes(response)) == (200, ["SUCCESS"])
    made = own_zoho.post("/Contacts", {"data": [{"Last_Name": "nobody"}]})
    assert (made.status_code, codes(made)) == (201, ["SUCCESS"])
    assert own_zoho.get(f"/Contacts/{ids(made)[0]}").status_code == 204
    assert own_zoho.data(f"/Contacts/{record['id']}")[0]["Title"] == record["Title"]


@pytest.mark.parametrize(("count", "cost"), [(1, 1), (10, 1), (11, 2), (100, 10)])
def test_prices_of_writing(shared_zoho, count: int, cost: int) -> None:
    """Statement 17: writing costs a credit for every ten records."""
    meter = shared_zoho.zoho.apis["main"].meter
    before = meter.credits.used
    shared_zoho.post("/Products", {"data": [{"Product_Name": f"p{k}"} for k in range(count)]})
    assert meter.credits.used - before == cost


def test_scopes_of_writing(own_zoho) -> None:
    """Each way of writing needs its own operation in the scope."""
    own_zoho.login("ZohoCRM.modules.Contacts.CREATE", "ZohoCRM.modules.READ")
    body = {"data": [{"Last_Name": "x"}]}
    assert own_zoho.post("/Contacts", body).status_code == 201
    assert own_zoho.refusal(own_zoho.post("/Leads", body))[1] == "OAUTH_SCOPE_MISMATCH"
    assert own_zoho.refusal(own_zoho.put("/Contacts", body))[1] == "OAUTH_SCOPE_MISMATCH"
    assert own_zoho.refusal(own_zoho.delete("/Contacts?ids=1"))[1] == "OAUTH_SCOPE_MISMATCH"
    assert own_zoho.refusal(own_zoho.post("/DealHistory", body))[1] == "OAUTH_SCOPE_MISMATCH"
    own_zoho.login()
    assert own_zoho.refusal(own_zoho.post("/DealHistory", body))[1] == "INVALID_REQUEST_METHOD"
