"""Statement 19: Bulk 2.0 ingest jobs."""

import csv
import io

import pytest


class Jobs:
    """Ingest jobs of one client."""

    def __init__(self, client) -> None:
        self.client = client
        self.url = f"{client.base}/jobs/ingest"

    def open(self, operation: str = "insert", name: str = "Account", **more):
        body = {"operation": operation, "object": name} | more
        return self.client.http.post(self.url, json=body)

    def put(self, job: str, text: str | bytes):
        body = text if isinstance(text, bytes) else text.encode()
        headers = {"Content-Type": "text/csv"}
        return self.client.http.put(f"{self.url}/{job}/batches", data=body, headers=headers)

    def state(self, job: str, state: str):
        return self.client.http.patch(f"{self.url}/{job}", json={"state": state})

    def info(self, job: str) -> dict:
        return self.client.http.get(f"{self.url}/{job}").json()

    def results(self, job: str, kind: str) -> list[dict]:
        response = self.client.http.get(f"{self.url}/{job}/{kind}")
        assert response.status_code == 200, response.text
        return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))

    def ended(self, text: str, *arguments: str, **more) -> dict:
        """Run a job to its end and return its information."""
        job = self.open(*arguments, **more).json()["id"]
        assert self.put(job, text).status_code == 201
        assert self.state(job, "UploadComplete").status_code == 200
        for _ in range(50):
            info = self.info(job)
            if info["state"] in {"JobComplete", "Failed"}:
                return info
        raise AssertionError("the job never ended")


@pytest.fixture
def jobs(own) -> Jobs:
    return Jobs(own)


def test_life_cycle(jobs) -> None:
    """Statement 19: Open until UploadComplete, then InProgress, then JobComplete, with the documented
    fields; nothing is processed while it is open, and a second upload is refused."""
    made = jobs.open(lineEnding="LF")
    body = made.json()
    job = body["id"]
    assert made.status_code == 200
    assert (body["state"], body["apiVersion"], body["concurrencyMode"]) == (
        "Open",
        66.0,
        "Parallel",
    )
    assert body["contentUrl"] == f"services/data/v66.0/jobs/ingest/{job}/batches"
    before = jobs.client.sandbox.salesforce.count("Account")
    upload = jobs.put(job, "Name\none\ntwo\n")
    assert (upload.status_code, upload.content) == (201, b"")
    again = jobs.put(job, "Name\nthree\n")
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert [jobs.info(job)["state"] for _ in range(3)] == ["Open"] * 3
    assert "numberRecordsProcessed" not in jobs.info(job)
    assert jobs.client.sandbox.salesforce.count("Account") == before
    closed = jobs.state(job, "UploadComplete").json()
    assert (closed["state"], "lineEnding" in closed) == ("UploadComplete", False)
    assert [jobs.info(job)["state"] for _ in range(3)] == [
        "InProgress",
        "JobComplete",
        "JobComplete",
    ]
    info = jobs.info(job)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 0)
    assert {"jobType", "retries", "totalProcessingTime", "apiActiveProcessingTime"} < set(info)
    assert info["jobType"] == "V2Ingest"
    assert jobs.client.sandbox.salesforce.count("Account") == before + 2


def test_results(jobs) -> None:
    """Statement 19: results lead with id and created or error, then the columns as uploaded, in another
    order than the upload; every record is in exactly one of them."""
    names = [f"n{k}" for k in range(40)]
    lines = [f'{name},"{k}, ""x"""' for k, name in enumerate(names)] + [",lost"]
    info = jobs.ended("Name,Description\n" + "\n".join(lines) + "\n")
    assert info["state"] == "JobComplete"
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (41, 1)
    good = jobs.results(info["id"], "successfulResults")
    assert list(good[0]) == ["sf__Id", "sf__Created", "Name", "Description"]
    assert sorted(row["Name"] for row in good) == sorted(names)
    assert [row["Name"] for row in good] != names
    assert {row["sf__Created"] for row in good} == {"true"}
    bad = jobs.results(info["id"], "failedResults")
    assert bad == [
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
            "Name": "",
            "Description": "lost",
        }
    ]
    there = {r["Id"]: r for r in jobs.client.sandbox.salesforce.rows("Account")}
    assert all(there[row["sf__Id"]]["Description"] == row["Description"] for row in good)
    for spelling in ("unprocessedrecords", "unprocessedRecords"):
        assert jobs.results(info["id"], spelling) == []


