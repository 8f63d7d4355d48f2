import pytest


def test_one_record(zoho) -> None:
    """A single record has every field that metadata names, and agrees with the truth."""
    row = zoho.zoho.rows("Contacts")[5]
    fields = {
        one["api_name"] for one in zoho.get("/settings/fields?module=Contacts").json()["fields"]
    }
    shown = zoho.data(f"/Contacts/{row['id']}")[0]
    assert fields <= set(shown)
    assert {key for key in shown if not key.startswith("$")} == fields
    for name in ("Last_Name", "Email", "Visits", "Legacy_Code", "Email_Opt_Out", "Background"):
        assert shown[name] == row[name]
    assert shown["Owner"]["id"] == row["Owner"]


def test_by_external_field(zoho) -> None:
    """X-EXTERNAL reads a record by an external field's value; a field that is none is refused."""
    header = {"X-EXTERNAL": "Contacts.External_Key"}
    found = zoho.data("/Contacts/C-7", headers=header)[0]
    assert found["External_Key"] == "C-7"
    assert zoho.get("/Contacts/C-none", headers=header).status_code == 204
    answer = zoho.get("/Contacts/x", headers={"X-EXTERNAL": "Contacts.Email"})
    assert zoho.refusal(answer) == (400, "INVALID_DATA")


def test_deleted_of_three_types(own_zoho) -> None:
    """Statement 15: deleted records are listed by type; those gone for good have neither name nor people."""
    before = (
        {row["id"] for row in own_zoho.get("/Accounts/deleted").json()["data"]}
        if (own_zoho.get("/Accounts/deleted").status_code == 200)
        else set()
    )
    binned, gone = (row["id"] for row in own_zoho.zoho.rows("Accounts")[:2])
    own_zoho.admin("delete", name="Accounts", record=binned)
    own_zoho.admin("hard_delete", name="Accounts", record=gone)
    kinds = {}
    for kind in ("all", "recycle", "permanent"):
        rows = own_zoho.data("/Accounts/deleted", params={"type": kind})
        kinds[kind] = {row["id"]: row for row in rows if row["id"] not in before}
    assert set(kinds["all"]) == {binned, gone}
    assert set(kinds["recycle"]) == {binned}
    assert set(kinds["permanent"]) == {gone}
    row = kinds["all"][binned]
    assert row["display_name"]
    assert set(row["deleted_by"]) == {"name", "id"}
    assert row["deleted_time"] == "2026-11-01T04:00:00-08:00"
    lost = kinds["all"][gone]
    assert (lost["display_name"], lost["deleted_by"], lost["created_by"]) == (None, None, None)
    for record in (binned, gone):
        assert own_zoho.get(f"/Accounts/{record}").status_code == 204
    assert own_zoho.refusal(own_zoho.get("/Accounts/deleted?type=x")) == (400, "INVALID_DATA")


def test_deleted_since_and_in_pages(zoho) -> None:
    """Statement 15: deleted records come by pages and since a moment; nothing is 204."""
    rows = zoho.data("/Contacts/deleted")
    assert {row["type"] for row in rows} == {"recycle", "permanent"}
    pages, page = [], 1
    while True:
        answer = zoho.get("/Contacts/deleted", params={"per_page": 2, "page": page}).json()
        pages += answer["data"]
        assert (answer["info"]["page"], answer["info"]["per_page"]) == (page, 2)
        if not answer["info"]["more_records"]:
            break
        page += 1
    assert pages == rows
    third = rows[2]["deleted_time"]
    since = zoho.data("/Contacts/deleted", headers={"If-Modified-Since": third})
    assert since == rows[:3]
    late = zoho.get("/Contacts/deleted", headers={"If-Modified-Since": "2026-12-01T00:00:00+00:00"})
    assert (late.status_code, late.content) == (204, b"")


