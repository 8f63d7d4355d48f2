"""Rejects: one bad record is one row in quarantine, for each kind of list; keys come from the records."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.connectors.pipedrive import connector
from crm_pipeline.connectors.pipedrive.catalog import DELETED, ITEMS
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.records import KEY_COLUMNS
from crm_pipeline_tests.connectors.malformed import EAGER, mutated
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness
from crm_sandbox.http import Response

NO_SCHEMA = Schema("x", "x", ())


def read(
    small: Harness, folder: Path, obj: str, *, route: str = "cursor", window: Window | None = None
) -> tuple[WindowCommit, Landing]:
    """Read an object into a folder of its own."""
    landing = Landing(folder, small.clock)
    with small.account(**EAGER) as account:
        wanted = ObjectSettings(obj, route=route)
        extract(account, wanted, window, mode="range", landing=landing)
    [commit] = landing.windows("pipe", obj)
    return commit, landing


def spoiled(record: str) -> Callable[[Response], Response]:
    """Give a record an undecodable text in every response."""
    begin = b'{"id":%b,' % record.encode()
    return lambda response: replace(
        response, body=response.body.replace(begin, begin + b'"odd":"\\ud83d",')
    )


@pytest.mark.parametrize(
    ("obj", "route", "bounded"),
    [
        ("persons", "cursor", False),
        ("persons", "cursor", True),
        ("persons", "windows", True),
        ("persons", "windows", False),
        ("notes", "cursor", False),
        ("pipelines", "cursor", False),
        ("users", "cursor", False),
    ],
)
@pytest.mark.parametrize("index", [0, -1])
def test_one_bad_record_is_one_row(
    small: Harness, tmp_path: Path, obj: str, route: str, bounded: bool, index: int
) -> None:
    """By cursor, in ranges, by offset or in one response: the others are read; read = landed + rejected."""
    now = small.clock.now()
    window = Window(now - timedelta(days=3_000), now) if bounded else None
    whole, _ = read(small, tmp_path / "whole", obj, route=route, window=window)
    bad = small.truth(obj, window)[index]
    with mutated(small.company, rf"GET .*/{obj}\?", spoiled(bad)):
        commit, landing = read(small, tmp_path / "spoiled", obj, route=route, window=window)
    assert whole.quarantined == 0
    assert (commit.records, commit.quarantined) == (whole.records - 1, 1)
    [file] = (tmp_path / "spoiled").glob("quarantine/**/*.parquet")
    [row] = pq.read_table(file).to_pylist()
    assert row["_source_id"] == bad
    assert b"\\ud83d" in row["_raw"]
    for batch in landing.batches("pipe", obj):
        assert bad not in pq.read_table(batch.path)["_source_id"].to_pylist()


def test_line_items_of_an_unreadable_deal(small: Harness, tmp_path: Path) -> None:
    """They are requested by its id, as their absence would look like their deletion."""
    whole, _ = read(small, tmp_path / "whole", "deal_products")
    deals = small.truth("deals")

    def bad(response: Response) -> Response:
        for deal in deals:
            response = spoiled(deal)(response)
        return response

    with mutated(small.company, r"GET .*/api/v2/deals\?", bad):
        commit, _ = read(small, tmp_path / "spoiled", "deal_products")
    assert (commit.records, commit.quarantined) == (whole.records, 0)


def test_a_deal_without_an_id(small: Harness, tmp_path: Path) -> None:
    """If a deal's id cannot be read, no line items are read at all."""

    def bad(response: Response) -> Response:
        body = response.body.replace(b'"data":[{"id":', b'"data":[{"no":', 1)
        return replace(response, body=body)

    with (
        mutated(small.company, r"GET .*/api/v2/deals\?", bad),
        pytest.raises(MalformedResponse, match="products cannot be requested"),
    ):
        read(small, tmp_path, "deal_products")
    assert Landing(tmp_path, small.clock).windows("pipe", "deal_products") == []


def test_unreadable_changes(small: Harness, tmp_path: Path) -> None:
    """One bad change rejects the history of its deal, and no other."""
    whole, _ = read(small, tmp_path / "whole", "deal_changes")

    def bad(response: Response) -> Response:
        body = response.body.replace(b'"field_key":', b'"odd":"\\ud83d","field_key":', 1)
        return replace(response, body=body)

    with mutated(small.company, "GET .*/changelog", bad, times=1):
        commit, _ = read(small, tmp_path / "spoiled", "deal_changes")
    assert (commit.records, commit.quarantined) == (whole.records - 1, 1)


