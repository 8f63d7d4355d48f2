"""A proxy between a connector and an emulator that changes one answer, or all from then on.

It forwards whole answers, unpacked; a mutation makes another answer of one. What the vendor would have sent and
what the connector got are known, so that a test can say what the right outcome is.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})


@dataclass(frozen=True)
class Answer:
    """An answer on its way.

    Attributes:
        method, path: of the request; the path has its query.
        headers: without length and coding, which follow from the body.
        sent: how many bytes of the body are sent before the connection ends; None sends all.
    """

    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sent: int | None = None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def with_header(self, name: str, value: str | None) -> Answer:
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Change = Callable[[Answer], Answer]


class FaultProxy(ThreadingHTTPServer):
    """Forwards to one address.

    Args:
        upstream: the address, as `http://127.0.0.1:8765`.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarder)
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[str] = []
        self.applied: list[str] = []
        self._lock = threading.Lock()
        self._change: Change | None = None
        self._first = 0
        self._is_lasting = False
        self._is_everywhere = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def change(self, nth: int, change: Change, *, is_lasting: bool = False) -> None:
        """Change the n-th answer from now on, and where it lasts also those to the same path."""
        with self._lock:
            self.requests, self.applied = [], []
            self._change, self._first, self._is_lasting = change, nth, is_lasting
            self._is_everywhere = False

    def change_all(self, change: Change) -> None:
        """Change every answer from now on."""
        self.change(1, change)
        self._is_everywhere = True

    def leave(self) -> None:
        """Change nothing from now on."""
        self.change(0, lambda answer: answer)

    def changed(self, answer: Answer) -> Answer:
        with self._lock:
            place = f"{answer.method} {answer.path.partition('?')[0]}"
            self.requests.append(place)
            is_first = len(self.requests) == self._first
            is_later = self._is_lasting and len(self.requests) > self._first > 0
            is_wanted = is_first or (is_later and place in self.applied) or self._is_everywhere
            if self._change is None or not is_wanted:
                return answer
            self.applied.append(place)
            return self._change(answer)

    def forwarded(self, request: _Forwarder) -> Answer:
        """Return the answer of the emulator."""
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {"accept-encoding", "connection"}
        }
        length = int(request.headers.get("Content-Length", 0))
        with closing(http.client.HTTPConnection(self.upstream, timeout=30)) as upstream:
            upstream.request(request.command, request.path, request.rfile.read(length), headers)
            return self._received(request, upstream.getresponse())

    def _received(self, request: _Forwarder, response: http.client.HTTPResponse) -> Answer:
        kept = tuple(pair for pair in response.getheaders() if pair[0].lower() not in _HOP_BY_HOP)
        # The emulator names its own address, which is not where its clients shall go.
        own = self.url.removeprefix("http://").encode()
        body = response.read().replace(self.upstream.encode(), own)
        return Answer(request.command, request.path, response.status, kept, body)

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what some tests are about."""


class _Forwarder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultProxy

    def _answer(self) -> None:
        answer = self.server.changed(self.server.forwarded(self))
        head = [f"HTTP/1.1 {answer.status} Said"]
        head += [f"{name}: {value}" for name, value in answer.headers]
        head.append(f"Content-Length: {len(answer.body)}")
        whole = "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + answer.body
        unsent = 0 if answer.sent is None else len(answer.body) - answer.sent
        self.wfile.write(whole[: len(whole) - unsent])
        if unsent:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None: ...


@contextmanager
def proxy_to(upstream: str) -> Iterator[FaultProxy]:
    """Open a proxy to an address."""
    with FaultProxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


__all__ = ["Answer", "Change", "FaultProxy", "proxy_to"]
