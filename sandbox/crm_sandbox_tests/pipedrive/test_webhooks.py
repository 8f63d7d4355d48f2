"""Statements 21 and 22: webhooks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from crm_sandbox_tests import contracts
from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.contracts import validate
from crm_sandbox_tests.pipedrive.conftest import Client, as_colleague

V1 = "openapi-v1.2026-08.yaml"


class Receiver:
    """A receiver that answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.logins: list[str | None] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                receiver.logins.append(self.headers.get("Authorization"))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Write nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in?key=1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def metas(self, name: str) -> list[Any]:
        return [body["meta"][name] for body in self.bodies]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def hooked(own) -> Client:
    """A client whose company sends only when told to, so that no thread decides the order."""
    own.truth.companies["main"].webhooks._attendant = threading.current_thread()
    yield own
    own.truth.companies["main"].webhooks._attendant = None


def subscribe(client: Client, url: str, **more: Any) -> dict[str, Any]:
    body = {"subscription_url": url, "event_action": "*", "event_object": "*", "name": "x"} | more
    response = client.post("/v1/webhooks", body)
    assert response.status_code == 201, response.text
    return response.json()["data"]


def test_subscriptions(hooked, receiver) -> None:
    """Statement 21: webhooks are made (201), listed and ended; none can be changed."""
    made = subscribe(hooked, receiver.url, event_action="change", event_object="deal")
    assert (made["version"], made["is_active"], made["type"]) == ("2.0", 1, "general")
    listed = hooked.get("/v1/webhooks").json()
    assert (listed["status"], listed["data"]) == ("ok", [made])
    path = f"/v1/webhooks/{made['id']}"
    assert hooked.put(path, {"name": "y"}).status_code == 405
    assert hooked.delete(path).json() == {"success": True, "status": "ok"}
    gone = hooked.delete(path)
    assert (gone.status_code, gone.json()["errors"]) == (404, {"id": ["not found"]})


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"subscription_url": "http://example.org/in"}, "subscription_url"),
        ({"subscription_url": "ftp://127.0.0.1/in"}, "subscription_url"),
        ({"event_action": "added"}, "event_action"),
        ({"event_object": "shoe"}, "event_object"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"user_id": 1}, "user_id"),
    ],
)
def test_refused_subscriptions(main, change: dict[str, Any], key: str) -> None:
    """Statement 21: what is wrong with a subscription is named by its key, in an envelope of its own."""
    good = {"subscription_url": "http://127.0.0.1:9/", "event_action": "*", "event_object": "*"}
    refused = main.post("/v1/webhooks", good | {"name": "x"} | change)
    body = refused.json()
    assert (refused.status_code, body["status"], body["success"]) == (400, "error", False)
    assert list(body["errors"]) == [key]


def test_forty_per_user(own) -> None:
    """Statement 21: the 41st webhook of a user is a 422; a user without the right gets a 403."""
    for _ in range(40):
        subscribe(own, "http://127.0.0.1:9/")
    body = {"subscription_url": "http://127.0.0.1:9/", "event_action": "*", "event_object": "*"}
    assert own.post("/v1/webhooks", body | {"name": "x"}).status_code == 422
    colleague = as_colleague(own)
    refused = colleague.post("/v1/webhooks", body | {"name": "x"})
    assert (refused.status_code, refused.json()) == (
        403,
        {"success": False, "message": "Forbidden"},
    )
    colleague.close()


def test_create_change_delete(hooked, receiver) -> None:
    """Statement 21: a creation has no previous, a change only what changed, a deletion no data."""
    subscribe(hooked, receiver.url, event_object="person")
    made = hooked.post("/api/v2/persons", {"name": "Emmy Noether"}).json()["data"]
    path = f"/api/v2/persons/{made['id']}"
    hooked.sandbox.clock.advance(5)
    hooked.patch(path, {"name": "Amalie Noether"})
    hooked.delete(path)
    assert hooked.truth.deliver_webhooks() == {"delivered": 3}
    create, change, delete = receiver.bodies
    assert [body["meta"]["action"] for body in receiver.bodies] == ["create", "change", "delete"]
    assert create["previous"] is None
    assert create["data"]["name"] == "Emmy Noether"
    assert change["data"]["name"] == "Amalie Noether"
    assert change["previous"] == {
        "name": "Emmy Noether",
        "first_name": "Emmy",
        "update_time": made["update_time"],
    }
    assert delete["data"] is None
    assert delete["previous"]["name"] == "Amalie Noether"


