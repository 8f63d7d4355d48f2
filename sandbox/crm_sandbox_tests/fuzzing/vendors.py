"""What the fuzzer knows of each vendor: how to log in, which names mean something, what a refusal is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from crm_sandbox import SandboxServer
from crm_sandbox.hubspot import credentials as hubspot_credentials
from crm_sandbox.hunter import vendor as hunter_vendor
from crm_sandbox.pipedrive import credentials as pipedrive_credentials
from crm_sandbox.prospeo import credentials as prospeo_credentials
from crm_sandbox.prospeo import vendor as prospeo_vendor
from crm_sandbox.zoho.scopes import ALL_SCOPES
from crm_sandbox_tests.fuzzing.descriptions import Operation
from crm_sandbox_tests.fuzzing.draws import Draw
from crm_sandbox_tests.fuzzing.examples import (
    COQL,
    HUBSPOT_BODIES,
    HUBSPOT_MORE,
    LIVING,
    PIPEDRIVE_BODIES,
    PROSPEO_BODIES,
    SALESFORCE_BODIES,
    SALESFORCE_MORE,
    SOQL,
    ZOHO_BODIES,
    operation,
)

Ids = Mapping[str, Sequence[str]]
_NOBODY = ("0", "1", "99999999999", "x")


@dataclass(frozen=True)
class Target:
    """One vendor as a target.

    Attributes:
        names: values by the ending of a name; `""` for texts of any name.
        objects: which objects' ids are fetched.
    """

    vendor: str
    names: Mapping[str, Sequence[Any]]
    objects: tuple[str, ...]
    headers: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        return f"/{self.vendor}"

    def emulation(self, sandbox: SandboxServer) -> Any:
        return sandbox.emulations[self.vendor]

    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        """Return the headers of a caller who may do everything, as often as they like."""
        raise NotImplementedError

    def ids(self, sandbox: SandboxServer) -> Ids:
        """Return ids of living records, by object."""
        emulation = self.emulation(sandbox)
        return {
            name: [str(row.get("id") or row.get("Id")) for row in emulation.rows(name, limit=3)]
            for name in self.objects
        }

    def part(self, draw: Draw, name: str, ids: Ids) -> str:
        """Return what stands in a path for a name in braces."""
        if draw.one_in(8):
            return draw.text(name) or "x"
        lowered = name.lower()
        if "id" in lowered and "type" not in lowered:
            every = [one for some in ids.values() for one in some]
            return str(draw.random.choice([*every, *_NOBODY]))
        return draw.known(name) or "x"

    def always(self, operation: Operation) -> tuple[tuple[str, str], ...]:
        """Return parameters of the query string without which an operation lets nobody in."""
        return ()

    def more(self) -> tuple[Operation, ...]:
        """Return operations that are emulated and stand in none of the descriptions."""
        return ()

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        """Return bodies by the ending of a path, where the description does not lead to good ones."""
        return {}

    def example(self, draw: Draw, operation: Operation, ids: Ids) -> Any:
        """Return a body that the operation takes, now and then, or nothing."""
        ending = operation.template.endswith
        known = next((some for key, some in self.bodies().items() if ending(key)), None)
        if known is None or operation.method == "GET" or draw.one_in(4):
            return None
        every = [one for some in ids.values() for one in some]
        return _filled(deepcopy(draw.random.choice(known)), lambda: draw.random.choice(every))

    def is_refusal(self, status: int, body: Any) -> bool:
        """Say whether a JSON body has the vendor's form of a refusal."""
        raise NotImplementedError

    def is_fault(self, status: int, kind: str, body: bytes) -> bool:
        """Say whether an answer of 500 or more is how the vendor's protocol refuses."""
        return False


