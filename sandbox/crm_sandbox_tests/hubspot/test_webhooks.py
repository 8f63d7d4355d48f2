from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from crm_sandbox.hubspot import credentials, signatures
from crm_sandbox_tests.contracts import FOLDER, validate

SECRET = credentials.CLIENT_SECRET


class Receiver:
    """A receiver that keeps what it gets, and answers what it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.hang = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), body))
                if outer.status == 0:
                    outer.hang.wait(5)
                self.send_response(outer.status or 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks?a=1%2C2"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.got for event in json.loads(body)]

    def stop(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def hooked(own, receiver):
    """A client whose app hears of contacts; nothing is sent before it is asked for."""
    own.truth.set_webhooks(paused=True)
    names = ("creation", "deletion", "merge", "restore", "associationChange", "privacyDeletion")
    events = [{"event_type": f"contact.{name}"} for name in names]
    events.append({"event_type": "contact.propertyChange", "property_name": "city"})
    own.truth.subscribe(receiver.url, events)
    return own


def test_vectors() -> None:
    """Statement 28: the signatures are those of the vendor's worked examples."""
    path = FOLDER / "hubspot" / "webhook-signature-vectors.json"
    if not path.exists():
        pytest.skip("the vendors' descriptions are not beside this repository")
    known = json.loads(Path(path).read_text())
    secret = known["client_secret"]
    one, two, three = known["v1"], known["v2_post"], known["v3"]
    assert signatures.signature_v1(secret, one["body"].encode()) == one["signature_hex"]
    parts = (two["method"], two["uri"], two["body"].encode())
    assert signatures.signature_v2(secret, *parts) == two["signature_hex"]
    stamped = (three["method"], three["uri"], three["body"].encode(), three["timestamp"])
    assert signatures.signature_v3(secret, *stamped) == three["signature_base64"]


def test_a_delivery(hooked, receiver) -> None:
    """Statement 28: an array of events, with two signatures over what was really sent."""
    record = hooked.create("contacts", lastname="N", city="Ulm").json()["id"]
    assert hooked.truth.deliver_webhooks() == {"delivered": 2}
    [(headers, body)] = receiver.got
    made, changed = json.loads(body)
    assert made["subscriptionType"] == "contact.creation"
    assert (made["changeFlag"], made["attemptNumber"]) == ("NEW", 0)
    assert made["objectId"] == int(record)
    assert made["portalId"] == hooked.facts.hub_id
    assert (changed["propertyName"], changed["propertyValue"]) == ("city", "Ulm")
    assert headers["X-HubSpot-Signature"] == signatures.signature_v1(SECRET, body)
    stamp = headers["X-HubSpot-Request-Timestamp"]
    plain = receiver.url.replace("%2C", ",")
    assert headers["X-HubSpot-Signature-v3"] == signatures.signature_v3(
        SECRET, "POST", plain, body, stamp
    )
    assert int(stamp) == made["occurredAt"]


def test_deliveries_fit_the_schema(hooked, receiver) -> None:
    """Statements 28, 29: every kind of event fits the schema written from the vendor's guide."""
    path = FOLDER / "hubspot" / "webhook-delivery.schema.json"
    if not path.exists():
        pytest.skip("the vendors' descriptions are not beside this repository")
    record = hooked.create("contacts", email="w@example.org", city="Ulm").json()["id"]
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    company = hooked.first("companies")
    hooked.put(f"/crm/v4/objects/contacts/{record}/associations/companies/{company}", [kind])
    hooked.truth.merge("contacts", hooked.first(), hooked.first(number=1))
    hooked.delete(f"/crm/v3/objects/contacts/{record}")
    hooked.truth.restore("contacts", record)
    hooked.post("/crm/v3/objects/contacts/gdpr-delete", {"objectId": record})
    hooked.truth.deliver_webhooks()
    schema = json.loads(path.read_text())
    for _, body in receiver.got:
        Draft202012Validator(schema).validate(json.loads(body))
    kinds = {event["subscriptionType"].partition(".")[2] for event in receiver.events}
    assert kinds == {
        *("creation", "propertyChange", "associationChange", "merge"),
        *("deletion", "restore", "privacyDeletion"),
    }


def test_a_hundred_at_once(hooked, receiver) -> None:
    """Statement 28: more than 100 events come in several arrays."""
    inputs = [{"properties": {"lastname": str(k)}} for k in range(100)]
    hooked.batch("contacts", "create", inputs)
    hooked.batch("contacts", "create", inputs[:50])
    hooked.truth.deliver_webhooks()
    assert [len(json.loads(body)) for _, body in receiver.got] == [100, 50]


