"""Token answers are claims: of wrong types, cut off, or sending us elsewhere; for the OAuth server of each vendor."""

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
from crm_pipeline.kernel.errors import CrmError, Fatal, MalformedAnswer, ProtocolError
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

    def answer(self) -> dict[str, Any]:
        """Return what a vendor says when all is well."""
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


def asked(server: Server, vendor: str, bounds: Bounds | None = None) -> StoredToken:
    """Return the token that the server's answer makes."""
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
        answer = endpoint.ask({"grant_type": "refresh_token"}, {})
        return endpoint.token(answer, Secret("used"), {})
    finally:
        endpoint.close()


def refused(server: Server, vendor: str) -> CrmError | None:
    """Return the error that the server's answer makes; None where it makes a token."""
    error: CrmError
    try:
        token = asked(server, vendor)
    except CrmError as raised:
        error = raised
    else:
        token.access_token.reveal().encode("ascii")
        assert token.instance_url == server.url
        return None
    said = f"{error} {error!r}"
    assert HUSH not in said
    assert "demo" in said
    assert error.cure
    return error


def test_a_right_answer_is_a_token(shared: Server, vendor: str) -> None:
    """What stands in the answer is what is kept."""
    shared.body = json.dumps(shared.answer()).encode()
    token = asked(shared, vendor)
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
def test_what_is_no_token_answer_is_one_sentence(shared: Server, vendor: str, body: bytes) -> None:
    """Empty, cut off, of another form, no UTF-8: asked for again, then said; never a raw exception."""
    shared.body = body
    error = refused(shared, vendor)
    # Zoho says with 200 what it refuses, so that its judge sees these first.
    assert isinstance(error, CrmError if vendor == "zoho" else MalformedAnswer)


@pytest.mark.parametrize("vendor_of_depth", ["hubspot", "pipedrive", "salesforce"])
def test_depth_is_no_way_in(shared: Server, vendor_of_depth: str) -> None:
    """A hundred thousand brackets are one sentence too."""
    shared.body = b"[" * 100_000
    assert isinstance(refused(shared, vendor_of_depth), MalformedAnswer)


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "expires_in", "instance_url"])
def test_values_of_wrong_types(shared: Server, vendor: str, name: str) -> None:
    """Each key with each type: a token where the key does not matter there, else one sentence."""
    place = "api_domain" if name == "instance_url" and vendor in {"pipedrive", "zoho"} else name
    values: list[Any] = [None, 5, -1, 1e300, True, "", "x\r\nEvil: 1", "é", [], {}, ["a"], {"a": 1}]
    outcomes = []
    for value in values:
        shared.body = json.dumps({**shared.answer(), place: value}).encode()
        outcomes.append(refused(shared, vendor))
    if name == "access_token":
        assert all(isinstance(one, MalformedAnswer) for one in outcomes)
    if name == "refresh_token":
        # None and "" say that the one which was used stays.
        assert [one is None for one in outcomes] == [value in (None, "") for value in values]


@pytest.mark.parametrize("name", ["access_token", "expires_in", "instance_url"])
def test_keys_that_are_missing(shared: Server, vendor: str, name: str) -> None:
    """An answer without a key that matters is none."""
    place = "api_domain" if name == "instance_url" and vendor in {"pipedrive", "zoho"} else name
    answer = shared.answer()
    del answer[place]
    shared.body = json.dumps(answer).encode()
    outcome = refused(shared, vendor)
    if name == "access_token":
        assert outcome is not None
    if name == "instance_url" and vendor != "hubspot":
        assert isinstance(outcome, MalformedAnswer)
        assert f"it lacks {place}" in outcome.message


def test_answers_have_bounds(shared: Server, vendor: str) -> None:
    """Those of a login are bounded as all others are."""
    shared.body = json.dumps({**shared.answer(), "more": "x" * 2_000_000}).encode()
    with pytest.raises(Fatal, match="larger than 1 MB"):
        asked(shared, vendor, Bounds(answer_mb=1))


@pytest.mark.parametrize("vendor_of_places", ["pipedrive", "salesforce", "zoho"])
@pytest.mark.parametrize("place", HOSTILE)
def test_a_login_that_sends_us_elsewhere(shared: Server, vendor_of_places: str, place: str) -> None:
    """A host that is neither configured nor documented makes no token, so that nothing is sent there."""
    with Server() as other:
        hostile = [place, f"{other.url}", f"http://127.0.0.1@127.0.0.1:{other.server_port}"]
        for one in hostile:
            answer = {**shared.answer(), "instance_url": one, "api_domain": one}
            shared.body = json.dumps(answer).encode()
            error = refused(shared, vendor_of_places)
            assert isinstance(error, ProtocolError | MalformedAnswer)
            assert "[" in one or "neither configured nor a host that" in error.message
        assert other.seen == 0


def test_a_web_page_is_no_token_answer(shared: Server, vendor: str) -> None:
    """What a proxy shows instead is told as such."""
    shared.body = b"<!DOCTYPE html><html><body>Please wait</body></html>"
    shared.headers = {"Content-Type": "text/html"}
    try:
        assert refused(shared, vendor) is not None
    finally:
        shared.headers = {"Content-Type": "application/json"}