def test_restored_records_are_not_deleted(own_zoho) -> None:
    """A restored record is read again, with a new stamp, and is not listed as deleted."""
    record = own_zoho.zoho.rows("Contacts")[0]["id"]
    own_zoho.admin("delete", name="Contacts", record=record)
    own_zoho.advance(60)
    own_zoho.admin("restore", name="Contacts", record=record)
    row = own_zoho.data(f"/Contacts/{record}")[0]
    assert row["Modified_Time"] == "2026-11-01T04:01:00-08:00"
    listed = own_zoho.get("/Contacts/deleted")
    ids = {one["id"] for one in listed.json()["data"]} if listed.status_code == 200 else set()
    assert record not in ids


def test_formula_and_merge(own_zoho) -> None:
    """Statement 21: a formula changes without Modified_Time; a merge deletes the loser, links follow."""
    loser, winner = own_zoho.zoho.rows("Contacts")[3:5]
    before = own_zoho.data(f"/Contacts/{loser['id']}")[0]
    own_zoho.admin(
        "formula_change", name="Contacts", record=loser["id"], fields={"Region_Code": "XX-YY"}
    )
    after = own_zoho.data(f"/Contacts/{loser['id']}")[0]
    assert (after["Region_Code"], after["Modified_Time"]) == ("XX-YY", before["Modified_Time"])
    assert before["Region_Code"] != "XX-YY"
    made = own_zoho.admin(
        "create", name="Cases", fields={"Subject": "s", "Related_To": loser["id"]}
    )
    own_zoho.admin("merge", name="Contacts", winner=winner["id"], loser=loser["id"])
    assert own_zoho.get(f"/Contacts/{loser['id']}").status_code == 204
    deleted = {row["id"] for row in own_zoho.data("/Contacts/deleted?type=recycle")}
    assert loser["id"] in deleted
    assert own_zoho.data(f"/Cases/{made}")[0]["Related_To"]["id"] == winner["id"]
    kept = own_zoho.data(f"/Contacts/{winner['id']}")[0]
    assert kept["Modified_Time"] == "2026-11-01T04:00:00-08:00"


def test_opt_out_and_consent_in_all_variants(zoho, second, own_zoho) -> None:
    """Statement 22: opt-out and consent are there with values, with null, and not at all."""
    rows = zoho.everything("/Contacts", fields="Email_Opt_Out,Data_Processing_Basis_Details")
    assert {row["Email_Opt_Out"] for row in rows} == {True, False}
    consents = [row["Data_Processing_Basis_Details"] for row in rows]
    assert None in consents
    given = next(one for one in consents if one and one["Consent_Date"])
    assert {"Data_Processing_Basis", "Consent_Through", "Contact_Through_Email"} <= set(given)
    absent = second.data("/Contacts?fields=Data_Processing_Basis_Details,Email_Opt_Out")[0]
    assert set(absent) == {"id", "Email_Opt_Out"}
    names = {
        one["api_name"] for one in second.get("/settings/fields?module=Contacts").json()["fields"]
    }
    assert "Data_Processing_Basis_Details" not in names
    own_zoho.admin("restrict_field", name="Contacts", field="Email_Opt_Out")
    assert {
        row["Email_Opt_Out"] for row in own_zoho.everything("/Contacts", fields="Email_Opt_Out")
    } == {None}
    fields = own_zoho.get("/settings/fields?module=Contacts").json()["fields"]
    private = {one["api_name"]: one["private"] for one in fields}
    assert private["Email_Opt_Out"]["restricted"]


