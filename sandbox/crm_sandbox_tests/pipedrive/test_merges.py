import pytest


def made(client, entity: str, /, **body):
    response = client.post(f"/api/v2/{entity}", body)
    return response.json()["data"]


def test_persons(own) -> None:
    """Statement 13: of two persons the one in merge_with_id stays and wins conflicts; it costs 40 tokens."""
    score, job = own.code("persons", "Score"), own.code("persons", "Job title")
    going = made(
        own,
        "persons",
        name="Going",
        emails=[{"value": "old@x.example"}, {"value": "Both@x.example"}],
        org_id=1,
        custom_fields={score: 5, job: "CEO"},
    )
    emails = [{"value": "both@x.example"}]
    staying = made(own, "persons", name="Staying", emails=emails, custom_fields={score: 8})
    deal = made(own, "deals", title="x", person_id=going["id"])
    before = own.truth.set_limits()["used"]
    response = own.put(f"/v1/persons/{going['id']}/merge", {"merge_with_id": staying["id"]})
    assert response.status_code == 200, response.text
    assert own.truth.set_limits()["used"] - before == 40
    data = response.json()["data"]
    assert (data["id"], data["merge_what_id"], data["org_id"]) == (staying["id"], going["id"], 1)
    left = own.data(f"/api/v2/persons/{staying['id']}")
    assert (left["name"], left["org_id"]) == ("Staying", 1)
    assert (left["custom_fields"][score], left["custom_fields"][job]) == (8, "CEO")
    assert [one["value"] for one in left["emails"]] == ["both@x.example", "old@x.example"]
    assert own.data(f"/api/v2/persons/{going['id']}")["is_deleted"]
    assert own.data(f"/api/v2/deals/{deal['id']}")["person_id"] == staying["id"]
    rows = {row["id"]: row for row in own.truth.rows("persons", include_deleted=True)}
    assert rows[going["id"]]["merged_into"] == staying["id"]


@pytest.mark.parametrize("name", ["deals", "organizations"])
@pytest.mark.parametrize("keeps_path", [False, True])
def test_others(own, name: str, keeps_path: bool) -> None:
    """Statement 13: which of two deals or organizations stays is not published; a switch decides."""
    text = "title" if name == "deals" else "name"
    first, other = (made(own, name, **{text: word})["id"] for word in ("A", "B"))
    if keeps_path:
        own.truth.set_company(merge_keeps_path=[name])
    response = own.put(f"/v1/{name}/{first}/merge", {"merge_with_id": other})
    assert response.status_code == 200, response.text
    staying, going = (first, other) if keeps_path else (other, first)
    assert response.json()["data"]["id"] == staying
    assert own.data(f"/api/v2/{name}/{going}")["is_deleted"]
    assert not own.data(f"/api/v2/{name}/{staying}")["is_deleted"]


def test_refusals(own) -> None:
    """A record cannot be merged with itself or with nobody."""
    assert own.put("/v1/persons/1/merge", {"merge_with_id": 1}).status_code == 400
    assert own.put("/v1/persons/1/merge", {"merge_with_id": 99_999}).status_code == 404
    assert own.put("/v1/persons/1/merge", {}).status_code == 400


@pytest.mark.parametrize("target", [{}, {"pipeline_id": 2}])
def test_lead_becomes_deal(own, target: dict[str, int]) -> None:
    """Statement 14: a lead is converted by a job with states; then the lead is gone and the deal there."""
    lead = own.every_v1("/v1/leads")[0]
    response = own.post(f"/api/v2/leads/{lead['id']}/convert/deal", target)
    job = response.json()["data"]["conversion_id"]
    path = f"/api/v2/leads/{lead['id']}/convert/status/{job}"
    states = [own.data(path) for _ in range(4)]
    assert [one["status"] for one in states] == ["not_started", "running", "completed", "completed"]
    deal = own.data(f"/api/v2/deals/{states[-1]['deal_id']}")
    assert (deal["title"], deal["source_lead_id"]) == (lead["title"], lead["id"])
    assert deal["person_id"] == lead["person_id"]
    assert deal["pipeline_id"] == target.get("pipeline_id", 1)
    assert own.get(f"/v1/leads/{lead['id']}").status_code == 404
    assert own.data(path)["deal_id"] == deal["id"]


def test_deal_becomes_lead(own) -> None:
    """Statement 14: a deal can become a lead again; a job may fail, and an unknown one is a 404."""
    deal = own.every("/deals")[0]
    job = own.post(f"/api/v2/deals/{deal['id']}/convert/lead").json()["data"]["conversion_id"]
    path = f"/api/v2/deals/{deal['id']}/convert/status/{job}"
    own.truth.set_company(conversion_polls=0, conversion_fails=True)
    assert own.data(path)["status"] == "failed"
    assert not own.data(f"/api/v2/deals/{deal['id']}")["is_deleted"]
    own.truth.set_company(conversion_fails=False)
    job = own.post(f"/api/v2/deals/{deal['id']}/convert/lead").json()["data"]["conversion_id"]
    done = own.data(f"/api/v2/deals/{deal['id']}/convert/status/{job}")
    lead = own.data(f"/v1/leads/{done['lead_id']}")
    assert (done["status"], lead["title"]) == ("completed", deal["title"])
    assert lead["source_deal_id"] == deal["id"]
    assert own.data(f"/api/v2/deals/{deal['id']}")["is_deleted"]
    missing = f"/api/v2/deals/{deal['id']}/convert/status/{lead['id']}"
    assert own.get(missing).status_code == 404
