"""SOAP answers, and REST answers that SOAP has too, against the partner WSDL beside the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce import soap
from crm_sandbox_tests.conftest import NOW, Client
from crm_sandbox_tests.contracts import Difference
from crm_sandbox_tests.evidence import EVIDENCE_OF_RUN
from crm_sandbox_tests.recordings import known, refuse
from crm_sandbox_tests.salesforce.test_soap import login, oauth_token, send, session
from crm_sandbox_tests.wsdl import Wsdl

WIDE = (
    "SELECT Id, Name, Account.Name, MailingAddress, Birthdate, DoNotCall, CreatedDate FROM Contact"
)
WINDOW = "start=2026-10-20T00:00:00Z&end=2026-11-01T12:00:00Z"
DIFFERENT_DOORS = "REST has `urls` in place of the three, and since v58.0 keys that v51.0 had not"
SOAP_ONLY = ("idEnabled", "urlDetail", "urlEdit", "urlNew")
REST_ONLY = (
    *("extendedBy", "extendsInterfaces", "listviewable", "lookupLayoutable", "urls"),
    *("sobjectDescribeOption", "recordTypeInfos[*].urls"),
)


@pytest.fixture(scope="module")
def org() -> Iterator[Client]:
    """A client of an org that the tests of this file write to."""
    with SandboxServer(contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW)) as running:
        client = Client(running, version="64.0")
        yield client
        client.close()


@pytest.fixture(scope="module")
def wsdl(tmp_path_factory: pytest.TempPathFactory) -> Wsdl:
    return Wsdl(tmp_path_factory.mktemp("wsdl"))


def asked(org: Client, call: str, argument: str, text: str, **more: int) -> bytes:
    body = f"<{call}><{argument}>{text}</{argument}></{call}>"
    return send(org, body, session(oauth_token(org), **more)).content


def test_answers(org, wsdl) -> None:
    """A login, queries with compound fields and parents, and later pages are what the WSDL declares."""
    assert wsdl.check(login(org).content) == ["loginResponse"]
    for call in ("query", "queryAll"):
        answer = asked(org, call, "queryString", f"{WIDE} LIMIT 9")
        assert wsdl.check(answer) == ["LimitInfoHeader", f"{call}Response"]
    records = [{"attributes": {"type": "Product2"}, "Name": f"p{k}"} for k in range(200)]
    made = org.http.post(f"{org.base}/composite/sobjects", json={"records": records})
    assert all(one["success"] for one in made.json())
    first = asked(org, "query", "queryString", "SELECT Id FROM Product2", batch=200)
    found = re.search(rb"<queryLocator>([^<]+)", first)
    assert found is not None
    later = asked(org, "queryMore", "queryLocator", found[1].decode())
    assert wsdl.check(later) == ["LimitInfoHeader", "queryMoreResponse"]
    url = re.search(rb"<serverUrl>([^<]+)", login(org).content)
    assert url is not None
    for path in ("/services/Soap/u/64.0", url[1].decode().removeprefix(org.root)):
        token = session(oauth_token(org))
        call = f"<query><queryString>{WIDE}</queryString></query>"
        wsdl.check(send(org, call, token, path=path).content)
        EVIDENCE_OF_RUN.compared("salesforce", "POST", path)


@pytest.mark.parametrize(
    ("call", "argument", "text"),
    [
        ("query", "queryString", "SELECT"),
        ("query", "queryString", "SELECT Nope FROM User"),
        ("query", "queryString", "SELECT Id FROM Nope"),
        ("queryMore", "queryLocator", "01g-1"),
        ("dance", "step", "1"),
    ],
)
def test_faults(org, wsdl, call: str, argument: str, text: str) -> None:
    """Each kind of fault is declared in the WSDL, with its code."""
    [name] = wsdl.check(asked(org, call, argument, text))
    assert name.endswith("Fault")


def test_other_faults(org, wsdl) -> None:
    """A wrong password, a dead session and a body that cannot be read are faults of the WSDL, too."""
    assert wsdl.check(login(org, "wrong").content) == ["LoginFault"]
    call = "<query><queryString>SELECT Id FROM User</queryString></query>"
    assert wsdl.check(send(org, call, session("00D!x")).content) == ["UnexpectedErrorFault"]
    assert wsdl.check(send(org, "").content) == ["UnexpectedErrorFault"]


@pytest.mark.parametrize(
    ("path", "type_name", "names"),
    [
        ("/sobjects", "DescribeGlobalResult", ("sobjects[*].idEnabled", "sobjects[*].urls")),
        ("/sobjects/Lead/describe", "DescribeSObjectResult", (*SOAP_ONLY, *REST_ONLY)),
        (f"/sobjects/Contact/updated/?{WINDOW}", "GetUpdatedResult", ()),
        (f"/sobjects/Contact/deleted/?{WINDOW}", "GetDeletedResult", ()),
    ],
)
def test_shared_structures(org, wsdl, path: str, type_name: str, names: tuple[str, ...]) -> None:
    """Lists of objects, descriptions, and what was touched or deleted have the WSDL's names and types."""
    if "deleted" in path:
        row = org.sandbox.salesforce.rows("Contact")[-1]
        assert org.http.delete(f"{org.base}/sobjects/Contact/{row['Id']}").status_code == 204
        org.sandbox.clock.advance(120)
    body = org.get(path).json()
    assert any(body.values())
    known_ones = known(DIFFERENT_DOORS, *(f"$.{name}" for name in names))
    found = dict(wsdl.differences(type_name, body))
    refuse(f"GET {path}", found, [known_ones] if names else [])
    EVIDENCE_OF_RUN.compared("salesforce", "GET", f"/services/data/v64.0{path.partition('?')[0]}")


def test_the_head_of_an_object(org, wsdl) -> None:
    """What is said of one object beside its records has the WSDL's names and types."""
    head = org.get("/sobjects/Contact").json()["objectDescribe"]
    only_there = known(DIFFERENT_DOORS, "$.idEnabled", "$.urls")
    found = dict(wsdl.differences("DescribeGlobalSObjectResult", head))
    refuse("GET /sobjects/Contact", found, [only_there])
    EVIDENCE_OF_RUN.compared("salesforce", "GET", "/services/data/v64.0/sobjects/Contact")


def test_planted_differences(org, wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees an element that is missing or in another place, a type, and an unknown code."""
    body = org.get("/sobjects/Lead/describe").json()
    del body["fields"][3]["nillable"]
    body["childRelationships"][0]["field"] = 7
    found = dict(wsdl.differences("DescribeSObjectResult", body))
    assert found["$.fields[*].nillable"] == "the key is missing"
    assert found["$.childRelationships[*].field"] == "7 where the WSDL has xsd:string"
    monkeypatch.setattr(soap, "_ADDRESS_ORDER", soap._ADDRESS_ORDER[::-1])
    with pytest.raises(Difference, match=r"street.* not expected"):
        wsdl.check(asked(org, "query", "queryString", WIDE))
    answer = asked(org, "query", "queryString", "SELECT Id FROM User LIMIT 1")
    with pytest.raises(Difference, match="'one' is not a valid value"):
        wsdl.check(answer.replace(b"<size>1<", b"<size>one<"))
    fault = asked(org, "query", "queryString", "SELECT")
    with pytest.raises(Difference, match="NEVER_HEARD"):
        wsdl.check(fault.replace(b"Code>MALFORMED_QUERY", b"Code>NEVER_HEARD"))
