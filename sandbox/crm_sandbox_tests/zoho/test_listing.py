import pytest

TWO_HOURS = 7200


def test_fields_are_needed(zoho) -> None:
    """Statement 6: without fields REQUIRED_PARAM_MISSING, with 51 LIMIT_EXCEEDED, with 50 all is well."""
    assert zoho.refusal(zoho.get("/Contacts")) == (400, "REQUIRED_PARAM_MISSING")
    fields = zoho.get("/settings/fields?module=Contacts").json()["fields"]
    names = [one["api_name"] for one in fields]
    assert len(names) > 50
    assert zoho.refusal(zoho.get("/Contacts", params={"fields": ",".join(names[:51])})) == (
        400,
        "LIMIT_EXCEEDED",
    )
    row = zoho.data("/Contacts", params={"fields": ",".join(names[:50]), "per_page": 1})[0]
    assert len(row) == 50


@pytest.mark.parametrize("size", ["201", "0", "x"])
def test_page_size(zoho, size: str) -> None:
    """Statement 6: per_page above 200 is refused."""
    answer = zoho.get("/Contacts", params={"fields": "id", "per_page": size})
    assert zoho.refusal(answer) == (400, "INVALID_DATA")


def test_default_order(zoho) -> None:
    """Statement 6: rows come by id, newest first, 200 a page."""
    answer = zoho.get("/Contacts?fields=Last_Name").json()
    ids = [row["id"] for row in answer["data"]]
    assert ids == sorted(ids, key=int, reverse=True)
    info = answer["info"]
    assert (info["per_page"], info["count"], info["page"]) == (200, 200, 1)
    assert (info["sort_by"], info["sort_order"], info["more_records"]) == ("id", "desc", True)


