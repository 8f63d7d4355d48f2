from concurrent.futures import ThreadPoolExecutor

import pytest


def test_pages(client) -> None:
    """Statement 7: pages follow nextRecordsUrl, totalSize stays, the last page has no next."""
    total = client.sandbox.salesforce.count("Contact")
    options = {"Sforce-Query-Options": "batchSize=200"}
    page = client.query("SELECT Id FROM Contact", headers=options).json()
    assert page["nextRecordsUrl"].startswith("/services/data/v66.0/query/01g")
    assert page["nextRecordsUrl"].endswith("-200")
    last = client.http.get(client.root + page["nextRecordsUrl"], headers=options).json()
    assert page["totalSize"] == last["totalSize"] == total
    assert (page["done"], last["done"], "nextRecordsUrl" in last) == (False, True, False)
    ids = {record["Id"] for record in page["records"] + last["records"]}
    assert len(ids) == total


def test_batch_size_bounds(own) -> None:
    """Statement 7: the batch size is kept between 200 and 2000, and only loosely on order."""
    soql = "SELECT Id FROM OpportunityStage"
    small = own.query(soql, headers={"Sforce-Query-Options": "batchSize=1"}).json()
    assert len(small["records"]) == 8
    for _ in range(250):
        own.sandbox.salesforce.create("Account", Name="many")
    wanted = {"Sforce-Query-Options": "batchSize=200"}
    assert len(own.query("SELECT Id FROM Account", headers=wanted).json()["records"]) == 200
    own.sandbox.salesforce.queries.loose_batches = True
    assert len(own.query("SELECT Id FROM Account", headers=wanted).json()["records"]) == 180


