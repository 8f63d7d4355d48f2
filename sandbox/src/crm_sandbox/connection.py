"""One client connection: bytes in, one buffer out, transport faults in between."""

import contextlib
import json
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.message import Message
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from isal import igzip

from crm_sandbox.faults import FaultOrder
from crm_sandbox.http import PACKED, Request, Response, json_response
from crm_sandbox.registry import Emulation
from crm_sandbox.state import SandboxState
from crm_sandbox.tunnel import (
    ESTABLISHED,
    begins_with_handshake,
    no_tunnel,
    refusal,
    secured,
    shake_hands,
)

_HTML_LOGIN = (
    b"<!DOCTYPE html><html><head><title>Login</title></head>"
    b"<body><form action='/login'><input name='username'/></form></body></html>"
)
_SMALL_BODY = 262_144
_GZIP_FLOOR = 1024


@dataclass(frozen=True)
class _Outcome:
    """What is sent to the client; status 0 is no response, `error` is an exception of the sandbox."""

    status: int
    head: bytes = b""
    body: bytes = b""
    wait_s: float = 0.0
    hang_up: bool = False
    error: str = ""


class Connection(BaseHTTPRequestHandler):
    """Serve the requests of one keep-alive connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def setup(self) -> None:
        """Register the connection, so that the server can hang up; TLS if the client begins it."""
        try:
            self.request = self._opened(self.request)
        except OSError:
            self.server.open.pop(threading.current_thread(), None)
            raise
        super().setup()

    def finish(self) -> None:
        """Forget the connection."""
        self.server.open.pop(threading.current_thread(), None)
        with contextlib.suppress(OSError):
            super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            # The server closes what it accepted, which TLS has taken over.
            self.connection.close()

    def serve(self) -> None:
        """Read a request, let its vendor or the admin API answer, and send the response."""
        sandbox: SandboxState = self.server.sandbox
        began = time.perf_counter()
        try:
            parts = urlsplit(self.path)
            request = self._request(parts.path, parts.query)
        except ValueError:
            # An address with half a bracket, or a length that is no number.
            refused = Response(400, b"Bad Request", content_type="text/plain")
            self._transmit(replace(self._whole(refused), hang_up=True))
            return
        if parts.netloc:
            # A client that takes us for its proxy names the whole address.
            request = replace(request, host=parts.netloc)
        if parts.netloc and not sandbox.is_here(parts.netloc):
            self._refuse(sandbox, request, refusal(parts.netloc, sandbox.hosts))
            return
        if parts.path.startswith("/_admin"):
            self._transmit(self._whole(self.server.admin.handle(request)))
            return
        with sandbox.visited() as emulations:
            outcome = self._recorded(sandbox, emulations, request, began)
        self._transmit(outcome)

    def _recorded(
        self,
        sandbox: SandboxState,
        emulations: Mapping[str, Emulation],
        asked: Request,
        began: float,
    ) -> _Outcome:
        """Let the vendor of a request answer, and record the request in the journal."""
        vendor, by_host = sandbox.vendor_of(asked.host, asked.path)
        path = asked.path if by_host or vendor is None else asked.path[len(vendor) + 1 :]
        query = asked.query_text
        target = f"{path}?{unquote_plus(query)}" if query else path
        order = sandbox.faults.take(vendor or "", self.command, target)
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        own = f"{sandbox.address(scheme)}/{vendor}"
        base_url = f"{scheme}://{asked.host}" if by_host else own
        request = replace(asked, path=path, base_url=base_url, by_host=by_host, fault=order)
        outcome = self._answer(sandbox, emulations, vendor, request)
        # Recorded before it is sent: a client that has the response finds it in the journal. A request
        # that began before a reset is not recorded.
        if sandbox.emulations is emulations:
            sandbox.journal.record(
                at=sandbox.clock.now(),
                vendor=vendor or "",
                method=self.command,
                path=path,
                query_text=query,
                status=outcome.status,
                sent=len(outcome.body),
                duration=time.perf_counter() - began,
                fault=order.kind if order else "",
                error=outcome.error,
            )
        return outcome

    def do_GET(self) -> None:
        """Serve a GET."""
        self.serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - inherited names

    def do_CONNECT(self) -> None:
        """Open a tunnel whose other end is the sandbox itself."""
        sandbox: SandboxState = self.server.sandbox
        request = self._request(self.path, "")
        if not sandbox.is_here(self.path):
            self._refuse(sandbox, request, refusal(self.path, sandbox.hosts))
        elif sandbox.tls is None:
            self._refuse(sandbox, request, no_tunnel("start the sandbox with --tls for tunnels"))
        elif isinstance(self.connection, ssl.SSLSocket):
            reason = "one TLS inside another is not spoken here; name the proxy with http://"
            self._refuse(sandbox, request, no_tunnel(reason))
        else:
            self._record(sandbox, request, 200)
            self.connection.sendall(ESTABLISHED)
            self.close_connection = False  # what many clients ask in HTTP/1.0 begins anew
            self.request = self._opened(self.connection)
            super().setup()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - inherited signature
        """Write nothing to stderr: the journal has it."""

    def _opened(self, connection: socket.socket) -> socket.socket:
        """Return the connection, in TLS where we have certificates and the client begins with it."""
        thread, sandbox = threading.current_thread(), self.server.sandbox
        self.server.open[thread] = connection
        if sandbox.tls is None or not begins_with_handshake(connection):
            return connection
        secure = self.server.open[thread] = secured(connection, sandbox.tls)
        try:
            shake_hands(secure)
        except OSError:
            secure.close()
            raise
        return secure

    def _refuse(self, sandbox: SandboxState, request: Request, response: Response) -> None:
        """Answer a request that reaches no vendor, and hang up."""
        self._record(sandbox, request, response.status)
        self._transmit(replace(self._whole(response), hang_up=True))

    def _record(self, sandbox: SandboxState, request: Request, status: int) -> None:
        sandbox.journal.record(
            at=sandbox.clock.now(),
            vendor="",
            method=self.command,
            path=request.path,
            query_text=request.query_text,
            status=status,
            sent=0,
            duration=0.0,
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if length else b""

    def _request(self, path: str, query: str) -> Request:
        message: Message = self.headers
        headers = {name.lower(): value for name, value in message.items()}
        head_bytes = len(self.path) + sum(len(k) + len(v) + 4 for k, v in headers.items())
        host = headers.get("host", "")
        return Request(
            self.command, path, query, headers, self._body(), host, head_bytes=head_bytes
        )

    def _answer(
        self,
        sandbox: SandboxState,
        emulations: Mapping[str, Emulation],
        vendor: str | None,
        request: Request,
    ) -> _Outcome:
        fault = request.fault
        if fault is not None and (played := self._play_before(sandbox, fault)) is not None:
            return played
        if (refused := sandbox.pace.refusal()) is not None:
            return self._whole(refused)
        sandbox.stopping.wait(sandbox.pace.delay_s())
        if vendor is None:
            known = ", ".join(f"/{name}" for name in sandbox.vendors)
            message = f"no vendor answers here; address one by prefix: {known}"
            return self._whole(json_response({"error": message}, 404))
        error = ""
        try:
            response = emulations[vendor].handle(request)
        except Exception as problem:  # noqa: BLE001 - a server answers 500, it does not die
            text = {"error": f"{type(problem).__name__}: {problem}"}
            response = Response(500, json.dumps(text).encode())
            error = f"{type(problem).__name__} at {_place_of(problem)}"
        if fault is not None and fault.kind == "truncate":
            return replace(self._truncated(response, fault.after), error=error)
        return replace(self._whole(response), error=error)

    def _play_before(self, sandbox: SandboxState, order: FaultOrder) -> _Outcome | None:
        if order.kind == "status":
            kind = "text/html" if order.body.lstrip().startswith("<") else "application/json"
            headers = tuple(order.headers.items())
            return self._whole(Response(order.status, order.body.encode(), headers, kind))
        if order.kind == "html_login":
            return self._whole(Response(200, _HTML_LOGIN, content_type="text/html; charset=UTF-8"))
        if order.kind == "empty_body":
            return self._whole(Response(order.status, b""))
        if order.kind == "slow":
            sandbox.stopping.wait(order.seconds)
        if order.kind == "hang":
            return _Outcome(0, wait_s=order.seconds, hang_up=True)
        if order.kind == "drop":
            return _Outcome(0, hang_up=True)
        return None

    def _transmit(self, outcome: _Outcome) -> None:
        if outcome.wait_s:
            self.server.sandbox.stopping.wait(outcome.wait_s)
        body = outcome.body
        if len(body) <= _SMALL_BODY:
            self.connection.sendall(outcome.head + body)
        else:
            self.connection.sendall(outcome.head + body[:_SMALL_BODY])
            self.connection.sendall(memoryview(body)[_SMALL_BODY:])
        if outcome.hang_up:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _head(self, response: Response, length: int) -> bytes:
        try:
            phrase = HTTPStatus(response.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [
            f"HTTP/1.1 {response.status} {phrase}",
            f"Date: {format_datetime(self.server.sandbox.clock.now(), usegmt=True)}",
        ]
        if response.body or response.status not in {204, 304}:
            lines.append(f"Content-Type: {response.content_type}")
        if response.status != 204:
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in response.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _compressed(self, response: Response) -> Response:
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if not accepts:
            return response.unpacked()
        encoded = any(name == "Content-Encoding" for name, _ in response.headers)
        packed = response.content_type == "application/zip"
        if encoded or packed or len(response.body) < _GZIP_FLOOR:
            return response
        body: bytes = igzip.compress(response.body, compresslevel=1, mtime=0)
        headers = (*response.headers, PACKED)
        return Response(response.status, body, headers, response.content_type)

    def _whole(self, response: Response) -> _Outcome:
        response = self._compressed(response)
        body = b"" if self.command == "HEAD" else response.body
        return _Outcome(response.status, self._head(response, len(response.body)), body)

    def _truncated(self, response: Response, after: int) -> _Outcome:
        response = self._compressed(response)
        part = response.body[: min(after, max(0, len(response.body) - 1))]
        # A client must see fewer bytes than promised, so an empty answer promises one.
        head = self._head(response, max(len(response.body), 1))
        return _Outcome(response.status, head, part, hang_up=True)


def _place_of(problem: Exception) -> str:
    """Return the innermost line of the sandbox that an exception came through."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [one for one in frames if "crm_sandbox" in one.filename]
    inner = (own or frames)[-1]
    return (
        f"{inner.filename.rpartition('crm_sandbox')[2].lstrip('/')}:{inner.lineno} in {inner.name}"
    )
