import time

import pytest
import requests

from crm_sandbox.faults import FaultOrders


def test_first_in_first_out() -> None:
    """Orders are served in order, each as often as it says."""
    orders = FaultOrders()
    orders.order("status", status=503, times=2)
    orders.order("drop")
    kinds = [getattr(orders.take("salesforce", "GET", "/x"), "kind", None) for _ in range(4)]
    assert kinds == ["status", "status", "drop", None]
    assert [order["consumed"] for order in orders.listed()] == [2, 1]


def test_nth_and_match() -> None:
    """An order waits for the n-th request that matches vendor, method and path."""
    orders = FaultOrders()
    order = orders.order("drop", vendor="salesforce", method="get", path=r"/query\?", nth=2)
    assert orders.take("hubspot", "GET", "/query?q=1") is None
    assert orders.take("salesforce", "POST", "/query?q=1") is None
    assert orders.take("salesforce", "GET", "/limits") is None
    assert orders.take("salesforce", "GET", "/query?q=1") is None
    assert orders.take("salesforce", "GET", "/query?q=1") is order


@pytest.mark.parametrize(
    "details",
    [{"kind": "earthquake"}, {"kind": "drop", "colour": "red"}, {"kind": "drop", "path": "("}],
)
def test_wrong_order(details: dict) -> None:
    """A mistaken order is refused with what is known."""
    with pytest.raises(ValueError, match=r"known|regular expression"):
        FaultOrders().order(**details)


@pytest.mark.parametrize("status", [406, 420, 503])
def test_status(client, status: int) -> None:
    """Statement 24: 406, 420 and 503 come with an empty or an HTML body, then all is well."""
    client.sandbox.faults.order("status", status=status, path="/limits")
    client.sandbox.faults.order(
        "status", status=status, body="<html>", headers={"X-Why": "fault"}, path="/limits"
    )
    empty, html, fine = (client.get("/limits") for _ in range(3))
    assert (empty.status_code, empty.content) == (status, b"")
    assert (html.text, html.headers["X-Why"]) == ("<html>", "fault")
    assert fine.status_code == 200


def test_drop(client) -> None:
    """Statement 24: a dropped connection gives no answer at all."""
    client.sandbox.faults.order("drop", path="/limits")
    with pytest.raises(requests.ConnectionError):
        client.get("/limits")
    assert client.sandbox.journal.entries(status=0)[-1].fault == "drop"
    assert client.get("/limits").status_code == 200


@pytest.mark.parametrize("after", [10, 10_000_000])
def test_truncate(client, after: int) -> None:
    """Statement 24: a truncated answer promises more bytes than it sends."""
    client.sandbox.faults.order("truncate", path="/limits", after=after)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.get("/limits", headers={"Accept-Encoding": "identity"})


def test_truncated_csv(client) -> None:
    """Statement 24: a Bulk page can break off in the middle."""
    job = client.finished_job("SELECT Id, Name FROM Contact")
    client.sandbox.faults.order("truncate", path="/results", after=100)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.get(f"/jobs/query/{job}/results")


def test_hang(client) -> None:
    """Statement 24: a hanging server is noticed only by the client's client time limit."""
    client.sandbox.faults.order("hang", path="/limits", seconds=30)
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.get("/limits", timeout=0.1)


def test_slow(client) -> None:
    """A slow answer is late and right."""
    client.sandbox.faults.order("slow", path="/limits", seconds=0.1)
    began = time.monotonic()
    assert client.get("/limits").status_code == 200
    assert time.monotonic() - began >= 0.1


def test_html_login_and_empty_body(client) -> None:
    """A 200 may be a login page or nothing."""
    client.sandbox.faults.order("html_login", path="/query")
    client.sandbox.faults.order("empty_body", path="/query", status=200)
    page, nothing = client.query("SELECT Id FROM User"), client.query("SELECT Id FROM User")
    assert page.headers["Content-Type"].startswith("text/html")
    assert (nothing.status_code, nothing.content) == (200, b"")


def test_query_timeout(client) -> None:
    """Statement 24: a query that runs too long answers 400 QUERY_TIMEOUT, not an empty result."""
    client.sandbox.faults.order("query_timeout", path="/query")
    late, fine = (client.query("SELECT Id FROM User") for _ in range(2))
    assert late.status_code == 400
    assert late.json() == [
        {"message": "Your query request was running for too long.", "errorCode": "QUERY_TIMEOUT"}
    ]
    assert fine.status_code == 200


def test_expire_session(client) -> None:
    """An expired session answers 401 until the client logs in again."""
    client.sandbox.faults.order("expire_session", path="/query")
    assert client.query("SELECT Id FROM User").status_code == 401
    client.login()
    assert client.query("SELECT Id FROM User").status_code == 200


def test_fail_job(client) -> None:
    """A job fails on order and says why."""
    client.sandbox.faults.order("fail_job", message="InternalServerError : retries exceeded")
    job = client.job("SELECT Id FROM Contact").json()["id"]
    client.get(f"/jobs/query/{job}")
    info = client.get(f"/jobs/query/{job}").json()
    assert (info["state"], info["errorMessage"]) == (
        "Failed",
        "InternalServerError : retries exceeded",
    )