@pytest.mark.parametrize("per_page", [7, 200])
@pytest.mark.parametrize("sort", ["id", "Modified_Time", "Created_Time"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_by_number_and_by_token(zoho, per_page: int, sort: str, order: str) -> None:
    """Statement 7: pages by number and by token give every row once, in the same order."""
    asked = {"fields": f"id,{sort}", "per_page": per_page, "sort_by": sort, "sort_order": order}
    by_token = zoho.everything("/Contacts", **asked)
    by_number, page = [], 1
    while True:
        answer = zoho.get("/Contacts", params=asked | {"page": page}).json()
        by_number += answer["data"]
        assert answer["info"]["page"] == page
        if not answer["info"]["more_records"]:
            break
        page += 1
    assert by_token == by_number
    ids = [row["id"] for row in by_token]
    assert len(set(ids)) == len(ids) == zoho.zoho.count("Contacts")


def test_the_first_2000_by_number(own_zoho) -> None:
    """Statement 7: beyond 2,000 rows a page number is DISCRETE_PAGINATION_LIMIT_EXCEEDED with the limit."""
    response = own_zoho.get("/Contacts?fields=id&page=11")
    assert own_zoho.refusal(response) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    assert response.json()["details"] == {"limit": 2000}
    assert own_zoho.get("/Contacts?fields=id&page=10").status_code == 204
    assert own_zoho.get("/Contacts?fields=id&page=101&per_page=20").status_code == 400


def test_the_first_100000_by_token(own_zoho) -> None:
    """Statement 7: a token that would go on beyond 100,000 rows is PAGINATION_LIMIT_EXCEEDED."""
    own_zoho.admin("set_paging", by_token=40)
    token, seen = "", 0
    while True:
        asked = {"fields": "id", "per_page": "20"} | ({"page_token": token} if token else {})
        response = own_zoho.get("/Contacts", params=asked)
        if response.status_code != 200:
            break
        seen += response.json()["info"]["count"]
        assert response.json()["info"]["page"] == 1
        token = response.json()["info"]["next_page_token"]
    assert seen == 40
    assert own_zoho.refusal(response) == (400, "PAGINATION_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "changed",
    [
        {"fields": "id,Email"},
        {"per_page": "21"},
        {"sort_by": "Modified_Time"},
        {"sort_order": "asc"},
        {"converted": "both"},
    ],
)
def test_token_bound_to_parameters(zoho, changed) -> None:
    """Statement 8: a token with another parameter is TOKEN_BOUND_DATA_MISMATCH."""
    asked = {"fields": "id", "per_page": "20"}
    token = zoho.get("/Contacts", params=asked).json()["info"]["next_page_token"]
    answer = zoho.get("/Contacts", params=asked | changed | {"page_token": token})
    assert zoho.refusal(answer) == (400, "TOKEN_BOUND_DATA_MISMATCH")
    assert zoho.get("/Contacts", params=asked | {"page_token": token}).status_code == 200


def test_token_bound_to_the_header(zoho) -> None:
    """Statement 8: If-Modified-Since belongs to the parameters of a token."""
    headers = {"If-Modified-Since": "2020-01-01T00:00:00+00:00"}
    asked = {"fields": "id", "per_page": "20"}
    token = zoho.get("/Contacts", params=asked, headers=headers).json()["info"]["next_page_token"]
    more = asked | {"page_token": token}
    assert zoho.get("/Contacts", params=more, headers=headers).status_code == 200
    assert zoho.refusal(zoho.get("/Contacts", params=more)) == (400, "TOKEN_BOUND_DATA_MISMATCH")


def test_old_token(own_zoho) -> None:
    """Statement 8: a token older than 24 hours is EXPIRED_VALUE, and page_token_expiry says when."""
    asked = {"fields": "id", "per_page": "20"}
    info = own_zoho.get("/Contacts", params=asked).json()["info"]
    assert info["page_token_expiry"] == "2026-11-02T04:00:00-08:00"
    more = asked | {"page_token": info["next_page_token"]}
    own_zoho.advance(24 * 3600 - 1)
    own_zoho.login()
    assert own_zoho.get("/Contacts", params=more).status_code == 200
    own_zoho.advance(1)
    assert own_zoho.refusal(own_zoho.get("/Contacts", params=more)) == (400, "EXPIRED_VALUE")


def test_ambiguous_and_foreign_tokens(zoho, second) -> None:
    """Statement 8: page with page_token, or cvid with sort_by, is ambiguous; another org's token is invalid."""
    asked = {"fields": "id", "per_page": "20"}
    token = zoho.get("/Contacts", params=asked).json()["info"]["next_page_token"]
    both = zoho.get("/Contacts", params=asked | {"page_token": token, "page": "2"})
    assert zoho.refusal(both) == (400, "AMBIGUITY_DURING_PROCESSING")
    view = zoho.get("/settings/custom_views?module=Contacts").json()["custom_views"][0]["id"]
    both = zoho.get("/Contacts", params=asked | {"cvid": view, "sort_by": "id"})
    assert zoho.refusal(both) == (400, "AMBIGUITY_DURING_PROCESSING")
    assert len(zoho.data("/Contacts", params=asked | {"cvid": view})) == 20
    for answer in (
        second.get("/Contacts", params=asked | {"page_token": token}),
        zoho.get("/Leads", params=asked | {"page_token": token}),
        zoho.get("/Contacts", params=asked | {"page_token": token[:-2]}),
        zoho.get("/Contacts", params=asked | {"page_token": "x"}),
    ):
        assert zoho.refusal(answer) == (400, "INVALID_DATA")


def test_previous_page(zoho) -> None:
    """previous_page_token leads back to the rows before."""
    asked = {"fields": "id", "per_page": "20"}
    first = zoho.get("/Contacts", params=asked).json()
    assert first["info"]["previous_page_token"] is None
    onward = asked | {"page_token": first["info"]["next_page_token"]}
    following = zoho.get("/Contacts", params=onward).json()
    back = asked | {"page_token": following["info"]["previous_page_token"]}
    assert zoho.data("/Contacts", params=back) == first["data"]


def test_nothing_there(own_zoho) -> None:
    """Statement 9: no rows are 204 and nothing changed is 304, both without a single byte."""
    for path in ("/Contacts?fields=id&page=5", "/Contacts?fields=id&ids=1", "/Contacts/1"):
        response = own_zoho.get(path)
        assert (response.status_code, response.content) == (204, b"")
    headers = {"If-Modified-Since": "2026-11-01T13:00:00+00:00"}
    response = own_zoho.get("/Contacts?fields=id", headers=headers)
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize(
    "moment",
    ["2026-10-20T12:30:00+00:00", "2026-10-20T05:30:00-07:00", "2026-10-20T18:00:00+05:30"],
)
def test_modified_since_is_inclusive(own_zoho, moment: str) -> None:
    """Statement 9: a record of the very second is found, one second later it is not."""
    made = own_zoho.admin(
        "create", name="Products", fields={"Product_Name": "x"}, stamp="2026-10-20T12:30:00+00:00"
    )
    own = {"fields": "id", "ids": made}
    found = own_zoho.data("/Products", params=own, headers={"If-Modified-Since": moment})
    assert [row["id"] for row in found] == [made]
    later = moment.replace(":00:00", ":00:01").replace(":30:00", ":30:01", 1)
    assert later != moment
    response = own_zoho.get("/Products", params=own, headers={"If-Modified-Since": later})
    assert response.status_code == 304


def test_lists_leave_out(zoho) -> None:
    """Statement 10: lists have no sub-forms and cut rich text at 500 characters; one record has it all."""
    quotes = zoho.data("/Quotes?fields=Subject,Quoted_Items&per_page=1")
    assert set(quotes[0]) == {"Subject", "id"}
    whole = zoho.data(f"/Quotes/{quotes[0]['id']}")[0]
    assert whole["Quoted_Items"]
    assert whole["$has_more"] == {"Quoted_Items": False}
    listed = {
        row["id"]: row["Background"] for row in zoho.everything("/Contacts", fields="Background")
    }
    longest = max(listed, key=lambda key: len(listed[key] or ""))
    assert len(listed[longest]) == 500
    background = zoho.data(f"/Contacts/{longest}")[0]["Background"]
    assert len(background) > 10_000
    assert background.startswith(listed[longest])
    liked = zoho.data(f"/Contacts/{zoho.zoho.rows('Interested_Products')[0]['Contacts']}")[0]
    assert liked["Interested_Products"][0]["Interested_Products"]["name"]
    deal = zoho.data(f"/Deals/{zoho.zoho.rows('Deal_Team')[0]['Deals']}")[0]
    assert len(deal["Deal_Team"]) == 2


def test_converted_leads(zoho) -> None:
    """Statement 10: converted leads are invisible unless asked for."""
    rows = zoho.zoho.rows("Leads")
    converted = {row["id"] for row in rows if row["Converted__s"]}
    living = {row["id"] for row in rows} - converted
    assert converted
    for asked, expected in (
        ({}, living),
        ({"converted": "false"}, living),
        ({"converted": "true"}, converted),
        ({"converted": "both"}, living | converted),
    ):
        assert {row["id"] for row in zoho.everything("/Leads", **asked)} == expected


def test_unknown_module(zoho) -> None:
    """A module that does not exist, or that the API does not support, is INVALID_MODULE."""
    for name in ("Nothings", "Home", "Users"):
        assert zoho.refusal(zoho.get(f"/{name}?fields=id")) == (400, "INVALID_MODULE")


def test_values(zoho) -> None:
    """Statement 20: ids are texts beyond 2^53, stamps carry the offset of their day, lookups have names."""
    rows = zoho.everything(
        "/Contacts", fields="Account_Name,Owner,Created_Time,Interests,Badge_Number"
    )
    offsets = {row["Created_Time"][-6:] for row in rows}
    assert offsets == {"-07:00", "-08:00"}
    for row in rows:
        assert len(row["id"]) == 19
        assert int(row["id"]) > 2**53
        assert set(row["Owner"]) == {"name", "id", "email"}
        if row["Account_Name"] is not None:
            assert set(row["Account_Name"]) == {"name", "id"}
    assert any(row["Interests"] == ["Analytics", "CRM"] for row in rows)
    assert any(row["Interests"] == [] for row in rows)
    assert any(row["Interests"] is None for row in rows)
    assert all(int(row["Badge_Number"]) > 2**53 for row in rows)


def test_deleted_parents_are_not_shown(own_zoho) -> None:
    """A lookup to a deleted record is null until the record is restored."""
    contact = next(row for row in own_zoho.zoho.rows("Contacts") if row["Account_Name"])
    account = contact["Account_Name"]
    own = {"fields": "Account_Name", "ids": contact["id"]}
    assert own_zoho.data("/Contacts", params=own)[0]["Account_Name"]["id"] == account
    own_zoho.admin("delete", name="Accounts", record=account)
    assert own_zoho.data("/Contacts", params=own)[0]["Account_Name"] is None
    own_zoho.admin("restore", name="Accounts", record=account)
    assert own_zoho.data("/Contacts", params=own)[0]["Account_Name"]["id"] == account