@pytest.mark.parametrize("obj", ITEMS)
def test_keys_of_landed_records(small: Harness, tmp_path: Path, obj: str) -> None:
    """Landed records give the same keys again, with the marks of their list."""
    _, landing = read(small, tmp_path, obj)
    for batch in landing.batches("pipe", obj):
        [raw] = pq.read_table(batch.path).combine_chunks().to_batches()
        columns = connector.keys.of(
            obj, NO_SCHEMA, raw, shape="json", route="cursor", origin=None, deleted=raw["_deleted"]
        )
        assert columns.equals(raw.select(list(KEY_COLUMNS)))


def test_the_origin_of_a_page(small: Harness, tmp_path: Path) -> None:
    """Only the list says that its deals are deleted; with that origin the keys are the landed ones."""
    seen = set[str]()
    with small.account(**EAGER) as account:
        plan = account.plan(ObjectSettings("deals", route="cursor"), None)
        for page in account.pages(plan, Checkpoint(tmp_path)):
            seen.add(page.origin)
            for raw in page.batches():
                columns = connector.keys.of(
                    "deals",
                    NO_SCHEMA,
                    raw,
                    shape="json",
                    route="cursor",
                    origin=page.origin,
                    deleted=None,
                )
                assert columns.equals(raw.select(list(KEY_COLUMNS)))
    assert seen == {"", DELETED}


def test_a_mark_that_was_wrong_is_not_kept() -> None:
    """Former users still own records: today's rule replaces the deletion mark of an older version."""
    raw = pa.record_batch(
        {"record": ['{"id":1,"is_deleted":true,"modified":"2026-01-02 03:04:05"}']}
    )
    columns = connector.keys.of(
        "users",
        NO_SCHEMA,
        raw,
        shape="json",
        route="cursor",
        origin=None,
        deleted=pa.array([True]),
    )
    assert columns["_deleted"].to_pylist() == [False]
    assert columns["_modified_at"][0].as_py().second == 5


def test_a_deal_without_its_changes_has_no_keys() -> None:
    """A rejected text without changes stays rejected, whatever reads it later."""
    raw = pa.record_batch({"record": ['{"id":1}', '{"id":1,"stages":[]}']})
    columns = connector.keys.of(
        "deal_changes", NO_SCHEMA, raw, shape="json", route="cursor", origin="", deleted=None
    )
    assert columns["_source_id"].to_pylist() == [None, "1"]


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ('{"id":1,"update_time":"2026-01-02T03:04:05Z"}', True),
        ('{"id":1,"update_time":"2026-01-02 03:04:05"}', True),
        ('{"id":1,"update_time":"2026-01-02T03:04:05-05:00"}', True),
        ('{"id":1,"update_time":"0000-01-01T00:00:00Z"}', False),
        ('{"id":1,"update_time":"99999-01-01T00:00:00Z"}', False),
        ('{"id":1,"update_time":"soon"}', False),
        ('{"id":1,"update_time":5}', False),
        ('{"id":"x"}', False),
        ('{"id":-1}', False),
        ('{"id":true}', False),
        ('{"id":12345678901234567890123}', False),
        ('{"id":1,"is_deleted":"x"}', False),
        ('{"name":"x"}', False),
        ('{"id":1,"a":"\\ud83d"}', False),
    ],
)
def test_which_records_are_readable(text: str, is_read: bool) -> None:
    """Ids are numbers and times are valid instants; anything else stays rejected."""
    raw = pa.record_batch({"record": [text]})
    columns = connector.keys.of(
        "persons", NO_SCHEMA, raw, shape="json", route="cursor", origin="", deleted=None
    )
    assert (columns["_source_id"][0].as_py() == "1") is is_read


@pytest.mark.parametrize("modified", ['"0000-00-00 00:00:00"', "null"])
@pytest.mark.parametrize("has_landed", [True, False])
def test_records_without_a_time_of_change(modified: str, has_landed: bool) -> None:
    """Complete reads land them; records that a window rejected for it stay rejected."""
    columns = connector.keys.of(
        "persons",
        NO_SCHEMA,
        pa.record_batch({"record": [f'{{"id":1,"update_time":{modified}}}']}),
        shape="json",
        route="cursor",
        origin="",
        deleted=pa.array([False]) if has_landed else None,
    )
    assert columns["_source_id"].to_pylist() == (["1"] if has_landed else [None])