def test_locator_belongs_to_its_session(own) -> None:
    """Statement 3: another session cannot go on with a locator."""
    for _ in range(201):
        own.sandbox.salesforce.create("Account", Name="many")
    page = own.query(
        "SELECT Id FROM Account", headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()
    own.login()
    later = own.http.get(own.root + page["nextRecordsUrl"])
    assert (later.status_code, later.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_query_all(client) -> None:
    """Statement 8: queryAll has deleted rows, query never; its locator keeps them."""
    truth = client.sandbox.salesforce
    everything = truth.count("Contact", include_deleted=True)
    assert everything > truth.count("Contact")
    options = {"Sforce-Query-Options": "batchSize=200"}
    page = client.get(
        "/queryAll", params={"q": "SELECT Id, IsDeleted FROM Contact"}, headers=options
    ).json()
    rest = client.http.get(client.root + page["nextRecordsUrl"], headers=options).json()
    records = page["records"] + rest["records"]
    assert len(records) == page["totalSize"] == everything
    assert sum(record["IsDeleted"] for record in records) == everything - truth.count("Contact")
    assert client.records("SELECT Id FROM Contact WHERE IsDeleted = true") == []


def test_parents_are_nested(client) -> None:
    """Parent fields are objects with attributes; a missing parent is null."""
    record = client.records(
        "select id, account.name, ACCOUNT.OWNER.NAME from Contact where AccountId != null limit 1"
    )[0]
    assert list(record) == ["attributes", "Id", "Account"]
    assert record["attributes"]["url"] == f"/services/data/v66.0/sobjects/Contact/{record['Id']}"
    assert record["Account"]["attributes"]["type"] == "Account"
    assert record["Account"]["Owner"]["Name"]
    orphan = client.records("SELECT Account.Name FROM Contact WHERE AccountId = null LIMIT 1")
    assert orphan[0]["Account"] is None


def test_values_as_rest_writes_them(client) -> None:
    """Datetimes carry +0000, dates are plain, numbers are numbers, compounds are objects."""
    record = client.records(
        "SELECT CreatedDate, Member_Since__c, Visits__c, Newsletter__c, MailingAddress, Fax "
        "FROM Contact WHERE Member_Since__c != null AND MailingStreet != null LIMIT 1"
    )[0]
    assert record["CreatedDate"].endswith(".000+0000")
    assert len(record["Member_Since__c"]) == 10
    assert isinstance(record["Visits__c"], float)
    assert isinstance(record["Newsletter__c"], bool)
    assert record["MailingAddress"]["street"]
    assert record["Fax"] is None


def test_planted_values_survive(client) -> None:
    """What awkward values are stored is what REST answers, byte by byte."""
    truth = {row["Id"]: row["Legacy_Code__c"] for row in client.sandbox.salesforce.rows("Contact")}
    records = client.records("SELECT Id, Legacy_Code__c, Notes__c FROM Contact")
    assert {one["Id"]: one["Legacy_Code__c"] for one in records} == truth
    assert {"01234", "NA", "1e5", "1234567890123456789", "=SUM(1)"} <= set(truth.values())
    assert max(len(one["Notes__c"] or "") for one in records) == 30_000


def test_keyset_walk(client) -> None:
    """Walking by (SystemModstamp, Id) meets every row once, through the burst of equal stamps."""
    seen, after = [], ""
    while True:
        rows = client.records(
            f"SELECT Id, SystemModstamp FROM Contact {after} ORDER BY SystemModstamp, Id LIMIT 7"
        )
        if not rows:
            break
        seen += [(row["SystemModstamp"], row["Id"]) for row in rows]
        stamp, record = seen[-1]
        stamp = stamp.replace("+0000", "Z")
        after = f"WHERE SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{record}')"
    assert len(seen) == len(set(seen)) == client.sandbox.salesforce.count("Contact")
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("where", "same_as"),
    [
        ("Email = null", lambda r: r["Email"] is None),
        ("Email != null", lambda r: r["Email"] is not None),
        ("Email = ''", lambda r: r["Email"] is None),
        ("LastName = 'müLLer'", lambda r: r["LastName"] == "Müller"),
        ("LastName LIKE 's%'", lambda r: r["LastName"].lower().startswith("s")),
        (
            "FirstName LIKE '_im'",
            lambda r: len(r["FirstName"]) == 3 and r["FirstName"].endswith("im"),
        ),
        ("LeadSource IN ('Web', 'Other')", lambda r: r["LeadSource"] in {"Web", "Other"}),
        ("Salutation NOT IN ('Dr.')", lambda r: r["Salutation"] != "Dr."),
        ("Salutation != 'Dr.'", lambda r: r["Salutation"] != "Dr."),
        ("Salutation IN ('Dr.', null)", lambda r: r["Salutation"] in {"Dr.", None}),
        ("NOT (Score__c > 50)", lambda r: r["Score__c"] is None or r["Score__c"] <= 50),
        (
            "Score__c >= 10 AND Score__c < 20.5",
            lambda r: r["Score__c"] is not None and 10 <= r["Score__c"] < 20.5,
        ),
        (
            "Newsletter__c = true AND (DoNotCall = TRUE OR VIP__c = true)",
            lambda r: r["Newsletter__c"] and (r["DoNotCall"] or r["VIP__c"]),
        ),
        (
            "Birthdate < 1970-01-01",
            lambda r: r["Birthdate"] is not None and r["Birthdate"].year < 1970,
        ),
        ("CreatedDate >= 2025-01-01T02:00:00+02:00", lambda r: r["CreatedDate"].year >= 2025),
    ],
)
def test_conditions(client, where: str, same_as) -> None:
    """Each condition finds exactly the rows that Python finds in the truth."""
    expected = {row["Id"] for row in client.sandbox.salesforce.rows("Contact") if same_as(row)}
    found = {row["Id"] for row in client.records(f"SELECT Id FROM Contact WHERE {where}")}
    assert found == expected


def test_short_ids_are_accepted(client) -> None:
    """Statement 23: 15 characters find the record, 18 come back; case tells ids apart."""
    record = client.records("SELECT Id FROM Contact LIMIT 1")[0]["Id"]
    found = client.records(f"SELECT Id FROM Contact WHERE Id = '{record[:15]}'")
    assert [one["Id"] for one in found] == [record]
    assert client.records(f"SELECT Id FROM Contact WHERE Id = '{record[:15].swapcase()}'") == []


@pytest.mark.parametrize(
    ("literal", "days"), [("TODAY", (0, 1)), ("YESTERDAY", (-1, 0)), ("LAST_N_DAYS:3", (-3, 1))]
)
def test_date_literals(own, literal: str, days: tuple[int, int]) -> None:
    """Date literals follow the sandbox's clock (which stands at 2026-11-01)."""
    stamps = {
        n: own.sandbox.salesforce.create("Account", Name="x", stamp=f"2026-{m}T12:00:00")
        for n, m in ((-4, "10-28"), (-3, "10-29"), (-1, "10-31"), (0, "11-01"))
    }
    ids = "', '".join(stamps.values())
    found = own.records(f"SELECT Id FROM Account WHERE CreatedDate = {literal} AND Id IN ('{ids}')")
    expected = {record for n, record in stamps.items() if days[0] <= n < days[1]}
    assert {one["Id"] for one in found} == expected


def test_months(own) -> None:
    """THIS_MONTH and LAST_MONTH are calendar months."""
    own.sandbox.salesforce.create("Product2", Name="x", stamp="2026-10-01T00:00:00")
    soql = "SELECT COUNT() FROM Product2 WHERE Name = 'x' AND CreatedDate = "
    assert own.query(soql + "LAST_MONTH").json()["totalSize"] == 1
    assert own.query(soql + "THIS_MONTH").json()["totalSize"] == 0


def test_count_and_aggregates(client) -> None:
    """COUNT() has no records; aggregates are named expr0, expr1, or by alias."""
    total = client.sandbox.salesforce.count("Contact")
    assert client.query("SELECT COUNT() FROM Contact").json() == {
        "totalSize": total,
        "done": True,
        "records": [],
    }
    row = client.records("SELECT COUNT(Id), MAX(Name) last FROM Contact")[0]
    assert row["attributes"] == {"type": "AggregateResult"}
    assert (row["expr0"], set(row)) == (total, {"attributes", "expr0", "last"})
    groups = client.records(
        "SELECT LeadSource, COUNT(Id) n FROM Contact GROUP BY LeadSource ORDER BY COUNT(Id) DESC"
    )
    assert sum(group["n"] for group in groups) == total
    assert [group["n"] for group in groups] == sorted(
        (group["n"] for group in groups), reverse=True
    )


def test_fields_macro(client) -> None:
    """FIELDS(ALL) needs a LIMIT of at most 200."""
    assert (
        client.query("SELECT FIELDS(ALL) FROM Contact").json()[0]["errorCode"] == "MALFORMED_QUERY"
    )
    assert client.query("SELECT FIELDS(ALL) FROM Contact LIMIT 201").status_code == 400
    custom = client.records("SELECT FIELDS(CUSTOM) FROM Contact LIMIT 1")[0]
    assert all(name.endswith("__c") for name in custom if name != "attributes")


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT IsDeleted FROM User", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Notes__c = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Newsletter__c = 'true'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id = 'short'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT Id FROM Contact WHERE CreatedDate > SOMEDAY", "MALFORMED_QUERY"),
        ("SELECT LeadSource, COUNT(Id) FROM Contact", "MALFORMED_QUERY"),
        ("SELECT SUM(Name) FROM Contact", "MALFORMED_QUERY"),
    ],
)
def test_refusals(client, soql: str, code: str) -> None:
    """Each mistake answers 400 with its own code."""
    response = client.query(soql)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


