"""Find the emulated vendors: every sub-package that exports `vendor`.

A vendor is added by adding its folder; nothing here names one.
"""

import importlib
import pkgutil
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Protocol

from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response
from crm_sandbox.operations import OperationTable
from crm_sandbox.world import World


@dataclass(frozen=True)
class Premises:
    """The arguments of `Vendor.open`.

    Attributes:
        since: when the sandbox was started, or reset last, by its clock.
    """

    world: World
    clock: SandboxClock
    since: datetime


class Emulation(Protocol):
    """The emulation of one vendor in one sandbox."""

    def handle(self, request: Request) -> Response:
        """Answer a vendor request."""
        ...

    def administer(self, request: Request) -> Response:
        """Answer an admin request below `/_admin/<vendor>`."""
        ...

    def close(self) -> None:
        """Release files and memory."""
        ...


class Vendor(Protocol):
    """What a vendor's folder exports under the name `vendor`."""

    name: str
    hosts: tuple[str, ...]
    accounts: tuple[str, ...]

    def access(self, url: str) -> list[tuple[str, str]]:
        """Return how to connect, as labels and values."""
        ...

    def credentials(self, url: str, account: str) -> dict[str, str]:
        """Return what a client needs to log in to an account, by names such as `client_id`."""
        ...

    @property
    def operations(self) -> OperationTable:
        """All operations that are built."""
        ...

    def open(self, premises: Premises) -> Emulation:
        """Build this vendor's part of the world and start answering."""
        ...


class Emulations(Mapping[str, Emulation]):
    """The emulations of one sandbox by vendor; each is opened when it is first used.

    Args:
        vendors: by name.
        premises: the arguments to open them.
    """

    def __init__(self, vendors: Mapping[str, Vendor], premises: Premises) -> None:
        self._vendors = vendors
        self._premises = premises
        self._opening = threading.Lock()
        self._lock = threading.Lock()
        self._open: dict[str, Emulation] = {}
        self._requests = 0
        self._is_abandoned = False

    def __getitem__(self, name: str) -> Emulation:
        """Return a vendor's emulation, opened."""
        with self._opening:
            emulation = self._open.get(name)
            if emulation is None:
                emulation = self._open[name] = self._vendors[name].open(self._premises)
            return emulation

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a vendor; none is opened."""
        return name in self._vendors

    def __iter__(self) -> Iterator[str]:
        """Return the names; none is opened."""
        return iter(self._vendors)

    def __len__(self) -> int:
        """Return how many there are; none is opened."""
        return len(self._vendors)

    def enter(self) -> None:
        """Count a request that begins here."""
        with self._lock:
            self._requests += 1

    def leave(self) -> None:
        """Count a request that ends; the last one after `abandon` closes the emulations."""
        with self._lock:
            self._requests -= 1
            is_last = self._is_abandoned and not self._requests
        if is_last:
            self.close()

    def abandon(self) -> None:
        """Close all open emulations as soon as no request is under way here."""
        with self._lock:
            self._is_abandoned = True
            is_idle = not self._requests
        if is_idle:
            self.close()

    def close(self) -> None:
        """Close all open emulations at once."""
        with self._opening:
            opened = list(self._open.values())
            self._open.clear()
        for emulation in opened:
            emulation.close()


def find_vendors(names: Collection[str] = ()) -> dict[str, Vendor]:
    """Import the sandbox's sub-packages (all, or those of these names) and return the vendors."""
    package = importlib.import_module("crm_sandbox")
    vendors: dict[str, Vendor] = {}
    for entry in pkgutil.iter_modules(package.__path__):
        if entry.ispkg and (not names or entry.name in names):
            module = importlib.import_module(f"{package.__name__}.{entry.name}")
            vendor: Vendor | None = getattr(module, "vendor", None)
            if vendor is not None:
                vendors[vendor.name] = vendor
    return vendors


def vendor_of_host(vendors: Mapping[str, Vendor], host: str) -> str | None:
    """Return the name of the vendor that owns a host name, if any."""
    name = host.split(":", 1)[0].lower()
    for vendor in vendors.values():
        if any(fnmatch(name, pattern) for pattern in vendor.hosts):
            return vendor.name
    return None
