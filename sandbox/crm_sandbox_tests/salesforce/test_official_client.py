"""simple-salesforce, unmodified, against the sandbox: plain HTTP with a transport that is told where
to go, and TLS to the vendor's own host names through the sandbox as a proxy, by the environment alone."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce import credentials
from crm_sandbox_tests.conftest import NOW, through_proxy

pytestmark = pytest.mark.client("simple-salesforce")


class ToSandbox(HTTPAdapter):
    """Carry https requests to the local server, with their own Host header."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def send(self, request, **options):  # type: ignore[override]
        parts = urlsplit(request.url)
        request.headers["Host"] = parts.hostname
        request.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        return super().send(request, **options)


@pytest.fixture(scope="session", params=["plain", "tls"])
def org(request, authority) -> Iterator[SandboxServer]:
    """The sandbox that the official client reads and writes; its clock stands still."""
    own = authority if request.param == "tls" else None
    with SandboxServer(
        contacts=300, seed=7, now=NOW, clock=SandboxClock(NOW), authority=own
    ) as running:
        yield running


@pytest.fixture
def session(org, monkeypatch) -> Iterator[requests.Session]:
    """What the client sends with; over TLS a plain session, and the environment says the rest."""
    with requests.Session() as made:
        if org.authority is not None:
            through_proxy(org, monkeypatch)
        else:
            made.mount("https://", ToSandbox(org.port))
        yield made


@pytest.fixture
def sf(session) -> Salesforce:
    """The official client, logged in by client credentials."""
    return Salesforce(
        consumer_key=credentials.CLIENT_ID,
        consumer_secret=credentials.CLIENT_SECRET,
        domain="sandbox.my",
        version="66.0",
        session=session,
    )


def test_query_all(sf, org) -> None:
    """query_all follows every locator to the end."""
    found = sf.query_all("SELECT Id, Name, Account.Name FROM Contact")
    assert found["totalSize"] == len(found["records"]) == org.salesforce.count("Contact")
    headers = {"Sforce-Query-Options": "batchSize=200"}
    ids = [row["Id"] for row in sf.query_all_iter("SELECT Id FROM Contact", headers=headers)]
    assert len(set(ids)) == found["totalSize"]
    everything = sf.query_all("SELECT Id FROM Contact", include_deleted=True)
    assert everything["totalSize"] > found["totalSize"]


def test_describe_and_limits(sf, org) -> None:
    """describe, object describe, limits and the usage header are understood."""
    assert "Invoice__c" in {one["name"] for one in sf.describe()["sobjects"]}
    assert sf.Contact.describe()["keyPrefix"] == "003"
    assert sf.limits()["DailyApiRequests"]["Max"] == 100_000
    assert sf.api_usage["api-usage"].used == org.salesforce.usage.used


def test_record_read(sf) -> None:
    """get reads one record, and mistakes raise the client's own errors."""
    record = sf.query("SELECT Id, LastName FROM Contact LIMIT 1")["records"][0]
    assert sf.Contact.get(record["Id"])["LastName"] == record["LastName"]
    with pytest.raises(SalesforceMalformedRequest):
        sf.query("SELECT Nope FROM Contact")


