import csv
import io
import zipfile

import pytest
import requests

from crm_sandbox.hubspot import export_file
from crm_sandbox_tests.contracts import validate

ASYNC = "/crm/v3/exports/export/async"


def order(**more) -> dict:
    made = {
        "exportType": "VIEW",
        "exportName": "all",
        "format": "CSV",
        "language": "EN",
        "objectType": "contacts",
        "objectProperties": ["email", "tier", "preferred_channels", "remarks"],
        "associatedObjectType": [],
        "exportInternalValuesOptions": [],
        "includeLabeledAssociations": False,
        "includePrimaryDisplayPropertyForAssociatedObjects": False,
        "overrideAssociatedObjectsPerDefinitionPerRowLimit": False,
    }
    return made | more


def status(own, number: str) -> dict:
    return own.get(f"{ASYNC}/tasks/{number}/status").json()


def finished(own, **more) -> dict:
    number = own.post(ASYNC, order(**more)).json()["id"]
    for _ in range(5):
        body = status(own, number)
        if body["status"] == "COMPLETE":
            return body | {"id": number}
    raise AssertionError("the export never ended")


def rows(response: requests.Response) -> list[dict[str, str]]:
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))


def test_from_order_to_file(own) -> None:
    """Statement 26: 202, polling, then an address without a token whose file is the truth."""
    made = own.post(ASYNC, order(exportInternalValuesOptions=["NAMES", "VALUES"]))
    assert made.status_code == 202
    validate("hubspot", "exports.v3.json", "POST", ASYNC, 202, made.json())
    number = made.json()["id"]
    assert [status(own, number)["status"] for _ in range(2)] == ["PROCESSING", "COMPLETE"]
    body = status(own, number)
    template = f"{ASYNC}/tasks/{{taskId}}/status"
    validate("hubspot", "exports.v3.json", "GET", template, 200, body)
    shown = own.get(f"/crm/v3/exports/export/{number}").json()
    validate("hubspot", "exports.v3.json", "GET", "/crm/v3/exports/export/{exportId}", 200, shown)
    assert shown["exportState"] == "DONE"
    found = rows(requests.get(body["result"]))
    assert list(found[0]) == ["Record ID", "email", "tier", "preferred_channels", "remarks"]
    truth = own.truth.rows("contacts")
    assert [row["Record ID"] for row in found] == [row["id"] for row in truth]
    for row, true in zip(found, truth, strict=True):
        for name in ("email", "tier", "preferred_channels", "remarks"):
            assert row[name] == (true[name] or "")
    assert shown["recordCount"] == len(truth)


def test_labels_unless_values_are_asked_for(own) -> None:
    """Statement 26: without the option headers are labels and values the labels of choices."""
    own.patch(f"/crm/v3/objects/contacts/{own.first()}", tier="a", preferred_channels="email;chat")
    row = rows(requests.get(finished(own)["result"]))[0]
    assert row["Tier"] == "A"
    assert row["Preferred channels"] == "E-mail;Chat; live"
    row = rows(requests.get(finished(own, exportInternalValuesOptions=["NAMES"])["result"]))[0]
    assert (row["tier"], row["preferred_channels"]) == ("A", "E-mail;Chat; live")


def test_the_address_dies(own) -> None:
    """Statement 26: after five minutes the address answers 403; asked again there is a new one."""
    body = finished(own)
    assert requests.get(body["result"]).status_code == 200
    own.sandbox.clock.advance(301)
    assert requests.get(body["result"]).status_code == 403
    again = status(own, body["id"])["result"]
    assert again != body["result"]
    assert requests.get(again).status_code == 200
    assert requests.get(f"{own.root}/export-files/nothing").status_code == 404


def test_one_runs_at_a_time(own) -> None:
    """Statement 26: a second export waits until the first is done."""
    first = own.post(ASYNC, order()).json()["id"]
    second = own.post(ASYNC, order()).json()["id"]
    assert status(own, second)["status"] == "PENDING"
    assert own.get(f"/crm/v3/exports/export/{second}").json()["exportState"] == "ENQUEUED"
    status(own, first)
    assert status(own, first)["status"] == "COMPLETE"
    assert status(own, second)["status"] == "PROCESSING"


def test_thirty_a_day(own) -> None:
    """Statement 26: the 31st export within 24 hours is refused."""
    for _ in range(30):
        assert own.post(ASYNC, order()).status_code == 202
    assert own.post(ASYNC, order()).status_code == 429
    own.sandbox.clock.advance(86_401)
    assert own.post(ASYNC, order()).status_code == 202


def test_filters_and_links(own) -> None:
    """A view is filtered as a search is, and carries the ids of linked records."""
    record = own.first()
    company = own.get(f"/crm/v4/objects/contacts/{record}/associations/companies").json()
    wanted = {"propertyName": "hs_object_id", "operator": "EQ", "value": record}
    body = finished(
        own,
        associatedObjectType=["companies"],
        publicCrmSearchRequest={"filterGroups": [{"filters": [wanted]}], "sorts": []},
    )
    [row] = rows(requests.get(body["result"]))
    ids = {str(one["toObjectId"]) for one in company["results"]}
    assert set(row["Associated Company IDs"].split(";")) == ids


def test_a_large_file_is_zipped(own, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more than 2 MB comes as a zip."""
    monkeypatch.setattr(export_file, "LARGEST_PLAIN", 100)
    response = requests.get(finished(own)["result"])
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["all.csv"]


def test_an_export_that_fails(own) -> None:
    """On order an export ends with an error instead of a file."""
    fault = {"kind": "fail_job", "vendor": "hubspot", "path": "/export/async", "message": "broken"}
    own.admin("/faults", fault)
    body = finished(own)
    assert body["errors"][0]["message"] == "broken"
    assert "result" not in body
    assert own.get(f"/crm/v3/exports/export/{body['id']}").json()["exportState"] == "FAILED"


@pytest.mark.parametrize(
    "more", [{"exportType": ""}, {"format": "PDF"}, {"objectType": "unicorns"}, {"language": None}]
)
def test_bad_orders(own, more: dict) -> None:
    """An order that cannot be meant answers 400, an unknown export 404."""
    assert own.post(ASYNC, order(**more)).status_code == 400
    assert own.get(f"{ASYNC}/tasks/5/status").status_code == 404
