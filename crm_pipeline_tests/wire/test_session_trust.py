"""What a session trusts: addresses, certificates, TLS versions; and that it sends only its own token."""

import ssl
import warnings
from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import (
    ConnectionLost,
    Fatal,
    Retriable,
)

from .conftest import Make, Server
from .test_session import TOKEN, everything_said


def test_plain_http_is_for_the_sandbox_only(server: Server, make: Make) -> None:
    """Without permission nothing is sent over plain http, and the error names the option."""
    with pytest.raises(Fatal) as caught:
        make(allow_http=False).request("GET", f"{server.url}/x?token={TOKEN}")
    assert "is no https address" in str(caught.value)
    assert "sandbox: true" in str(caught.value)
    assert TOKEN not in everything_said(caught.value)
    assert server.seen == []


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "no address", "http://", "http://[bad", "http://x:port/"]
)
def test_no_address_is_not_tried_again(make: Make, url: str) -> None:
    """An invalid address is fatal, never retried."""
    with pytest.raises(Fatal):
        make().request("GET", url)


@pytest.mark.parametrize(
    "secret", [f"{TOKEN}\n", f"{TOKEN}\r\nX-Evil: 1", f" {TOKEN}", f"{TOKEN}\u2026"]
)
def test_a_secret_that_no_header_can_hold(server: Server, make: Make, secret: str) -> None:
    """A secret with a line break or a typographic character is named as the fault, but not shown."""
    server.routes["x"] = lambda h: h.say(200)
    with pytest.raises(Fatal) as caught:
        make().request("GET", f"{server.url}/x", headers={"X-Api-Key": secret})
    assert "secrets" in caught.value.cure
    assert TOKEN not in everything_said(caught.value)
    assert server.seen == []


def test_netrc_does_not_replace_the_token(
    server: Server, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login in ~/.netrc never takes the place of the connection's own."""
    (tmp_path / "netrc").write_text("default login someone password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.routes["x"] = lambda h: h.say(200)
    make().request("GET", f"{server.url}/x", headers={"Authorization": "Bearer ours"})
    assert server.seen[0].headers["Authorization"] == "Bearer ours"


def test_an_untrusted_certificate_is_refused(tls_server: Server, make: Make) -> None:
    """An untrusted certificate is fatal and named; no request is sent."""
    tls_server.routes["x"] = lambda h: h.say(200)
    with pytest.raises(Fatal) as caught:
        make().request("GET", f"{tls_server.url}/x?access_token={TOKEN}")
    assert not isinstance(caught.value, Retriable)
    assert "no trusted TLS connection" in str(caught.value)
    assert "certificate verify failed" in str(caught.value)
    assert "REQUESTS_CA_BUNDLE" in caught.value.cure
    assert TOKEN not in everything_said(caught.value)
    assert tls_server.seen == []


def test_a_certificate_of_the_bundle_is_trusted(
    tls_server: Server, make: Make, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE makes a company's own CA trusted, for its own host name only."""
    tls_server.routes["x"] = lambda h: h.say(200, b"trusted")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    session = make(allow_http=False)
    assert session.request("GET", f"{tls_server.url}/x").content == b"trusted"
    other = tls_server.url.replace("localhost", "127.0.0.1")
    with pytest.raises(Fatal, match="no trusted TLS connection"):
        session.request("GET", f"{other}/x")


def test_a_bundle_that_is_not_there(
    tls_server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA bundle that does not exist is named as the fault."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(Fatal, match=r"/nowhere/ca\.pem") as caught:
        make().request("GET", f"{tls_server.url}/x")
    assert "REQUESTS_CA_BUNDLE" in caught.value.cure


def test_old_tls_is_refused(
    tls_server: Server, make: Make, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that speaks no more than TLS 1.1 is fatal, although its certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert tls_server.tls is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls_server.tls.minimum_version = ssl.TLSVersion.TLSv1
        tls_server.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls_server.tls.set_ciphers("ALL:@SECLEVEL=0")
    tls_server.routes["x"] = lambda h: h.say(200)
    with pytest.raises(Fatal, match="no trusted TLS connection") as caught:
        make().request("GET", f"{tls_server.url}/x")
    assert "VERSION" in str(caught.value).upper().replace("PROTOCOL", "VERSION")
    assert tls_server.seen == []


def test_the_tls_floor_does_not_hang_on_the_system(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the configuration of OpenSSL, our context starts at TLS 1.2 and checks names."""
    permissive = ssl.create_default_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        permissive.minimum_version = ssl.TLSVersion.TLSv1
    monkeypatch.setattr(ssl, "create_default_context", lambda: permissive)
    session = make()
    with pytest.raises(ConnectionLost):
        session.request("GET", "https://127.0.0.1:9/")
    adapter = session._session.get_adapter("https://x")
    context = adapter.poolmanager.connection_pool_kw["ssl_context"]  # type: ignore[attr-defined]
    assert context is permissive
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_handshake_that_breaks_off_is_tried_again(server: Server, make: Make) -> None:
    """A server that goes away during the handshake is a lost connection, not a bad certificate."""
    server.finish_request = lambda request, _: request.recv(1)  # type: ignore[method-assign]
    with pytest.raises(ConnectionLost):
        make().request("GET", server.url.replace("http:", "https:") + "/x")
