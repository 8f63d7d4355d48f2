"""One bad record is one row in quarantine, by each kind of list; keys come from the records, the origin from the list."""

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
from crm_pipeline.kernel.errors import MalformedAnswer
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
    """Give a record a text that is none, wherever it is shown."""
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
@pytest.mark.parametrize("place", [0, -1])
def test_one_bad_record_is_one_row(
    small: Harness, tmp_path: Path, obj: str, route: str, bounded: bool, place: int
) -> None:
    """By cursor, in ranges, by offset or in one answer: the others are read, read = landed + set aside."""
    now = small.clock.now()
    window = Window(now - timedelta(days=3_000), now) if bounded else None
    whole, _ = read(small, tmp_path / "whole", obj, route=route, window=window)
    bad = small.truth(obj, window)[place]
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


def test_products_of_a_deal_that_cannot_be_read(small: Harness, tmp_path: Path) -> None:
    """They are asked for by its id: their absence would look like their deletion."""
    whole, _ = read(small, tmp_path / "whole", "deal_products")
    deals = small.truth("deals")

    def bad(response: Response) -> Response:
        for deal in deals:
            response = spoiled(deal)(response)
        return response

    with mutated(small.company, r"GET .*/api/v2/deals\?", bad):
        commit, _ = read(small, tmp_path / "spoiled", "deal_products")
    assert (commit.records, commit.quarantined) == (whole.records, 0)


def test_a_deal_of_which_nothing_is_known(small: Harness, tmp_path: Path) -> None:
    """Where not even its id can be read, the products are not read at all."""

    def bad(response: Response) -> Response:
        body = response.body.replace(b'"data":[{"id":', b'"data":[{"no":', 1)
        return replace(response, body=body)

    with (
        mutated(small.company, r"GET .*/api/v2/deals\?", bad),
        pytest.raises(MalformedAnswer, match="products cannot be requested"),
    ):
        read(small, tmp_path, "deal_products")
    assert Landing(tmp_path, small.clock).windows("pipe", "deal_products") == []


def test_changes_that_cannot_be_read(small: Harness, tmp_path: Path) -> None:
    """One bad change sets the history of its deal aside, and no other."""
    whole, _ = read(small, tmp_path / "whole", "deal_changes")

    def bad(response: Response) -> Response:
        body = response.body.replace(b'"field_key":', b'"odd":"\\ud83d","field_key":', 1)
        return replace(response, body=body)

    with mutated(small.company, "GET .*/changelog", bad, times=1):
        commit, _ = read(small, tmp_path / "spoiled", "deal_changes")
    assert (commit.records, commit.quarantined) == (whole.records - 1, 1)


@pytest.mark.parametrize("obj", ITEMS)
def test_keys_of_what_has_landed(small: Harness, tmp_path: Path, obj: str) -> None:
    """The records themselves give the keys that they landed with, with what their list said."""
    _, landing = read(small, tmp_path, obj)
    for batch in landing.batches("pipe", obj):
        [raw] = pq.read_table(batch.path).combine_chunks().to_batches()
        found = connector.keys.of(
            obj, NO_SCHEMA, raw, shape="json", route="cursor", origin=None, deleted=raw["_deleted"]
        )
        assert found.equals(raw.select(list(KEY_COLUMNS)))


def test_the_origin_of_a_page(small: Harness, tmp_path: Path) -> None:
    """Only the list says that its deals are deleted; with that, the keys are those that landed."""
    seen = set[str]()
    with small.account(**EAGER) as account:
        plan = account.plan(ObjectSettings("deals", route="cursor"), None)
        for page in account.pages(plan, Checkpoint(tmp_path)):
            seen.add(page.origin)
            for raw in page.batches():
                found = connector.keys.of(
                    "deals",
                    NO_SCHEMA,
                    raw,
                    shape="json",
                    route="cursor",
                    origin=page.origin,
                    deleted=None,
                )
                assert found.equals(raw.select(list(KEY_COLUMNS)))
    assert seen == {"", DELETED}


def test_a_mark_that_was_wrong_is_not_kept() -> None:
    """Users who left own what they owned: a mark of an older version gives way to today's rule."""
    raw = pa.record_batch(
        {"record": ['{"id":1,"is_deleted":true,"modified":"2026-01-02 03:04:05"}']}
    )
    found = connector.keys.of(
        "users",
        NO_SCHEMA,
        raw,
        shape="json",
        route="cursor",
        origin=None,
        deleted=pa.array([True]),
    )
    assert found["_deleted"].to_pylist() == [False]
    assert found["_modified_at"][0].as_py().second == 5


def test_a_deal_without_its_changes_has_no_keys() -> None:
    """What was set aside in place of a history is no history, whatever reads it later."""
    raw = pa.record_batch({"record": ['{"id":1}', '{"id":1,"stages":[]}']})
    found = connector.keys.of(
        "deal_changes", NO_SCHEMA, raw, shape="json", route="cursor", origin="", deleted=None
    )
    assert found["_source_id"].to_pylist() == [None, "1"]


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
def test_what_is_a_record(text: str, is_read: bool) -> None:
    """Ids are numbers, stamps are instants of our calendar; anything else stays set aside."""
    raw = pa.record_batch({"record": [text]})
    found = connector.keys.of(
        "persons", NO_SCHEMA, raw, shape="json", route="cursor", origin="", deleted=None
    )
    assert (found["_source_id"][0].as_py() == "1") is is_read


@pytest.mark.parametrize("stamp", ['"0000-00-00 00:00:00"', "null"])
@pytest.mark.parametrize("has_landed", [True, False])
def test_what_does_not_say_when_it_changed(stamp: str, has_landed: bool) -> None:
    """Whole reads land it; what a window has set aside for it does not come back by another rule."""
    found = connector.keys.of(
        "persons",
        NO_SCHEMA,
        pa.record_batch({"record": [f'{{"id":1,"update_time":{stamp}}}']}),
        shape="json",
        route="cursor",
        origin="",
        deleted=pa.array([False]) if has_landed else None,
    )
    assert found["_source_id"].to_pylist() == (["1"] if has_landed else [None])
