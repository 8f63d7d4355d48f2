import pytest

EVERYBODY = "id is not null"


def found(client, text: str) -> list[dict]:
    response = client.query(text)
    assert response.status_code == 200, response.text
    return response.json()["data"]


def test_default_and_largest_limit(own_zoho) -> None:
    """Statement 11: 200 rows without LIMIT, 2,000 at most, and info says count and more_records."""
    zoho = own_zoho
    org = zoho.zoho.org("main")
    rows = [{"Product_Name": f"p{k}"} for k in range(2_100)]
    zoho.zoho.store("main").create(org.known("Products"), rows, org.clock.stamp())
    for limit, count, more in (
        ("", 200, True),
        ("limit 2000", 2000, True),
        ("limit 0, 150", 150, True),
    ):
        body = zoho.query(f"select id from Products where {EVERYBODY} {limit}").json()
        assert body["info"] == {"count": count, "more_records": more}
        assert len(body["data"]) == count
    body = zoho.query(f"select id from Products where {EVERYBODY} limit 2000, 2000").json()
    assert body["info"] == {"count": 140, "more_records": False}
    for limit in ("limit 2001", "limit 99000, 1001", "limit 2000 offset 98001"):
        response = zoho.query(f"select id from Products where {EVERYBODY} {limit}")
        assert zoho.refusal(response) == (400, "LIMIT_EXCEEDED")
    response = zoho.query(f"select id from Products where {EVERYBODY} limit 98000, 2000")
    assert (response.status_code, response.content) == (204, b"")


def test_nothing_found(zoho) -> None:
    """Statement 11: no match is 204 without a byte."""
    response = zoho.query("select id from Contacts where Last_Name = 'nobody at all'")
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("limit", "cost"), [(1, 1), (200, 1), (201, 2), (1000, 2), (1001, 3), (2000, 3)]
)
def test_price(shared_zoho, limit: int, cost: int) -> None:
    """Statement 11: a query costs 1, 2 or 3 credits by its LIMIT."""
    before = shared_zoho.zoho.apis["main"].meter.credits.used
    shared_zoho.query(f"select id from Contacts where {EVERYBODY} limit {limit}")
    assert shared_zoho.zoho.apis["main"].meter.credits.used - before == cost


@pytest.mark.parametrize(
    ("text", "code", "details"),
    [
        ("selct id from Contacts", "SYNTAX_ERROR", {"clause": "select"}),
        ("select id from Contacts", "SYNTAX_ERROR", {"clause": "where"}),
        ("select * from Contacts where id is not null", "SYNTAX_ERROR", {"near": "*"}),
        ("select id from Contacts where id ~ 1", "SYNTAX_ERROR", {"near": "~"}),
        ("select id from Contacts where (id = 1", "SYNTAX_ERROR", {"near": ""}),
        ("select id where id is not null", "SYNTAX_ERROR", {"clause": "from"}),
        (
            "select id from Contacts where id is not null and Email is null and Phone is null",
            "SYNTAX_ERROR",
            {"near": "and"},
        ),
        (
            "select Nope from Contacts where id is not null",
            "INVALID_QUERY",
            {"column_name": "Nope"},
        ),
        ("select id from Contacts where Nope = 1", "INVALID_QUERY", {"column_name": "Nope"}),
        ("select id from Contacts where Visits = 'x'", "INVALID_QUERY", {"column_name": "Visits"}),
        (
            "select id from Contacts where Visits like 'x'",
            "INVALID_QUERY",
            {"column_name": "Visits"},
        ),
        (
            "select id from Contacts where Description = 'x'",
            "INVALID_QUERY",
            {"column_name": "Description"},
        ),
        (
            "select Comments from Cases where id is not null",
            "INVALID_QUERY",
            {"column_name": "Comments"},
        ),
        (
            "select CTI_Entry from Calls where id is not null",
            "INVALID_QUERY",
            {"column_name": "CTI_Entry"},
        ),
        (
            "select Participants from Events where id is not null",
            "INVALID_QUERY",
            {"column_name": "Participants"},
        ),
        (
            "select Quoted_Items from Quotes where id is not null",
            "INVALID_QUERY",
            {"column_name": "Quoted_Items"},
        ),
        ("select id from Nothings where id is not null", "INVALID_MODULE", {}),
        (
            "select id from Contacts where id is not null order by id, id",
            "DUPLICATE_DATA",
            {"column_name": "id"},
        ),
        (
            "select COUNT(id), COUNT(id) from Contacts where id is not null",
            "DUPLICATE_DATA",
            {"column_name": "id", "aggregate": "COUNT"},
        ),
        (
            "select id as a, Email as a from Contacts where id is not null",
            "DUPLICATE_ALIAS",
            {"alias": "a", "referred_columns": ["id", "Email"]},
        ),
        (
            "select id from Contacts where id is not null order by nope",
            "INVALID_ALIAS",
            {"alias": "", "column_name": "nope"},
        ),
    ],
)
def test_refusals(zoho, text: str, code: str, details: dict) -> None:
    """Statement 11: what cannot be read, is unknown or comes twice has its own code and details."""
    response = zoho.query(text)
    assert zoho.refusal(response) == (400, code), response.text
    assert response.json()["details"] == details


