"""Find the emulated vendors: every sub-package that exports `vendor`.

A vendor is added by adding its folder; nothing here names one.
"""

import importlib
import pkgutil
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Protocol

from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response
from crm_sandbox.operations import OperationTable
from crm_sandbox.world import World


@dataclass(frozen=True)
class Premises:
    """What a vendor is given to open its emulation."""

    world: World
    clock: SandboxClock


class Emulation(Protocol):
    """A vendor at work in one sandbox."""

    def handle(self, request: Request) -> Response:
        """Answer a vendor request."""
        ...

    def administer(self, request: Request) -> Response:
        """Answer an admin request below `/_admin/<vendor>`."""
        ...

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect, as label and value."""
        ...

    def close(self) -> None:
        """Give back files and memory."""
        ...


class Vendor(Protocol):
    """What a vendor's folder exports under the name `vendor`."""

    name: str
    hosts: tuple[str, ...]
    operations: OperationTable

    def open(self, premises: Premises) -> Emulation:
        """Build this vendor's part of the world and start answering."""
        ...


def find_vendors(names: Collection[str] = ()) -> dict[str, Vendor]:
    """Import the sandbox's sub-packages (all, or those of these names) and return the vendors."""
    package = importlib.import_module("crm_sandbox")
    found: dict[str, Vendor] = {}
    for entry in pkgutil.iter_modules(package.__path__):
        if entry.ispkg and (not names or entry.name in names):
            module = importlib.import_module(f"{package.__name__}.{entry.name}")
            vendor: Vendor | None = getattr(module, "vendor", None)
            if vendor is not None:
                found[vendor.name] = vendor
    return found


def vendor_of_host(vendors: dict[str, Vendor], host: str) -> str | None:
    """Return the name of the vendor that owns a host name, if any."""
    name = host.split(":", 1)[0].lower()
    for vendor in vendors.values():
        if any(fnmatch(name, pattern) for pattern in vendor.hosts):
            return vendor.name
    return None