def test_complete_with_failures(jobs) -> None:
    """Statement 19: a job whose every record failed is complete all the same."""
    info = jobs.ended("Name,AnnualRevenue\nx,many\n")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (
        "JobComplete",
        1,
        1,
    )
    error = jobs.results(info["id"], "failedResults")[0]["sf__Error"]
    assert error.startswith("INVALID_TYPE_ON_FIELD_IN_RECORD:")


def test_null_and_empty(jobs) -> None:
    """Statement 19: an empty cell leaves a value, #N/A takes it away, in an update."""
    record = jobs.client.sandbox.salesforce.create("Account", Name="x", Phone="1", Fax="2")
    info = jobs.ended(f"Id,Name,Phone,Fax\n{record},new,,#N/A\n", "update")
    assert info["numberRecordsFailed"] == 0
    row = {r["Id"]: r for r in jobs.client.sandbox.salesforce.rows("Account")}[record]
    assert (row["Name"], row["Phone"], row["Fax"]) == ("new", "1", None)


def test_upsert(jobs) -> None:
    """Statement 19: an upsert tells in sf__Created which records are new."""
    jobs.client.sandbox.salesforce.create("Account", Name="old", External_Key__c="k-1")
    text = "External_Key__c,Name\nk-1,a\nk-2,b\n"
    info = jobs.ended(text, "upsert", externalIdFieldName="external_key__c")
    good = jobs.results(info["id"], "successfulResults")
    made = {row["External_Key__c"]: row["sf__Created"] for row in good}
    assert made == {"k-1": "false", "k-2": "true"}
    rows = jobs.client.records("SELECT Name FROM Account WHERE External_Key__c IN ('k-1','k-2')")
    assert sorted(row["Name"] for row in rows) == ["a", "b"]


def test_parent_by_external_id(jobs) -> None:
    """A column can name a parent by its external id; a parent that is not there fails its record alone."""
    parent = jobs.client.sandbox.salesforce.create("Account", Name="p", External_Key__c="p-1")
    info = jobs.ended("LastName,Account.External_Key__c\na,p-1\nb,p-2\nc,\n", "insert", "Contact")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 1)
    error = jobs.results(info["id"], "failedResults")[0]["sf__Error"]
    assert error.startswith("INVALID_FIELD:Foreign key external ID: p-2 not found")
    made = {row["LastName"]: row["sf__Id"] for row in jobs.results(info["id"], "successfulResults")}
    there = {row["Id"]: row["AccountId"] for row in jobs.client.sandbox.salesforce.rows("Contact")}
    assert {name: there[record] for name, record in made.items()} == {"a": parent, "c": None}
    info = jobs.ended("LastName,Account.Name\na,p\n", "insert", "Contact")
    assert info["errorMessage"] == "InvalidBatch : Field name not found : Account.Name"


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_delete(jobs, operation: str) -> None:
    """Statement 19: a delete leaves the record in the recycle bin, a hardDelete nowhere; both want ids."""
    record = jobs.client.sandbox.salesforce.create("Account", Name="x")
    info = jobs.ended(f"Id\n{record}\n001Hr0000zzzzzz\n", operation)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    soql = f"SELECT IsDeleted FROM Account WHERE Id = '{record}'"
    left = jobs.client.get("/queryAll", params={"q": soql}).json()["records"]
    assert [one["IsDeleted"] for one in left] == ([True] if operation == "delete" else [])
    info = jobs.ended(f"Id,Name\n{record},x\n", operation)
    assert (info["state"], info["errorMessage"]) == (
        "Failed",
        f"InvalidBatch : The '{operation}' batch must contain only ids",
    )


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("Nope\nx\n", {}, "InvalidBatch : Field name not found : Nope"),
        (
            "Name\r\nx\r\n",
            {},
            "LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        ("Name\nx\n", {"lineEnding": "CRLF"}, "LineEnding is invalid on user data."),
        (b"Name\n\xff\xfe\n", {}, "InvalidBatch : "),
    ],
)
def test_unusable_uploads(jobs, text, more, message: str) -> None:
    """An upload that cannot be taken apart fails the job with a message, and nothing is written."""
    before = jobs.client.sandbox.salesforce.count("Account")
    info = jobs.ended(text, **more)
    assert info["state"] == "Failed"
    assert info["errorMessage"].startswith(message)
    assert jobs.client.sandbox.salesforce.count("Account") == before


def test_delimiter(jobs) -> None:
    """Statement 19: the job's delimiter and line ending hold for the upload and for the results."""
    info = jobs.ended("Name|Phone\r\na,b|1\r\n", columnDelimiter="PIPE", lineEnding="CRLF")
    response = jobs.client.http.get(f"{jobs.url}/{info['id']}/successfulResults")
    assert response.content.startswith(b'"sf__Id"|"sf__Created"|Name|Phone\r\n')
    assert response.content.endswith(b'"a,b"|"1"\r\n')


