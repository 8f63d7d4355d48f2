from concurrent.futures import ThreadPoolExecutor

import pytest


def test_counter_moves(own) -> None:
    """Statement 14: the header counts every data call, and /limits agrees with it."""
    first = own.get("/limits")
    second = own.query("SELECT Id FROM User LIMIT 1")
    used = [
        int(a.headers["Sforce-Limit-Info"].split("=")[1].split("/")[0]) for a in (first, second)
    ]
    assert used[1] == used[0] + 1
    daily = first.json()["DailyApiRequests"]
    assert daily["Max"] - daily["Remaining"] == used[0]
    refused = own.query("SELECT Nope FROM User")
    assert "Sforce-Limit-Info" in refused.headers


def test_per_app_suffix(own) -> None:
    """Statement 14: the header may carry the use per app."""
    own.sandbox.salesforce.usage.app_name = "pipeline"
    assert own.get("/limits").headers["Sforce-Limit-Info"].endswith("(appName=pipeline)")


def test_daily_cap(own) -> None:
    """Statement 15: past the daily cap 403 REQUEST_LIMIT_EXCEEDED, without Retry-After."""
    own.sandbox.salesforce.set_daily_limit(maximum=2, used=1)
    assert own.get("/limits").status_code == 200
    refused = own.get("/limits")
    assert refused.status_code == 403
    assert refused.json() == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]
    assert "Retry-After" not in refused.headers


def test_long_requests(own) -> None:
    """Statement 15: the 26th simultaneous request of 20 seconds is refused with the daily cap's code and
    another message, without Retry-After; a short one is not, and the 25 are answered in the end."""
    long = own.sandbox.salesforce.long_requests
    own.sandbox.faults.order("hold", path="/limits", seconds=20, times=26)
    with ThreadPoolExecutor(25) as pool:
        running = [pool.submit(own.get, "/limits") for _ in range(25)]
        try:
            assert long.wait_until(running=25)
            refused = own.get("/limits")
            assert own.query("SELECT Id FROM User LIMIT 1").status_code == 200
        finally:
            own.sandbox.clock.advance(20)
        assert {one.result().status_code for one in running} == {200}
    assert (refused.status_code, refused.json()) == (
        403,
        [
            {
                "message": "ConcurrentPerOrgLongTxn Limit exceeded.",
                "errorCode": "REQUEST_LIMIT_EXCEEDED",
            }
        ],
    )
    assert "Retry-After" not in refused.headers


def test_long_request_settings(own) -> None:
    """How many long requests are allowed and what counts as long can be changed."""
    own.admin("/salesforce/set_long_requests", {"maximum": 0, "threshold_s": 0.01})
    own.sandbox.faults.order("hold", path="/limits", seconds=0.01)
    assert own.get("/limits").status_code == 403
    own.sandbox.faults.order("hold", path="/limits", seconds=0.001)
    assert own.get("/limits").status_code == 200


def test_versions(client) -> None:
    """Statement 6: versions up to v68.0 are listed without login; v30.0 and older are gone."""
    listed = client.http.get(f"{client.root}/services/data/", headers={"Authorization": ""}).json()
    assert listed[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert listed[0]["version"] == "31.0"
    assert {one["version"]: one["label"] for one in listed}["64.0"] == "Summer '25"


@pytest.mark.parametrize(
    ("version", "status"), [("30.0", 410), ("31.0", 200), ("68.0", 200), ("69.0", 404)]
)
def test_version_bounds(client, version: str, status: int) -> None:
    """Statement 6: only listed versions answer."""
    url = f"{client.root}/services/data/v{version}/limits"
    assert client.http.get(url).status_code == status


def test_unknown_addresses(client) -> None:
    """Unknown resources answer 404 NOT_FOUND as an array."""
    for path in (
        "/nope",
        "/sobjects/Nope/describe",
        "/jobs/query/750Hr0000000000AAA",
        "/sobjects/Contact/003",
    ):
        response = client.get(path)
        assert (response.status_code, response.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_record_counts(client) -> None:
    """limits/recordCount counts the named objects."""
    body = client.get("/limits/recordCount", params={"sObjects": "Contact,Lead"}).json()
    counts = {one["name"]: one["count"] for one in body["sObjects"]}
    assert counts == {name: client.sandbox.salesforce.count(name) for name in ("Contact", "Lead")}
