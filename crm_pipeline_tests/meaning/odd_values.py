"""Addresses, numbers and countries that real fields hold and the sandbox's people do not write.

They are put into the first contacts of each CRM before it is read, so that they come through the vendors' own JSON.
"""

import re
from collections.abc import Mapping
from typing import Any

from crm_sandbox.server import SandboxServer
from crm_sandbox.vendor_sandbox import VendorSandbox

EMAILS = (
    "Ann Lee <ann.lee@gmail.com>",
    "bob@orange.fr; carl@web.de, eve@web.de",
    "mallory@web.de, not known",
    "POSTMASTER@web.de",
    "x@localhost",
    "jane@host.local",
    "jane@bücher.de",
    "ünïcode@web.de",
    '"in quotes"@web.de',
    " spaced @ web.de ",
    "kim@web.de (old)",
    "kim@sub.mailinator.com",
    "kim+tag@gmail.com",
    "info+spring@web.de",
    "kim@b",
    "kim@web.invalidtld",
    "пример@почта.рф",
    "kim@g\u043e\u043egle.com",
    "kim@gmaill.com",
    "lost\ufffd@web.de",
    "noemail",
    "kim@example.org",
)
"""Display names, several in one field, international ones, slips of all kinds."""
PHONES = (
    ("+49 30 1234567 ext. 12", "Deutschland"),
    ("0171 1234567; 030 76543210", "DE"),
    ("1-800-FLOWERS", "USA"),
    ("+1 900 555 1234", "US"),
    ("555-0100", "United States"),
    ("+44 7700 900123", "UK"),
    ("0000000", "Україна"),
    ("12345678901234567890", "FRANCE"),
    ("call me", "us"),
    ("+999 123456", "Alemania"),
    ("020 7946 0958", "Reino Unido"),
    ("03-1234-5678", "日本"),
    ("011 4321 5678", "Argentinien"),
    ("0221 1234567", "Atlantis"),
    ("044 668 18 00", "Suisse"),
    ("212-555-2368", None),
    ("(٠٣٠) ١٢٣٤٥٦٧٨", "Germany"),
    ("+1 (650) 253-0000", "Unknown"),
    ("0900 1234567", "Niederlande"),
    ("1234567", "Germany"),
    ("123456789", "USA"),
    ("+4930123456 x7", "Canada"),
)
"""With a country as people write it; None leaves the field empty."""
_FIELDS: Mapping[str, tuple[str, str, str, str]] = {
    "salesforce": ("Contact", "Email", "Phone", "MailingCountry"),
    "hubspot": ("contacts", "email", "phone", "country"),
    "zoho": ("Contacts", "Email", "Phone", "Mailing_Country"),
}


def plant(server: SandboxServer, vendor: str, account: str) -> None:
    """Put the values into contacts of an account; their times of change stay."""
    sandbox = VendorSandbox(server, vendor, account)
    obj = "persons" if vendor == "pipedrive" else _FIELDS[vendor][0]
    for number, record in enumerate(sandbox.rows(obj, limit=max(len(EMAILS), len(PHONES)))):
        key = record["Id" if vendor == "salesforce" else "id"]
        email, (phone, country) = EMAILS[number % len(EMAILS)], PHONES[number % len(PHONES)]
        fields = _fields(vendor, email, phone, country)
        if vendor == "hubspot" and re.search(r"[;\s]", email):
            del fields["email"]  # HubSpot takes nothing but one address
        sandbox.admin("formula_change", name=obj, record=key, fields=fields)


def _fields(vendor: str, email: str, phone: str, country: str | None) -> dict[str, Any]:
    if vendor == "pipedrive":
        mobile = {"value": phone, "primary": True, "label": "mobile"}
        work = {"value": "+4930123456", "primary": False, "label": "work"}
        mail = {"value": email, "primary": True, "label": "work"}
        return {"emails": [mail], "phones": [work, mobile]}
    _, of_email, of_phone, of_country = _FIELDS[vendor]
    return {of_email: email, of_phone: phone, of_country: country}
