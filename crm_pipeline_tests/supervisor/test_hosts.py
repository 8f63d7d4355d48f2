import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.supervisor.hosts import AllowedHosts, HostCheck

Message = MutableMapping[str, Any]
PUBLIC = "dagster.acme.com"


def answered(headers: dict[str, str], *, kind: str = "http", bound: str = "127.0.0.1") -> Message:
    """Return the first message that is sent for a request; the interface itself sends 'passed'."""
    sent: list[Message] = []

    async def application(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    async def send(message: Message) -> None:
        sent.append(message)

    allowed = AllowedHosts.configured(bound, {"CRM_ALLOWED_HOSTS": f"{PUBLIC}, *.corp.acme.com"})
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "headers": encoded, "path": "/graphql"}
    asyncio.run(HostCheck(application, allowed)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]


def is_passed(headers: dict[str, str], **options: str) -> bool:
    return answered(headers, **options)["type"] == "passed"


@pytest.mark.parametrize(
    ("host", "bound", "expected"),
    [
        ("127.0.0.1:3000", "127.0.0.1", True),
        ("localhost:3000", "127.0.0.1", True),
        ("LOCALHOST.", "127.0.0.1", True),
        ("app.localhost:3000", "127.0.0.1", True),
        ("[::1]:3000", "127.0.0.1", True),
        (PUBLIC, "127.0.0.1", True),
        ("one.corp.acme.com:443", "127.0.0.1", True),
        ("10.0.0.7:3000", "127.0.0.1", False),
        ("10.0.0.7:3000", "0.0.0.0", True),
        ("[fd00::7]:3000", "::", True),
        ("server.lan:3000", "server.lan", True),
        ("server.lan:3000", "0.0.0.0", False),
        ("evil.example", "127.0.0.1", False),
        ("evil.example", "0.0.0.0", False),
        ("127.0.0.1.evil.example:3000", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("evilcorp.acme.com", "127.0.0.1", False),
        ("corp.acme.com.evil.example", "127.0.0.1", False),
        ("user@localhost", "127.0.0.1", False),
        ("localhost:3000/x", "127.0.0.1", False),
        ("", "127.0.0.1", False),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_names(host: str, bound: str, expected: bool, kind: str) -> None:
    """Requests to names of this machine, configured names, and addresses that we listen on pass."""
    assert is_passed({"Host": host}, bound=bound, kind=kind) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://localhost:3000"}, True),
        ({"Origin": f"https://{PUBLIC}"}, True),
        ({"Origin": "http://localhost:8080"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_of_other_sites(headers: dict[str, str], expected: bool, kind: str) -> None:
    """A page of another site can link to the interface, and neither read nor change anything."""
    assert is_passed({"Host": "localhost:3000", **headers}, kind=kind) is expected


def test_what_is_said() -> None:
    """A refusal is plain text that says how to allow the name; a websocket is closed before it opens."""
    start = answered({"Host": "evil.example"})
    assert (start["status"], dict(start["headers"])[b"x-content-type-options"]) == (403, b"nosniff")
    assert answered({"Host": "evil.example"}, kind="websocket")["type"] == "websocket.close"
    check = HostCheck(None, AllowedHosts("127.0.0.1"))  # type: ignore[arg-type]
    objection = check.objection({"headers": [(b"host", b"my.lan:3000")]})
    assert "CRM_ALLOWED_HOSTS=my.lan " in objection
    assert "several" in check.objection({"headers": [(b"host", b"localhost")] * 2})


@pytest.mark.parametrize(
    "entry", ["https://dagster.acme.com", "acme.com:3000", "a b/c", "*acme.com"]
)
def test_what_is_no_host_name(entry: str) -> None:
    """An entry that could never match is refused at the start."""
    with pytest.raises(ConfigError, match="CRM_ALLOWED_HOSTS") as caught:
        AllowedHosts.configured("127.0.0.1", {"CRM_ALLOWED_HOSTS": entry})
    assert "dagster.acme.com" in caught.value.cure


def test_any_name() -> None:
    """An asterisk leaves the check to the proxy in front."""
    allowed = AllowedHosts.configured("127.0.0.1", {"CRM_ALLOWED_HOSTS": "*"})
    assert allowed.admits("evil.example")
