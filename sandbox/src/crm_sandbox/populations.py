"""Populations: what the tables of an account begin with, drawn once in a process.

The prepared tables are shared and never changed. An account that is about to write gets a copy of its
own beside them in the same DuckDB, so a fresh account costs nothing and a change costs one copy.
"""

import atexit
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import duckdb

from crm_sandbox.world import World

_MOST_KEPT = 16
_MOST_CONTACTS = 20_000
"""So many populations stay prepared for the next server, with so many contacts in all; those in use stay
anyway. A world that is larger by itself is drawn for each server anew."""

_NUMBERS = itertools.count(1)


class Prepared:
    """One DuckDB with the tables of a population.

    Args:
        fill: makes the tables.
    """

    def __init__(self, fill: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        # There is no file to read, so DuckDB's eight threads for files would only wait.
        self.connection = duckdb.connect(":memory:", config={"async_threads": 0})
        self.connection.execute("SET preserve_insertion_order = true")
        fill(self.connection)


@dataclass(frozen=True)
class Database:
    """The tables of one account: the prepared ones, or a copy of them.

    Attributes:
        prepared: where they are.
        catalog: under which name.
        is_own: whether they may be changed.
    """

    prepared: Prepared
    catalog: str = "memory"
    is_own: bool = False

    def own(self) -> "Database":
        """Return tables that may be changed."""
        if self.is_own:
            return self
        copy = f"copy{next(_NUMBERS)}"
        with self.prepared.connection.cursor() as cursor:
            cursor.execute(f"ATTACH ':memory:' AS {copy}; COPY FROM DATABASE memory TO {copy}")
        return Database(self.prepared, copy, is_own=True)

    def close(self) -> None:
        """Drop what belongs to this account alone."""
        if self.is_own and self.catalog == "memory":
            self.prepared.connection.close()
        elif self.is_own:
            with self.prepared.connection.cursor() as cursor:
                cursor.execute(f"DETACH {self.catalog}")


@dataclass(frozen=True)
class Population:
    """What an account's tables begin with.

    Attributes:
        fill: makes the tables.
        key: the same key, the same tables; with None they are drawn for this account alone, as large
            ones are, which would fill the memory twice.
        contacts: how large it is.
    """

    fill: Callable[[duckdb.DuckDBPyConnection], None]
    key: Hashable | None = None
    contacts: int = 0

    @classmethod
    def of(
        cls, account: str, world: World, fill: Callable[[duckdb.DuckDBPyConnection], None]
    ) -> "Population":
        """Return what an account of a world begins with.

        Args:
            account: the vendor and its account.
            world: what the tables are made of.
            fill: makes the tables; from these two only.
        """
        key = (account, world.seed, world.contacts, world.now)
        return cls(fill, key if world.contacts < _MOST_CONTACTS else None, world.contacts)

    def open(self) -> Database:
        """Return the tables, drawn now if they are not prepared."""
        if self.key is None:
            return Database(Prepared(self.fill), is_own=True)
        return Database(_KEPT.get(self))


class _Kept:
    """The prepared populations of this process; the longest unused ones go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._prepared: OrderedDict[Hashable, tuple[Prepared, int]] = OrderedDict()

    def get(self, population: Population) -> Prepared:
        """Return a population, drawn where there is none; others may be drawn at the same time."""
        key = population.key
        with self._lock:
            drawing = self._locks.setdefault(key, threading.Lock())
        with drawing:
            with self._lock:
                found = self._prepared.get(key)
                if found is not None:
                    self._prepared.move_to_end(key)
                    return found[0]
            made = Prepared(population.fill)
            with self._lock:
                self._prepared[key] = (made, population.contacts)
                while self._has_too_many():
                    dropped, _ = self._prepared.popitem(last=False)
                    self._locks.pop(dropped, None)
            return made

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._prepared.clear()
            self._locks.clear()

    def _has_too_many(self) -> bool:
        contacts = sum(size for _, size in self._prepared.values())
        number = len(self._prepared)
        return number > _MOST_KEPT or (number > 1 and contacts > _MOST_CONTACTS)


_KEPT = _Kept()
# DuckDB's binding prints a page of warnings about what is still open when the interpreter has ended.
atexit.register(_KEPT.clear)
EMPTY = Population(lambda _: None)
