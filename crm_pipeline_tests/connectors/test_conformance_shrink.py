"""An empty list is not a deletion, and a deletion that the vendor confirms is one at once; for each vendor."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from crm_pipeline.connectors.base import ConfirmsDeleted
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import CountMismatch, MalformedResponse
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_sandbox.http import Request, Response

CADENCE_S = 900
LISTS = {"results", "records", "data", "deletedRecords"}
COUNTS = {"total", "totalSize", "count"}
METADATA = re.compile(
    r"properties|fields|describe|settings|/org|/users|account-info|/labels", re.IGNORECASE
)


def emptied(value: Any) -> Any:
    """Return an answer as it is for a login that may see no record: every list is empty, every count is 0."""
    if not isinstance(value, dict):
        return value
    made = {key: value for key, value in value.items() if key not in {"paging", "nextRecordsUrl"}}
    for key, one in made.items():
        if key in LISTS and isinstance(one, list):
            # A count of a query is a row of its own.
            is_count = len(one) == 1 and all(isinstance(n, int) for n in one[0].values())
            made[key] = [dict.fromkeys(one[0], 0)] if is_count else []
        elif key in COUNTS:
            made[key] = 0
    if "info" in made:
        made["info"] = {"more_records": False, "count": 0}
    if "additional_data" in made:
        made["additional_data"] = {"next_cursor": None}
    return made


def without(hidden: str, value: Any) -> Any:
    """Return an answer without a record where it is one of several, and with a count that agrees."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for key, one in made.items():
        if key in LISTS and isinstance(one, list) and len(one) > 1:
            made[key] = [row for row in one if str(row.get("Id", row.get("id"))) != hidden]
        elif key in LISTS and isinstance(one, list) and one:
            is_count = all(isinstance(n, int) for n in one[0].values())
            made[key] = [{k: n - 1 for k, n in one[0].items()}] if is_count else one
        elif key in COUNTS and isinstance(one, int) and one > 1:
            made[key] = one - 1
    return made


@contextmanager
def answering(harness: ConformanceHarness, change: Callable[[Any], Any]) -> Iterator[None]:
    """Change every answer but those that describe the objects."""
    emulator, handle = harness.emulator, harness.emulator.handle

    def handled(request: Request) -> Response:
        response: Response = handle(request).unpacked()
        if METADATA.search(request.path) or response.status != 200 or "token" in request.path:
            return response
        try:
            body = json.loads(bytes(response.body))
        except ValueError:
            return response
        return replace(response, body=json.dumps(change(body)).encode())

    emulator.handle = handled
    try:
        yield
    finally:
        del emulator.handle


@contextmanager
def blind(harness: ConformanceHarness) -> Iterator[None]:
    """Let the login see no record any more, without an error; what describes them stays in sight."""
    with answering(harness, emptied):
        yield


def alive(harness: ConformanceHarness) -> set[str]:
    """Build the table and return the records that are not deleted."""
    case, tables = harness.case, Tables(harness.settings.data)
    with Engine(harness.settings.data / "tmp", memory_limit="256MB", threads=1) as engine:
        maps = connector(case.vendor).mapping
        connection = harness.settings.connection("demo")
        done = normalize(connection, case.table, harness.landing, tables, maps, engine=engine)
        assert done.version is not None
        rows = engine.rows(
            f"SELECT source_id FROM {tables.relation(done.version)} "
            f"WHERE NOT is_deleted AND object = '{case.object}'"
        )
    return {row[0] for row in rows}


def test_an_empty_list_is_not_a_deletion(case: Case, alone: HarnessOf) -> None:
    """A whole read that finds nothing, with counts that agree, deletes nothing, however late it comes again; what
    the vendor says is deleted is so at once; and when the records are back all goes on."""
    harness = alone(case)
    harness.extract(whole=True)
    there = alive(harness)
    assert there == set(harness.emulated())
    for _ in range(2):
        harness.advance(CADENCE_S)
        with blind(harness):
            done = harness.extract(mode="refresh", whole=True)
        assert (done.read, done.records) == (0, 0)
        assert done.shrink is not None
        assert done.shrink.is_empty
        assert alive(harness) == there
    harness.advance(CADENCE_S)
    assert harness.extract(mode="refresh", whole=True).shrink is None
    assert alive(harness) == there
    gone = sorted(there)[: len(there) // 2]
    for key in gone:
        harness.emulator.delete(case.object, key)
    harness.advance(CADENCE_S)
    done = harness.extract(mode="refresh", whole=True)
    assert done.shrink is None
    assert alive(harness) == there - set(gone)
    with harness.account() as account:
        assert isinstance(account, ConfirmsDeleted)
        assert account.confirm_deleted(case.object, gone[:3]) == set(gone[:3])
        # A record that lives, and one that there never was, are not deleted; nor is anything for who sees nothing.
        assert account.confirm_deleted(case.object, [max(there - set(gone))]) == set()
        assert account.confirm_deleted(case.object, [max(there)[:-4] + "9876"]) == set()
        if "marks" not in case.lacks:
            with blind(harness):
                assert account.confirm_deleted(case.object, gone[:3]) == set()


def test_a_list_that_lacks_a_living_record_deletes_none(case: Case, alone: HarnessOf) -> None:
    """For a while the lists lack a record, with a count that agrees: one is too few to be noticed by its number. The
    vendor shows it by its id, so the read is not believed, or a page that ends early is refused; when the lists are whole
    again, nothing is left of it."""
    harness = alone(case)
    harness.extract(whole=True)
    there = alive(harness)
    harness.advance(CADENCE_S)
    with (
        answering(harness, partial(without, min(there))),
        suppress(CountMismatch, MalformedResponse),
    ):
        done = harness.extract(mode="refresh", whole=True)
        assert done.shrink is not None
        assert (done.shrink.missing, done.shrink.is_empty) == (1, False)
    assert alive(harness) == there
    harness.advance(CADENCE_S)
    assert harness.extract(mode="refresh", whole=True).shrink is None
    assert alive(harness) == there
