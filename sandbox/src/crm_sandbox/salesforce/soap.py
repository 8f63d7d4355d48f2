"""The partner SOAP API: login, query, queryAll and queryMore."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.salesforce import credentials
from crm_sandbox.salesforce.envelope import (
    Call,
    UnreadableEnvelopeError,
    element,
    read_call,
    written,
    written_fault,
)
from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.ids import make_id
from crm_sandbox.salesforce.oauth import instance_url
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.query import QueryHandler, QueryPage
from crm_sandbox.salesforce.schema import Field
from crm_sandbox.salesforce.sessions import IDLE_SESSION, SessionStore
from crm_sandbox.salesforce.usage import ApiUsage
from crm_sandbox.salesforce.versions import check_version

_ADDRESS = re.compile(r"/services/Soap/u/(\d+\.\d)(?:/\w+)?/?")
_LOGIN_GONE_FROM = 65
# The vendor has named the release, not the day; Summer releases reach production in June.
_LOGIN_ENDS = datetime(2027, 6, 1, tzinfo=UTC)
_LARGEST_LOGIN = 10_240
_KINDS = {
    "INVALID_LOGIN": "LoginFault",
    "MALFORMED_QUERY": "MalformedQueryFault",
    "INVALID_FIELD": "InvalidFieldFault",
    "INVALID_TYPE": "InvalidSObjectFault",
    "INVALID_QUERY_LOCATOR": "InvalidQueryLocatorFault",
}
# The WSDL prescribes the order; REST has another, and no codes.
_ADDRESS_ORDER = (
    *("latitude", "longitude", "city", "country", "countryCode", "geocodeAccuracy"),
    *("postalCode", "state", "stateCode", "street"),
)
_WITH_PLACE = frozenset({"MalformedQueryFault", "InvalidFieldFault", "InvalidSObjectFault"})


class SoapHandler:
    """Answer `/services/Soap/u/XX.0`.

    Args:
        org: its user logs in.
        sessions: where tokens live; those of OAuth work here too.
        usage: where calls are counted.
        queries: what answers queries.
    """

    def __init__(
        self, org: Org, sessions: SessionStore, usage: ApiUsage, queries: QueryHandler
    ) -> None:
        self._org = org
        self._sessions = sessions
        self._usage = usage
        self._queries = queries

    def handle(self, request: Request) -> Response:
        """Answer one call; every refusal is a fault with HTTP 500."""
        try:
            return self._answer(request)
        except UnreadableEnvelopeError as problem:
            return _fault(ApiError(500, "INVALID_SOAP_HEADER", str(problem)))
        except ApiError as refusal:
            return _fault(refusal)

    def _answer(self, request: Request) -> Response:
        match = _ADDRESS.fullmatch(request.path)
        if match is None or request.method != "POST":
            raise ApiError(500, "UNKNOWN_EXCEPTION", "Destination URL not found")
        version = match[1]
        try:
            check_version(version)
        except ApiError as problem:
            text = f"Invalid Api version specified on URL: {version}"
            raise ApiError(500, "UNSUPPORTED_API_VERSION", text) from problem
        call = read_call(request.body)
        if call.name == "login":
            return self._login(request, call, version)
        calls = {"query": self._query, "queryAll": self._query, "queryMore": self._query_more}
        if call.name not in calls:
            text = f"No operation available for request {{urn:partner.soap.sforce.com}}{call.name}"
            raise ApiError(500, "INVALID_OPERATION", text)
        token = self._token(request, call)
        self._usage.count()
        if request.fault is not None and request.fault.kind == "query_timeout":
            text = "Your query request was running for too long."
            raise ApiError(500, "REQUEST_RUNNING_TOO_LONG", text)
        result = _result_xml(calls[call.name](call, version, token))
        content = f"<{call.name}Response>{result}</{call.name}Response>"
        return _response(written(content, self._limit_info()))

    def _token(self, request: Request, call: Call) -> str:
        if request.fault is not None and request.fault.kind == "expire_session":
            self._sessions.expire()
        session = self._sessions.use(call.header("SessionHeader", "sessionId").strip())
        if session is None:
            text = "Invalid Session ID found in SessionHeader: Illegal Session"
            raise ApiError(500, "INVALID_SESSION_ID", text)
        return session.token

    def _limit_info(self) -> str:
        info = element("current", str(self._usage.used))
        info += element("limit", str(self._usage.maximum)) + element("type", "API REQUESTS")
        return f"<LimitInfoHeader><limitInfo>{info}</limitInfo></LimitInfoHeader>"

    def _query(self, call: Call, version: str, token: str) -> QueryPage:
        text = call.arguments.get("queryString", "")
        deleted = call.name == "queryAll"
        return self._queries.first(text, version, token, deleted=deleted, batch=_batch_of(call))

    def _query_more(self, call: Call, version: str, token: str) -> QueryPage:
        locator = call.arguments.get("queryLocator", "")
        return self._queries.following(locator, version, token, _batch_of(call))

    def _login(self, request: Request, call: Call, version: str) -> Response:
        if float(version) >= _LOGIN_GONE_FROM or self._org.clock.now() >= _LOGIN_ENDS:
            text = f"SOAP API login() is not available in API version {version}"
            raise ApiError(500, "UNSUPPORTED_API_VERSION", text)
        right = call.arguments.get("password", "").startswith(credentials.PASSWORD)
        known = call.arguments.get("username") == credentials.USERNAME
        if not right or not known or len(request.body) > _LARGEST_LOGIN:
            raise ApiError(
                500,
                "INVALID_LOGIN",
                "Invalid username, password, security token; or user locked out.",
            )
        base = f"{instance_url(request)}/services/Soap"
        organization = self._org.organization_id
        result = (
            element("metadataServerUrl", f"{base}/m/{version}/{organization}")
            + element("passwordExpired", "false")
            + element("sandbox", "false")
            + element("serverUrl", f"{base}/u/{version}/{organization}")
            + element("sessionId", self._sessions.issue().token)
            + element("userId", self._org.user_id)
            + f"<userInfo>{self._user_info()}</userInfo>"
        )
        return _response(written(f"<loginResponse><result>{result}</result></loginResponse>"))

    def _user_info(self) -> str:
        return "".join(
            element(name, value)
            for name, value in {
                "accessibilityMode": "false",
                "chatterExternal": "false",
                "currencySymbol": None,
                "orgAttachmentFileSizeLimit": "5242880",
                "orgDefaultCurrencyIsoCode": None,
                "orgDefaultCurrencyLocale": None,
                "orgDisallowHtmlAttachments": "false",
                "orgHasPersonAccounts": "false",
                "organizationId": self._org.organization_id,
                "organizationMultiCurrency": "true",
                "organizationName": "Sandbox Trading",
                "profileId": make_id("00e", 0),
                "roleId": None,
                "sessionSecondsValid": str(int(IDLE_SESSION.total_seconds())),
                "userDefaultCurrencyIsoCode": "USD",
                "userEmail": credentials.USERNAME,
                "userFullName": "Ada Park",
                "userId": self._org.user_id,
                "userLanguage": "en_US",
                "userLocale": "en_US",
                "userName": credentials.USERNAME,
                "userTimeZone": "America/New_York",
                "userType": "Standard",
                "userUiSkin": "Theme3",
            }.items()
        )


def _batch_of(call: Call) -> int | None:
    wanted = call.header("QueryOptions", "batchSize")
    return int(wanted) if is_number(wanted) else None


def _result_xml(page: QueryPage) -> str:
    fields = {column.keys: column.field for column in page.plan.columns}
    records = "".join(
        f'<records xsi:type="sf:sObject">{_record_xml(json.loads(one), fields, ())}</records>'
        for one in page.records
    )
    head = element("done", "false" if page.locator else "true")
    head += element("queryLocator", page.locator or None)
    return (
        f'<result xsi:type="QueryResult">{head}{records}{element("size", str(page.total))}</result>'
    )


def _record_xml(
    record: dict[str, Any], fields: dict[tuple[str, ...], Field], path: tuple[str, ...]
) -> str:
    # The type and the id come first in every sObject; a selected Id then comes once more.
    parts = [element("sf:type", record["attributes"]["type"]), element("sf:Id", record.get("Id"))]
    for name, value in record.items():
        if name == "attributes":
            continue
        one = fields.get((*path, name))
        if isinstance(value, dict) and one is None:
            inner = _record_xml(value, fields, (*path, name))
            parts.append(f'<sf:{name} xsi:type="sf:sObject">{inner}</sf:{name}>')
        elif isinstance(value, dict):
            inner = "".join(element(key, _text(value.get(key), None)) for key in _ADDRESS_ORDER)
            parts.append(f'<sf:{name} xsi:type="address">{inner}</sf:{name}>')
        else:
            parts.append(element(f"sf:{name}", _text(value, one)))
    return "".join(parts)


def _text(value: Any, one: Field | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if one is not None and one.type == "datetime":
        return str(value).replace("+0000", "Z")
    return str(value)


def _fault(problem: ApiError) -> Response:
    kind = _KINDS.get(problem.code, "UnexpectedErrorFault")
    place = "<sf:row>-1</sf:row><sf:column>-1</sf:column>" if kind in _WITH_PLACE else ""
    body = written_fault(problem.code, problem.message, kind, place)
    return Response(500, body, content_type="text/xml;charset=UTF-8")


def _response(body: bytes) -> Response:
    return Response(200, body, content_type="text/xml;charset=UTF-8")
