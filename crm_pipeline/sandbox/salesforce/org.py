"""The org: its objects, the tables behind them, and one cursor per thread.

Reading and changing records is done elsewhere (`translation.py`, `changes.py`); this module owns
the database and the current schema.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from crm_pipeline.sandbox.clock import SandboxClock
from crm_pipeline.sandbox.salesforce.errors import invalid_type
from crm_pipeline.sandbox.salesforce.ids import make_id
from crm_pipeline.sandbox.salesforce.objects import ALL_OBJECTS
from crm_pipeline.sandbox.salesforce.population import fill
from crm_pipeline.sandbox.salesforce.schema import SObject
from crm_pipeline.sandbox.world import World


class Org:
    """One Salesforce org in an in-memory database.

    Args:
        world: what the org is filled with.
        clock: the present.
    """

    def __init__(self, world: World, clock: SandboxClock) -> None:
        self.world = world
        self.clock = clock
        self.lock = threading.RLock()
        self.schema_moment = clock.stamp()
        self.revision = 0  # another one, another answer to the same query
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET preserve_insertion_order = true")
        fill(self._connection, world)
        self._objects = {one.name.lower(): one for one in ALL_OBJECTS}
        self._local = threading.local()
        self._next: dict[str, int] = {}
        self._in_transaction = False

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

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's cursor."""
        found: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if found is None:
            found = self._connection.cursor()
            self._local.cursor = found
        return found

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

    def replace(self, sobject: SObject) -> None:
        """Put a changed object in the place of the old one."""
        self._objects[sobject.name.lower()] = sobject
        self.revision += 1
        self.schema_moment = self.clock.stamp()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the one writer's cursor inside a transaction; an inner block joins the outer one."""
        with self.lock:
            cursor = self.cursor()
            if self._in_transaction:
                yield cursor
                return
            cursor.execute("BEGIN")
            self._in_transaction = True
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            else:
                cursor.execute("COMMIT")
                self.revision += 1
            finally:
                self._in_transaction = False

    def new_id(self, sobject: SObject) -> str:
        """Return an id that was never used."""
        with self.lock:
            if sobject.prefix not in self._next:
                # Fetched to the end: a result that is still open keeps the cursor from other work.
                rows = self.cursor().execute(f'SELECT count(*) FROM "{sobject.name}"').fetchall()
                # A gap keeps later records apart from the first population, as in a real org.
                self._next[sobject.prefix] = int(rows[0][0]) + 1000
            number = self._next[sobject.prefix]
            self._next[sobject.prefix] += 1
            return make_id(sobject.prefix, number)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
