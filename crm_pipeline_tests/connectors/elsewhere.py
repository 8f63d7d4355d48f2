"""Somebody else's server: whatever names it, no request may come."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Elsewhere:
    """Keeps what it was asked."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.host = f"127.0.0.1:{port}"
        self.asked = asked

    @property
    def addresses(self) -> dict[str, str]:
        """Ways to name it in the place of a path or an address; `{path}` is the one that would be right."""
        return {
            "absolute": f"http://{self.host}{{path}}",
            "without a scheme": f"//{self.host}{{path}}",
            "user": f"@{self.host}{{path}}",
            "backslash": f"/\\{self.host}{{path}}",
            "dots": "/../..{path}/../../../x",
        }


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Open a server that nobody should ask."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Elsewhere(server.server_port, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