def test_meta(hooked, receiver) -> None:
    """Statement 21: every id in meta is a text, in data a number; one act has one correlation."""
    webhook = subscribe(hooked, receiver.url)
    made = hooked.post("/api/v2/deals", {"title": "x"}).json()["data"]
    hooked.truth.edit("deals", made["id"], title="y")
    hooked.truth.deliver_webhooks()
    meta = receiver.bodies[0]["meta"]
    assert (meta["entity"], meta["entity_id"]) == ("deal", str(made["id"]))
    assert (meta["company_id"], meta["webhook_id"]) == ("6000001", str(webhook["id"]))
    assert meta["user_id"] == meta["webhook_owner_id"] == str(webhook["owner_id"])
    assert meta["host"] == "sandbox-main.pipedrive.com"
    assert (meta["version"], meta["attempt"], meta["is_bulk_edit"]) == ("2.0", 1, False)
    assert all(isinstance(user, str) for user in meta["permitted_user_ids"])
    assert receiver.bodies[0]["data"]["id"] == made["id"]
    assert receiver.metas("change_source") == ["api", "app"]
    assert len(set(receiver.metas("id"))) == 2


def test_payload_differs_from_answers(hooked, receiver) -> None:
    """Statement 22: custom_fields has every key, pointers are objects, visible_to is a text; REST has
    plain numbers."""
    subscribe(hooked, receiver.url, event_object="person")
    manager, employer = (hooked.code("persons", n) for n in ("Account manager", "Former employer"))
    user = hooked.truth.companies["main"].admin
    custom = {manager: user, employer: 1}
    made = hooked.post("/api/v2/persons", {"name": "x", "custom_fields": custom}).json()["data"]
    hooked.truth.deliver_webhooks()
    data = receiver.bodies[0]["data"]
    assert (made["custom_fields"][manager], made["visible_to"]) == (user, 3)
    assert data["custom_fields"][manager] == {"id": user, "type": "user"}
    assert data["custom_fields"][employer] == {"id": 1, "type": "organization"}
    assert data["visible_to"] == "3"
    assert list(data["custom_fields"]) == [one["code"] for one in hooked.truth.fields("persons")]
    assert sum(value is None for value in data["custom_fields"].values()) > 10


def test_previous_custom_values(hooked, receiver) -> None:
    """Statement 21: of custom fields, too, only what changed is in previous."""
    score, tier = hooked.code("persons", "Score"), hooked.code("persons", "Tier")
    before = hooked.data("/api/v2/persons/1")["custom_fields"]
    subscribe(hooked, receiver.url)
    hooked.patch("/api/v2/persons/1", {"custom_fields": {score: 1234.5, tier: before[tier]}})
    hooked.truth.deliver_webhooks()
    assert receiver.bodies[0]["previous"]["custom_fields"] == {score: before[score]}


def test_filters(hooked, receiver) -> None:
    """Statement 21: a webhook hears only of its action and its object."""
    subscribe(hooked, receiver.url, event_action="create", event_object="deal")
    hooked.post("/api/v2/persons", {"name": "x"})
    made = hooked.post("/api/v2/deals", {"title": "x"}).json()["data"]
    hooked.patch(f"/api/v2/deals/{made['id']}", {"title": "y"})
    hooked.truth.deliver_webhooks()
    pairs = list(zip(receiver.metas("entity"), receiver.metas("action"), strict=True))
    assert pairs == [("deal", "create")]


def test_merge(hooked, receiver) -> None:
    """Statement 13: a merge is a deletion and a change, in one correlation."""
    subscribe(hooked, receiver.url, event_object="person")
    hooked.put("/v1/persons/1/merge", {"merge_with_id": 3})
    hooked.truth.deliver_webhooks()
    sent = [(body["meta"]["action"], body["meta"]["entity_id"]) for body in receiver.bodies]
    assert sent == [("delete", "1"), ("change", "3")]
    assert len(set(receiver.metas("correlation_id"))) == 1


