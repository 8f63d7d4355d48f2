from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from crm_sandbox_tests.contracts import validate

PATH = "/crm/v3/imports"
HEADER = ("E-mail", "City", "Tier", "Ignored")


def column(name: str, prop: str) -> dict[str, str]:
    return {"columnObjectTypeId": "0-1", "columnName": name, "propertyName": prop}


def order(own, *rows: str, **more: Any) -> requests.Response:
    mappings = [column("E-mail", "email"), column("City", "city"), column("Tier", "tier")]
    page = {"hasHeader": True, "columnMappings": mappings}
    wanted = {
        "name": "people",
        "files": [{"fileName": "p.csv", "fileFormat": "CSV", "fileImportPage": page}],
    }
    text = "\r\n".join([",".join(HEADER), *rows])
    return own.http.post(
        own.root + PATH,
        data={"importRequest": json.dumps(wanted | more)},
        files={"files": ("p.csv", text.encode(), "text/csv")},
    )


def finished(own, number: str) -> dict[str, Any]:
    for _ in range(5):
        body = own.get(f"{PATH}/{number}").json()
        if body["state"] in {"DONE", "FAILED"}:
            return body
    raise AssertionError("the import never ended")


def test_from_file_to_records(own) -> None:
    """Statement 26: multipart, a state machine, and DONE although some rows were wrong."""
    known = own.create("contacts", email="known@example.org").json()["id"]
    rows = (
        "new@example.org,Ulm,a,x",
        'KNOWN@example.org,"Bonn, Rhein",b,x',
        "no mail,Ulm,a,x",
        "third@example.org,Ulm,zzz,x",
        "too,few",
    )
    made = order(own, *rows)
    assert made.status_code == 200
    validate("hubspot", "imports.v3.json", "POST", PATH, 200, made.json(), closed=True)
    number = made.json()["id"]
    assert made.json()["state"] == "STARTED"
    assert own.get(f"{PATH}/{number}").json()["state"] == "PROCESSING"
    body = finished(own, number)
    validate("hubspot", "imports.v3.json", "GET", f"{PATH}/{{importId}}", 200, body, closed=True)
    counters = body["metadata"]["counters"]
    assert (counters["CREATED_OBJECTS"], counters["UPDATED_OBJECTS"], counters["ERRORS"]) == (
        1,
        1,
        3,
    )
    row = own.get(f"/crm/v3/objects/contacts/{known}", properties="city,tier").json()["properties"]
    assert (row["city"], row["tier"]) == ("Bonn, Rhein", "b")
    errors = own.get(f"{PATH}/{number}/errors").json()
    validate("hubspot", "imports.v3.json", "GET", f"{PATH}/{{importId}}/errors", 200, errors)
    kinds = {e["sourceData"]["lineNumber"]: e["errorType"] for e in errors["results"]}
    assert kinds == {
        4: "INVALID_EMAIL",
        5: "INVALID_ENUMERATION_OPTION",
        6: "INCORRECT_NUMBER_OF_COLUMNS",
    }
    assert errors["results"][1]["invalidValue"] == "zzz"


def test_the_fourth_waits(own) -> None:
    """Statement 26: the fourth import at once is DEFERRED until one of the others is done."""
    numbers = [order(own, f"{k}@example.org,Ulm,a,x").json()["id"] for k in range(4)]
    assert own.get(f"{PATH}/{numbers[3]}").json()["state"] == "DEFERRED"
    finished(own, numbers[0])
    assert own.get(f"{PATH}/{numbers[3]}").json()["state"] == "PROCESSING"
    assert len(own.get(PATH).json()["results"]) == 4


def test_blocked_addresses(own) -> None:
    """Statement 22: an import of an address that was deleted for ever says so."""
    body = {"objectId": "gone@example.org", "idProperty": "email"}
    own.post("/crm/v3/objects/contacts/gdpr-delete", body)
    number = order(own, "gone@example.org,Ulm,a,x").json()["id"]
    finished(own, number)
    [error] = own.get(f"{PATH}/{number}/errors").json()["results"]
    assert error["errorType"] == "GDPR_BLACKLISTED_EMAIL"


def test_imports_tell_where_they_came_from(own) -> None:
    """What an import wrote is told as such."""
    events: list[dict] = []
    own.truth.api().portal.events.listen(events.append)
    finished(own, order(own, "new@example.org,Ulm,a,x").json()["id"])
    assert {event["changeSource"] for event in events} == {"IMPORT"}


def test_cancelled_and_failed(own) -> None:
    """An import can be cancelled, and fails on order; both write nothing."""
    number = order(own, "a@example.org,Ulm,a,x").json()["id"]
    assert own.post(f"{PATH}/{number}/cancel").json()["status"] == "COMPLETE"
    assert own.get(f"{PATH}/{number}").json()["state"] == "CANCELED"
    own.admin("/faults", {"kind": "fail_job", "vendor": "hubspot", "path": "/imports"})
    assert finished(own, order(own, "b@example.org,Ulm,a,x").json()["id"])["state"] == "FAILED"
    found = {row["email"] for row in own.truth.rows("contacts")}
    assert not {"a@example.org", "b@example.org"} & found


@pytest.mark.parametrize("more", [{"files": []}, {"files": [{"fileName": "other.csv"}]}])
def test_bad_orders(own, more: dict) -> None:
    """An order without its file answers 400, one that is no form 415, an unknown import 404."""
    assert order(own, "x", **more).status_code == 400
    assert own.post(PATH, {}).status_code == 415
    assert own.get(f"{PATH}/5").status_code == 404
