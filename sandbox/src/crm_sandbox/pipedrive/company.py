"""One company with its stores and services; filled when first used."""

import threading
from typing import Any

from crm_sandbox.clock import SandboxClock
from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.conversion_store import ConversionStore
from crm_sandbox.pipedrive.credentials import ACCOUNTS
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.store import Store
from crm_sandbox.pipedrive.webhooks import Webhooks
from crm_sandbox.world import World


class Company(CompanyData):
    """One account of one client.

    Attributes:
        store: changes records.
        conversions: of leads and deals into each other.
        webhooks: the receivers of changes.
    """

    def __init__(self, world: World, clock: SandboxClock, name: str) -> None:
        super().__init__(world, clock, name)
        self.store = Store(self)
        self.conversions = ConversionStore()
        self.webhooks = Webhooks(self, self.store)

    def close(self) -> None:
        """Send nothing any more and close the tables."""
        self.webhooks.close()
        self.tables.close()


class Companies:
    """All companies, opened one by one when needed."""

    def __init__(self, world: World, clock: SandboxClock) -> None:
        self.clock = clock
        self._world = world
        self._lock = threading.Lock()
        self._open: dict[str, Company] = {}

    def __getitem__(self, name: str) -> Company:
        with self._lock:
            if name not in ACCOUNTS:
                raise ValueError(f"no company '{name}'; known: {', '.join(ACCOUNTS)}")
            if name not in self._open:
                self._open[name] = Company(self._world, self.clock, name)
            return self._open[name]

    def opened(self) -> list[Company]:
        """Return the companies that were asked for."""
        with self._lock:
            return list(self._open.values())


def known(name: str) -> Entity:
    """Return an object by its name, or its singular.

    Raises:
        ValueError: there is none.
    """
    wanted: Any = ENTITIES.get(name.lower())
    for entity in ENTITIES.values():
        if wanted is None and entity.singular == name.lower():
            wanted = entity
    if wanted is None:
        raise ValueError(f"unknown object '{name}'; known: {', '.join(ENTITIES)}")
    found: Entity = wanted
    return found
