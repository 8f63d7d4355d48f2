"""Statement 21: outbound messages."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.etree import ElementTree as ET

import pytest

OUT = "{http://soap.sforce.com/2005/09/outbound}"
LEAD = "{urn:sobject.enterprise.soap.sforce.com}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


class Receiver:
    """A receiver of outbound messages that answers as it is told."""

    def __init__(self) -> None:
        self.messages: list[ET.Element] = []
        self.ack, self.status = "true", 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append(ET.fromstring(body).find(f".//{OUT}notifications"))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(receiver.answer())

            def log_message(self, *args) -> None:
                """Write nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in?x=1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self) -> bytes:
        return (
            '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
            '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound">'
            f"<Ack>{self.ack}</Ack></notificationsResponse></e:Body></e:Envelope>"
        ).encode()

    @property
    def records(self) -> list[list[str]]:
        """The records' ids, per message."""
        return [
            [one.findtext(f".//{LEAD}Id") for one in message.findall(f"{OUT}Notification")]
            for message in self.messages
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def order(own, receiver, count: int = 3, **more) -> list[str]:
    ids = [row["Id"] for row in own.sandbox.salesforce.rows("Lead")[:count]]
    body = {"url": receiver.url, "name": "Lead", "records": ids, "fields": ["LastName"]} | more
    response = own.admin("/salesforce/send_outbound", body)
    assert response.status_code == 200, response.text
    return ids


def states(own) -> set[str]:
    listed = own.admin("/salesforce/outbound").json()["notifications"]
    return {one["state"] for one in listed}


def test_message(own, receiver) -> None:
    """Statement 21: one POST carries several notifications, shuffled, each with an id of its own and the
    record's fields, and the organization; it is not sent again once acknowledged."""
    ids = order(own, receiver, 8, with_session=True)
    (message,) = receiver.messages
    assert message.findtext(f"{OUT}OrganizationId") == own.sandbox.salesforce.org.organization_id
    assert message.findtext(f"{OUT}ActionId").startswith("04k")
    token = message.findtext(f"{OUT}SessionId")
    assert own.get("/limits", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    notifications = message.findall(f"{OUT}Notification")
    numbers = {one.findtext(f"{OUT}Id") for one in notifications}
    assert len(numbers) == 8
    assert {number[:3] for number in numbers} == {"04l"}
    assert {one.find(f"{OUT}sObject").get(TYPE) for one in notifications} == {"sf:Lead"}
    names = {row["Id"]: row["LastName"] for row in own.sandbox.salesforce.rows("Lead")}
    for one in notifications:
        assert one.findtext(f".//{LEAD}LastName") == names[one.findtext(f".//{LEAD}Id")]
    assert sorted(receiver.records[0]) == sorted(ids)
    assert receiver.records[0] != ids
    own.sandbox.clock.advance(3600)
    own.admin("/salesforce/deliver_outbound", {})
    assert len(receiver.messages) == 1
    assert states(own) == {"acknowledged"}


@pytest.mark.parametrize(
    ("ack", "status"), [("false", 200), ("<", 200), ("true", 500), ("true", 302)]
)
def test_until_acknowledged(own, receiver, ack: str, status: int) -> None:
    """Statement 21: what is not acknowledged comes again when it is due by the sandbox's clock, with the
    same notification ids and the record as it is then."""
    receiver.ack, receiver.status = ack, status
    (record,) = order(own, receiver, 1)
    own.admin("/salesforce/deliver_outbound", {})
    assert len(receiver.messages) == 1
    own.sandbox.salesforce.edit("Lead", record, LastName="Renamed")
    receiver.ack, receiver.status = "true", 200
    own.sandbox.clock.advance(15)
    own.admin("/salesforce/deliver_outbound", {})
    first, second = receiver.messages
    assert first.findtext(f".//{OUT}Notification/{OUT}Id") == second.findtext(
        f".//{OUT}Notification/{OUT}Id"
    )
    assert second.findtext(f".//{LEAD}LastName") == "Renamed"
    assert states(own) == {"acknowledged"}


def test_horizon(own, receiver) -> None:
    """Statement 21: after 24 hours the vendor gives up."""
    receiver.ack = "false"
    order(own, receiver)
    own.sandbox.clock.advance(86_400)
    own.admin("/salesforce/deliver_outbound", {})
    assert (len(receiver.messages), states(own)) == (2, {"pending"})
    own.sandbox.clock.advance(1)
    own.admin("/salesforce/deliver_outbound", {})
    assert (len(receiver.messages), states(own)) == (2, {"expired"})


def test_duplicates(own, receiver) -> None:
    """Statement 21: an acknowledged message can come again."""
    order(own, receiver, duplicates=2)
    assert len(receiver.messages) == 3
    assert receiver.records[0] == receiver.records[1] == receiver.records[2]


def test_foreign(own, receiver) -> None:
    """Statement 21: a message can claim to be from another organization."""
    order(own, receiver, foreign=True)
    claimed = receiver.messages[0].findtext(f"{OUT}OrganizationId")
    assert claimed.startswith("00D")
    assert claimed != own.sandbox.salesforce.org.organization_id


def test_hundred_in_a_message(own, receiver) -> None:
    """A message carries at most a hundred notifications."""
    ids = [own.sandbox.salesforce.rows("Lead")[0]["Id"]] * 150
    order(own, receiver, records=ids)
    assert [len(one) for one in receiver.records] == [100, 50]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://example.com/x"}, "localhost only"),
        ({"url": "ftp://127.0.0.1/x"}, "localhost only"),
        ({"url": "http://127.0.0.1.example.com/x"}, "localhost only"),
        ({"fields": ["Nope"]}, "unknown field 'Nope' of Lead"),
        ({"name": "Nope"}, "unknown object 'Nope'"),
    ],
)
def test_refused(client, change: dict, words: str) -> None:
    """Messages go to this machine only, and an order that makes no sense is refused with a sentence."""
    body = {"url": "http://127.0.0.1:9/x", "name": "Lead", "records": []} | change
    response = client.admin("/salesforce/send_outbound", body)
    assert response.status_code == 400
    assert words in response.json()["error"]
