"""Whatever people do to records while they are read: nothing is lost, nothing is doubled (I3)."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline_tests.connectors.zoho.conftest import ZohoScene, ZohoSceneMaker

READS = re.compile(r"/coql$|/v8/Contacts")
CHANGES = ("edit", "edit", "create", "delete", "restore", "merge")


@pytest.fixture
def scene(make_scene: ZohoSceneMaker) -> Iterator[ZohoScene]:
    """Some 40 records in pages of seven, each in two parts."""
    with make_scene(
        contacts=40, list_fields=40, list_page_records=7, coql_select_fields=40, coql_page_records=7
    ) as made:
        made.extract("Contacts")
        yield made


@contextmanager
def meddled(scene: ZohoScene, changes: dict[int, Callable[[], None]]) -> Iterator[None]:
    """Let changes happen before the n-th request of a read."""
    handle, seen = scene.twin.handle, [0]

    def handling(request: Any) -> Any:
        if READS.search(request.path):
            seen[0] += 1
            changes.pop(seen[0], lambda: None)()
        return handle(request)

    scene.twin.handle = handling  # type: ignore[method-assign]
    try:
        yield
    finally:
        del scene.twin.handle


def change(scene: ZohoScene, kind: str, pick: int) -> None:
    twin = scene.twin
    keys = [row["id"] for row in twin.rows("Contacts")]
    bin_ = [r["id"] for r in twin.rows("Contacts", include_deleted=True) if r["_ended"]]
    key, other = keys[pick % len(keys)], keys[(pick + 7) % len(keys)]
    if kind == "edit":
        twin.edit("Contacts", key, Last_Name=f"Edited {pick}", Homepage=f"Edited {pick}")
    elif kind == "create":
        twin.create("Contacts", Last_Name=f"New {pick}", Homepage=f"New {pick}")
    elif kind == "delete" and len(keys) > 20:
        twin.delete("Contacts", key)
    elif kind == "restore" and bin_:
        twin.restore("Contacts", bin_[pick % len(bin_)])
    elif kind == "merge" and key != other and len(keys) > 20:
        twin.merge("Contacts", key, other)


def current(scene: ZohoScene) -> dict[str, tuple[str, str | None]]:
    """Fold what has landed: the newest version of each record, without those that are deleted."""
    rows = sorted(
        scene.landed("Contacts"),
        key=lambda row: (row["_modified_at"], row["_extracted_at"], not row["_deleted"]),
    )
    newest = {row["_source_id"]: row for row in rows}
    told = {k: json.loads(row["record"]) for k, row in newest.items() if not row["_deleted"]}
    return {key: (record["Last_Name"], record["Homepage"]) for key, record in told.items()}


@given(
    route=st.sampled_from(["records", "coql"]),
    steps=st.lists(
        st.tuples(st.integers(1, 24), st.sampled_from(CHANGES), st.integers(0, 60)), max_size=8
    ),
)
@settings(max_examples=6)
def test_nothing_lost_nothing_doubled(
    scene: ZohoScene, route: str, steps: list[tuple[int, str, int]]
) -> None:
    """After a read that was meddled with and a quiet one, landing folds to exactly what the org holds."""
    scene.advance(60)
    changes: dict[int, Callable[[], None]] = {
        nth: (lambda kind=kind, pick=pick: change(scene, kind, pick)) for nth, kind, pick in steps
    }
    with meddled(scene, changes):
        scene.extract("Contacts", route=route)
    scene.advance(60)
    scene.extract("Contacts", route=route, mode="refresh")
    truth = {r["id"]: (r["Last_Name"], r["Homepage"]) for r in scene.twin.rows("Contacts")}
    assert current(scene) == truth
