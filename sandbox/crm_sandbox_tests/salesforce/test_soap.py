"""Statement 20: the SOAP partner API."""

from xml.etree import ElementTree as ET

import pytest
import requests

from crm_sandbox.salesforce import credentials

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
PARTNER = "{urn:partner.soap.sforce.com}"
RECORD = "{urn:sobject.partner.soap.sforce.com}"
FAULT = "{urn:fault.partner.soap.sforce.com}"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def send(
    own, call: str, header: str = "", version: str = "64.0", path: str = ""
) -> requests.Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns="urn:partner.soap.sforce.com"><env:Header>{header}</env:Header>'
        f"<env:Body>{call}</env:Body></env:Envelope>"
    )
    return requests.post(
        f"{own.root}{path or f'/services/Soap/u/{version}'}",
        data=body.encode(),
        headers={"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'},
    )


def session(token: str, batch: int = 0) -> str:
    header = f"<SessionHeader><sessionId>{token}</sessionId></SessionHeader>"
    options = f"<QueryOptions><batchSize>{batch}</batchSize></QueryOptions>"
    return header + (options if batch else "")


def oauth_token(own) -> str:
    return own.http.headers["Authorization"].removeprefix("Bearer ")


def login(own, password: str = credentials.PASSWORD, **more) -> requests.Response:
    user = f"<username>{credentials.USERNAME}</username><password>{password}</password>"
    return send(own, f"<login>{user}</login>", **more)


def fault_of(response: requests.Response) -> tuple[int, str, str]:
    fault = ET.fromstring(response.content).find(f"{SOAP}Body/{SOAP}Fault")
    detail = fault.find("detail")[0]
    return (
        response.status_code,
        str(fault.findtext("faultcode")),
        str(detail.tag).removeprefix(FAULT),
    )


def test_login(own) -> None:
    """Statement 20: login gives a session that works in SOAP and in REST, and says where the API is."""
    root = ET.fromstring(login(own).content)
    result = root.find(f"{SOAP}Body/{PARTNER}loginResponse/{PARTNER}result")
    values = {one.tag.removeprefix(PARTNER): one.text for one in result}
    assert values["serverUrl"].startswith(f"{own.root}/services/Soap/u/64.0/00D")
    assert values["userId"] == own.sandbox.salesforce.org.user_id
    info = {one.tag.removeprefix(PARTNER): one.text for one in result.find(f"{PARTNER}userInfo")}
    assert info["organizationId"] == own.sandbox.salesforce.org.organization_id
    assert info["sessionSecondsValid"] == "7200"
    response = own.get("/limits", headers={"Authorization": f"Bearer {values['sessionId']}"})
    assert response.status_code == 200
    call = "<query><queryString>SELECT Id FROM User LIMIT 1</queryString></query>"
    assert send(own, call, session(values["sessionId"])).status_code == 200


def test_login_refused(own) -> None:
    """Statement 20: a wrong password is a LoginFault with HTTP 500."""
    assert fault_of(login(own, "wrong")) == (500, "sf:INVALID_LOGIN", "LoginFault")


def test_login_ends(own) -> None:
    """Statement 4: login is refused for v65.0 and newer, and for every version from Summer '27 on."""
    gone = (500, "sf:UNSUPPORTED_API_VERSION", "UnexpectedErrorFault")
    assert login(own, version="64.0").status_code == 200
    assert fault_of(login(own, version="65.0")) == gone
    own.admin("/clock", {"fixed": "2027-06-01T00:00:00+00:00"})
    assert fault_of(login(own, version="64.0")) == gone
    token = own.token(grant_type="client_credentials").json()["access_token"]
    call = "<query><queryString>SELECT Id FROM User LIMIT 1</queryString></query>"
    assert send(own, call, session(token)).status_code == 200


def test_query(own) -> None:
    """Statement 20: an OAuth token opens the query; each record has its type, its Id twice, texts, and
    xsi:nil for null; the header counts calls."""
    row = own.sandbox.salesforce.rows("Contact")[0]
    own.sandbox.salesforce.edit("Contact", row["Id"], Title=None, Department="R&D <x>")
    soql = (
        "SELECT Id, LastName, Title, Department, Visits__c, DoNotCall, SystemModstamp, Account.Name "
        f"FROM Contact WHERE Id = '{row['Id']}'"
    )
    call = f"<query><queryString>{soql}</queryString></query>"
    response = send(own, call, session(oauth_token(own)), version="66.0")
    assert response.headers["Content-Type"].startswith("text/xml")
    root = ET.fromstring(response.content)
    info = root.find(f"{SOAP}Header/{PARTNER}LimitInfoHeader/{PARTNER}limitInfo")
    assert {one.tag.removeprefix(PARTNER): one.text for one in info} == {
        "current": str(own.sandbox.salesforce.usage.used),
        "limit": "100000",
        "type": "API REQUESTS",
    }
    result = root.find(f"{SOAP}Body/{PARTNER}queryResponse/{PARTNER}result")
    assert result.findtext(f"{PARTNER}done") == "true"
    assert result.find(f"{PARTNER}queryLocator").get(NIL) == "true"
    assert result.findtext(f"{PARTNER}size") == "1"
    record = result.find(f"{PARTNER}records")
    names = [one.tag.removeprefix(RECORD) for one in record]
    assert names[:3] == ["type", "Id", "Id"]
    assert {one.text for one in record.findall(f"{RECORD}Id")} == {row["Id"]}
    assert record.find(f"{RECORD}Title").get(NIL) == "true"
    assert record.findtext(f"{RECORD}Department") == "R&D <x>"
    assert record.findtext(f"{RECORD}Visits__c") == str(row["Visits__c"])
    assert record.findtext(f"{RECORD}DoNotCall") == str(row["DoNotCall"]).lower()
    assert record.findtext(f"{RECORD}SystemModstamp") == "2026-11-01T12:00:00.000Z"
    parent = record.find(f"{RECORD}Account")
    assert parent.find(f"{RECORD}Id").get(NIL) == "true"
    assert parent.findtext(f"{RECORD}Name")


def test_query_more(own) -> None:
    """Statement 20: queryMore follows the locator to the end; queryAll keeps the deleted rows."""
    sales = own.sandbox.salesforce
    for k in range(250):
        sales.create("Product2", Name=f"p{k}")
    token, seen, size = oauth_token(own), [], 0
    call = "<queryAll><queryString>SELECT Id FROM Product2</queryString></queryAll>"
    name = "queryAllResponse"
    sales.delete("Product2", sales.rows("Product2")[0]["Id"])
    while call:
        root = ET.fromstring(send(own, call, session(token, 200)).content)
        result = root.find(f"{SOAP}Body/{PARTNER}{name}/{PARTNER}result")
        seen += [one.findtext(f"{RECORD}Id") for one in result.findall(f"{PARTNER}records")]
        size = int(result.findtext(f"{PARTNER}size"))
        locator = result.findtext(f"{PARTNER}queryLocator")
        assert (result.findtext(f"{PARTNER}done") == "false") is bool(locator)
        call = f"<queryMore><queryLocator>{locator}</queryLocator></queryMore>" if locator else ""
        name = "queryMoreResponse"
    assert size == len(seen) == len(set(seen)) == sales.count("Product2", include_deleted=True)
    assert size == sales.count("Product2") + 1


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        (
            "query><queryString>SELECT</queryString></query",
            "MALFORMED_QUERY",
            "MalformedQueryFault",
        ),
        (
            "query><queryString>SELECT Nope FROM User</queryString></query",
            "INVALID_FIELD",
            "InvalidFieldFault",
        ),
        (
            "query><queryString>SELECT Id FROM Nope</queryString></query",
            "INVALID_TYPE",
            "InvalidSObjectFault",
        ),
        (
            "queryMore><queryLocator>01g-1</queryLocator></queryMore",
            "INVALID_QUERY_LOCATOR",
            "InvalidQueryLocatorFault",
        ),
        ("dance></dance", "INVALID_OPERATION", "UnexpectedErrorFault"),
    ],
)
def test_faults(client, call: str, code: str, kind: str) -> None:
    """Statement 20: what REST answers with 400 is a fault of its own kind with HTTP 500."""
    answer = send(client, f"<{call}>", session(oauth_token(client)))
    assert fault_of(answer) == (500, f"sf:{code}", kind)