def test_retries(hooked, receiver) -> None:
    """Statement 28: what fails comes again ten times within a day, counted, and then no more."""
    receiver.status = 500
    hooked.create("contacts", lastname="N")
    for _ in range(30):
        hooked.truth.deliver_webhooks()
        hooked.sandbox.clock.advance(86_400 / 10)
    assert [event["attemptNumber"] for event in receiver.events] == list(range(11))
    assert hooked.truth.webhooks.listed()[0]["state"] == "dropped"


def test_retries_are_cut_anew(hooked, receiver) -> None:
    """Statement 28: events that failed together come again apart, and one that arrived does not."""
    receiver.status = 503
    hooked.batch("contacts", "create", [{"properties": {"lastname": str(k)}} for k in range(30)])
    hooked.truth.deliver_webhooks()
    receiver.status = 200
    for _ in range(24):
        hooked.sandbox.clock.advance(1_800)
        hooked.truth.deliver_webhooks()
    sizes = [len(json.loads(body)) for _, body in receiver.got]
    assert sizes[0] == 30
    assert sum(sizes[1:]) == 30
    assert len(sizes) > 3


def test_duplicates_and_order(hooked, receiver) -> None:
    """Statement 28: on order deliveries come twice, in small arrays and in another order."""
    hooked.truth.set_webhooks(duplicates=1, shuffle=True, most=7)
    hooked.batch("contacts", "create", [{"properties": {"lastname": str(k)}} for k in range(20)])
    hooked.truth.deliver_webhooks()
    ids = [event["eventId"] for event in receiver.events]
    assert sorted(ids) == sorted([*range(1, 21)] * 2)
    assert len(receiver.got) == 6
    assert ids[:7] != list(range(1, 8))


def test_an_answer_that_comes_too_late(hooked, receiver) -> None:
    """Statement 28: an answer that takes longer than the time limit is a failure."""
    assert hooked.truth.webhooks.manner.timeout_s == 5
    hooked.truth.set_webhooks(timeout_s=0.1)
    receiver.status = 0
    hooked.create("contacts", lastname="N")
    assert hooked.truth.deliver_webhooks() == {"pending": 1}


def test_what_a_receiver_has_to_refuse(hooked, receiver) -> None:
    """Statement 28: on order the stamp is too old, or the body is not what was signed."""
    hooked.truth.set_webhooks(stale=True)
    made = hooked.create("contacts", lastname="N").json()
    hooked.truth.deliver_webhooks()
    headers, body = receiver.got[-1]
    now = int(hooked.sandbox.clock.now().timestamp() * 1000)
    assert now - int(headers["X-HubSpot-Request-Timestamp"]) > 300_000
    assert headers["X-HubSpot-Signature"] == signatures.signature_v1(SECRET, body)
    hooked.truth.set_webhooks(stale=False, tampered=True)
    hooked.delete(f"/crm/v3/objects/contacts/{made['id']}")
    hooked.truth.deliver_webhooks()
    headers, body = receiver.got[-1]
    assert headers["X-HubSpot-Signature"] != signatures.signature_v1(SECRET, body)


def test_links_are_told_in_both_directions(hooked, receiver) -> None:
    """Statement 29: a link tells in both directions, a primary one twice."""
    hooked.truth.subscribe(receiver.url, [{"event_type": "company.associationChange"}])
    record, company = (
        hooked.create("contacts", lastname="N").json()["id"],
        hooked.first("companies"),
    )
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    hooked.put(f"/crm/v4/objects/contacts/{record}/associations/companies/{company}", [kind])
    hooked.truth.deliver_webhooks()
    events = [e for e in receiver.events if "associationType" in e]
    assert {e["associationType"] for e in events} == {"CONTACT_TO_COMPANY", "COMPANY_TO_CONTACT"}
    assert len(events) == 4
    assert {(e["fromObjectId"], e["toObjectId"]) for e in events} == {
        (int(record), int(company)),
        (int(company), int(record)),
    }
    assert sorted(e["isPrimaryAssociation"] for e in events) == [False, False, True, True]
    assert not any(e["associationRemoved"] for e in events)


