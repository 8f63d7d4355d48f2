"""Versions of records: every order of reads against a replay in plain Python."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.stages.normalized.retention import retire
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.stages.conftest import Org, schema
from crm_pipeline_tests.stages.normalized.replay import Landed, Shown, in_order, replayed

CONTACT = schema("Contact", "LastName")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("last_name", "full_name")
EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "2"))
"""A campaign: `CRM_EXAMPLES=200`."""
RECORDS = 60
"""In one example, because a build of many records takes as long as one of few."""
Row = tuple[str, int, bool, int]
"""Id, day of modification (0: none), whether deleted, value."""


@dataclass
class World:
    """A CRM whose records land by hand, and the list of what landed."""

    org: Org
    landed: Landed

    def land(self, rows: Sequence[Row], *, complete: bool = False) -> None:
        records = [
            {
                "Id": key,
                "LastName": f"v{value}",
                "IsDeleted": str(gone).lower(),
                "SystemModstamp": format_instant(stamp) if (stamp := at(day)) else "",
            }
            for key, day, gone, value in rows
        ]
        self.org.land(CONTACT, records, complete=complete)
        seen = [(key, at(day), gone, f"v{value}") for key, day, gone, value in rows]
        self.landed.add(self.org.clock.now(), seen, complete=complete)

    def merge(self) -> None:
        """Merge the windows so far, those that the latest reads would keep aside included."""
        self.org.landing.merge("acme", "Contact")

    def retire(self) -> int:
        """Remove every superseded version from landing that the history has."""
        with self.org.engine() as engine:
            return retire(
                self.org.connection(),
                "Contact",
                self.org.landing,
                self.org.tables,
                self.org.maps,
                engine,
                self.org.clock.now() + timedelta(seconds=1),
            )

    def versions(self, tables: Tables | None = None) -> list[Shown]:
        """Return what the history and, for records without one, the table say."""
        org = self.org if tables is None else Org(self.org.data)
        org.tables = tables or self.org.tables
        org.objects = self.org.objects
        org.normalize("contacts")
        return shown(org)


def at(day: int) -> datetime | None:
    return EPOCH + timedelta(days=day) if day else None


def shown(org: Org) -> list[Shown]:
    stored = org.rows(
        "contacts",
        "source_id, valid_from, valid_to, is_deleted, last_name, list_sort(changed_fields)",
        prefix="history",
        where="_is_version",
    )
    once = org.rows(
        "contacts",
        "source_id, modified_at, NULL, is_deleted, last_name, []",
        where=f"source_id NOT IN (SELECT source_id FROM {org.relation('contacts', 'history')})",
    )
    rows = [(*row[:5], tuple(row[5])) for row in (*stored, *once)]
    return sorted(rows, key=in_order)


def world_in(folder: str) -> World:
    return World(Org(Path(folder) / "data"), Landed())


def drawn_read(random: Random) -> list[tuple[int, bool, int]]:
    """Draw what a read has of one record: nothing, a version, or two."""
    return [
        (random.randint(0, 4), random.random() < 0.4, random.randint(1, 3))
        for _ in range(random.choice((0, 1, 1, 2)))
    ]


PLAN = st.lists(
    st.tuples(st.sampled_from(["part", "part", "part", "whole"]), st.booleans(), st.booleans()),
    min_size=4,
    max_size=7,
)
"""Reads: of some records or of all, whether a build follows, and whether windows are merged before it."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 2,
    database=None,
    phases=[Phase.generate],
)
@given(PLAN, st.integers(0, 1 << 32))
def test_every_order_of_reads(plan: list[tuple[str, bool, bool]], seed: int) -> None:
    """Whatever lands in whatever order, with builds and merges in between, the history is the replay of it all."""
    random = Random(seed)
    drawn = [[drawn_read(random) for _ in plan] for _ in range(RECORDS)]
    with TemporaryDirectory() as folder:
        world = world_in(folder)
        for n, (kind, is_built, is_merged) in enumerate(plan):
            rows = [(f"{k:02}", *row) for k, reads in enumerate(drawn) for row in reads[n]]
            world.land(rows, complete=kind == "whole")
            if is_merged:
                world.merge()
            if is_built:
                assert world.versions() == replayed(world.landed, dict.fromkeys(COLUMNS))
        expected = replayed(world.landed, dict.fromkeys(COLUMNS))
        assert world.versions() == expected
        assert world.versions(Tables(Path(folder) / "again")) == expected
