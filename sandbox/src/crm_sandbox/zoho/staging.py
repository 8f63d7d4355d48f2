"""The staging relations of one org's population, and what they need to know of each other."""

from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from crm_sandbox.stamps import DAY, Integers, as_datetimes, growing, lives
from crm_sandbox.world import World
from crm_sandbox.zoho.accounts import Account
from crm_sandbox.zoho.ids import IdScheme

USER_COUNT = 25
PRODUCT_COUNT = 40


def with_life(rng: np.random.Generator, world: World, count: int) -> dict[str, Any]:
    """Return columns that every staged record needs: number, stamps, deletion."""
    stamps = lives(rng, growing(rng, count, world.epoch), world.epoch)
    return {
        "i": np.arange(count),
        "created": as_datetimes(stamps.created),
        "modified": as_datetimes(stamps.modified),
        "touched": as_datetimes(stamps.touched),
        "deleted": np.zeros(count, dtype=bool),
    }


def born(seconds: Integers) -> dict[str, Any]:
    """Return the columns of records that were made at given moments and never changed."""
    moments = as_datetimes(seconds)
    columns: dict[str, Any] = {"i": np.arange(len(seconds))}
    columns |= dict.fromkeys(("created", "modified", "touched"), moments)
    return columns | {"deleted": np.zeros(len(seconds), dtype=bool)}


def _nothing() -> Integers:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Staging:
    """Staged columns on their way into tables.

    Attributes:
        relations: per table, what to write after FROM to read its staging relation.
    """

    connection: duckdb.DuckDBPyConnection
    world: World
    account: Account
    ids: IdScheme
    relations: dict[str, str] = field(default_factory=dict)
    contact_company: Integers = field(default_factory=_nothing)
    contact_deleted: Integers = field(default_factory=_nothing)
    deal_company: Integers = field(default_factory=_nothing)
    deal_created: Integers = field(default_factory=_nothing)
    deal_contact: Integers = field(default_factory=_nothing)
    deal_campaign: Integers = field(default_factory=_nothing)
    deal_amount: Integers = field(default_factory=_nothing)
    lead_count: int = 0

    def rng(self, topic: str) -> np.random.Generator:
        """Return the chance for one topic of this org."""
        return self.world.rng(f"{self.account.crm} {topic}")

    @property
    def campaign_count(self) -> int:
        """How many campaigns there are."""
        return max(8, self.world.contacts // 500)

    def add(self, table: str, columns: dict[str, Any], joined: str = "") -> None:
        """Register columns as the staging relation of a table.

        Args:
            table: the table.
            columns: its columns, with the record number `i`.
            joined: SQL that adds what other tables know; `{source}` stands for the columns.
        """
        numbers = np.asarray(columns["i"])
        chance = np.asarray(columns.get("r1", numbers))
        made = {
            **columns,
            "id": self.ids.many(table, numbers),
            "owner_id": self.ids.many("Users", chance // 5 % USER_COUNT),
            "maker_id": self.ids.many("Users", chance // 7 % USER_COUNT),
        }
        source = f"stage_{table}"
        self.connection.register(source, pa.table(made))
        self.relations[table] = f"({joined.format(source=source)})" if joined else source

    def contact_of_deals(self) -> None:
        """Choose for each deal a living contact of its company and, for some, a campaign."""
        rng = self.rng("people of deals")
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
        for table in self.relations:
            self.connection.unregister(f"stage_{table}")
        self.relations.clear()


def days(seconds: Integers) -> Integers:
    """Return whole days of spans in seconds."""
    whole: Integers = seconds // DAY
    return whole


def seconds(column: Any) -> Integers:
    """Return a column of moments as seconds since 1970."""
    made: Integers = column.to_numpy().astype("datetime64[s]").astype(np.int64)
    return made
