from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import crm_pipeline
from crm_pipeline.kernel.errors import ProtocolError, Rejected, UnknownName
from crm_pipeline_tests.docs.blocks import of
from crm_pipeline_tests.harness import ENVIRON, Harness, HarnessMaker


@pytest.fixture
def harness(make_harness: HarnessMaker) -> Iterator[Harness]:
    """An org whose contacts take two pages."""
    with make_harness(contacts=2_300) as opened:
        yield opened


@pytest.fixture
def client(harness: Harness, fresh_url: str) -> Iterator[crm_pipeline.Client]:
    environ = {**ENVIRON, "CRM_DATABASE_URL": fresh_url}
    with crm_pipeline.connect("demo", harness.settings.root, environ) as opened:
        yield opened


def test_query_reads_all_pages(client: crm_pipeline.Client, harness: Harness) -> None:
    """A query yields every record over many pages, without the org's bookkeeping."""
    rows = list(client.query("SELECT Id, LastName, Account.Name FROM Contact ORDER BY Id"))
    assert len(rows) == harness.org.count("Contact") > 2000
    assert set(rows[0]) == {"Id", "LastName", "Account"}
    assert set(next(row["Account"] for row in rows if row["Account"])) == {"Name"}
    assert client.usage.used


def test_deleted_records_on_request(client: crm_pipeline.Client, harness: Harness) -> None:
    """Deleted records come with include_deleted only."""
    everything = list(client.query("SELECT Id FROM Contact", include_deleted=True))
    assert len(everything) == harness.org.count("Contact", include_deleted=True)
    assert len(everything) > len(list(client.query("SELECT Id FROM Contact")))


def test_count(client: crm_pipeline.Client, harness: Harness) -> None:
    """COUNT() is answered without records, and is not an empty result."""
    [row] = client.query("SELECT COUNT() FROM Contact")
    assert row == {"count": harness.org.count("Contact")}
    assert list(client.query("SELECT Id FROM Contact WHERE LastName = 'Nobody'")) == []


def test_forgotten_query(client: crm_pipeline.Client, harness: Harness) -> None:
    """A query whose locator died in the middle is an error that says what to do, not a short list."""
    rows = client.query("SELECT Id FROM Contact")
    for _ in range(10):
        next(rows)
    harness.org.expire_sessions()
    with pytest.raises(Rejected, match="no longer has the rest") as caught:
        list(rows)
    assert "again" in caught.value.cure


def test_record_by_id(client: crm_pipeline.Client) -> None:
    """A record is had by id; one that is not there is refused by name."""
    [contact] = client.query("SELECT Id, LastName FROM Contact LIMIT 1")
    assert client.get("Contact", contact["Id"])["LastName"] == contact["LastName"]
    with pytest.raises(Rejected, match="404"):
        client.get("Contact", "003000000000000AAA")


def test_describe_and_objects(client: crm_pipeline.Client) -> None:
    """Objects and fields are listed as the pipeline sees them."""
    assert "Contact" in {obj.name for obj in client.objects()}
    assert "LastName" in client.describe("Contact").names


def test_unknown_connection(harness: Harness) -> None:
    """A wrong name is told before anything is started."""
    with pytest.raises(UnknownName, match="demmo"):
        crm_pipeline.connect("demmo", harness.settings.root, ENVIRON)


def test_fewer_records_than_announced(
    client: crm_pipeline.Client, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that lacks records is an error."""
    from crm_pipeline.connectors.salesforce.api import Api

    ask = Api.ask

    def short(api: Api, path: str, *arguments: Any, **params: str) -> Any:
        response: Any = ask(api, path, *arguments, **params)
        if "/query" in path:
            del response.records[-1]
        return response

    monkeypatch.setattr(Api, "ask", short)
    with pytest.raises(ProtocolError, match="announced"):
        list(client.query("SELECT Id FROM Contact"))


def test_the_example_of_the_documentation(
    client: crm_pipeline.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block of docs/python.md runs as it stands, and prints every open opportunity with its owner."""
    monkeypatch.setattr(crm_pipeline, "connect", lambda _: nullcontext(client), raising=False)
    [block] = [block for block in of("python") if block.page == "docs/python.md"]
    exec(compile(block.text, str(block), "exec"), {})
    [row] = client.query("SELECT COUNT() FROM Opportunity WHERE IsClosed = false")
    assert len(capsys.readouterr().out.splitlines()) == row["count"] > 0
