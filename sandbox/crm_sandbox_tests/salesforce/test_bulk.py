import csv
import io

import pytest


def rows_of(text: str, **options) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), **options))


def test_life_cycle(own) -> None:
    """Statement 16: UploadComplete, InProgress, JobComplete, with the documented fields."""
    made = own.job("SELECT Id FROM Contact")
    assert made.status_code == 200
    body = made.json()
    assert body["id"].startswith("750")
    assert (body["state"], body["apiVersion"], body["object"]) == (
        "UploadComplete",
        66.0,
        "Contact",
    )
    states = [own.get(f"/jobs/query/{body['id']}").json()["state"] for _ in range(3)]
    assert states == ["InProgress", "JobComplete", "JobComplete"]
    info = own.get(f"/jobs/query/{body['id']}").json()
    assert info["numberRecordsProcessed"] == own.sandbox.salesforce.count("Contact")
    assert info["jobType"] == "V2Query"
    assert own.get("/jobs/query").json()["records"][0]["id"] == body["id"]


def test_pages(client) -> None:
    """Statement 16: opaque locators, a header row on every page, the text null at the end."""
    job = client.finished_job("SELECT Name, Id FROM Contact")
    seen, locator = [], ""
    while locator != "null":
        response = client.get(
            f"/jobs/query/{job}/results", params={"maxRecords": 25, "locator": locator}
        )
        lines = response.content.decode()
        assert lines.startswith('"Name","Id"\n')
        rows = rows_of(lines)
        assert int(response.headers["Sforce-NumberOfRecords"]) == len(rows) <= 25
        seen += [row["Id"] for row in rows]
        again = client.get(
            f"/jobs/query/{job}/results", params={"maxRecords": 25, "locator": locator}
        )
        assert again.content == response.content
        locator = response.headers["Sforce-Locator"]
    assert sorted(seen) == [row["Id"] for row in client.sandbox.salesforce.rows("Contact")]


def test_every_value(client) -> None:
    """Statements 16 and 25: every cell is quoted; text is exact; null and empty look the same."""
    names = [
        "Id",
        "Legacy_Code__c",
        "Notes__c",
        "Visits__c",
        "Newsletter__c",
        "Birthdate",
        "CreatedDate",
    ]
    job = client.finished_job(f"SELECT {', '.join(names)} FROM Contact")
    response = client.get(f"/jobs/query/{job}/results")
    found = {row["Id"]: row for row in rows_of(response.content.decode())}
    for row in client.sandbox.salesforce.rows("Contact"):
        assert found[row["Id"]] == {
            "Id": row["Id"],
            "Legacy_Code__c": row["Legacy_Code__c"] or "",
            "Notes__c": row["Notes__c"] or "",
            "Visits__c": str(row["Visits__c"]),
            "Newsletter__c": str(row["Newsletter__c"]).lower(),
            "Birthdate": str(row["Birthdate"] or ""),
            "CreatedDate": row["CreatedDate"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
    assert b',"",' in response.content
    assert b",," not in response.content


def test_gzip_when_asked(client) -> None:
    """Statement 16: results are compressed only for clients that accept it."""
    job = client.finished_job("SELECT Id FROM Contact")
    plain = client.get(f"/jobs/query/{job}/results", headers={"Accept-Encoding": "identity"})
    zipped = client.get(f"/jobs/query/{job}/results", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert plain.content == zipped.content


def test_delimiter_and_line_end(client) -> None:
    """The job's column delimiter and line ending are used."""
    job = client.finished_job(
        "SELECT Id, Name FROM User", columnDelimiter="PIPE", lineEnding="CRLF"
    )
    content = client.get(f"/jobs/query/{job}/results").content
    assert content.startswith(b'"Id"|"Name"\r\n')
    assert content.count(b"\r\n") == 26


def test_query_all(client) -> None:
    """A queryAll job has the deleted rows."""
    job = client.finished_job("SELECT Id, IsDeleted FROM Contact", operation="queryAll")
    rows = rows_of(client.get(f"/jobs/query/{job}/results").content.decode())
    assert len(rows) == client.sandbox.salesforce.count("Contact", include_deleted=True)
    assert any(row["IsDeleted"] == "true" for row in rows)


def test_snapshot(own) -> None:
    """A result does not change when records do."""
    job = own.finished_job("SELECT Id, Title FROM Contact")
    before = own.get(f"/jobs/query/{job}/results").content
    row = own.sandbox.salesforce.rows("Contact")[0]
    own.sandbox.salesforce.edit("Contact", row["Id"], Title="Changed later")
    assert own.get(f"/jobs/query/{job}/results").content == before


def test_a_query_that_is_asked_again(own) -> None:
    """The same query shares a result until the data change; deleting one job leaves the other's."""
    soql = "SELECT Id, Title FROM Contact ORDER BY Id"
    first, second = own.finished_job(soql), own.finished_job(soql)
    row = own.records("SELECT Id FROM Contact ORDER BY Id LIMIT 1")[0]
    own.sandbox.salesforce.edit("Contact", row["Id"], Title="Changed later")
    third = own.finished_job(soql)
    assert own.http.delete(f"{own.base}/jobs/query/{first}").status_code == 204
    texts = [own.get(f"/jobs/query/{job}/results").text for job in (second, third)]
    assert ["Changed later" in text for text in texts] == [False, True]
    for limit in range(1, 7):  # other queries push it out of what is remembered
        own.finished_job(f"SELECT Id FROM Contact LIMIT {limit}")
    assert own.get(f"/jobs/query/{second}/results").text == texts[0]


def test_results_before_the_end(client) -> None:
    """Statement 17: results of an unfinished job are refused."""
    job = client.job("SELECT Id FROM Contact").json()["id"]
    response = client.get(f"/jobs/query/{job}/results")
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "INVALIDJOBSTATE"


def test_other_version(client) -> None:
    """Statement 17: a job is reached only through the version that made it."""
    job = client.job("SELECT Id FROM Contact").json()["id"]
    url = f"{client.root}/services/data/v65.0/jobs/query/{job}"
    assert client.http.get(url).status_code == 409


def test_abort_and_delete(client) -> None:
    """Statement 17: abort and delete obey the job's state."""
    url = f"{client.base}/jobs/query/"
    job = client.job("SELECT Id FROM Contact").json()["id"]
    early = client.http.delete(url + job)
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "API_ERROR")
    assert client.http.patch(url + job, json={"state": "Aborted"}).json()["state"] == "Aborted"
    late = client.http.patch(url + job, json={"state": "Aborted"})
    assert late.json()[0]["message"] == "Aborting already Completed Job not allowed"
    assert client.http.delete(url + job).status_code == 204
    assert client.get(f"/jobs/query/{job}").status_code == 404


def test_kept_seven_days(own) -> None:
    """Statement 17: a job is gone after seven days."""
    job = own.finished_job("SELECT Id FROM Contact")
    own.sandbox.clock.advance(7 * 86_400 + 1)
    own.login()
    assert own.get(f"/jobs/query/{job}").status_code == 404


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT MailingAddress FROM Contact",
        "SELECT LeadSource FROM Contact GROUP BY LeadSource",
        "SELECT COUNT() FROM Contact",
        "SELECT MAX(Name) FROM Contact",
        "SELECT Id FROM Contact LIMIT 10 OFFSET 5",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Nope FROM Contact",
    ],
)
def test_forbidden_soql(client, soql: str) -> None:
    """Statement 17: what Bulk cannot do is refused when the job is made."""
    response = client.job(soql)
    assert response.status_code == 400
    assert response.json()[0]["errorCode"]


