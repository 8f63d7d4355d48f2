import pytest


def inputs(ids) -> list[dict[str, str]]:
    return [{"id": str(one)} for one in ids]


def test_batch_read(hubspot) -> None:
    """A batch of 100 shows what single reads show."""
    ids = [row["id"] for row in hubspot.truth.rows("contacts", limit=100)]
    response = hubspot.batch("contacts", "read", inputs(ids), properties=["email", "city"])
    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "COMPLETE"
    assert {row["id"] for row in body["results"]} == set(ids)
    assert "numErrors" not in body
    one = hubspot.get(f"/crm/v3/objects/contacts/{ids[3]}", properties="email,city").json()
    assert one in body["results"]


def test_a_batch_that_is_too_large(hubspot) -> None:
    """Statement 7: more than 100 inputs answer 400."""
    response = hubspot.batch("contacts", "read", inputs(range(101)))
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_missing_ids(hubspot) -> None:
    """Statement 7: missing ids answer 207 with numErrors and context.ids, beside what was found."""
    here = hubspot.first()
    for _ in range(2):
        response = hubspot.batch("contacts", "read", inputs([here, 5, 6]))
        body = response.json()
        assert response.status_code == 207
        assert [row["id"] for row in body["results"]] == [here]
        assert body["numErrors"] == 1
        assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
        assert body["errors"][0]["context"] == {"ids": ["5", "6"]}


def test_a_missing_id_brings_no_other_record(hubspot) -> None:
    """Whoever asks for an id that is not there gets no neighbour in its place."""
    rows = hubspot.truth.rows("contacts", limit=5)
    ids = [rows[0]["id"], rows[1]["id"], str(int(rows[2]["id"]) + 1), rows[3]["id"], rows[4]["id"]]
    body = hubspot.batch("contacts", "read", inputs(ids)).json()
    assert {row["id"] for row in body["results"]} == set(ids) - {ids[2]}
    assert body["errors"][0]["context"]["ids"] == [ids[2]]


def test_the_status_of_a_partial_batch_is_a_switch(own) -> None:
    """Statement 7: a switch drops the 207 to 200, with the same body."""
    own.admin("/hubspot/set", {"partial_status": 200})
    response = own.batch("contacts", "read", inputs([own.first(), 5]))
    assert response.status_code == 200
    assert response.json()["numErrors"] == 1


def test_batch_read_by_another_property(hubspot) -> None:
    """A batch can name records by e-mail."""
    rows = [row for row in hubspot.truth.rows("contacts", limit=20) if row["email"]]
    response = hubspot.batch(
        "contacts", "read", inputs(row["email"] for row in rows), idProperty="email"
    )
    assert {row["id"] for row in response.json()["results"]} == {row["id"] for row in rows}


def test_batch_read_of_archived_records(hubspot) -> None:
    """Archived records are found when they are asked for, and only then."""
    gone = [row["id"] for row in hubspot.every("contacts", archived="true")]
    path = "/crm/v3/objects/contacts/batch/read"
    found = hubspot.post(f"{path}?archived=true", {"inputs": inputs(gone)}).json()
    assert {row["id"] for row in found["results"]} == set(gone)
    assert hubspot.post(path, {"inputs": inputs(gone)}).json()["results"] == []


def test_batch_read_with_history(hubspot) -> None:
    """A batch shows histories too, of 50 records at most."""
    ids = [row["id"] for row in hubspot.truth.rows("deals", limit=50)]
    rows = hubspot.batch("deals", "read", inputs(ids), propertiesWithHistory=["dealstage"]).json()
    listed = hubspot.get(
        "/crm/v3/objects/deals", limit=50, propertiesWithHistory="dealstage"
    ).json()
    assert rows["results"] == listed["results"]
    many = inputs(range(51))
    assert (
        hubspot.batch("deals", "read", many, propertiesWithHistory=["dealstage"]).status_code == 400
    )


@pytest.mark.parametrize("body", ["[]", "{", '{"inputs": 3}', '{"inputs": [1]}'])
def test_a_body_that_cannot_be_read(hubspot, body: str) -> None:
    """A body that is not what was expected answers 400."""
    url = f"{hubspot.root}/crm/v3/objects/contacts/batch/read"
    assert hubspot.http.post(url, data=body).status_code == 400
