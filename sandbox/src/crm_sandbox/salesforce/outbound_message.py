"""One outbound message: its XML, its way to a local receiver, and the receiver's Ack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crm_sandbox.kernel.receivers import post
from crm_sandbox.salesforce.envelope import (
    ENVELOPE,
    UnreadableEnvelopeError,
    element,
    read_xml,
)

_OUTBOUND = "http://soap.sforce.com/2005/09/outbound"
_ENTERPRISE = "urn:sobject.enterprise.soap.sforce.com"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_LOCAL = frozenset({"127.0.0.1", "localhost"})
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Receiver:
    """Where messages go: an address on this machine and nowhere else.

    Attributes:
        url: http or https, with 127.0.0.1 or localhost as its host.
        ca_file: who signed the receiver's certificate; by default the system decides.
    """

    url: str
    ca_file: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or parts.hostname not in _LOCAL:
            raise ValueError(
                f"outbound messages go to http(s)://127.0.0.1 or localhost only, not '{self.url}'"
            )

    def post(self, body: bytes) -> bool:
        """Send one message and tell whether the receiver acknowledged it; redirects are not followed."""
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        reply = post(self.url, body, headers, timeout_s=_TIMEOUT_S, ca_file=self.ca_file)
        # To the vendor a receiver that cannot be reached is one that did not acknowledge.
        return reply is not None and reply.status == 200 and _acknowledges(reply.body)


@dataclass(frozen=True)
class Header:
    """What every message of an order says about its sender."""

    organization: str
    action: str
    session: str | None
    enterprise_url: str
    partner_url: str


def message_xml(header: Header, name: str, notified: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
    """Return a message.

    Args:
        header: the sender.
        name: the object.
        notified: per notification its id and the record as it is now, with `Id`.
    """
    notifications = "".join(
        f"<Notification>{element('Id', number)}"
        f'<sObject xsi:type="sf:{name}" xmlns:sf="{_ENTERPRISE}">{_fields_xml(record)}</sObject>'
        "</Notification>"
        for number, record in notified
    )
    head = (
        element("OrganizationId", header.organization)
        + element("ActionId", header.action)
        + element("SessionId", header.session)
        + element("EnterpriseUrl", header.enterprise_url)
        + element("PartnerUrl", header.partner_url)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:xsi="{_INSTANCE}"><soapenv:Body>'
        f'<notifications xmlns="{_OUTBOUND}">{head}{notifications}</notifications>'
        "</soapenv:Body></soapenv:Envelope>"
    ).encode()


def _fields_xml(record: dict[str, Any]) -> str:
    # Fields without a value are left out.
    given = {name: value for name, value in record.items() if value is not None}
    return "".join(element(f"sf:{name}", _text(value)) for name, value in given.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _acknowledges(body: bytes) -> bool:
    try:
        root = read_xml(body)
    except UnreadableEnvelopeError:
        return False
    found = [one.text or "" for one in root.iter(f"{{{_OUTBOUND}}}Ack")]
    return bool(found) and all(text.strip() == "true" for text in found)
