"""The wall of 10,000 results: what changed in bulk comes by searches all the same, each record once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec
import pytest

from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline_tests.connectors.hubspot.conftest import Portal, emulator, run_sql, tables
from crm_pipeline_tests.harness import Harness

WALL = 10_000
# Of all object types the one with the fewest properties: the claim is about places, not about width.
SLIM = "products"
BULK = parse_instant("2026-11-20T08:00:00.123Z")
WINDOW = Window(parse_instant("2026-11-20T00:00:00Z"), parse_instant("2026-11-22T00:00:00Z"))
Search = tuple[dict[str, Any], int, dict[str, Any]]


@contextmanager
def watched(hub: Harness) -> Iterator[list[Search]]:
    """Note every search as the vendor gets it: body, status, and answer without its records."""
    emulation, searches = emulator(hub), []
    handle = emulation.handle

    def handling(request: Any) -> Any:
        answer = handle(request)
        if request.path.endswith("/search"):
            told = msgspec.json.decode(answer.unpacked().body)
            told["ids"] = [int(one["id"]) for one in told.pop("results", ())]
            searches.append((msgspec.json.decode(request.body), answer.status, told))
        return answer

    emulation.handle = handling  # type: ignore[method-assign]
    try:
        yield searches
    finally:
        del emulation.handle


def bulk(hub: Harness, rows: int, *, shared: int) -> None:
    """Make live records of the window: some of one millisecond, the others one after the other."""
    emulator(hub).burst(SLIM, rows, BULK)
    run_sql(hub, f"UPDATE {SLIM} SET name = 'Part ' || _id")
    run_sql(
        hub,
        f"UPDATE {SLIM} SET _updated = _updated + n FROM (SELECT _id AS i, row_number() OVER "
        f"(ORDER BY hash(_id)) - {shared} AS n FROM {SLIM} WHERE NOT _archived) WHERE _id = i AND n > 0",
    )


def truth(hub: Harness) -> list[tuple[int, int, str]]:
    rows = tables(hub).rows(
        f"SELECT _id, _updated, name FROM {SLIM} WHERE NOT _archived ORDER BY 1"
    )
    return [(row["_id"], row["_updated"], row["name"]) for row in rows]


def arrived(hub: Harness) -> list[tuple[int, int, str]]:
    """Return all rows that landed, doubled ones twice."""
    paths = [str(batch.path) for batch in hub.landing.batches("demo", SLIM)]
    sql = """SELECT _source_id::BIGINT, epoch_ms(_modified_at), record->>'$.properties.name'
        FROM read_parquet(?) WHERE NOT _deleted ORDER BY 1"""
    with duckdb.connect() as database:
        return database.execute(sql, [paths]).fetchall()


@pytest.mark.parametrize(("rows", "shared"), [(12_000, 12_000), (30_000, 12_000)])
def test_changes_behind_the_wall_arrive(portal: Portal, rows: int, shared: int) -> None:
    """12,000 records of one stamp, and 30,000 of one window, come each once and by searches alone; the campaign
    has a hundred times as many."""
    with portal(contacts=60, objects=[SLIM]) as hub:
        bulk(hub, rows, shared=shared)
        with watched(hub) as searches:
            done = hub.extract(SLIM, route="search", window=WINDOW)
        expected = truth(hub)
        assert Counter(stamp for _, stamp, _ in expected).most_common(1)[0][1] == shared > WALL
        assert arrived(hub) == expected
        assert (done.vendor_count, done.route, done.reconciled) == (rows, "search", True)
        assert done.read - done.deleted == rows
        assert max(told["total"] for _, _, told in searches) == rows > WALL
        assert {status for _, status, _ in searches} == {200}
        # Each page begins behind the last id: none asks for a place, so none comes near the wall.
        assert not any("after" in body for body, _, _ in searches)
        assert abs(done.calls - done.planned_calls) <= 0.2 * done.planned_calls
