"""SOAP 1.1 envelopes: read without ever following a document type, written as text."""

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
PARTNER = "urn:partner.soap.sforce.com"
RECORDS = "urn:sobject.partner.soap.sforce.com"
FAULTS = "urn:fault.partner.soap.sforce.com"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# What XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnreadableEnvelopeError(Exception):
    """A body that is no SOAP envelope, or more than that."""


@dataclass(frozen=True)
class Call:
    """One SOAP call.

    Attributes:
        name: the operation, such as `query`.
        arguments: the texts below it by name.
        headers: per header, the texts below it by name.
    """

    name: str
    arguments: dict[str, str]
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def header(self, name: str, key: str) -> str:
        """Return one text of one header, or an empty one."""
        return self.headers.get(name, {}).get(key, "")


def read_call(body: bytes) -> Call:
    """Read the call in an envelope.

    Raises:
        UnreadableEnvelopeError: the body is not such XML, or it has a document type.
    """
    root = read_xml(body)
    content = root.find(f"{{{ENVELOPE}}}Body")
    if root.tag != f"{{{ENVELOPE}}}Envelope" or content is None or len(content) != 1:
        raise UnreadableEnvelopeError("a SOAP 1.1 envelope with one call in its body was expected")
    header = root.find(f"{{{ENVELOPE}}}Header")
    headers = {_local(one): _texts(one) for one in (header if header is not None else ())}
    return Call(_local(content[0]), _texts(content[0]), headers)


def read_xml(body: bytes) -> ET.Element:
    """Read XML in UTF-8 that declares no entities.

    Raises:
        UnreadableEnvelopeError: it is something else.
    """
    try:
        # As text, the encoding cannot be declared to be another one to hide a document type in.
        text = body.decode("utf-8-sig")
        if "<!DOCTYPE" in text:
            raise UnreadableEnvelopeError("a document type is not allowed")
        return ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (UnicodeDecodeError, ET.ParseError, ValueError) as problem:
        raise UnreadableEnvelopeError(f"not XML in UTF-8: {problem}") from problem


def written(content: str, header: str = "") -> bytes:
    """Return an envelope around a body and, where given, a header."""
    head = f"<soapenv:Header>{header}</soapenv:Header>" if header else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns="{PARTNER}" xmlns:sf="{RECORDS}" '
        f'xmlns:xsi="{_INSTANCE}">{head}<soapenv:Body>{content}</soapenv:Body></soapenv:Envelope>'
    ).encode()


def written_fault(code: str, message: str, kind: str, more: str = "") -> bytes:
    """Return an envelope with a fault: `sf:` stands for the namespace of faults here."""
    text = element("sf:exceptionCode", code) + element("sf:exceptionMessage", message) + more
    detail = f'<sf:{kind} xsi:type="sf:{kind}">{text}</sf:{kind}>'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sf="{FAULTS}" xmlns:xsi="{_INSTANCE}">'
        f"<soapenv:Body><soapenv:Fault>{element('faultcode', f'sf:{code}')}"
        f"{element('faultstring', f'{code}: {message}')}<detail>{detail}</detail>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    ).encode()


def element(name: str, value: str | None) -> str:
    """Return an element with a text, or with `xsi:nil` for none."""
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    return f"<{name}>{escape(_UNWRITABLE.sub('', value))}</{name}>"


def _local(one: ET.Element) -> str:
    return one.tag.rpartition("}")[2]


def _texts(one: ET.Element) -> dict[str, str]:
    return {_local(child): child.text or "" for child in one}
