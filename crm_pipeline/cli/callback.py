"""The response of a login in the browser: a request to this machine, or an address that is pasted."""

import errno
import queue
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from crm_pipeline.kernel.errors import AuthFailed, ConfigError

_PAGE = """\
<!DOCTYPE html><html><head><meta charset="utf-8"><title>crm-pipeline</title></head>
<body><h1>{title}</h1><p>Go back to the terminal; this page can be closed.</p></body></html>"""


class Callback:
    """A server on 127.0.0.1 that waits for one visit to the callback address.

    Args:
        redirect_uri: the callback address; with port 0 a free port is taken.

    Raises:
        ConfigError: the port cannot be had.
    """

    def __init__(self, redirect_uri: str) -> None:
        url = urlsplit(redirect_uri)
        self._responses: queue.Queue[dict[str, str]] = queue.Queue()
        wanted = 80 if url.port is None else url.port
        try:
            self._server = _Server(("127.0.0.1", wanted), url, self._responses)
        except OSError as error:
            raise _no_port(wanted, error) from error
        port = self._server.server_address[1]
        self.redirect_uri = url._replace(netloc=f"{url.hostname}:{port}").geturl()
        # A browser may open a connection and send nothing: each connection has a thread.
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "Callback":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, timeout_s: float) -> Mapping[str, str]:
        """Return the query of the visit.

        Raises:
            AuthFailed: nobody came in time.
        """
        try:
            return self._responses.get(timeout=timeout_s)
        except queue.Empty:
            raise AuthFailed(
                f"nobody came back from the login within {timeout_s:,.0f} s.",
                cure="Run the command again and finish the login in the browser. If the browser runs on "
                "another machine than this command, use --paste.",
            ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], url: SplitResult, responses: "queue.Queue[dict[str, str]]"
    ) -> None:
        self.callback_path = url.path or "/"
        # With another host name a page pretends to be this machine.
        self.names = {url.hostname, "localhost", "127.0.0.1"}
        self.responses = responses
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a browser that hangs up is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    _HEADERS: ClassVar = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",  # the address holds the code
        "Connection": "close",
    }

    def do_GET(self) -> None:
        """Take the response of the login, and show a page."""
        url = urlsplit(self.path)
        response = dict(parse_qsl(url.query))
        if self.headers.get("Host", "").partition(":")[0].lower() not in self.server.names:
            self._show(403, "Not under this name")
            return
        if url.path != self.server.callback_path or not {"code", "error"} & response.keys():
            self._show(404, "Not here")
            return
        refused = f"The login was refused: {response['error']}" if "error" in response else ""
        self._show(200, refused or "Thank you")
        self.server.responses.put(response)

    def _show(self, status: int, title: str) -> None:
        body = _PAGE.format(title=escape(title)).encode()
        self.send_response(status)
        for name, value in {**self._HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write no lines: they would hold the code."""


def pasted(text: str, state: str) -> Mapping[str, str]:
    """Return the response that was pasted: the whole address, or the code alone.

    A code alone counts as the response to this login: a person pastes it, and a code of another login is
    useless without that login's verifier.

    Raises:
        AuthFailed: the text holds no response.
    """
    words = "".join(text.split())
    response = dict(parse_qsl(words.partition("?")[2]))
    if {"code", "error"} & response.keys():
        return response
    if "://" not in words and "?" not in words:
        return {"code": unquote(words.removeprefix("code=")), "state": state}
    raise AuthFailed(
        "what was pasted is neither the address that the browser was sent back to nor a code.",
        cure="Run the command again, and copy the whole address from the browser's address bar when the "
        "page cannot be opened: it begins with the callback address and holds '?code='.",
    )


def _no_port(port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} of this machine is in use by another program.",
            cure="End that program, or choose another with --port, and register the callback address "
            "with that port in the app as well. --paste needs no port.",
        )
    return ConfigError(
        f"cannot listen on port {port} of this machine: {error.strerror}.",
        cure="Choose a port above 1023 with --port, or use --paste.",
    )