def test_bodies_without_a_query(zoho) -> None:
    """Statement 11: no select_query is MANDATORY_NOT_FOUND, one that is no text INVALID_DATA."""
    assert zoho.refusal(zoho.post("/coql", {})) == (400, "MANDATORY_NOT_FOUND")
    assert zoho.refusal(zoho.post("/coql", {"select_query": 5})) == (400, "INVALID_DATA")


def test_at_most(zoho) -> None:
    """Statement 11: at most 10 columns of order, 4 of grouping, 5 aggregates, 50 values of a list."""
    names = [
        one["api_name"] for one in zoho.get("/settings/fields?module=Accounts").json()["fields"]
    ]
    plain = [name for name in names if name not in {"Tag", "Description"}]
    order = f"select id from Accounts where {EVERYBODY} order by "
    assert zoho.query(order + ",".join(plain[:10])).status_code == 200
    assert zoho.refusal(zoho.query(order + ",".join(plain[:11])))[1] == "LIMIT_EXCEEDED"
    group = f"select COUNT(id) from Accounts where {EVERYBODY} group by "
    assert zoho.query(group + ",".join(plain[4:8])).status_code == 200
    assert zoho.refusal(zoho.query(group + ",".join(plain[4:9])))[1] == "LIMIT_EXCEEDED"
    sums = [f"{f}({c})" for f in ("SUM", "MAX", "MIN") for c in ("Employees", "Annual_Revenue")]
    aggregates = f"from Accounts where {EVERYBODY}"
    assert zoho.query(f"select {','.join(sums[:5])} {aggregates}").status_code == 200
    assert zoho.refusal(zoho.query(f"select {','.join(sums)} {aggregates}"))[1] == "LIMIT_EXCEEDED"
    values = ",".join(f"'{k}'" for k in range(51))
    refused = zoho.query(f"select id from Accounts where Phone in ({values})")
    assert zoho.refusal(refused)[1] == "LIMIT_EXCEEDED"


def test_default_order_and_keyset(zoho) -> None:
    """Rows come by id ascending, and `id > last` reads everything once."""
    last, seen = 0, []
    while True:
        response = zoho.query(f"select Last_Name from Contacts where id > {last} limit 70")
        if response.status_code == 204:
            break
        seen += [int(row["id"]) for row in response.json()["data"]]
        last = seen[-1]
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == zoho.zoho.count("Contacts")


