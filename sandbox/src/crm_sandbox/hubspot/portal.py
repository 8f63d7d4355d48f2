"""One portal: its tables, its catalogue, its pipelines and owners, filled when first used."""

import threading
from collections.abc import Callable, Hashable

import duckdb

from crm_sandbox.answers import AnswerCache
from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import PACKED, Response
from crm_sandbox.hubspot.association_types import LinkTypes
from crm_sandbox.hubspot.credentials import APP_ID, PORTALS, PortalFacts
from crm_sandbox.hubspot.events import Events
from crm_sandbox.hubspot.instants import ms_of
from crm_sandbox.hubspot.limits import CallLimits
from crm_sandbox.hubspot.objects import object_types
from crm_sandbox.hubspot.oddities import Oddities
from crm_sandbox.hubspot.owners import OwnerHandler
from crm_sandbox.hubspot.pipelines import PipelineHandler, PipelineStore, seeded
from crm_sandbox.hubspot.population import fill
from crm_sandbox.hubspot.rules import Rules
from crm_sandbox.hubspot.schema import Catalog
from crm_sandbox.hubspot.settings import Settings
from crm_sandbox.hubspot.storage import LINK, create, links_of
from crm_sandbox.populations import Population
from crm_sandbox.tables import Tables
from crm_sandbox.world import World

_SINCE_MS = 1_536_000_000_000


class Portal:
    """Everything that one customer of the vendor has.

    Args:
        facts: who it is.
        world: what it is filled from.
        clock: the sandbox's.
    """

    def __init__(self, facts: PortalFacts, world: World, clock: SandboxClock) -> None:
        self.facts = facts
        self.world = world
        self.clock = clock
        self.since_ms = _SINCE_MS
        self.catalog = Catalog(object_types(facts))
        asset = next(one.name for one in self.catalog.types if one.custom)
        self.link_types = LinkTypes(facts, asset)
        self.pipelines = PipelineStore(seeded(facts, _SINCE_MS))
        self.pipeline_handler = PipelineHandler(self.pipelines, self.now_ms)
        self.owners = OwnerHandler(facts.user_id, _SINCE_MS)
        self.answers = AnswerCache()
        self.settings = Settings()
        self.rules = Rules()
        self.events = Events(self.now_ms)
        self.app_id = APP_ID
        self.in_use: set[str] = set()
        self.oddities = Oddities()
        self.limits = CallLimits(facts, clock)
        self.tables = Tables(Population.of(f"hubspot {facts.name}", world, self._fill))
        self.tables.fill()

    def _fill(self, connection: duckdb.DuckDBPyConnection) -> None:
        fill(
            connection,
            self.world,
            portal=self.facts,
            catalog=self.catalog,
            link_types=self.link_types,
            pipelines=self.pipelines,
        )

    def now_ms(self) -> int:
        """Return the sandbox's present in milliseconds since 1970."""
        return ms_of(self.clock.now())

    def kept(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return an answer that holds as long as nothing in the portal changes."""
        return self.answers.get(key, self.tables.revision, make)

    def packed(self, key: Hashable, make: Callable[[], bytes]) -> Response:
        """Return it as the answer to a request, as it is kept."""
        return Response(200, self.answers.packed(key, self.tables.revision, make), (PACKED,))

    def link_tables(self, one: str, other: str) -> None:
        """Make the tables of two object types that could not be linked before."""
        with self.tables.writing() as cursor:
            cursor.execute(create(links_of(one, other), LINK))
            cursor.execute(create(links_of(other, one), LINK))

    def close(self) -> None:
        """Give the memory back."""
        self.tables.close()


class Portals:
    """The portals of one sandbox.

    Args:
        world: what they are filled from.
        clock: the sandbox's.
    """

    def __init__(self, world: World, clock: SandboxClock) -> None:
        self._world = world
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, Portal] = {}

    def named(self, name: str) -> Portal:
        """Return a portal, filled.

        Raises:
            ValueError: there is none of this name.
        """
        facts = PORTALS.get(name)
        if facts is None:
            raise ValueError(f"unknown account '{name}'; known: {', '.join(PORTALS)}")
        with self._lock:
            found = self._open.get(name)
            if found is None:
                found = self._open[name] = Portal(facts, self._world, self._clock)
            return found

    def close(self) -> None:
        """Close every portal that was opened."""
        with self._lock:
            for one in self._open.values():
                one.close()
            self._open.clear()