def test_too_large(jobs) -> None:
    """Statement 19: an upload over the limit, which is 100 MB, is refused and the job stays open."""
    assert jobs.client.sandbox.salesforce.ingest.largest_upload == 100_000_000
    jobs.client.admin("/salesforce/set_largest_upload", {"size": 1000})
    job = jobs.open().json()["id"]
    assert jobs.put(job, "Name\n" + "x" * 1000).status_code == 400
    assert jobs.put(job, "Name\n" + "x" * 100).status_code == 201


def test_failed_half_way(jobs) -> None:
    """Statement 19: what a failed job did not get to is in unprocessedrecords, the rest is written."""
    jobs.client.sandbox.faults.order(
        "fail_job", method="PATCH", after=2, message="Too many retries"
    )
    info = jobs.ended("Name\n" + "".join(f"n{k}\n" for k in range(5)))
    assert (info["state"], info["errorMessage"]) == ("Failed", "Too many retries")
    kinds = ("successfulResults", "failedResults", "unprocessedRecords")
    counts = [len(jobs.results(info["id"], kind)) for kind in kinds]
    assert counts == [2, 0, 3]
    names = {row["Name"] for row in jobs.client.sandbox.salesforce.rows("Account")}
    assert {f"n{k}" for k in range(5)} & names == {"n0", "n1"}


def test_abort_and_delete(jobs) -> None:
    """Statement 19: an aborted job processes nothing; only an ended job can be deleted."""
    job = jobs.open().json()["id"]
    jobs.put(job, "Name\nx\n")
    early = jobs.client.http.delete(f"{jobs.url}/{job}")
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "API_ERROR")
    refused = jobs.client.http.get(f"{jobs.url}/{job}/successfulResults")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    before = jobs.client.sandbox.salesforce.count("Account")
    assert jobs.state(job, "Aborted").json()["state"] == "Aborted"
    assert jobs.state(job, "UploadComplete").json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert jobs.client.sandbox.salesforce.count("Account") == before
    assert [row["Name"] for row in jobs.results(job, "unprocessedrecords")] == ["x"]
    assert job in {one["id"] for one in jobs.client.http.get(jobs.url).json()["records"]}
    assert jobs.client.http.delete(f"{jobs.url}/{job}").status_code == 204
    assert jobs.client.http.get(f"{jobs.url}/{job}").status_code == 404
    assert jobs.client.http.get(jobs.url).json()["records"] == []


def test_times(jobs) -> None:
    """A job stays open for 24 hours and is known for 7 days."""
    job = jobs.open().json()["id"]
    jobs.client.sandbox.clock.advance(86_400 + 1)
    jobs.client.login()
    assert jobs.info(job)["state"] == "Aborted"
    jobs.client.sandbox.clock.advance(6 * 86_400)
    jobs.client.login()
    assert jobs.client.http.get(f"{jobs.url}/{job}").status_code == 404


def test_multipart(jobs) -> None:
    """Statement 19: a small job is made and filled in one multipart request."""
    job = '{"operation": "insert", "object": "Account"}'
    parts = {
        "job": (None, job, "application/json"),
        "content": ("content", "Name\nmulti é\n".encode(), "text/csv"),
    }
    made = jobs.client.http.post(jobs.url, files=parts).json()
    assert made["state"] == "UploadComplete"
    states = [jobs.info(made["id"])["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]
    assert [row["Name"] for row in jobs.results(made["id"], "successfulResults")] == ["multi é"]
    parts["content"] = ("content", b"Name\n" + b"x" * 100_000, "text/csv")
    assert jobs.client.http.post(jobs.url, files=parts).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "grow", "object": "Account"},
        {"operation": "insert", "object": "Nope"},
        {"operation": "insert", "object": "Account", "columnDelimiter": "DOT"},
        {"operation": "insert", "object": "Account", "contentType": "XML"},
        {"operation": "upsert", "object": "Account"},
        {"operation": "upsert", "object": "Account", "externalIdFieldName": "Name"},
        [],
    ],
)
def test_refused_jobs(client, body) -> None:
    """A job that could never run is refused when it is made."""
    response = client.http.post(f"{client.base}/jobs/ingest", json=body)
    assert response.status_code == 400
    assert response.json()[0]["errorCode"]


def test_batches_are_counted(jobs) -> None:
    """Statement 14: an ingest job takes internal batches from the daily number in /limits."""
    jobs.ended("Name\nx\n")
    batches = jobs.client.get("/limits").json()["DailyBulkApiBatches"]
    assert batches["Max"] - batches["Remaining"] == 1
