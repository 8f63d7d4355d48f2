"""The org: its objects and the tables behind them.

Reading and changing records is done elsewhere (`translation.py`, `changes.py`); this module owns
the current schema.
"""

from datetime import datetime

from crm_sandbox.clock import SandboxClock
from crm_sandbox.populations import Population
from crm_sandbox.salesforce.errors import invalid_type
from crm_sandbox.salesforce.ids import make_id
from crm_sandbox.salesforce.objects import ALL_OBJECTS
from crm_sandbox.salesforce.population import fill
from crm_sandbox.salesforce.schema import SObject
from crm_sandbox.tables import Tables
from crm_sandbox.world import World


class Org(Tables):
    """One Salesforce org in an in-memory database.

    Args:
        world: what the org is filled with.
        clock: the present.
        since: when the org was opened, in UTC.
    """

    def __init__(self, world: World, clock: SandboxClock, since: datetime) -> None:
        super().__init__(
            Population.of("salesforce", world, lambda connection: fill(connection, world))
        )
        self.world = world
        self.clock = clock
        self.schema_moment = since.replace(microsecond=0, tzinfo=None)
        self._objects = {one.name.lower(): one for one in ALL_OBJECTS}
        self._next: dict[str, int] = {}

    @property
    def organization_id(self) -> str:
        """The id of the org itself."""
        return make_id("00D", 0)

    @property
    def user_id(self) -> str:
        """The id of the user that clients work as."""
        return make_id("005", 0)

    @property
    def objects(self) -> list[SObject]:
        """The objects that the integration user may see."""
        return [one for one in self._objects.values() if not one.hidden]

    def visible(self, name: str) -> SObject:
        """Return an object by its name in any case.

        Raises:
            ApiError: `INVALID_TYPE` when it does not exist or may not be seen.
        """
        found = self._objects.get(name.lower())
        if found is None or found.hidden:
            raise invalid_type(name)
        return found

    def known(self, name: str) -> SObject:
        """Return an object for the admin, hidden or not.

        Raises:
            ValueError: it does not exist.
        """
        found = self._objects.get(name.lower())
        if found is None:
            names = ", ".join(one.name for one in self._objects.values())
            raise ValueError(f"unknown object '{name}'; known: {names}")
        return found

    def held(self, name: str) -> SObject | None:
        """Return an object, hidden or not, where it is emulated."""
        return self._objects.get(name.lower())

    def replace(self, sobject: SObject) -> None:
        """Put a changed object in the place of the old one."""
        self._objects[sobject.name.lower()] = sobject
        self.bump()
        self.schema_moment = self.clock.stamp()

    def new_id(self, sobject: SObject) -> str:
        """Return an id that was never used."""
        with self.lock:
            if sobject.prefix not in self._next:
                count = self.value(f'SELECT count(*) FROM "{sobject.name}"')
                # A gap keeps later records apart from the first population, as in a real org.
                self._next[sobject.prefix] = int(count) + 1000
            number = self._next[sobject.prefix]
            self._next[sobject.prefix] += 1
            return make_id(sobject.prefix, number)
