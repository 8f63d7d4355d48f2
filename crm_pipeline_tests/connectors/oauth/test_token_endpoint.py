"""Token responses are not trusted: wrong types, truncated bodies, foreign hosts; for each vendor's OAuth server."""

import importlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crm_pipeline.connectors.oauth.profile import OAuthProfile
from crm_pipeline.connectors.oauth.token_endpoint import TokenEndpoint
from crm_pipeline.kernel.clock import FrozenClock, Month
from crm_pipeline.kernel.errors import CrmError, Fatal, MalformedResponse, ProtocolError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.settings.connection import AuthSettings
from crm_pipeline.store.tokens import StoredToken

VENDORS = ("hubspot", "pipedrive", "salesforce", "zoho")
HUSH = "hush-hush-42"
HOSTILE = (
    "https://evil.example",
    "//evil.example",
    "https://acme.my.salesforce.com@evil.example",
    "https://evil.example\\@www.zohoapis.com",
    "https://[evil",
    "evil",
)


class Server(ThreadingHTTPServer):
    """Answers every request with one body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = b""
        self.headers = {"Content-Type": "application/json"}
        self.seen = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def valid_response(self) -> dict[str, Any]:
        """Return a response that each vendor might send."""
        return {
            "access_token": HUSH,
            "refresh_token": f"{HUSH}-r",
            "token_type": "Bearer",
            "expires_in": 1800,
            "issued_at": "1780000000000",
            "instance_url": self.url,
            "api_domain": self.url,
            "hub_id": 7,
            "scope": "a b",
            "id": "x",
        }


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen += 1
        self.send_response(200)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST  # noqa: N815 - the base class's name

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def requested(server: Server, vendor: str, bounds: Bounds | None = None) -> StoredToken:
    """Return the token of the server's response."""
    module = importlib.import_module(f"crm_pipeline.connectors.{vendor}.profile")
    profile: OAuthProfile = module.PROFILE
    connection = Connection(
        name="demo",
        vendor=vendor,
        login_url=server.url,
        auth=AuthSettings("refresh_token", {}),
        objects=(),
        start=Month(2026, 1),
        cadence="15 min",
        probe_every_s=60,
        lookback_s=60,
        share=0.5,
        limit_group="demo",
        api_version=None,
        sandbox=True,
        mapping={},
    )
    clock = FrozenClock("2026-06-01T00:00:00Z")
    endpoint = TokenEndpoint(connection, clock, profile, bounds=bounds)
    try:
        response = endpoint.request({"grant_type": "refresh_token"}, {})
        return endpoint.token(response, Secret("used"), {})
    finally:
        endpoint.close()


def refused(server: Server, vendor: str) -> CrmError | None:
    """Return the error that the server's response raises; None where it holds a token."""
    error: CrmError
    try:
        token = requested(server, vendor)
    except CrmError as raised:
        error = raised
    else:
        token.access_token.reveal().encode("ascii")
        assert token.instance_url == server.url
        return None
    text = f"{error} {error!r}"
    assert HUSH not in text
    assert "demo" in text
    assert error.cure
    return error


def test_a_valid_response_is_a_token(shared: Server, vendor: str) -> None:
    """The token holds the values of the response."""
    shared.body = json.dumps(shared.valid_response()).encode()
    token = requested(shared, vendor)
    assert token.access_token.reveal() == HUSH
    assert token.refresh_token is not None
    assert token.refresh_token.reveal() == f"{HUSH}-r"
    assert token.instance_url == shared.url


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"5",
        b"{}",
        b"<!DOCTYPE html><html></html>",
        b'{"access_token":"' + HUSH.encode(),
        b'{"access_token":"\xff"}',
        b'{"access_token":"\\ud83d"}',
    ],
)
def test_a_malformed_body_is_one_sentence(shared: Server, vendor: str, body: bytes) -> None:
    """An empty, truncated, unexpected or undecodable body raises an explained error, never a raw exception."""
    shared.body = body
    error = refused(shared, vendor)
    # Zoho refuses with 200, so its classifier sees these bodies first.
    assert isinstance(error, CrmError if vendor == "zoho" else MalformedResponse)


@pytest.mark.parametrize("vendor_of_depth", ["hubspot", "pipedrive", "salesforce"])
def test_deep_nesting_is_malformed(shared: Server, vendor_of_depth: str) -> None:
    """A hundred thousand brackets raise an explained error too."""
    shared.body = b"[" * 100_000
    assert isinstance(refused(shared, vendor_of_depth), MalformedResponse)


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "expires_in", "instance_url"])
def test_values_of_wrong_types(shared: Server, vendor: str, name: str) -> None:
    """Each key with each type: a token where the vendor does not use the key, else an explained error."""
    key = "api_domain" if name == "instance_url" and vendor in {"pipedrive", "zoho"} else name
    values: list[Any] = [None, 5, -1, 1e300, True, "", "x\r\nEvil: 1", "é", [], {}, ["a"], {"a": 1}]
    outcomes = []
    for value in values:
        shared.body = json.dumps({**shared.valid_response(), key: value}).encode()
        outcomes.append(refused(shared, vendor))
    if name == "access_token":
        assert all(isinstance(outcome, MalformedResponse) for outcome in outcomes)
    if name == "refresh_token":
        # None and "" mean that the used one stays valid.
        assert [outcome is None for outcome in outcomes] == [
            value in (None, "") for value in values
        ]


@pytest.mark.parametrize("name", ["access_token", "expires_in", "instance_url"])
def test_missing_keys(shared: Server, vendor: str, name: str) -> None:
    """A response without a required key is malformed."""
    key = "api_domain" if name == "instance_url" and vendor in {"pipedrive", "zoho"} else name
    response = shared.valid_response()
    del response[key]
    shared.body = json.dumps(response).encode()
    outcome = refused(shared, vendor)
    if name == "access_token":
        assert outcome is not None
    if name == "instance_url" and vendor != "hubspot":
        assert isinstance(outcome, MalformedResponse)
        assert f"it lacks {key}" in outcome.message


def test_responses_have_bounds(shared: Server, vendor: str) -> None:
    """Login responses are limited in size like all others."""
    shared.body = json.dumps({**shared.valid_response(), "more": "x" * 2_000_000}).encode()
    with pytest.raises(Fatal, match="larger than 1 MB"):
        requested(shared, vendor, Bounds(answer_mb=1))


@pytest.mark.parametrize("redirecting_vendor", ["pipedrive", "salesforce", "zoho"])
@pytest.mark.parametrize("url", HOSTILE)
def test_a_foreign_host_in_the_response(shared: Server, redirecting_vendor: str, url: str) -> None:
    """A host that is neither configured nor documented is refused, and nothing is sent to it."""
    with Server() as other:
        hostile = [url, f"{other.url}", f"http://127.0.0.1@127.0.0.1:{other.server_port}"]
        for host in hostile:
            response = {**shared.valid_response(), "instance_url": host, "api_domain": host}
            shared.body = json.dumps(response).encode()
            error = refused(shared, redirecting_vendor)
            assert isinstance(error, ProtocolError | MalformedResponse)
            assert "[" in host or "neither configured nor a host that" in error.message
        assert other.seen == 0


def test_a_web_page_is_no_token_response(shared: Server, vendor: str) -> None:
    """A proxy's web page raises an error."""
    shared.body = b"<!DOCTYPE html><html><body>Please wait</body></html>"
    shared.headers = {"Content-Type": "text/html"}
    try:
        assert refused(shared, vendor) is not None
    finally:
        shared.headers = {"Content-Type": "application/json"}