def test_dead_session(own) -> None:
    """Statement 20: a dead session, a spent day and a retired version are faults as well."""
    call = "<query><queryString>SELECT Id FROM User</queryString></query>"
    kind = "UnexpectedErrorFault"
    dead = send(own, call, session("00D!x"))
    assert fault_of(dead) == (500, "sf:INVALID_SESSION_ID", kind)
    own.sandbox.salesforce.set_daily_limit(maximum=0)
    spent = send(own, call, session(oauth_token(own)))
    assert fault_of(spent) == (500, "sf:REQUEST_LIMIT_EXCEEDED", kind)
    retired = send(own, call, session(oauth_token(own)), version="30.0")
    assert fault_of(retired) == (500, "sf:UNSUPPORTED_API_VERSION", kind)


def test_document_type(client) -> None:
    """A login that would be right is refused when it declares entities, in whatever encoding."""
    text = (
        '<?xml version="1.0"?><!DOCTYPE e [<!ENTITY u "user0">]>'
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        '<login xmlns="urn:partner.soap.sforce.com"><username>&u;@sandbox.example</username>'
        f"<password>{credentials.PASSWORD}</password></login></e:Body></e:Envelope>"
    )
    url = f"{client.root}/services/Soap/u/64.0"
    plain = text.replace('<!DOCTYPE e [<!ENTITY u "user0">]>', "").replace("&u;", "user0")
    assert requests.post(url, data=plain.encode()).status_code == 200
    refused = requests.post(url, data=text.encode())
    assert b"a document type is not allowed" in refused.content
    assert fault_of(requests.post(url, data=text.encode("utf-16")))[0] == 500


@pytest.mark.parametrize("body", [b"<a>", b"", b"<a/>", b"\xff"])
def test_unreadable(client, body: bytes) -> None:
    """What is no envelope is refused with a fault."""
    response = requests.post(f"{client.root}/services/Soap/u/66.0", data=body)
    assert fault_of(response)[0] == 500
    assert b"INVALID_SOAP_HEADER" in response.content