class _HubSpot(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        many = dict.fromkeys(("private", "search", "associations"), 10**9)
        self.emulation(sandbox).set_limits(**many)
        return {"Authorization": f"Bearer {hubspot_credentials.MAIN.token}"}

    def always(self, operation: Operation) -> tuple[tuple[str, str], ...]:
        is_setting = "webhooks" in operation.template
        return (("hapikey", hubspot_credentials.DEVELOPER_KEY),) if is_setting else ()

    def part(self, draw: Draw, name: str, ids: Ids) -> str:
        if name == "appId":
            return str(hubspot_credentials.APP_ID)
        return super().part(draw, name, ids)

    def more(self) -> tuple[Operation, ...]:
        return tuple(operation(*one) for one in HUBSPOT_MORE)

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        return HUBSPOT_BODIES

    def is_refusal(self, status: int, body: Any) -> bool:
        is_plain = isinstance(body, dict) and isinstance(body.get("message"), str)
        return is_plain and "status" in body and ("category" in body or "error" in body)


class _Pipedrive(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        self.emulation(sandbox).set_limits(api_token=10**9, search=10**9)
        return {"x-api-token": pipedrive_credentials.ACCOUNTS["main"].api_token}

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        return PIPEDRIVE_BODIES

    def is_refusal(self, status: int, body: Any) -> bool:
        return isinstance(body, dict) and (body.get("success") is False or "errors" in body)


class _Zoho(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        emulation = self.emulation(sandbox)
        emulation.set_token_limits(requests=10**9, most_access=10**9)
        emulation.set_credits(total=10**12, used=0)
        token = emulation.grants.issue("main", ALL_SCOPES).token
        org = emulation.apis["main"].org.org_id
        return {
            "Authorization": f"Zoho-oauthtoken {token}",
            "X-CRM-ORG": org,
            "feature": "bulk-write",
        }

    def part(self, draw: Draw, name: str, ids: Ids) -> str:
        if "module" in name.lower() and not draw.one_in(8):
            return draw.known("module")
        return super().part(draw, name, ids)

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        return ZOHO_BODIES

    def is_refusal(self, status: int, body: Any) -> bool:
        if not isinstance(body, dict):
            return False
        if {"code", "details", "message", "status"} <= set(body):
            return True
        listed = [one for one in body.values() if isinstance(one, list)]
        return bool(listed) or "error" in body


class _Salesforce(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        emulation = self.emulation(sandbox)
        emulation.set_bulk(polls=0)
        emulation.set_daily_limit(10**9, 0)
        return {"Authorization": f"Bearer {emulation.sessions.issue().token}"}

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        return SALESFORCE_BODIES

    def more(self) -> tuple[Operation, ...]:
        return tuple(operation(*one) for one in SALESFORCE_MORE)

    def is_fault(self, status: int, kind: str, body: bytes) -> bool:
        return status == 500 and kind.startswith("text/xml") and b"<soapenv:Fault>" in body

    def is_refusal(self, status: int, body: Any) -> bool:
        if isinstance(body, dict):
            return "error" in body
        entries = body if isinstance(body, list) else [None]
        return all(
            isinstance(one, dict) and {"message", "errorCode"} <= set(one) for one in entries
        )


class _Prospeo(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        many = [10**9] * 3
        self.emulation(sandbox).set_limits(enrich=many, search=many)
        self.emulation(sandbox).set_credits(remaining=10**9)
        return {"X-KEY": prospeo_credentials.API_KEY}

    def more(self) -> tuple[Operation, ...]:
        return tuple(operation(one.method, one.template) for one in prospeo_vendor.operations)

    def bodies(self) -> Mapping[str, Sequence[Any]]:
        return PROSPEO_BODIES

    def is_refusal(self, status: int, body: Any) -> bool:
        return isinstance(body, dict) and body.get("error") is True and "error_code" in body


class _Hunter(Target):
    def login(self, sandbox: SandboxServer) -> dict[str, str]:
        emulation = self.emulation(sandbox)
        emulation.set_account(verifications=10**9)
        for window in emulation.windows:
            window.calls = 10**9
        return {"X-API-KEY": hunter_vendor.credentials("", "main")["api_key"]}

    def more(self) -> tuple[Operation, ...]:
        return (Operation("GET", "/v2/email-verifier", {"email": {}}, "", {}, {}),)

    def is_refusal(self, status: int, body: Any) -> bool:
        errors = body.get("errors") if isinstance(body, dict) else None
        return bool(errors) and all({"id", "code", "details"} <= set(one) for one in errors)


def _filled(value: Any, living: Callable[[], str]) -> Any:
    """Put living records in the place of what stands for one."""
    if isinstance(value, dict):
        return {key: _filled(one, living) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, living) for one in value]
    return living() if value == LIVING else value


HUBSPOT = _HubSpot(
    "hubspot",
    {
        "objecttype": ("contacts", "companies", "deals", "tickets", "quotes", "0-1", "machines"),
        "objecttypeid": ("contacts", "0-3", "0-5"),
        "propertyname": ("email", "lastname", "amount", "hs_object_id", "createdate", "dealstage"),
        "idproperty": ("email", "hs_object_id", ""),
        "operator": ("EQ", "IN", "BETWEEN", "GT", "HAS_PROPERTY", "CONTAINS_TOKEN"),
        "associationcategory": ("HUBSPOT_DEFINED", "USER_DEFINED"),
        "associations": ("companies", "deals", "contacts", "x"),
        "properties": ("email", "lastname,city", "amount"),
        "withhistory": ("email", "city,lastname"),
        "archived": ("true", "false"),
        "limit": ("1", "5", "100"),
        "after": ("0", "1", "5"),
        "emailaddress": ("a@b.example", "x"),
        "subscriberidstring": ("a@b.example",),
        "channel": ("EMAIL",),
        "key": ("email", "lastname", "amount", "x", "createdate", "hs_email_optout", "closedate"),
        "value": ("x", "1", "true", "1893456000000", "9" * 14, "2026-01-31", "a@b.example"),
        "id": (*_NOBODY, "1", "2", "5"),
        "": ("x", "email", "a@b.example", "1", "default", "EMAIL", "contacts"),
    },
    ("contacts", "companies", "deals", "quotes"),
)
PIPEDRIVE = _Pipedrive(
    "pipedrive",
    {
        "limit": ("1", "5", "500"),
        "ids": ("1,2,3", "1"),
        "sort_by": ("id", "update_time", "add_time"),
        "include_fields": ("activities_count", "next_activity_id"),
        "since": ("2026-01-01T00:00:00Z",),
        "until": ("2026-01-01T00:00:00Z",),
        "status": ("open", "won", "deleted"),
        "term": ("an", "sea"),
        "id": (*_NOBODY, "2", "3", "41"),
        "": ("x", "1", "open", "EUR", "a@b.example", "2026-01-01"),
    },
    ("deals", "persons", "organizations", "leads", "products"),
)
ZOHO = _Zoho(
    "zoho",
    {
        "module": ("Contacts", "Leads", "Deals", "Tasks", "Quotes", "Users", "Notes"),
        "relatedlist": ("Notes", "Stage_History", "Deals", "Contacts"),
        "related_list_api_name": ("Notes", "Stage_History", "Deals", "Contacts"),
        "fields": ("Last_Name,Email", "id", "Owner"),
        "select_query": COQL,
        "api_name": ("Contacts", "Last_Name", "Email", "Leads"),
        "per_page": ("1", "5", "200"),
        "page": ("1", "2", "11"),
        "criteria": ("(Last_Name:equals:x)", "((Email:starts_with:a)and(Visits:greater_than:3))"),
        "type": ("all", "AllUsers", "unused", "recycle", "CurrentUser"),
        "converted": ("true", "false", "both"),
        "uri": ("/crm/v8/Contacts", "/crm/v8/org"),
        "key": ("Last_Name", "Email", "Visits", "Account_Name", "Owner", "Created_Time", "Tag"),
        "id": (*_NOBODY, "5725767000000000001"),
        "": ("x", "Last_Name", "Contacts", "1", "a@b.example", "insert", "equal", "Contacts.all"),
    },
    ("Contacts", "Leads", "Deals", "Tasks"),
    ("If-Modified-Since", "If-Unmodified-Since", "X-EXTERNAL", "X-CRM-ORG", "Content-Type"),
)
SALESFORCE = _Salesforce(
    "salesforce",
    {
        "sobject_api_name": ("Contact", "Account", "Lead", "Opportunity", "Task", "User"),
        "sobjecttype": ("Contact", "Account"),
        "field_name": ("Id", "External_Id__c", "Email"),
        "field_value": ("x", "1"),
        "q": SOQL,
        "query": SOQL,
        "moment": ("2026-10-30T00:00:00+00:00", "2026-11-01T10:00:00Z", "0001-01-01T00:00:00Z"),
        "number": ("1", "100"),
        "locator": ("", "x", "MTAw"),
        "ids": ("x", "003000000000000AAA"),
        "fields": ("Id,Name", "Email"),
        "object": ("Contact", "Lead"),
        "key": ("LastName", "Email", "AccountId", "Birthdate", "x"),
        "id": (*_NOBODY, "003000000000000AAA"),
        "": ("x", "Contact", "query", "insert", "CSV", "COMMA", "LF", "Id", "2026-01-01T00:00:00Z"),
    },
    ("Contact", "Account", "Lead"),
    ("If-Modified-Since", "If-Unmodified-Since", "Sforce-Query-Options", "Content-Type"),
)
PROSPEO = _Prospeo("prospeo", {"": ("x", "a@b.example")}, ("people",))
HUNTER = _Hunter("hunter", {"": ("info@x.example", "a@gmail.com", "x")}, ())
TARGETS: Mapping[str, Target] = {
    one.vendor: one for one in (HUBSPOT, PIPEDRIVE, ZOHO, SALESFORCE, PROSPEO, HUNTER)
}