def test_visibility(hooked, receiver) -> None:
    """Statement 24: a webhook bound to a user hears of what that user may see."""
    user = hooked.truth.companies["main"].colleague
    subscribe(hooked, receiver.url, user_id=user, event_object="person")
    hooked.post("/api/v2/persons", {"name": "hidden", "visible_to": 1})
    hooked.post("/api/v2/persons", {"name": "own", "visible_to": 1, "owner_id": user})
    hooked.post("/api/v2/persons", {"name": "shared"})
    hooked.truth.deliver_webhooks()
    assert [body["data"]["name"] for body in receiver.bodies] == ["own", "shared"]
    assert str(user) in receiver.bodies[0]["meta"]["permitted_user_ids"]
    assert len(receiver.bodies[0]["meta"]["permitted_user_ids"]) == 2


def test_basic_login(hooked, receiver) -> None:
    """Statement 21: with a user and a password the delivery carries Basic authentication, else none."""
    subscribe(hooked, receiver.url, http_auth_user="u", http_auth_password="p:w")
    subscribe(hooked, receiver.url)
    hooked.post("/api/v2/deals", {"title": "x"})
    hooked.truth.deliver_webhooks()
    assert receiver.logins == [f"Basic {base64.b64encode(b'u:p:w').decode()}", None]


def test_retries(hooked, receiver) -> None:
    """Statement 21: what fails comes again after 3, 30 and 150 seconds with its attempt, then never."""
    subscribe(hooked, receiver.url)
    receiver.status = 500
    hooked.post("/api/v2/deals", {"title": "x"})
    states = []
    for wait in (0, 2, 1, 29, 1, 149, 1, 10_000):
        hooked.sandbox.clock.advance(wait)
        states.append(hooked.truth.deliver_webhooks())
    assert receiver.metas("attempt") == [1, 2, 3, 4]
    assert len(set(receiver.metas("id"))) == 1
    assert states[-1] == {"failed": 1}


def test_redirects_and_silence(hooked, receiver) -> None:
    """Statement 21: a redirect is a failure, and so is no answer within the time (10 s, settable)."""
    subscribe(hooked, receiver.url)
    receiver.status = 302
    hooked.post("/api/v2/deals", {"title": "x"})
    assert hooked.truth.deliver_webhooks() == {"pending": 1}
    assert hooked.truth.companies["main"].webhooks.manner.timeout_s == 10
    hooked.truth.set_webhooks(timeout_s=0.05)
    silent = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    subscribe(hooked, f"http://127.0.0.1:{silent.server_address[1]}/", event_action="delete")
    hooked.delete("/api/v2/deals/1")
    receiver.status = 200
    hooked.sandbox.clock.advance(3)
    assert hooked.truth.deliver_webhooks() == {"delivered": 2, "pending": 1}
    silent.server_close()


def test_ban(hooked, receiver) -> None:
    """Statement 21: ten failed first attempts end in a ban of 30 minutes; what happens then is lost."""
    subscribe(hooked, receiver.url, event_object="deal", event_action="create")
    receiver.status = 503
    for _ in range(10):
        hooked.post("/api/v2/deals", {"title": "x"})
    hooked.truth.deliver_webhooks()
    receiver.status = 200
    receiver.bodies.clear()
    hooked.post("/api/v2/deals", {"title": "lost"})
    hooked.sandbox.clock.advance(1_799)
    hooked.post("/api/v2/deals", {"title": "lost as well"})
    hooked.truth.deliver_webhooks()
    hooked.sandbox.clock.advance(1)
    hooked.post("/api/v2/deals", {"title": "heard"})
    hooked.truth.deliver_webhooks()
    titles = {body["data"]["title"] for body in receiver.bodies}
    assert titles == {"x", "heard"}
    assert hooked.admin("/pipedrive/webhooks").json()["lost"] == 2


