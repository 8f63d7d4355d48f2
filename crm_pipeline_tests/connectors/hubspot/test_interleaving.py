"""Whatever people do to records while they are read: nothing is lost, nothing is doubled (I3)."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors import range_reader
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, emulator
from crm_pipeline_tests.harness import Harness

# Calls that bring records or their associations; not the metadata before them.
READS = re.compile(r"/contacts$|/contacts/search$|/batch/read$")
CHANGES = ("edit", "edit", "create", "archive", "restore", "merge", "link", "unlink")
NAMED = "hs_merged_object_ids"
SLICE = 8
Told = tuple[str | None, frozenset[tuple[str, int]]]


@pytest.fixture
def hub(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """Some 40 contacts in pages of four, whose time passes at the vendor as here."""
    monkeypatch.setattr(range_reader, "_CHUNK_ROWS", SLICE)
    for name in ("record_assembly", "search", "listing", "estimate"):
        monkeypatch.setattr(f"crm_pipeline.connectors.hubspot.{name}.BATCH_RECORDS", SLICE)
    pages = {"search_records": 4, "list_records": 4, "batch_records": 4, "association_records": 5}
    with portal(contacts=40, objects=["contacts", "companies"], ceilings=pages) as made:
        monkeypatch.setattr(FrozenClock, "sleep", lambda _, seconds: made.advance(seconds))
        made.extract("contacts")
        yield made


@contextmanager
def changed_between(hub: Harness, changes: dict[int, list[Callable[[], None]]]) -> Iterator[None]:
    """Let changes happen before the n-th call that reads."""
    emulation, lock, seen = emulator(hub), threading.Lock(), [0]
    handle = emulation.handle

    def handling(request: Any) -> Any:
        if READS.search(request.path):
            with lock:
                seen[0] += 1
                for one in changes.pop(seen[0], ()):
                    one()
        return handle(request)

    emulation.handle = handling  # type: ignore[method-assign]
    try:
        yield
    finally:
        del emulation.handle


def change(hub: Harness, kind: str, pick: int) -> None:
    """Do one thing to contacts; what is linked is edited as well, as links alone move no stamp."""
    portal = emulator(hub)
    every = portal.rows("contacts", include_deleted=True)
    keys = [row["id"] for row in every if not row["_archived"]]
    binned = [row["id"] for row in every if row["_archived"]]
    companies = [row["id"] for row in portal.rows("companies")]
    key, other = keys[pick % len(keys)], keys[(pick + 7) % len(keys)]
    path = f"/crm/v4/objects/contacts/{key}/associations"
    company = companies[pick % len(companies)]
    if kind == "create":
        portal.create("contacts", lastname=f"New {pick}")
    elif kind == "archive" and len(keys) > 20:
        portal.delete("contacts", key)
    elif kind == "restore" and binned:
        portal.restore("contacts", binned[pick % len(binned)])
    elif kind == "merge" and len(keys) > 20:
        portal.merge("contacts", key, other)
    elif kind == "link":
        Client(hub).ask("PUT", f"{path}/default/companies/{company}")
        portal.edit("contacts", key, lastname=f"Linked {pick}")
    elif kind == "unlink":
        for _, gone, _ in [x for x in portal.links("contacts", "companies") if x[0] == key]:
            Client(hub).ask("DELETE", f"{path}/companies/{gone}")
        portal.edit("contacts", key, lastname=f"Unlinked {pick}")
    else:
        portal.edit("contacts", key, lastname=f"Edited {pick}")


def rows(hub: Harness) -> list[tuple[str, str, bool, str]]:
    """Return every landed row, oldest version first: window, id, archived, record."""
    paths = [str(batch.path) for batch in hub.landing.batches("demo", "contacts")]
    sql = """SELECT split_part(_batch_id, '-', 1), _source_id, _deleted, record FROM read_parquet(?)
        ORDER BY _modified_at, _extracted_at, NOT _deleted"""
    with duckdb.connect() as database:
        return database.execute(sql, [paths]).fetchall()


def current(hub: Harness) -> dict[str, Told]:
    """Fold what has landed: the newest version of each record that is neither archived nor merged away."""
    newest, merged = {}, set()
    for _, key, archived, text in rows(hub):
        record = msgspec.json.decode(text)
        newest[key] = None if archived else record
        merged |= set((record["properties"].get(NAMED) or "").split(";"))
    return {
        key: (
            record["properties"]["lastname"],
            frozenset((link["to_id"], link["type_id"]) for link in record["associations"]),
        )
        for key, record in newest.items()
        if record is not None and key not in merged
    }


def truth(hub: Harness) -> dict[str, Told]:
    links = emulator(hub).links("contacts", "companies")
    return {
        row["id"]: (
            row["lastname"],
            frozenset((to_id, kind) for from_id, to_id, kind in links if from_id == row["id"]),
        )
        for row in emulator(hub).rows("contacts")
    }


@given(
    route=st.sampled_from(["search", "list", "both"]),
    lag_s=st.sampled_from([0, 0, 5]),
    steps=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(CHANGES), st.integers(0, 60)), max_size=10
    ),
)
@settings(max_examples=6)
def test_nothing_lost_nothing_doubled(
    hub: Harness, route: str, lag_s: int, steps: list[tuple[int, str, int]]
) -> None:
    """After a read with changes in between and one without, landing folds to exactly what the portal holds."""
    hub.advance(60)
    emulator(hub).set(search_lag_s=lag_s)
    changes: dict[int, list[Callable[[], None]]] = {}
    for nth, kind, pick in steps:
        changes.setdefault(nth, []).append(lambda kind=kind, pick=pick: change(hub, kind, pick))
    with changed_between(hub, changes):
        assert hub.extract("contacts", route=route).reconciled
    hub.advance(60)
    assert hub.extract("contacts", mode="refresh").reconciled
    assert current(hub) == truth(hub)
    doubled = Counter((window, key) for window, key, *_ in rows(hub))
    assert max(doubled.values()) == 1
