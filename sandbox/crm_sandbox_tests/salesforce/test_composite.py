"""Statement 13: composite requests and batches."""

import pytest


def send(own, *parts, path: str = "", key: str = "compositeRequest", **more):
    return own.http.post(f"{own.base}/composite{path}", json={key: list(parts)} | more)


def part(own, name: str, method: str, path: str, body=None, **more) -> dict:
    url = f"/services/data/v66.0{path}"
    made = {"method": method, "url": url, "referenceId": name} | more
    return made | ({} if body is None else {"body": body})


def test_references(own) -> None:
    """Statement 13: later subrequests use what earlier ones answered, in urls and bodies; one call."""
    used = own.sandbox.salesforce.usage.used
    response = send(
        own,
        part(own, "acc", "POST", "/sobjects/Account", {"Name": "Made"}),
        part(own, "con", "POST", "/sobjects/Contact", {"LastName": "x", "AccountId": "@{acc.id}"}),
        part(own, "read", "GET", "/sobjects/Contact/@{con.id}?fields=AccountId"),
        part(own, "q", "GET", "/query/?q=SELECT+Id+FROM+Account+WHERE+Id='@{acc.id}'"),
        part(own, "upd", "PATCH", "/sobjects/Account/@{q.records[0].Id}", {"Name": "by @{con.id}"}),
        collateSubrequests=True,
    )
    assert response.status_code == 200
    acc, con, read, _, upd = response.json()["compositeResponse"]
    assert [one["referenceId"] for one in (acc, con, read)] == ["acc", "con", "read"]
    assert (acc["httpStatusCode"], upd["httpStatusCode"], upd["body"]) == (201, 204, None)
    assert acc["httpHeaders"]["Location"].endswith(f"/sobjects/Account/{acc['body']['id']}")
    assert read["body"]["AccountId"] == acc["body"]["id"]
    name = own.records(f"SELECT Name FROM Account WHERE Id = '{acc['body']['id']}'")[0]["Name"]
    assert name == f"by {con['body']['id']}"
    assert own.sandbox.salesforce.usage.used == used + 2


def test_inner_failures(own) -> None:
    """Statement 13: inner failures leave the outer answer at 200; who refers to one is halted."""
    response = send(
        own,
        part(own, "bad", "POST", "/sobjects/Account", {}),
        part(own, "after", "PATCH", "/sobjects/Account/@{bad.id}", {"Name": "x"}),
        part(own, "case", "GET", "/sobjects/Account/@{Bad.id}"),
        part(own, "fine", "POST", "/sobjects/Account", {"Name": "x"}),
        part(own, "deep", "POST", "/composite", {"compositeRequest": []}),
    )
    assert response.status_code == 200
    inner = response.json()["compositeResponse"]
    assert [one["httpStatusCode"] for one in inner] == [400, 400, 400, 201, 400]
    assert [one["body"][0]["errorCode"] for one in inner[:3]] == [
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
        "PROCESSING_HALTED",
    ]


def test_all_or_none(own) -> None:
    """Statement 13: with allOrNone one failure takes every subrequest back."""
    before = own.sandbox.salesforce.count("Account")
    response = send(
        own,
        part(own, "one", "POST", "/sobjects/Account", {"Name": "x"}),
        part(own, "bad", "POST", "/sobjects/Account", {}),
        part(own, "two", "POST", "/sobjects/Account", {"Name": "y"}),
        allOrNone=True,
    )
    codes = [one["body"][0]["errorCode"] for one in response.json()["compositeResponse"]]
    assert codes == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert own.sandbox.salesforce.count("Account") == before
    fine = send(
        own, part(own, "a", "POST", "/sobjects/Account", {"Name": "x"}), allOrNone=True
    ).json()
    assert fine["compositeResponse"][0]["httpStatusCode"] == 201
    assert own.sandbox.salesforce.count("Account") == before + 1


def test_conditional_header(own) -> None:
    """Statement 13: a subrequest's own headers count."""
    record = own.sandbox.salesforce.create("Account", Name="x")
    headers = {"If-Unmodified-Since": "Sat, 31 Oct 2026 00:00:00 GMT"}
    path = f"/sobjects/Account/{record}"
    response = send(own, part(own, "a", "PATCH", path, {"Name": "y"}, httpHeaders=headers))
    assert response.json()["compositeResponse"][0]["httpStatusCode"] == 412


def test_limits(client) -> None:
    """Statement 13: 25 subrequests are allowed, 26 not; 5 queries or collections are, 6 not."""
    few = [part(client, f"r{k}", "GET", "/limits") for k in range(26)]
    assert len(send(client, *few[:25]).json()["compositeResponse"]) == 25
    heavy = [part(client, f"q{k}", "GET", "/query?q=SELECT+Id+FROM+User+LIMIT+1") for k in range(6)]
    assert send(client, *heavy[:5], *few[:20]).status_code == 200
    for parts in (few, heavy):
        refused = send(client, *parts)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


@pytest.mark.parametrize("name", ["", "a-b", "r0"])
def test_reference_ids(client, name: str) -> None:
    """Statement 13: reference ids are plain names, each of them once."""
    parts = [part(client, "r0", "GET", "/limits"), part(client, name, "GET", "/limits")]
    assert send(client, *parts).status_code == 400


def test_batch(own) -> None:
    """Statement 13: a batch answers each independent subrequest and counts every one of them."""
    used = own.sandbox.salesforce.usage.used
    parts = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "x"}},
        {"method": "GET", "url": "v66.0/sobjects/Nope/1"},
        {"method": "GET", "url": "v66.0/limits"},
    ]
    body = send(own, *parts, path="/batch", key="batchRequests").json()
    assert body["hasErrors"] is True
    assert [one["statusCode"] for one in body["results"]] == [201, 404, 200]
    assert body["results"][0]["result"]["success"] is True
    assert own.sandbox.salesforce.usage.used == used + 3
    own.sandbox.salesforce.set_daily_limit(maximum=used + 5)
    spent = send(own, *parts, path="/batch", key="batchRequests").json()
    assert [one["statusCode"] for one in spent["results"]] == [201, 404, 403]
    own.sandbox.salesforce.set_daily_limit(maximum=1000)
    halted = send(own, *parts, path="/batch", key="batchRequests", haltOnError=True).json()
    assert [one["statusCode"] for one in halted["results"]] == [201, 404, 412]
    assert halted["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert send(own, *parts * 9, path="/batch", key="batchRequests").status_code == 400