def test_compound_refusal_text(client) -> None:
    """Compound fields are refused with the vendor's words."""
    response = client.job("SELECT MailingAddress FROM Contact")
    assert response.json()[0]["message"] == "Selecting compound data not supported in Bulk Query"


def test_result_pages(own) -> None:
    """Statement 18: result pages come five at a time and together cover everything."""
    own.sandbox.salesforce.set_bulk(page_rows=8)
    job = own.finished_job("SELECT Id FROM Contact")
    url, seen, pages = f"{own.base}/jobs/query/{job}/resultPages", [], []
    while url:
        body = own.http.get(url).json()
        assert len(body["resultPages"]) <= 5
        pages.append(len(body["resultPages"]))
        for page in body["resultPages"]:
            seen += [
                row["Id"]
                for row in rows_of(own.http.get(own.root + page["resultUrl"]).content.decode())
            ]
        assert body["done"] is (body["nextRecordsUrl"] is None)
        url = own.root + body["nextRecordsUrl"] if body["nextRecordsUrl"] else ""
    assert pages[0] == 5
    assert len(seen) == len(set(seen)) == own.sandbox.salesforce.count("Contact")


def test_foreign_locator(client) -> None:
    """A locator that is not this job's is refused."""
    job = client.finished_job("SELECT Id FROM Contact")
    assert client.get(f"/jobs/query/{job}/results", params={"locator": "MTA"}).status_code == 400


def test_empty_result(client) -> None:
    """No rows still give a header row."""
    job = client.finished_job("SELECT Id FROM Contact WHERE LastName = 'Nobody At All'")
    response = client.get(f"/jobs/query/{job}/results")
    assert (response.content, response.headers["Sforce-Locator"]) == (b'"Id"\n', "null")


def test_columns_before_v50(client) -> None:
    """Columns are in SELECT order since v50, alphabetical before."""
    url = f"{client.root}/services/data/v49.0/jobs/query"
    job = client.http.post(
        url, json={"operation": "query", "query": "SELECT Name, Id FROM User"}
    ).json()
    for _ in range(3):
        client.http.get(f"{url}/{job['id']}")
    assert client.http.get(f"{url}/{job['id']}/results").content.startswith(b'"Id","Name"\n')


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/jobs/query", {"operation": [], "query": []}),
        ("/jobs/query", {"operation": "query", "query": -1}),
        ("/jobs/query", {"operation": "query"}),
        ("/jobs/ingest", {"operation": "insert", "object": "Contact", "columnDelimiter": []}),
    ],
)
def test_jobs_with_parts_of_another_type(client, path: str, body: dict) -> None:
    """An order with a part of another type cannot be read; the refusal names the place."""
    response = client.http.post(client.base + path, json=body)
    [refusal] = response.json()
    assert (response.status_code, refusal["errorCode"]) == (400, "JSON_PARSER_ERROR")
