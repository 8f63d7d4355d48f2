"""The coverage table is current: see `evidence.py` for how its facts are kept."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import requests

from crm_sandbox.coverage import TABLE, text_of
from crm_sandbox.operations import Operation, OperationTable, listed
from crm_sandbox.registry import find_vendors
from crm_sandbox_tests.contracts import described
from crm_sandbox_tests.evidence import HOW, Evidence, problems, read, write
from crm_sandbox_tests.fuzzing.descriptions import addresses
from crm_sandbox_tests.fuzzing.vendors import TARGETS

VENDORS = find_vendors()


def test_the_table_is_current() -> None:
    """The table in the docs is the one that code and evidence make."""
    assert TABLE.read_text(encoding="utf-8") == text_of(read()), f"to mend it: {HOW}"


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_described_and_not_built(vendor: str, pytestconfig) -> None:
    """Operations that a vendor describes and the sandbox has not are listed, all of them."""
    table = VENDORS[vendor].operations
    described("hubspot", "owners.v3.json")  # skips where no description is at hand
    known = addresses(vendor)
    found = sorted(f"{method} {path}" for method, path in known if table.find(method, path) is None)
    if pytestconfig.getoption("--write-coverage"):
        write(not_built=read()["not_built"] | {vendor: found})
    assert read()["not_built"][vendor] == found, f"to mend it: {HOW}"


UNKNOWN = {
    "hubspot": (404, b"<html>"),
    "hunter": (404, b"not_found"),
    "pipedrive": (404, b"Unknown method"),
    "prospeo": (404, b"NOT_FOUND"),
    "salesforce": (404, b"The requested resource does not exist"),
    "zoho": (404, b"INVALID_URL_PATTERN"),
}
FILLED = {"object": "Contact", "module": "Contacts", "objectType": "contacts"}
FILLED |= {
    "toObjectType": "companies",
    "fromObjectType": "contacts",
    "locator": "01g000000000001-1",
}
FILLED |= {"id": "003000000000001AAA", "relatedList": "Notes", "appId": "5900001"}


def path_of(vendor: str, template: str) -> str:
    """Return the address of an operation, with a version and names that lead to nothing."""
    path = re.sub(r"\{(\w+)\}", lambda found: FILLED.get(found[1], "7"), template)
    if vendor == "zoho":
        return re.sub("^/crm(/bulk)?", r"/crm\1/v8", path)
    return hubspot_path(path) if vendor == "hubspot" else path.replace("XX.X", "64.0")


def hubspot_path(path: str) -> str:
    area, _, rest = path[1:].partition("/")
    known = {
        "legacy-properties": f"/properties/v2/{rest}",
        "collector": "/collector/graphql",
        "limits": f"/crm/limits/2026-09/{rest}",
        "property-validations": f"/crm/property-validations/2026-09/{rest}",
        "communication-preferences": f"/communication-preferences/v4/{rest}",
        "oauth": f"/oauth/{'v3' if '/' in rest else 'v1'}/{rest}",
    }
    known["oauth"] = known["oauth"] if "tokens/" not in rest else f"/oauth/v1/{rest}"
    if path == "/oauth/authorize" or area == "export-files":
        return path
    roots = ("webhooks", "account-info")
    return known.get(area, f"/{area}/v3/{rest}" if area in roots else f"/crm/v3/{area}/{rest}")


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_listed_operation_is_answered(unlimited, vendor: str) -> None:
    """No address of a table is unknown to the vendor's code, and no method of it is refused there."""
    target, wrong = TARGETS[vendor], []
    headers = target.login(unlimited)
    with requests.Session() as http:
        for one in VENDORS[vendor].operations:
            # Nothing is there to be deleted or changed: every name and id is one that leads to nothing.
            path = path_of(vendor, one.template)
            url = f"{unlimited.url}/{vendor}{path}?hapikey=sandbox-developer-key"
            response = http.request(one.method, url, headers=headers, timeout=10)
            status, words = UNKNOWN[vendor]
            is_object = vendor == "salesforce" and "{" in one.template
            unknown = response.status_code == status and words in response.content and not is_object
            if (
                unknown
                or response.status_code == 405
                or b"INVALID_REQUEST_METHOD" in response.content
            ):
                wrong.append(f"{one}: {response.status_code} {response.text[:80]}")
    assert wrong == []


def test_tables() -> None:
    """A table finds the operation of a request, fixed words before names, and knows where nothing is."""
    table = OperationTable(
        listed("GET|PUT /a/{id}\nPOST /a/new\n\nheading"), lambda p: p.rstrip("/")
    )
    assert [str(one) for one in table] == ["POST /a/new", "GET /a/{id}", "PUT /a/{id}"]
    assert table.find("POST", "/A/new/") == Operation("/a/new", "POST")
    assert table.find("GET", "/a/new") == Operation("/a/{id}", "GET")
    assert table.find("DELETE", "/a/7") is None
    assert (table.leads_anywhere("/a/7"), table.leads_anywhere("/a/7/b")) == (True, False)


def test_what_a_run_shows_is_compared() -> None:
    """What is shown and not kept, kept and not shown by a whole file, or in no table, is named."""
    run = Evidence(file="a.py", client="a client")
    run.collected, run.passed = Counter({"a.py": 2, "b.py": 2}), Counter({"a.py": 2, "b.py": 1})
    run.asked("zoho", "GET", "/crm/v8/org", 200)
    run.asked("zoho", "GET", "/crm/v8/nothing/at/all/here", 200)
    run.asked("zoho", "GET", "/crm/v8/users", 404)
    run.compared("zoho", "post", "/crm/v8/coql")
    kept = {
        ("a.py", "compared", "zoho POST /crm/coql"),
        ("a.py", "compared", "zoho GET /crm/users"),
        ("b.py", "compared", "zoho GET /crm/org"),
    }
    assert problems(run, kept) == [
        "shown and not kept: a.py a client zoho GET /crm/org",
        "kept and not shown any more: a.py compared zoho GET /crm/users",
        "answered and in no table: zoho GET /crm/v8/nothing/at/all/here",
    ]
