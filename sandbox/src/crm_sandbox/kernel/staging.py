"""Columns staged for an account's tables, and facts about some objects that others are made from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from crm_sandbox.stamps import Integers, as_datetimes, growing, lives
from crm_sandbox.vocabulary import LONG_TEXT
from crm_sandbox.world import World

SMALL = 2_000


@contextmanager
def filling(connection: duckdb.DuckDBPyConnection, world: World) -> Iterator[None]:
    """Prepare a database for loading rows; the SQL variable `long_text` holds a long text."""
    connection.execute("SET VARIABLE long_text = ?", [LONG_TEXT])
    if world.contacts < SMALL:
        # Planning costs more than running as long as the world is small.
        connection.execute("PRAGMA disable_optimizer")
    yield
    connection.execute("PRAGMA enable_optimizer")


def with_life(rng: np.random.Generator, world: World, count: int) -> dict[str, Any]:
    """Return columns that every staged record needs: number, times, deletion."""
    stamps = lives(rng, growing(rng, count, world.epoch), world.epoch)
    return {
        "i": np.arange(count),
        "created": as_datetimes(stamps.created),
        "modified": as_datetimes(stamps.modified),
        "touched": as_datetimes(stamps.touched),
        "deleted": np.zeros(count, dtype=bool),
    }


def seconds(column: pa.ChunkedArray) -> Integers:
    """Return a column of moments as seconds since 1970."""
    made: Integers = column.to_numpy().astype("datetime64[s]").astype(np.int64)
    return made


def nothing() -> Integers:
    """Return a column of no numbers."""
    return np.zeros(0, dtype=np.int64)


@dataclass
class Staging:
    """Relations that SQL can read, until they are cleared.

    Attributes:
        connection: where the tables are made.
        world: the source of the columns.
    """

    connection: duckdb.DuckDBPyConnection
    world: World
    registered: list[str] = field(default_factory=list, kw_only=True)

    def register(self, name: str, columns: pa.Table) -> str:
        """Register columns as a relation and return its name in SQL."""
        source = f"stage_{name}"
        self.connection.register(source, columns)
        self.registered.append(source)
        return source

    def clear(self) -> None:
        """Drop every staged relation."""
        for name in self.registered:
            self.connection.unregister(name)
        self.registered.clear()


@dataclass
class SalesStaging(Staging):
    """Facts about contacts, leads and deals that members, roles and activities are made from.

    Attributes:
        contact_company: per contact its company, both as numbers.
        contact_deleted: per contact whether it is deleted.
        deal_company: per deal the number of its company.
        deal_created: per deal the second of its creation.
        deal_contact: per deal the number of a contact, -1 for none.
        deal_campaign: per deal the number of a campaign, -1 for none.
        lead_count: how many leads there are.
    """

    contact_company: Integers = field(default_factory=nothing, kw_only=True)
    contact_deleted: Integers = field(default_factory=nothing, kw_only=True)
    deal_company: Integers = field(default_factory=nothing, kw_only=True)
    deal_created: Integers = field(default_factory=nothing, kw_only=True)
    deal_contact: Integers = field(default_factory=nothing, kw_only=True)
    deal_campaign: Integers = field(default_factory=nothing, kw_only=True)
    lead_count: int = field(default=0, kw_only=True)

    @property
    def campaign_count(self) -> int:
        """How many campaigns there are."""
        return max(8, self.world.contacts // 500)

    def choose_contacts(self, rng: np.random.Generator) -> None:
        """Choose for each deal a living contact of its company and, for some, a campaign."""
        alive = np.flatnonzero(~self.contact_deleted)
        order = alive[np.argsort(self.contact_company[alive], kind="stable")]
        sorted_company = self.contact_company[order]
        low = np.searchsorted(sorted_company, self.deal_company, "left")
        high = np.searchsorted(sorted_company, self.deal_company, "right")
        count = len(self.deal_company)
        position = low + rng.integers(0, 1 << 30, count) % np.maximum(high - low, 1)
        chosen = order[np.minimum(position, len(order) - 1)]
        self.deal_contact = np.where((high > low) & (rng.random(count) < 0.75), chosen, -1)
        campaign = (self.campaign_count * rng.random(count) ** 1.5).astype(np.int64)
        self.deal_campaign = np.where(rng.random(count) < 0.4, campaign, -1)
