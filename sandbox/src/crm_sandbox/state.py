"""The state of a sandbox: world, vendors, clock, pace, ordered faults and the journal.

The server listens. Connections and the admin API read and change this state.
"""

import contextlib
import ssl
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.faults import FaultOrders
from crm_sandbox.journal import Journal
from crm_sandbox.pace import Pace
from crm_sandbox.registry import Emulations, Premises, find_vendors, vendor_of_host
from crm_sandbox.world import World


class SandboxState:
    """A world and the emulated vendors that show it, without a server.

    Args:
        seed: the same seed gives the same world.
        contacts: the size of the world.
        now: every time in the world lies before this moment; by default the current hour.
        clock: the sandbox's present; by default real time.
        journal_capacity: how many requests the journal keeps in detail.
        authority: issues certificates for TLS and for tunnels; without one there is plain HTTP only.
        vendors: emulate these only; by default all.

    Attributes:
        place: host and port of the server.
        stopping: set to end the waits of delayed requests.
    """

    def __init__(
        self,
        *,
        seed: int,
        contacts: int,
        now: datetime | None,
        clock: SandboxClock | None,
        journal_capacity: int,
        authority: Authority | None,
        vendors: Collection[str],
    ) -> None:
        self.clock = clock or SandboxClock()
        self.faults = FaultOrders()
        self.journal = Journal(journal_capacity)
        self.pace = Pace()
        self.stopping = threading.Event()
        self.place: tuple[str, int] = ("127.0.0.1", 0)
        moment = now or self.clock.now().replace(minute=0, second=0, microsecond=0)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        self.world = World(seed=seed, contacts=contacts, now=moment)
        self.vendors = find_vendors(vendors)
        self.authority = authority
        self.tls = self._tls(authority) if authority else None
        self.emulations = self._unopened()
        self._changing = threading.Lock()

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return self.address("http")

    def address(self, scheme: str) -> str:
        """Return the address under `http`, or `https` with an authority."""
        host, port = self.place
        return f"{scheme}://{host}:{port}"

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.place[1]

    @property
    def hosts(self) -> dict[str, tuple[str, ...]]:
        """The host names of each vendor."""
        return {name: vendor.hosts for name, vendor in self.vendors.items()}

    def is_here(self, host: str) -> bool:
        """Say whether a host is the sandbox's own: a vendor's, or this machine at our port."""
        if vendor_of_host(self.vendors, host) is not None:
            return True
        name, _, port = host.rpartition(":")
        return port == str(self.port) and name in {"localhost", self.place[0]}

    def vendor_of(self, host: str, path: str) -> tuple[str | None, bool]:
        """Return the vendor of a request and whether the Host header named it."""
        by_host = vendor_of_host(self.vendors, host)
        if by_host is not None:
            return by_host, True
        segment = path.split("/", 2)[1] if path.startswith("/") else ""
        return (segment if segment in self.vendors else None), False

    def reset(self) -> None:
        """Go back to the world, the settings and the clock of the start.

        Requests that are under way end in the world that they began in and leave no trace. The waits of
        delayed requests end. The address, open connections and certificates stay.
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
        """Yield the emulations of the present world to one request; they stay open until it ends."""
        with self._changing:
            emulations = self.emulations
            emulations.enter()
        try:
            yield emulations
        finally:
            emulations.leave()

    def _unopened(self) -> Emulations:
        return Emulations(self.vendors, Premises(self.world, self.clock, self.clock.now()))

    def _tls(self, authority: Authority) -> ssl.SSLContext:
        patterns = [pattern for vendor in self.vendors.values() for pattern in vendor.hosts]
        return authority.context(
            patterns, owns=lambda name: vendor_of_host(self.vendors, name) is not None
        )