def test_three_days(hooked, receiver) -> None:
    """Statement 21: a webhook that reached nobody for three days is gone."""
    subscribe(hooked, receiver.url)
    receiver.status = 500
    hooked.post("/api/v2/deals", {"title": "x"})
    hooked.truth.deliver_webhooks()
    hooked.sandbox.clock.stand_at(NOW + timedelta(days=2, hours=23))
    hooked.truth.deliver_webhooks()
    assert len(hooked.data("/v1/webhooks")) == 1
    hooked.sandbox.clock.stand_at(NOW + timedelta(days=3))
    hooked.truth.deliver_webhooks()
    assert hooked.data("/v1/webhooks") == []


def test_repeated_and_out_of_order(hooked, receiver) -> None:
    """Messages come twice or in another order when that is ordered."""
    subscribe(hooked, receiver.url, event_action="create")
    hooked.truth.set_webhooks(duplicates=1, shuffle=True)
    names = [f"p{number}" for number in range(8)]
    for name in names:
        hooked.post("/api/v2/persons", {"name": name})
    hooked.truth.deliver_webhooks()
    came = [body["data"]["name"] for body in receiver.bodies]
    assert sorted(came) == sorted(names * 2)
    assert came[::2] != names
    with pytest.raises(ValueError, match="shoes"):
        hooked.truth.set_webhooks(shoes=1)


def test_by_themselves(own, receiver) -> None:
    """Deliveries leave without being asked for, as long as the clock runs."""
    subscribe(own, receiver.url)
    own.post("/api/v2/deals", {"title": "x"})
    for _ in range(200):
        if receiver.bodies:
            break
        threading.Event().wait(0.02)
    assert [body["data"]["title"] for body in receiver.bodies] == ["x"]


@pytest.mark.parametrize("name", ["leads", "notes", "organizations", "products", "activities"])
def test_other_objects(hooked, receiver, name: str) -> None:
    """Every object has its news."""
    subscribe(hooked, receiver.url)
    fields = {"notes": {"content": "x"}, "organizations": {"name": "x"}, "products": {"name": "x"}}
    record = hooked.truth.create(name, **fields.get(name, {}))
    hooked.truth.delete(name, record)
    hooked.truth.deliver_webhooks()
    assert receiver.metas("entity_id") == [str(record)] * 2
    assert receiver.metas("action") == ["create", "delete"]


def test_deactivated_user(hooked, receiver) -> None:
    """A user who is deactivated has changed, and is not deleted."""
    subscribe(hooked, receiver.url, event_object="user")
    user = hooked.truth.companies["main"].colleague
    hooked.truth.edit("users", user, active_flag=False)
    hooked.truth.deliver_webhooks()
    assert [body["meta"]["action"] for body in receiver.bodies] == ["change"]
    assert receiver.bodies[0]["previous"]["active_flag"] is True


def test_contract(hooked, receiver) -> None:
    """Statement 21: subscriptions, refusals and deliveries have the described form."""
    body = {"subscription_url": receiver.url, "event_action": "*", "event_object": "*", "name": "x"}
    made = hooked.post("/v1/webhooks", body).json()
    validate("pipedrive", V1, "POST", "/webhooks", 201, made, closed=True)
    listed = hooked.get("/v1/webhooks").json()
    validate("pipedrive", V1, "GET", "/webhooks", 200, listed, closed=True)
    refused = hooked.post("/v1/webhooks", {}).json()
    validate("pipedrive", V1, "POST", "/webhooks", 400, refused)
    missing = hooked.delete("/v1/webhooks/1").json()
    validate("pipedrive", V1, "DELETE", "/webhooks/{id}", 404, missing)
    deal = hooked.post("/api/v2/deals", {"title": "x"}).json()["data"]["id"]
    hooked.patch(f"/api/v2/deals/{deal}", {"title": "y"})
    hooked.delete(f"/api/v2/deals/{deal}")
    hooked.truth.deliver_webhooks()
    schema = json.loads(Path(contracts.FOLDER / "pipedrive/webhook-v2.schema.json").read_text())
    for message in receiver.bodies:
        jsonschema.validate(message, schema)
    assert len(receiver.bodies) == 3
