"""A receiver of callbacks and notifications on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Takes JSON documents and answers with a status of choice."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[Any] = []
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.arrived:
                    receiver.came.append(json.loads(body))
                    receiver.arrived.notify_all()
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def wait_for(self, count: int) -> list[Any]:
        """Everything that came, once there is so much of it."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.came) >= count, timeout=20)
            return list(self.came)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
