"""Columns staged for a company's tables, and facts that they need of each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from crm_sandbox.kernel import staging
from crm_sandbox.kernel.staging import nothing
from crm_sandbox.pipedrive.plans import Plan
from crm_sandbox.stamps import DAY, Integers, as_datetimes, growing, lives

USER_COUNT = 12


@dataclass
class Staging(staging.Staging):
    """Relations to select from, one per object.

    Attributes:
        card_persons: per person record, who of the world it is.
        person_company: per person record, the company's index.
        person_alive: per person record, whether it is neither deleted nor merged.
    """

    plan: Plan
    sizes: dict[str, int] = field(default_factory=dict)
    person_company: Integers = field(default_factory=nothing)
    person_alive: Any = None
    deal_company: Integers = field(default_factory=nothing)
    deal_created: Integers = field(default_factory=nothing)

    def rng(self, topic: str) -> np.random.Generator:
        """Return the chance for one topic of this company."""
        return self.world.rng(f"{self.plan.crm} {topic}")

    def add(self, name: str, columns: dict[str, Any]) -> None:
        """Register columns under the name `stage_<object>`, with an owner for each row."""
        count = len(columns["i"])
        self.sizes[name] = count
        noise = columns.get("r1")
        random = np.arange(count) if noise is None else np.asarray(noise)
        made = {"owner_id": self.plan.first_user + random // 5 % USER_COUNT, **columns}
        self.register(name, pa.table(made))

    def life(self, rng: np.random.Generator, count: int, deleted: float = 0.0) -> dict[str, Any]:
        """Return number, stamps and deletion of so many records."""
        stamps = lives(rng, growing(rng, count, self.world.epoch), self.world.epoch)
        is_deleted = rng.random(count) < deleted
        return {
            "i": np.arange(count),
            "created": as_datetimes(stamps.created),
            "modified": as_datetimes(stamps.modified),
            **self.ends(rng, as_datetimes(stamps.touched), is_deleted, days=45),
        }

    def ends(
        self, rng: np.random.Generator, touched: Any, deleted: Any, *, days: int
    ) -> dict[str, Any]:
        """Return deletions, most of them lately: whatever is deleted is gone after 30 days."""
        gone = np.asarray(deleted)
        moments = np.asarray(touched).astype("datetime64[s]").astype(np.int64)
        late = self.world.epoch - 60 - (rng.random(len(moments)) * days * DAY).astype(np.int64)
        moved = np.where(
            gone & (rng.random(len(moments)) < 0.7), np.maximum(late, moments), moments
        )
        return {"touched": as_datetimes(moved), "deleted": gone}

    def unstamped(self, touched: Any, deleted: Any) -> pa.Array:
        """Return stamps of which some very old records lack theirs."""
        index = np.arange(len(touched))
        lacking = (index % 97 == 5) & (index < len(index) // 3) & ~np.asarray(deleted)
        return pa.array(np.asarray(touched), mask=lacking)