@pytest.mark.parametrize(
    ("asked", "test"),
    [
        ({"criteria": "(Last_Name:equals:Miller)"}, lambda r: r["Last_Name"] == "Miller"),
        ({"criteria": "(Visits:between:5,9)"}, lambda r: 5 <= r["Visits"] <= 9),
        (
            {"criteria": "((Last_Name:starts_with:M)and(Visits:greater_than:10))"},
            lambda r: (r["Last_Name"] or "").lower().startswith("m") and r["Visits"] > 10,
        ),
        (
            {"criteria": "((Visits:equals:1)or((Visits:equals:2)and(Newsletter:equals:true)))"},
            lambda r: r["Visits"] == 1 or (r["Visits"] == 2 and r["Newsletter"]),
        ),
        ({"criteria": "(Tier:in:Gold,None)"}, lambda r: r["Tier"] in {"Gold", "None"}),
        (
            {"criteria": "(Legacy_Code:equals:one\\, two\\, three)"},
            lambda r: r["Legacy_Code"] == "one, two, three",
        ),
        ({"email": "TEST@test.com"}, lambda r: (r["Email"] or "").lower() == "test@test.com"),
        ({"phone": "n/a"}, lambda r: "n/a" in {r["Phone"], r["Mobile"]}),
        (
            {"word": "nguyen"},
            lambda r: any("nguyen" in str(r[k]).lower() for k in ("Full_Name", "Email")),
        ),
    ],
)
def test_search(zoho, asked, test) -> None:
    """Search finds what Python finds in the truth, and count counts it."""
    expected = {row["id"] for row in zoho.zoho.rows("Contacts") if test(row)}
    response = zoho.get("/Contacts/search", params={"fields": "id"} | asked)
    found = {row["id"] for row in response.json()["data"]} if response.status_code == 200 else set()
    assert found == expected
    count = zoho.get("/Contacts/actions/count", params=asked).json()
    assert count == {"count": len(expected)}


def test_search_refusals(zoho) -> None:
    """A search needs a way, readable criteria and known fields, and reaches 2,000 records."""
    assert zoho.refusal(zoho.get("/Contacts/search")) == (400, "REQUIRED_PARAM_MISSING")
    for criteria in ("Last_Name=x", "(Last_Name:like:x)", "((Visits:equals:1)and(Visits:equals:2)"):
        answer = zoho.get("/Contacts/search", params={"criteria": criteria})
        assert zoho.refusal(answer) == (400, "INVALID_DATA")
    answer = zoho.get("/Contacts/search", params={"criteria": "(Nope:equals:x)"})
    assert zoho.refusal(answer) == (400, "INVALID_QUERY")
    far = zoho.get("/Contacts/search", params={"word": "a", "page": 11})
    assert zoho.refusal(far) == (400, "LIMIT_EXCEEDED")
    nothing = zoho.get("/Contacts/search", params={"email": "nobody@nowhere.example"})
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_search_index(own_zoho) -> None:
    """The index may lag, and equality of text may be containment."""
    made = own_zoho.admin("create", name="Contacts", fields={"Last_Name": "Quetzalcoatl"})

    def found(value: str) -> list[str]:
        response = own_zoho.get(
            "/Contacts/search", params={"criteria": f"(Last_Name:equals:{value})"}
        )
        return [r["id"] for r in response.json()["data"]] if response.status_code == 200 else []

    assert found("Quetzalcoatl") == [made]
    assert found("Quetzal") == []
    own_zoho.admin("set_search", contains=True, lag_s=60)
    assert found("Quetzal") == []
    own_zoho.advance(61)
    assert found("Quetzal") == [made]


def test_stage_history(zoho) -> None:
    """The history of a deal leads from stage to stage to where the deal is now."""
    for deal in zoho.zoho.rows("Deals")[:12]:
        fields = "Stage,Moved_To__s,Stage_Duration_Calendar_Days,Modified_Time,Potential_Name"
        rows = zoho.data(f"/Deals/{deal['id']}/Stage_History", params={"fields": fields})[::-1]
        assert [row["Moved_To__s"] for row in rows[:-1]] == [row["Stage"] for row in rows[1:]]
        assert (rows[-1]["Stage"], rows[-1]["Moved_To__s"]) == (deal["Stage"], None)
        assert rows[-1]["Stage_Duration_Calendar_Days"] is None
        assert all(row["Stage_Duration_Calendar_Days"] is not None for row in rows[:-1])
        own = {"fields": fields, "ids": ",".join(row["id"] for row in rows)}
        assert zoho.data("/DealHistory", params=own)[::-1] == rows
        assert {row["Potential_Name"]["id"] for row in rows} == {deal["id"]}


