import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from crm_pipeline.kernel.errors import CrmError, Fatal, Unavailable
from crm_pipeline.wire.session import HttpSession

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Responds by the routes of its server; `/name?...` calls the route `name`."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        self.server.seen.append(self)
        self.server.routes[self.path.split("?")[0].strip("/")](self)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None: ...

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """End the connection at once."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tls = tls
        self.seen: list[Handler] = []
        self.routes: dict[str, Route] = {}

    @property
    def url(self) -> str:
        scheme, host = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.server_port}"

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what some tests are about."""


def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A local HTTP server whose routes the test fills."""
    yield from running(Server())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody else vouches for, with its key."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    """A local HTTPS server with a certificate that only REQUESTS_CA_BUNDLE can make trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from running(Server(context))


CSV = b"Id,Name\n" + b"".join(b"%06d,Ann\n" % number for number in range(20_000))
GZIPPED = gzip.compress(CSV)


Make = Callable[..., HttpSession]


def classify_response(response: requests.Response) -> CrmError | None:
    if response.status_code == 503:
        return Unavailable(f"busy: {response.text}", status=503, retry_after_s=7)
    if response.status_code >= 400:
        return Fatal(f"refused: {response.text}", status=response.status_code)
    return None


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[HttpSession] = []

    def session(**options: Any) -> HttpSession:
        made.append(
            HttpSession(
                "acme", **{"classify_response": classify_response, "allow_http": True, **options}
            )
        )
        return made[-1]

    yield session
    for one in made:
        one.close()