def test_raw_plus_is_a_space(client) -> None:
    """An offset whose plus was not percent-encoded is MALFORMED_QUERY."""
    soql = "SELECT+Id+FROM+User+WHERE+CreatedDate+>+2020-01-01T00:00:00"
    url = f"{client.base}/query?q={soql}"
    assert client.http.get(url + "%2B00:00").status_code == 200
    assert client.http.get(url + "+00:00").json()[0]["errorCode"] == "MALFORMED_QUERY"


def test_long_uri(client) -> None:
    """An address of more than 16,384 bytes answers 414."""
    assert (
        client.query("SELECT Id FROM User WHERE Name = '" + "x" * 16_400 + "'").status_code == 414
    )


def test_locator_survives_changes(own) -> None:
    """A walk goes on while records change: every row of the beginning once, except erased ones."""
    sales = own.sandbox.salesforce
    for number in range(250):
        sales.create("Account", Name=f"many {number}")
    options = {"Sforce-Query-Options": "batchSize=200"}
    page = own.query("SELECT Id, Name FROM Account ORDER BY Id", headers=options).json()
    ids = [row["Id"] for row in sales.rows("Account")]
    sales.hard_delete("Account", ids[-1])
    sales.edit("Account", ids[-2], Name="edited meanwhile")
    sales.edit("Account", ids[0], Name="x" * 200)
    sales.create("Account", Name="too late")
    rest = own.http.get(own.root + page["nextRecordsUrl"], headers=options).json()
    found = [row["Id"] for row in page["records"] + rest["records"]]
    assert found == ids[:-1]
    assert rest["records"][-1]["Name"] == "edited meanwhile"


def test_readers_and_writers_together(own) -> None:
    """Edits and queries at the same time neither fail nor lose rows."""
    sales, total = own.sandbox.salesforce, own.sandbox.salesforce.count("Contact")
    ids = [row["Id"] for row in sales.rows("Contact")]

    def write(title: str) -> None:
        for record in ids:
            sales.edit("Contact", record, Title=title)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, title) for title in ("one", "two")]
        for _ in range(15):
            assert len(own.records("SELECT Id, Title FROM Contact")) == total
        for writer in writers:
            writer.result()
    assert {row["Title"] for row in sales.rows("Contact")} <= {"one", "two"}