def test_history_of_a_moved_deal(own_zoho) -> None:
    """A deal that moves closes its last row of history, whose stamp stays, and gets another."""
    deal = next(row for row in own_zoho.zoho.rows("Deals") if row["Stage"] != "Closed Won")
    path = f"/Deals/{deal['id']}/Stage_History?fields=Stage,Moved_To__s,Modified_Time"
    before = own_zoho.data(path)
    own_zoho.advance(86_400 * 3)
    own_zoho.login()
    own_zoho.admin("edit", name="Deals", record=deal["id"], fields={"Stage": "Closed Won"})
    after = own_zoho.data(path)
    assert len(after) == len(before) + 1
    assert (after[0]["Stage"], after[0]["Moved_To__s"]) == ("Closed Won", None)
    assert (after[1]["Stage"], after[1]["Moved_To__s"]) == (before[0]["Stage"], "Closed Won")
    assert after[0]["Modified_Time"] == "2026-11-04T04:00:00-08:00"
    assert after[1]["Modified_Time"] == before[0]["Modified_Time"]
    shown = own_zoho.data(f"/Deals/{deal['id']}")[0]
    assert (shown["Stage"], shown["Probability"]) == ("Closed Won", 100)


def test_related_lists(zoho) -> None:
    """Members of campaigns, roles of deals and notes are found from both sides."""
    truth = zoho.zoho.org("main").tables
    campaign, contact = truth.rows(
        'SELECT campaign_id::VARCHAR AS a, contact_id::VARCHAR AS b FROM "Campaign_Members" m JOIN '
        '"Contacts" c ON c.id = m.contact_id WHERE c._ended IS NULL LIMIT 1'
    )[0].values()
    members = zoho.data(f"/Campaigns/{campaign}/Contacts?fields=Last_Name")
    assert contact in {row["id"] for row in members}
    assert all(row["Member_Status"] for row in members)
    back = zoho.data(f"/Contacts/{contact}/Campaigns?fields=Campaign_Name")
    assert campaign in {row["id"] for row in back}
    deal = truth.value(
        'SELECT deal_id::VARCHAR FROM "Deal_Contacts" d JOIN "Contacts" c ON c.id = d.contact_id '
        'JOIN "Deals" e ON e.id = d.deal_id WHERE c._ended IS NULL AND e._ended IS NULL'
    )
    roles = zoho.data(f"/Deals/{deal}/Contact_Roles?fields=Last_Name,Email")
    assert {row["Contact_Role"]["name"] for row in roles} <= {"Decision Maker", "Influencer"}
    note = next(row for row in zoho.zoho.rows("Notes") if row["$se_module"] == "Accounts")
    notes = zoho.data(f"/Accounts/{note['Parent_Id']}/Notes?fields=Note_Title,Parent_Id")
    assert note["id"] in {row["id"] for row in notes}
    assert notes[0]["Parent_Id"]["module"]["api_name"] == "Accounts"
    listed = zoho.get("/settings/related_lists?module=Deals").json()["related_lists"]
    assert "Stage_History" in {one["api_name"] for one in listed}


def test_related_refusals(zoho) -> None:
    """An unknown list or an unknown parent is INVALID_DATA."""
    contact = zoho.zoho.rows("Contacts")[0]["id"]
    for path in (f"/Contacts/{contact}/Nope", "/Contacts/1/Notes"):
        assert zoho.refusal(zoho.get(path, params={"fields": "id"})) == (400, "INVALID_DATA")