def test_bulk2(sf, org, tmp_path) -> None:
    """bulk2 queries and downloads, page by page."""
    pages = list(sf.bulk2.Contact.query("SELECT Id, Name FROM Contact", max_records=120, wait=0.01))
    assert sum(
        page.count("\n003") + page.count('\n"003') for page in pages
    ) == org.salesforce.count("Contact")
    files = sf.bulk2.Contact.download(
        "SELECT Id, Name FROM Contact", path=str(tmp_path), max_records=150, wait=0.01
    )
    assert sum(one["number_of_records"] for one in files) == org.salesforce.count("Contact")
    assert len(files) == -(-org.salesforce.count("Contact") // 150)


def test_password_login(session) -> None:
    """The client's password login works on the generic login host."""
    client = Salesforce(
        username=credentials.USERNAME,
        password=credentials.PASSWORD,
        consumer_key=credentials.CLIENT_ID,
        consumer_secret=credentials.CLIENT_SECRET,
        domain="login",
        version="66.0",
        session=session,
    )
    assert client.sf_instance == credentials.MY_DOMAIN
    assert client.query("SELECT COUNT() FROM User")["totalSize"] == 25


def test_soap_login(session) -> None:
    """Statement 20: the client's login by password and security token goes through SOAP."""
    options = {"username": credentials.USERNAME, "security_token": "abc", "session": session}
    client = Salesforce(password=credentials.PASSWORD, version="59.0", **options)
    assert client.sf_instance == credentials.MY_DOMAIN
    assert client.query("SELECT COUNT() FROM User")["totalSize"] == 25
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        Salesforce(password="wrong", version="59.0", **options)


def test_single_records(sf, org) -> None:
    """create, get, get_by_custom_id, update, upsert and delete do what they say."""
    made = sf.Contact.create({"LastName": "Noether", "External_Key__c": "sf-1"})
    assert (made["success"], made["errors"]) == (True, [])
    assert sf.Contact.get(made["id"])["LastName"] == "Noether"
    assert sf.Contact.get_by_custom_id("External_Key__c", "sf-1")["Id"] == made["id"]
    assert sf.Contact.update(made["id"], {"FirstName": "Emmy"}) == 204
    assert sf.Contact.get(made["id"])["Name"] == "Emmy Noether"
    assert sf.Contact.upsert("External_Key__c/sf-1", {"FirstName": "Amalie"}) == 200
    assert sf.Contact.upsert("External_Key__c/sf-2", {"LastName": "New"}) == 201
    assert sf.Contact.get(made["id"])["FirstName"] == "Amalie"
    assert sf.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        sf.Contact.get(made["id"])
    with pytest.raises(SalesforceMalformedRequest):
        sf.Contact.create({"FirstName": "nameless"})
    for _ in range(2):
        org.salesforce.create("Invoice__c", Name="x", Reference__c="sf-twice")
    with pytest.raises(SalesforceMoreThanOneRecord):
        sf.Invoice__c.get_by_custom_id("Reference__c", "sf-twice")


def test_changes_of_a_window(sf) -> None:
    """Statement 10: updated and deleted list what was written."""
    kept = sf.Lead.create({"LastName": "kept", "Company": "x"})["id"]
    gone = sf.Lead.create({"LastName": "gone", "Company": "x"})["id"]
    sf.Lead.delete(gone)
    window = (NOW - timedelta(minutes=5), NOW + timedelta(minutes=1))
    assert kept in sf.Lead.updated(*window)["ids"]
    assert gone in {one["id"] for one in sf.Lead.deleted(*window)["deletedRecords"]}


def test_bulk2_writes(sf, org) -> None:
    """Statement 19: bulk2 inserts, updates, upserts and deletes, and its results say what became of each."""
    bulk = sf.bulk2.Account

    def rows(text: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(text)))

    records = [{"Name": f"b{k}", "External_Key__c": f"sf-{k}"} for k in range(5)]
    (job,) = bulk.insert(records=[*records, {"Name": "", "External_Key__c": "sf-x"}], wait=0.01)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (6, 1)
    made = {row["Name"]: row["sf__Id"] for row in rows(bulk.get_successful_records(job["job_id"]))}
    assert set(made) == {f"b{k}" for k in range(5)}
    assert "REQUIRED_FIELD_MISSING" in bulk.get_failed_records(job["job_id"])
    assert rows(bulk.get_unprocessed_records(job["job_id"])) == []
    (job,) = bulk.update(records=[{"Id": made["b0"], "Phone": "+1"}], wait=0.01)
    assert job["numberRecordsFailed"] == 0
    assert sf.Account.get(made["b0"])["Phone"] == "+1"
    keyed = [{"External_Key__c": f"sf-{k}", "Name": "u"} for k in (4, 5)]
    (job,) = bulk.upsert(records=keyed, external_id_field="External_Key__c", wait=0.01)
    created = [row["sf__Created"] for row in rows(bulk.get_successful_records(job["job_id"]))]
    assert sorted(created) == ["false", "true"]
    (job,) = bulk.delete(records=[{"Id": made["b0"]}, {"Id": made["b1"]}], wait=0.01)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 0)
    left = {row["Id"] for row in org.salesforce.rows("Account")}
    assert not {made["b0"], made["b1"]} & left


def test_composite(sf) -> None:
    """Statement 13: restful carries composite requests and their references, and collections."""
    base = "/services/data/v66.0/sobjects"
    account = {
        "method": "POST",
        "url": f"{base}/Account",
        "referenceId": "a",
        "body": {"Name": "c"},
    }
    contact = {
        "method": "POST",
        "url": f"{base}/Contact",
        "referenceId": "c",
        "body": {"LastName": "c", "AccountId": "@{a.id}"},
    }
    body = {"compositeRequest": [account, contact]}
    answer = sf.restful("composite", method="POST", json=body)["compositeResponse"]
    assert [one["httpStatusCode"] for one in answer] == [201, 201]
    made = sf.Contact.get(answer[1]["body"]["id"])
    assert made["AccountId"] == answer[0]["body"]["id"]
    records = [{"attributes": {"type": "Account"}, "Name": name} for name in ("x", "")]
    results = sf.restful("composite/sobjects", method="POST", json={"records": records})
    assert [one["success"] for one in results] == [True, False]