CONDITIONS = {
    "Last_Name = 'miller'": lambda r: (r["Last_Name"] or "").lower() == "miller",
    "Last_Name != 'Miller'": lambda r: r["Last_Name"] not in {None, "Miller"},
    "Last_Name like 'M%'": lambda r: (r["Last_Name"] or "").lower().startswith("m"),
    "Last_Name not like '%a%'": lambda r: "a" not in (r["Last_Name"] or "a").lower(),
    "Visits between 10 and 20": lambda r: 10 <= r["Visits"] <= 20,
    "Visits not between 10 and 20": lambda r: not 10 <= r["Visits"] <= 20,
    "Visits in (1, 2, 3)": lambda r: r["Visits"] in {1, 2, 3},
    "Visits not in (1, 2, 3)": lambda r: r["Visits"] not in {1, 2, 3},
    "Visits >= 39": lambda r: r["Visits"] >= 39,
    "Email is null": lambda r: r["Email"] is None,
    "Newsletter = true": lambda r: r["Newsletter"],
    "Interests = 'CRM'": lambda r: "CRM" in (r["Interests"] or []),
    "(Email is not null and (Visits < 5 or Visits > 35))": lambda r: (
        r["Email"] is not None and (r["Visits"] < 5 or r["Visits"] > 35)
    ),
    "Member_Since > '2024-01-01'": lambda r: str(r["Member_Since"] or "") > "2024-01-01",
    "Legacy_Code = 'she said \"hello\"'": lambda r: r["Legacy_Code"] == 'she said "hello"',
    "Last_Name = 'O\\'Brien'": lambda r: r["Last_Name"] == "O'Brien",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions(zoho, condition: str) -> None:
    """Every comparator finds what Python finds in the truth."""
    expected = {row["id"] for row in zoho.zoho.rows("Contacts") if CONDITIONS[condition](row)}
    response = zoho.query(f"select id from Contacts where {condition} limit 2000")
    rows = response.json()["data"] if response.status_code == 200 else []
    assert {row["id"] for row in rows} == expected
    assert expected or "Brien" in condition


def test_moments_and_ties(zoho) -> None:
    """A stamp with any offset compares by the moment; stamp and id together resume without loss."""
    rows = sorted(
        zoho.zoho.rows("Contacts"), key=lambda row: (row["Modified_Time"], int(row["id"]))
    )
    middle = rows[len(rows) // 2]
    stamp, last = f"{middle['Modified_Time']:%Y-%m-%dT%H:%M:%S}+00:00", middle["id"]
    text = (
        f"select id, Modified_Time from Contacts where (Modified_Time >= '{stamp}' and "
        f"(Modified_Time > '{stamp}' or id > {last})) order by Modified_Time, id limit 2000"
    )
    assert [row["id"] for row in found(zoho, text)] == [
        row["id"] for row in rows[len(rows) // 2 + 1 :]
    ]
    shifted = "2026-10-12T05:00:00-07:00"
    burst = found(zoho, f"select id from Contacts where Modified_Time = '{shifted}' limit 2000")
    assert (
        len(burst) == sum(f"{row['Modified_Time']}" == "2026-10-12 12:00:00" for row in rows) > 20
    )


def test_joins(zoho) -> None:
    """A dotted path reads the record that a lookup points to; the key is the path."""
    row = found(
        zoho,
        "select Last_Name, Account_Name, Account_Name.Account_Name, Account_Name.Owner.email "
        "from Contacts where Account_Name.Account_Name is not null limit 1",
    )[0]
    account = zoho.data(f"/Accounts/{row['Account_Name']['id']}")[0]
    assert set(row["Account_Name"]) == {"id"}
    assert row["Account_Name.Account_Name"] == account["Account_Name"]
    assert row["Account_Name.Owner.email"] == account["Owner"]["email"]
    text = "select id from Contacts where Account_Name.Industry = 'Banking' limit 2000"
    banks = {r["id"] for r in zoho.zoho.rows("Accounts") if r["Industry"] == "Banking"}
    expected = {r["id"] for r in zoho.zoho.rows("Contacts") if r["Account_Name"] in banks}
    assert {r["id"] for r in found(zoho, text)} == expected != set()


def test_quoted_names(zoho) -> None:
    """Names in the SELECT list may stand in quotes, and have aliases."""
    row = found(zoho, f"select 'Last_Name' as surname, \"Email\" from Contacts where {EVERYBODY}")[
        0
    ]
    assert set(row) == {"surname", "Email", "id"}


def test_aggregates(zoho) -> None:
    """Aggregates with and without groups agree with the truth."""
    rows = zoho.zoho.rows("Deals")
    total = found(zoho, f"select SUM(Amount) as total, COUNT(id) from Deals where {EVERYBODY}")
    assert total == [{"total": sum(row["Amount"] for row in rows), "COUNT(id)": len(rows)}]
    groups = found(
        zoho,
        f"select Stage, COUNT(id) as n from Deals where {EVERYBODY} group by Stage order by n desc",
    )
    assert [one["n"] for one in groups] == sorted((one["n"] for one in groups), reverse=True)
    assert {one["Stage"]: one["n"] for one in groups} == {
        stage: sum(row["Stage"] == stage for row in rows)
        for stage in {row["Stage"] for row in rows}
    }


def test_converted_leads(own_zoho) -> None:
    """Converted leads are found when asked for; whether they are without is a switch."""
    rows = own_zoho.zoho.rows("Leads")
    converted = {row["id"] for row in rows if row["Converted__s"]}
    asked = "select id from Leads where {} limit 2000"
    plain = {row["id"] for row in found(own_zoho, asked.format(EVERYBODY))}
    assert plain == {row["id"] for row in rows} - converted
    own = found(own_zoho, asked.format("Converted__s = true"))
    assert {row["id"] for row in own} == converted != set()
    own_zoho.admin("set_coql", shows_converted=True)
    assert len(found(own_zoho, asked.format(EVERYBODY))) == len(rows)


def test_switches(own_zoho) -> None:
    """Limits of older versions and unconfirmed habits can be set."""
    own_zoho.admin(
        "set_coql", lookup_names=True, where_required=False, most_fields=2, most_reached=300
    )
    assert set(found(own_zoho, "select Owner from Contacts")[0]["Owner"]) == {"id", "name", "email"}
    three = own_zoho.query("select id, Email, Phone from Contacts")
    assert own_zoho.refusal(three)[1] == "LIMIT_EXCEEDED"
    far = own_zoho.query("select id from Contacts limit 200 offset 101")
    assert own_zoho.refusal(far)[1] == "LIMIT_EXCEEDED"


NAMED, MAILED, DATED = "Last_Name is not null", "Email is not null", "Created_Time is not null"


@pytest.mark.parametrize(
    ("where", "is_paired"),
    [
        (f"{NAMED} and {MAILED}", True),
        (f"{NAMED} or {MAILED}", True),
        (f"({NAMED} and ({MAILED} and {DATED}))", True),
        (f"(({NAMED} and {MAILED}) and {DATED})", True),
        (f"({NAMED} or {MAILED}) and ({DATED} and {EVERYBODY})", True),
        (f"{NAMED} and Id between 0 and 9000000000000000000", True),
        (f"{NAMED} and {MAILED} and {DATED}", False),
        (f"{NAMED} or {MAILED} or {DATED}", False),
        (f"{NAMED} and {MAILED} or {DATED}", False),
        (f"{NAMED} or {MAILED} and {DATED}", False),
        (f"({NAMED} and {MAILED} and {DATED})", False),
    ],
)
def test_more_than_two_criteria_stand_in_brackets(shared_zoho, where: str, is_paired: bool) -> None:
    """The vendor's page wants (A and (B and C)) or ((A and B) and C); the switch takes chains as well."""
    text = f"select id from Contacts where {where}"
    response = shared_zoho.query(text)
    if not is_paired:
        assert shared_zoho.refusal(response) == (400, "SYNTAX_ERROR")
        shared_zoho.admin("set_coql", brackets_required=False)
        response = shared_zoho.query(text)
        shared_zoho.admin("set_coql", brackets_required=True)
    assert response.status_code == 200, response.text


def test_scopes(own_zoho) -> None:
    """COQL needs its own scope and the module's."""
    text = f"select id from Contacts where {EVERYBODY}"
    for scopes in (("ZohoCRM.coql.READ",), ("ZohoCRM.modules.ALL",)):
        own_zoho.login(*scopes)
        assert own_zoho.refusal(own_zoho.query(text)) == (401, "OAUTH_SCOPE_MISMATCH")
    own_zoho.login("ZohoCRM.coql.READ", "ZohoCRM.modules.Contacts.READ")
    assert own_zoho.query(text).status_code == 200
