"""simple-salesforce, unmodified, against the sandbox; only its transport is told where to go."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest

from crm_pipeline.sandbox.salesforce import credentials


class ToSandbox(HTTPAdapter):
    """Carry https requests to the local server, with their own Host header."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def send(self, request, **options):
        parts = urlsplit(request.url)
        request.headers["Host"] = parts.hostname
        request.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        return super().send(request, **options)


@pytest.fixture(scope="module")
def official(sandbox) -> Iterator[Salesforce]:
    session = requests.Session()
    session.mount("https://", ToSandbox(sandbox.port))
    yield Salesforce(
        consumer_key=credentials.CLIENT_ID,
        consumer_secret=credentials.CLIENT_SECRET,
        domain="sandbox.my",
        version="66.0",
        session=session,
    )
    session.close()


def test_query_all(official, sandbox) -> None:
    """query_all follows every locator to the end."""
    found = official.query_all("SELECT Id, Name, Account.Name FROM Contact")
    assert found["totalSize"] == len(found["records"]) == sandbox.salesforce.count("Contact")
    headers = {"Sforce-Query-Options": "batchSize=200"}
    ids = [row["Id"] for row in official.query_all_iter("SELECT Id FROM Contact", headers=headers)]
    assert len(set(ids)) == found["totalSize"]
    everything = official.query_all("SELECT Id FROM Contact", include_deleted=True)
    assert everything["totalSize"] > found["totalSize"]


def test_describe_and_limits(official, sandbox) -> None:
    """describe, object describe, limits and the usage header are understood."""
    assert "Invoice__c" in {one["name"] for one in official.describe()["sobjects"]}
    assert official.Contact.describe()["keyPrefix"] == "003"
    assert official.limits()["DailyApiRequests"]["Max"] == 100_000
    assert official.api_usage["api-usage"].used == sandbox.salesforce.usage.used


def test_record_read(official) -> None:
    """get reads one record, and mistakes raise the client's own errors."""
    record = official.query("SELECT Id, LastName FROM Contact LIMIT 1")["records"][0]
    assert official.Contact.get(record["Id"])["LastName"] == record["LastName"]
    with pytest.raises(SalesforceMalformedRequest):
        official.query("SELECT Nope FROM Contact")


def test_bulk2(official, sandbox, tmp_path) -> None:
    """bulk2 queries and downloads, page by page."""
    pages = list(
        official.bulk2.Contact.query("SELECT Id, Name FROM Contact", max_records=120, wait=0.01)
    )
    assert sum(
        page.count("\n003") + page.count('\n"003') for page in pages
    ) == sandbox.salesforce.count("Contact")
    files = official.bulk2.Contact.download(
        "SELECT Id, Name FROM Contact", path=str(tmp_path), max_records=150, wait=0.01
    )
    assert sum(one["number_of_records"] for one in files) == sandbox.salesforce.count("Contact")
    assert len(files) == 2


def test_password_login(sandbox) -> None:
    """The client's password login works on the generic login host."""
    with requests.Session() as session:
        session.mount("https://", ToSandbox(sandbox.port))
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
