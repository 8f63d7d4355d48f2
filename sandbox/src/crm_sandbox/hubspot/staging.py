"""Columns staged for a portal's tables, and facts that one object type needs of others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import noise
from crm_sandbox.hubspot.association_types import LinkTypes
from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.owners import OWNER_COUNT, owner_ids
from crm_sandbox.hubspot.storage import FIRST_ID, STEP, links_of
from crm_sandbox.kernel import staging
from crm_sandbox.kernel.staging import nothing
from crm_sandbox.stamps import DAY, Integers, growing, lives

_BIN_DAYS = 89


def ids_of(numbers: Integers) -> Integers:
    """Return the ids of records by their numbers; those of two object types may be the same."""
    made: Integers = FIRST_ID + numbers * STEP
    return made


def texts(numbers: Integers, present: Any = None) -> pa.Array:
    """Return whole numbers as text, null where they are not present."""
    written = pc.cast(pa.array(numbers), pa.string())
    return written if present is None else pc.if_else(pa.array(present), written, None)


@dataclass
class Staging(staging.Staging):
    """What has been staged so far.

    Attributes:
        company_of: per contact its company, both as numbers.
        contact_ids: per contact the id under which it is found today.
        contact_gone: per contact whether it is archived or was merged into another.
        linked: per table of links what goes into it: both ends, and the kind.
        deal_contact: per deal the number of a contact, -1 for none.
    """

    portal: PortalFacts
    link_types: LinkTypes
    linked: dict[str, list[tuple[Integers, Integers, int]]] = field(default_factory=dict)
    contact_ids: Integers = field(default_factory=nothing)
    contact_gone: Integers = field(default_factory=nothing)
    company_of: Integers = field(default_factory=nothing)
    deal_contact: Integers = field(default_factory=nothing)
    deal_company: Integers = field(default_factory=nothing)
    deal_created: Integers = field(default_factory=nothing)
    deal_amount: Integers = field(default_factory=nothing)

    @property
    def crm(self) -> str:
        """The name under which the world draws cards for this portal."""
        return "hubspot" if self.portal.name == "main" else f"hubspot {self.portal.name}"

    def rng(self, topic: str) -> np.random.Generator:
        """Return the chance for one topic of this portal."""
        return self.world.rng(f"{self.crm} {topic}")

    def born(self, rng: np.random.Generator, count: int) -> dict[str, Any]:
        """Draw number, random columns and a life for records that the world does not have."""
        stamps = lives(rng, growing(rng, count, self.world.epoch), self.world.epoch)
        return {
            "i": np.arange(count),
            **noise(rng, count, 8),
            **self.lived(rng, stamps.created, stamps.touched, rng.random(count) < 0.012),
        }

    def lived(
        self,
        rng: np.random.Generator,
        created: Integers,
        touched: Integers,
        archived: Any,
        burst: int | None = None,
    ) -> dict[str, Any]:
        """Return the stamps in milliseconds; what was touched at `burst` shares one of them."""
        count = len(created)
        parts = (
            np.where(touched == burst, 0, rng.integers(0, 1000, count))
            if burst
            else (rng.integers(0, 1000, count))
        )
        updated = touched * 1000 + parts
        binned = (self.world.epoch - rng.integers(3600, _BIN_DAYS * DAY, count)) * 1000 + 500
        binned = np.maximum(binned, updated)
        first = np.minimum(created * 1000 + rng.integers(0, 1000, count), updated)
        return {
            "created_ms": first,
            "updated_ms": updated,
            "archived": np.asarray(archived, dtype=bool),
            "archived_ms": pc.if_else(
                pa.array(np.asarray(archived, dtype=bool)), pa.array(binned), None
            ),
        }

    def stage(self, name: str, columns: Mapping[str, Any], joined: str = "") -> str:
        """Register columns and return what stands after FROM; ids, owner and user are added.

        Args:
            name: the object type.
            columns: its columns, with its number `i`; `id` where it is not made from the number.
            joined: SQL that adds what other tables know; `{source}` stands for the columns.
        """
        numbers = np.asarray(columns["i"])
        draw = np.asarray(columns["r1"]) // 5
        owners = pa.array([str(one) for one in owner_ids()]).take(pa.array(draw % OWNER_COUNT))
        has_owner = pa.array(draw % 11 != 0)
        nothing = pa.nulls(len(numbers), pa.string())
        made = pa.table(
            {
                "id": ids_of(numbers),
                "owner_id": pc.if_else(has_owner, owners, None),
                "user_id": texts(self.portal.user_id + draw % OWNER_COUNT),
                "merged_ids": nothing,
                **columns,
            }
        )
        source = self.register(name, made)
        return f"({joined.format(source=source)})" if joined else source

    def link(
        self,
        from_type: str,
        to_type: str,
        from_ids: Integers,
        to_ids: Integers,
        kinds: Mapping[int, Any] | None = None,
    ) -> None:
        """Link records in both directions.

        Args:
            from_type: an object type.
            to_type: another one.
            from_ids: ids of the first.
            to_ids: ids of the second.
            kinds: which rows have which type of link; by default all the plain one.
        """
        if kinds is None:
            plain = self.link_types.plain(from_type, to_type)
            assert plain is not None
            kinds = {plain.id: np.ones(len(from_ids), dtype=bool)}
        for number, rows in kinds.items():
            one = self.link_types.find(from_type, to_type, number)
            assert one is not None
            forth, back = from_ids[rows], to_ids[rows]
            pairs = (
                (from_type, to_type, forth, back, one.id),
                (to_type, from_type, back, forth, one.inverse),
            )
            for whose, whom, ends, others, kind in pairs:
                self.linked.setdefault(links_of(whose, whom), []).append((ends, others, kind))

    def write_links(self) -> None:
        """Write the tables of all links, each link once and in the order of ids."""
        for name, pieces in self.linked.items():
            table = pa.table(
                {
                    "f": np.concatenate([ends for ends, _, _ in pieces]),
                    "t": np.concatenate([others for _, others, _ in pieces]),
                    "k": np.concatenate([np.full(len(e), k, np.int32) for e, _, k in pieces]),
                }
            )
            self.connection.register("stage_links", table)
            self.connection.execute(
                f'INSERT INTO "{name}" SELECT DISTINCT f, t, k FROM stage_links ORDER BY f, t, k'
            )
            self.connection.unregister("stage_links")
