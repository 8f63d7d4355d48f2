import contextlib
import socket
import ssl
import stat
from pathlib import Path

import pytest
import requests

from crm_sandbox import SandboxServer, describe_access
from crm_sandbox.certificates import BUNDLE, KEY, Authority
from crm_sandbox_tests.conftest import through_proxy

HELLO = b"GET /services/data HTTP/1.1\r\nHost: acme.my.salesforce.com\r\n\r\n"


def said(sandbox: SandboxServer, *lines: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", sandbox.port)) as link:
        link.sendall(b"\r\n".join([*lines, b"", b""]))
        return link.recv(65_536)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_and_plain_on_one_port(sandbox, authority, host: str) -> None:
    """The same port answers plain HTTP and TLS, and sends a client back under the scheme it came by."""
    for scheme in ("http", "https"):
        root = f"{scheme}://{host}:{sandbox.port}/salesforce"
        form = {"grant_type": "password", "client_id": "x"}
        url = f"{root}/services/oauth2/token"
        assert requests.post(url, data=form, verify=authority.bundle).status_code == 400
        page = requests.get(
            f"{root}/services/oauth2/authorize",
            params={
                "client_id": "sandbox-client-id",
                "redirect_uri": "http://localhost:1/OauthRedirect",
                "response_type": "code",
                "code_challenge": "a" * 43,
                "code_challenge_method": "S256",
            },
            verify=authority.bundle,
        )
        assert f'action="{sandbox.address(scheme)}/salesforce/services' in page.text


@pytest.mark.parametrize(
    "host",
    [
        "acme.my.salesforce.com",
        "acme--dev.sandbox.my.salesforce.com",
        "login.salesforce.com",
        "test.salesforce.com",
    ],
)
def test_hard_wired_hosts(sandbox, monkeypatch, host: str) -> None:
    """With the proxy and the bundle in the environment, every host of a vendor is the sandbox."""
    through_proxy(sandbox, monkeypatch)
    response = requests.get(f"https://{host}/services/data/")
    assert response.json()[-1]["version"] == "68.0"
    entries = sandbox.journal.entries(method="CONNECT")
    assert (entries[-1].path, entries[-1].vendor) == (f"{host}:443", "")


@pytest.mark.parametrize("place", ["example.com:443", "salesforce.com.evil.example:443", "x"])
def test_other_hosts_are_refused(sandbox, place: str) -> None:
    """A tunnel to a host of no vendor is refused by name, and noted."""
    answer = said(sandbox, f"CONNECT {place} HTTP/1.1".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert f"'{place}'".encode() in answer
    entry = sandbox.journal.entries(method="CONNECT")[-1]
    assert (entry.path, entry.status) == (place, 403)


@pytest.mark.parametrize("request_line", [b"CONNECT 127.0.0.1:%d", b"GET http://127.0.0.1:%d/"])
def test_nothing_is_passed_on(sandbox, request_line: bytes) -> None:
    """Another server of this machine, reachable as it is, never hears of a proxied request."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        line = request_line % other.getsockname()[1] + b" HTTP/1.1"
        assert said(sandbox, line).startswith(b"HTTP/1.1 403 ")
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_absolute_addresses(sandbox) -> None:
    """A client that takes the sandbox for its plain HTTP proxy gets vendors answered and others not."""
    answer = said(sandbox, b"GET http://acme.my.salesforce.com/services/data HTTP/1.1", b"Host: x")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert said(sandbox, b"GET http://example.com/ HTTP/1.1").startswith(b"HTTP/1.1 403 ")
    own = f"GET {sandbox.url}/_admin HTTP/1.1".encode()
    assert said(sandbox, own).startswith(b"HTTP/1.1 200 ")


def test_plain_http_inside_a_tunnel(sandbox) -> None:
    """What begins without a handshake inside a tunnel is served as plain HTTP."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as link:
        link.sendall(b"CONNECT acme.my.salesforce.com:80 HTTP/1.1\r\n\r\n")
        assert link.recv(1000) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        link.sendall(HELLO)
        assert link.recv(65_536).startswith(b"HTTP/1.1 200 OK")


def test_one_record_per_answer(sandbox, authority) -> None:
    """Over TLS, too, a small answer arrives in one piece and the connection stays open."""
    context = ssl.create_default_context(cafile=str(authority.bundle))
    with (
        socket.create_connection(("127.0.0.1", sandbox.port)) as link,
        context.wrap_socket(link, server_hostname="acme.my.salesforce.com") as secure,
    ):
        for _ in range(2):
            secure.sendall(HELLO)
            head, _, body = secure.recv(65_536).partition(b"\r\n\r\n")
            assert f"Content-Length: {len(body)}".encode() in head


def test_tls_has_a_floor(sandbox, authority) -> None:
    """TLS 1.1 is refused, and the sandbox goes on serving others."""
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", sandbox.port)) as link,
        pytest.raises(OSError, match=r"(?i)protocol|alert|version"),
    ):
        context.wrap_socket(link, server_hostname="localhost")
    assert requests.get(sandbox.url + "/_admin").status_code == 200


def test_without_an_authority() -> None:
    """A sandbox without certificates says how to get tunnels, and takes no handshake."""
    with SandboxServer(contacts=20) as plain:
        answer = said(plain, b"CONNECT acme.my.salesforce.com:443 HTTP/1.1")
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b"--tls" in answer
        assert "CA bundle" not in dict(describe_access(plain))


def test_access_names_the_bundle(sandbox, authority) -> None:
    """What is printed at start names the TLS address, the bundle and the proxy."""
    lines = dict(describe_access(sandbox))
    assert lines["TLS address"] == sandbox.address("https")
    assert lines["CA bundle"] == str(authority.bundle)
    assert f"HTTPS_PROXY={sandbox.url}" in lines["Proxy"]


def test_stop_ends_tls_connections(authority) -> None:
    """Stopping hangs up on connections in the middle of a handshake and on open tunnels."""
    with (
        SandboxServer(contacts=20, authority=authority) as own,
        socket.create_connection(("127.0.0.1", own.port)) as half,
        requests.Session() as session,
    ):
        half.sendall(b"\x16\x03\x01")
        session.get(f"{own.address('https')}/_admin", verify=authority.bundle)
        own.stop()
        half.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(100) == b""


def test_authority_is_kept(tmp_path: Path) -> None:
    """A second start finds the same authority; its key is for its owner's eyes only."""
    first = Authority(tmp_path).bundle.read_bytes()
    assert Authority(tmp_path).bundle.read_bytes() == first
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([BUNDLE, KEY])


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_a_broken_authority_is_replaced(tmp_path: Path, content: bytes | None) -> None:
    """A key that is damaged, gone or another's makes a new authority, never one that cannot sign."""
    first = Authority(tmp_path).bundle.read_bytes()
    if content is None:
        other = tmp_path / "other"
        Authority(other)
        content = (other / KEY).read_bytes()
    (tmp_path / KEY).write_bytes(content)
    assert Authority(tmp_path).bundle.read_bytes() != first
