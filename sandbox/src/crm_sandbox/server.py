"""The server: one local address on which every emulated vendor answers.

Finds the vendor of a request, plays ordered faults, keeps the journal. What a vendor answers is
decided in the vendor's own folder.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from crm_sandbox.admin import AdminHandler
from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.connection import Connection
from crm_sandbox.faults import FaultOrders
from crm_sandbox.journal import Journal
from crm_sandbox.pace import Pace
from crm_sandbox.registry import Emulations, Premises, find_vendors, vendor_of_host
from crm_sandbox.world import World

if TYPE_CHECKING:
    from crm_sandbox.salesforce.emulation import SalesforceSandbox


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: "SandboxServer") -> None:
        self.sandbox = sandbox
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
        """Say nothing: clients that hang up are part of the game."""


class SandboxServer:
    """A world and the emulated vendors that show it.

    Use it as a context manager, or call `start` and `stop`; `serve_forever` blocks instead.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one.
        seed: the same seed gives the same world.
        contacts: the size of the world.
        now: the world's stamps end before this moment; by default the current hour.
        clock: the sandbox's present; by default real time.
        journal_capacity: how many requests the journal keeps in detail.
        authority: issues certificates for TLS and for tunnels on the same port; without one the
            sandbox speaks plain HTTP only.
        vendors: emulate these only; by default all there are.

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
        self.clock = clock or SandboxClock()
        self.faults = FaultOrders()
        self.journal = Journal(journal_capacity)
        self.pace = Pace()
        self.stopping = threading.Event()
        self._listener = _Listener((host, port), self)
        moment = now or self.clock.now().replace(minute=0, second=0, microsecond=0)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        self.world = World(seed=seed, contacts=contacts, now=moment)
        self.vendors = find_vendors(vendors)
        self.authority = authority
        self.tls = self._tls(authority) if authority else None
        self.emulations = self._unopened()
        self.admin = AdminHandler(self)
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._serving = False
        self._closed = False

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return self.address("http")

    def address(self, scheme: str) -> str:
        """Return the address under `http`, or `https` with an authority."""
        host, port = self._listener.server_address[:2]
        return f"{scheme}://{host!s}:{port}"

    @property
    def port(self) -> int:
        """The port really listened on."""
        return int(self._listener.server_address[1])

    @property
    def salesforce(self) -> "SalesforceSandbox":
        """The emulated Salesforce org, for tests and scripts."""
        emulation: Any = self.emulations["salesforce"]
        found: SalesforceSandbox = emulation
        return found

    @property
    def hosts(self) -> dict[str, tuple[str, ...]]:
        """The host names that each vendor stands under."""
        return {name: vendor.hosts for name, vendor in self.vendors.items()}

    def is_here(self, host: str) -> bool:
        """Say whether a host is the sandbox's own: a vendor's, or this machine at our port."""
        if vendor_of_host(self.vendors, host) is not None:
            return True
        name, _, port = host.rpartition(":")
        return port == str(self.port) and name in {"localhost", self._listener.server_address[0]}

    def vendor_of(self, host: str, path: str) -> tuple[str | None, bool]:
        """Return the vendor of a request and whether the Host header named it."""
        by_host = vendor_of_host(self.vendors, host)
        if by_host is not None:
            return by_host, True
        segment = path.split("/", 2)[1] if path.startswith("/") else ""
        return (segment if segment in self.vendors else None), False

    def start(self) -> Self:
        """Serve in a background thread and return at once."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True, name="sandbox")
        self._serving = True
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve until `stop` is called from another thread."""
        self._serving = True
        self._listener.serve_forever(poll_interval=0.02)

    def reset(self) -> None:
        """Go back to the world, the settings and the clock of the start.

        Requests under way end in the world that they began in and leave no trace; those that a fault
        keeps waiting are let go. The address, open connections and certificates stay.
        """
        with self._changing:
            left, waiting = self.emulations, self.stopping
            self.clock.reset()
            self.emulations, self.stopping = self._unopened(), threading.Event()
            self.faults.clear()
            self.pace.set({})
            self.journal.reset()
        waiting.set()
        left.abandon()

    @contextlib.contextmanager
    def visited(self) -> Iterator[Emulations]:
        """Give the emulations of the present world to one request, which may finish there."""
        with self._changing:
            emulations = self.emulations
            emulations.enter()
        try:
            yield emulations
        finally:
            emulations.leave()

    def stop(self) -> None:
        """Stop serving, wake hanging requests, and remove every temporary file."""
        if self._closed:
            return
        self._closed = True
        self.stopping.set()
        if self._serving:
            self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.emulations.close()

    def _unopened(self) -> Emulations:
        return Emulations(self.vendors, Premises(self.world, self.clock, self.clock.now()))

    def _tls(self, authority: Authority) -> ssl.SSLContext:
        patterns = [pattern for vendor in self.vendors.values() for pattern in vendor.hosts]
        return authority.context(
            patterns, owns=lambda name: vendor_of_host(self.vendors, name) is not None
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
