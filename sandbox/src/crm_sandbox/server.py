"""The server: one local address on which every emulated vendor answers.

The vendors' folders make the responses. `state.py` keeps world, clock, faults and journal.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Collection
from datetime import datetime
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from crm_sandbox.admin import AdminHandler
from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.connection import Connection
from crm_sandbox.state import SandboxState

if TYPE_CHECKING:
    from crm_sandbox.salesforce.emulation import SalesforceSandbox


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: SandboxState) -> None:
        self.sandbox = sandbox
        self.admin = AdminHandler(sandbox)
        self.open: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        # The inherited method looks the host name up, which can take seconds without a resolver.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def hang_up(self) -> None:
        """Close every client connection and wait for its thread."""
        for thread, connection in list(self.open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: clients that hang up are expected."""


class SandboxServer(SandboxState):
    """A world and the emulated vendors that show it.

    Use it as a context manager, or call `start` and `stop`; `serve_forever` blocks instead.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one.
        seed: the same seed gives the same world.
        contacts: the size of the world.
        now: every time in the world lies before this moment; by default the current hour.
        clock: the sandbox's present; by default real time.
        journal_capacity: how many requests the journal keeps in detail.
        authority: issues certificates for TLS and for tunnels on the same port; without one the
            sandbox speaks plain HTTP only.
        vendors: emulate these only; by default all.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 7,
        contacts: int = 200,
        now: datetime | None = None,
        clock: SandboxClock | None = None,
        journal_capacity: int = 20_000,
        authority: Authority | None = None,
        vendors: Collection[str] = (),
    ) -> None:
        super().__init__(
            seed=seed,
            contacts=contacts,
            now=now,
            clock=clock,
            journal_capacity=journal_capacity,
            authority=authority,
            vendors=vendors,
        )
        self._listener = _Listener((host, port), self)
        self._listener.timeout = 0.0  # who hangs up before it is accepted keeps nobody waiting
        self._wake_up = socket.socketpair()
        self._ended = threading.Event()
        address, bound = self._listener.server_address[:2]
        self.place = (str(address), int(bound))
        self._thread: threading.Thread | None = None
        self._serving = False
        self._closed = False

    @property
    def salesforce(self) -> "SalesforceSandbox":
        """The emulated Salesforce org, for tests and scripts."""
        emulation: Any = self.emulations["salesforce"]
        org: SalesforceSandbox = emulation
        return org

    def start(self) -> Self:
        """Serve in a background thread and return at once."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True, name="sandbox")
        self._serving = True
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve until `stop` is called from another thread."""
        self._serving = True
        try:
            # Woken by a connection or by `stop`: a server that looks around every few milliseconds is never idle.
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                selector.register(self._wake_up[0], selectors.EVENT_READ)
                while not self._closed:
                    ready = {key.fileobj for key, _ in selector.select()}
                    if self._listener in ready and not self._closed:
                        self._listener.handle_request()
        finally:
            self._ended.set()

    def stop(self) -> None:
        """Stop serving, wake hanging requests, and remove every temporary file."""
        if self._closed:
            return
        self._closed = True
        self.stopping.set()
        self._wake_up[1].send(b".")
        if self._serving:
            self._ended.wait()
        self._listener.server_close()
        for end in self._wake_up:
            end.close()
        self._listener.hang_up()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.emulations.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
