"""The staging relations of the org's population."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from crm_sandbox.kernel import staging
from crm_sandbox.kernel.staging import SalesStaging
from crm_sandbox.salesforce.ids import make_id, make_ids
from crm_sandbox.world import World


def with_life(rng: np.random.Generator, world: World, count: int) -> dict[str, Any]:
    """Return columns that every staged record needs: number, stamps, deletion, currency."""
    return {**staging.with_life(rng, world, count), "currency": np.array(["USD"] * count)}


@dataclass
class Staging(SalesStaging):
    """Staged columns on their way into tables.

    Attributes:
        users: how many users own records.
        relations: per object, what to write after FROM to read its staging relation.
    """

    users: int
    relations: dict[str, str] = field(default_factory=dict)

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
        made = {
            **columns,
            "id": make_ids(prefix, numbers),
            "owner_id": owners.take(pa.array(active)),
        }
        quoted = f'"{self.register(name, pa.table(made))}"'
        self.relations[name] = f"({joined.format(source=quoted)})" if joined else quoted