def test_a_merge_is_stated(hooked, receiver) -> None:
    """Statement 29: a merge tells the new id, the primary and who was merged in."""
    one, two = hooked.first(), hooked.first(number=1)
    made = hooked.truth.merge("contacts", one, two)
    hooked.truth.deliver_webhooks()
    [event] = [e for e in receiver.events if e["subscriptionType"] == "contact.merge"]
    assert event["newObjectId"] == int(made)
    assert event["primaryObjectId"] == int(one)
    assert event["mergedObjectIds"] == [int(two)]
    assert event["numberOfPropertiesMoved"] >= 0


def test_subscriptions_sleep_at_first(own, receiver) -> None:
    """Statement 29: a new subscription is inactive, and is told of nothing until it is switched on."""
    app = f"/webhooks/v3/{credentials.APP_ID}"
    key = f"?hapikey={credentials.DEVELOPER_KEY}"
    assert own.get(f"{app}/settings").status_code == 401
    body = {"targetUrl": receiver.url, "throttling": {"maxConcurrentRequests": 10}}
    settings = own.put(f"{app}/settings{key}", body)
    template = "/webhooks/v3/{appId}/settings"
    validate("hubspot", "webhooks.v3.json", "PUT", template, 200, settings.json(), closed=True)
    made = own.post(f"{app}/subscriptions{key}", {"eventType": "contact.creation"})
    template = "/webhooks/v3/{appId}/subscriptions"
    validate("hubspot", "webhooks.v3.json", "POST", template, 201, made.json(), closed=True)
    assert made.json()["active"] is False
    own.truth.set_webhooks(paused=True)
    own.create("contacts", lastname="A")
    assert own.truth.deliver_webhooks() == {}
    url = f"{own.root}{app}/subscriptions/{made.json()['id']}{key}"
    assert own.http.patch(url, json={"active": True}).json()["active"] is True
    own.create("contacts", lastname="B")
    assert own.truth.deliver_webhooks() == {"delivered": 1}
    assert own.http.delete(url).status_code == 204
    assert own.get(f"{app}/subscriptions{key}").json() == {"results": []}


@pytest.mark.parametrize(
    "body",
    [
        {"eventType": "contact.sneeze"},
        {"eventType": "object.creation"},
        {"eventType": "contact.propertyChange"},
    ],
)
def test_bad_subscriptions(hubspot, body: dict) -> None:
    """A subscription to what does not exist answers 400."""
    app = f"/webhooks/v3/{credentials.APP_ID}/subscriptions?hapikey={credentials.DEVELOPER_KEY}"
    assert hubspot.post(app, body).status_code == 400


def test_the_apps_own_token(own, receiver) -> None:
    """Under dates the settings take a token of the app, from its own credentials."""
    token = own.token("v3", grant_type="client_credentials").json()["access_token"]
    url = f"{own.root}/app-webhooks/2026-09/{credentials.APP_ID}/settings"
    header = {"Authorization": f"Bearer {token}"}
    body = {"targetUrl": receiver.url, "throttling": {"maxConcurrentRequests": 10}}
    assert requests.put(url, json=body, headers=header).status_code == 200
    assert requests.get(url, headers=header).json()["targetUrl"] == receiver.url
    contacts = f"{own.root}/crm/v3/objects/contacts"
    assert requests.get(contacts, headers=header).status_code == 401


def test_own_objects_are_told(own, receiver) -> None:
    """Events of a portal's own objects come under `object.*`, with the object's type."""
    own.truth.set_webhooks(paused=True)
    wanted = {"event_type": "object.creation", "object_type": "2-3800001"}
    own.truth.subscribe(receiver.url, [wanted])
    own.create("machines", serial_number="S1")
    own.create("contacts", lastname="N")
    own.truth.deliver_webhooks()
    assert [(e["subscriptionType"], e["objectTypeId"]) for e in receiver.events] == [
        ("object.creation", "2-3800001")
    ]


def test_deliveries_leave_by_themselves(own, receiver) -> None:
    """While the clock runs nobody has to ask; and only this machine can be told."""
    response = own.admin(
        "/hubspot/subscribe", {"url": receiver.url, "events": [{"event_type": "contact.creation"}]}
    )
    assert response.json()["ok"]
    own.create("contacts", lastname="N")
    for _ in range(100):
        if receiver.got:
            break
        threading.Event().wait(0.05)
    assert receiver.events[0]["subscriptionType"] == "contact.creation"
    away = {"url": "https://example.org/hook", "events": []}
    assert own.admin("/hubspot/subscribe", away).status_code == 400
