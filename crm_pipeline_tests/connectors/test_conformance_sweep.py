"""Computed fields that change without moving a modification time: a sweep lands just the records that have them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb
import pytest

from crm_pipeline.connectors.base import Account
from crm_pipeline.stages.raw import unstamped
from crm_pipeline.stages.raw.unstamped import ObjectSweep, field_sweep
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import Case, Way
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.test_conformance_shrink import CADENCE_S, blind

COMPUTED: Mapping[str, tuple[str, Any]] = {
    "salesforce": ("Region_Code__c", "XX-Other"),
    "hubspot": ("num_associated_deals", "77"),
    "pipedrive": ("notes_count", 77),
    "zoho": ("Region_Code", "XX-Other"),
}
"""By vendor, a field of the case's object that its metadata calls computed, and another value of it."""


def swept(
    harness: ConformanceHarness, allowed: int | None = None, account: Account | None = None
) -> ObjectSweep:
    """Sweep the case's object."""
    if account is None:
        with harness.account() as opened:
            return swept(harness, allowed, opened)
    objects = tuple(obj for obj in account.connection.objects if obj.name == harness.object)
    account.connection = replace(account.connection, objects=objects)
    done = unstamped.sweep(
        account,
        harness.landing,
        Sweeps(harness.settings.data),
        open_engine=lambda: Engine(harness.settings.data / "tmp"),
        allowed=allowed,
        key_of=lambda _: None,
    )
    [fields] = [each for each in done if each.kind == "fields"]
    return fields


def recalculated(harness: ConformanceHarness, count: int = 2) -> set[str]:
    """Change the computed field of some records behind the API; return their ids."""
    name, value = COMPUTED[harness.case.vendor]
    chosen = sorted(harness.emulated())[:count]
    for key in chosen:
        harness.emulator.formula_change(harness.object, key, **{name: value})
    return set(chosen)


def versions(harness: ConformanceHarness) -> dict[str, int]:
    """Count the landed versions of each record by plain SQL over the files."""
    files = str(harness.settings.data / "landing" / "demo" / harness.object / "2*" / "*.parquet")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT _source_id, count(*) FROM read_parquet(?, union_by_name = true) GROUP BY ALL",
            [files],
        ).fetchall()
    return dict(rows)


def shown(harness: ConformanceHarness) -> dict[str, Any]:
    """Return the computed field of the newest landed version of each live record."""
    name, _ = COMPUTED[harness.case.vendor]
    return {
        key: one.record.get("properties", one.record).get(name)
        for key, one in harness.live().items()
    }


def more(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return how many versions each record has more than before."""
    counts = {key: now.get(key, 0) - before.get(key, 0) for key in before.keys() | now.keys()}
    return {key: count for key, count in counts.items() if count}


def read_once(harness: ConformanceHarness, **options: Any) -> None:
    harness.extract(mode="refresh", **options)
    harness.advance(CADENCE_S)


def test_just_what_was_recalculated_lands(way: Way, alone: HarnessOf) -> None:
    """However the records were read: a refresh sees no recalculated field, a sweep lands just those records, once each,
    and a second one finds no difference."""
    harness = alone(way.case, contacts=20)
    read_once(harness, route=way.route.name)
    _, value = COMPUTED[way.case.vendor]
    before = versions(harness)
    changed = recalculated(harness)
    assert harness.extract(mode="refresh").records == 0
    done = swept(harness)
    assert (done.error, done.is_complete) == ("", True)
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)
    assert {key for key, one in shown(harness).items() if str(one) == str(value)} == changed
    assert (done.differing, done.landed) == (2, 2)
    assert done.compared == len(harness.live())
    assert harness.landing.windows("demo", harness.object)[-1].kind == "point"
    again = swept(harness)
    assert (again.differing, again.landed, again.compared) == (0, 0, done.compared)
