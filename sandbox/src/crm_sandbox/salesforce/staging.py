"""The staging relations of a population and what they need to know of each other."""

from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from crm_sandbox.salesforce.ids import make_id, make_ids
from crm_sandbox.stamps import Integers, as_datetimes, growing, lives
from crm_sandbox.world import World


def with_life(rng: np.random.Generator, world: World, count: int) -> dict[str, Any]:
    """Return columns that every staged record needs: number, stamps, deletion, currency."""
    stamps = lives(rng, growing(rng, count, world.epoch), world.epoch)
    return {
        "i": np.arange(count),
        "created": as_datetimes(stamps.created),
        "modified": as_datetimes(stamps.modified),
        "touched": as_datetimes(stamps.touched),
        "deleted": np.zeros(count, dtype=bool),
        "currency": np.array(["USD"] * count),
    }


def _nothing() -> Integers:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Staging:
    """Staged columns on their way into tables.

    Attributes:
        connection: where the tables are made.
        world: what they are made of.
        users: how many users own records.
        relations: per object, what to write after FROM to read its staging relation.
    """

    connection: duckdb.DuckDBPyConnection
    world: World
    users: int
    registered: list[str] = field(default_factory=list)
    relations: dict[str, str] = field(default_factory=dict)
    contact_company: Integers = field(default_factory=_nothing)
    contact_deleted: Integers = field(default_factory=_nothing)
    deal_company: Integers = field(default_factory=_nothing)
    deal_created: Integers = field(default_factory=_nothing)
    deal_contact: Integers = field(default_factory=_nothing)
    deal_campaign: Integers = field(default_factory=_nothing)
    lead_count: int = 0

    @property
    def campaign_count(self) -> int:
        """How many campaigns there are."""
        return max(8, self.world.contacts // 500)

    def columns(self, table: pa.Table) -> dict[str, Any]:
        """Return a table's columns by name."""
        return {name: table[name] for name in table.column_names}

    def first_id(self, prefix: str) -> str:
        """Return the id of an object's first record."""
        return make_id(prefix, 0)

    def add(self, name: str, columns: dict[str, Any], prefix: str, joined: str = "") -> None:
        """Register columns as the staging relation of an object.

        Args:
            name: the object.
            columns: its columns, with the record number `i`.
            prefix: the key prefix its ids are made with.
            joined: SQL that adds what other tables know; `{source}` stands for the columns.
        """
        numbers = np.asarray(columns["i"])
        owners = make_ids("005", np.arange(self.users))
        owner = columns.get("r1", numbers)
        active = np.asarray(owner) // 5 % self.users
        made = pa.table(
            {
                **columns,
                "id": make_ids(prefix, numbers),
                "owner_id": owners.take(pa.array(active)),
            }
        )
        source = f"stage_{name}"
        self.connection.register(source, made)
        self.registered.append(source)
        quoted = f'"{source}"'
        self.relations[name] = f"({joined.format(source=quoted)})" if joined else quoted

    def contact_of_deals(self, rng: np.random.Generator) -> None:
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

    def clear(self) -> None:
        """Drop every staging relation."""
        for name in self.registered:
            self.connection.unregister(name)
        self.registered.clear()
