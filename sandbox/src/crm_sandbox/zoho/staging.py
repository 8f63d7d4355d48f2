"""The staging relations of one org's population, and facts that they need of each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from crm_sandbox.kernel.staging import SalesStaging, nothing
from crm_sandbox.stamps import DAY, Integers, as_datetimes
from crm_sandbox.zoho.accounts import Account
from crm_sandbox.zoho.ids import IdScheme

USER_COUNT = 25
PRODUCT_COUNT = 40


def born(seconds: Integers) -> dict[str, Any]:
    """Return the columns of records that were made at given moments and never changed."""
    moments = as_datetimes(seconds)
    columns: dict[str, Any] = {"i": np.arange(len(seconds))}
    columns |= dict.fromkeys(("created", "modified", "touched"), moments)
    return columns | {"deleted": np.zeros(len(seconds), dtype=bool)}


@dataclass
class Staging(SalesStaging):
    """Staged columns on their way into tables.

    Attributes:
        relations: per table, what to write after FROM to read its staging relation.
    """

    account: Account
    ids: IdScheme
    relations: dict[str, str] = field(default_factory=dict)
    deal_amount: Integers = field(default_factory=nothing)

    def rng(self, topic: str) -> np.random.Generator:
        """Return the chance for one topic of this org."""
        return self.world.rng(f"{self.account.crm} {topic}")

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
        source = self.register(table, pa.table(made))
        self.relations[table] = f"({joined.format(source=source)})" if joined else source


def days(seconds: Integers) -> Integers:
    """Return whole days of spans in seconds."""
    whole: Integers = seconds // DAY
    return whole
