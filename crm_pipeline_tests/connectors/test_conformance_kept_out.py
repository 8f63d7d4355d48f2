"""What connections.yaml keeps out never touches the disk; for each route of each vendor."""

import json

import pyarrow.parquet as pq
import pytest

from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Extraction, extract, remarks_of
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline_tests.connectors.conformance import Way
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf

_LOOKED_AT = {"request.named", "page.named", "rejects.named", "commit.begin"}


def read(harness: ConformanceHarness, route: str, **kept_out: tuple[str, ...]) -> Extraction:
    obj = ObjectSettings(harness.object, route=route, **kept_out)
    key = HashKey.of(harness.settings)
    with harness.account() as account:
        return extract(account, obj, None, mode="range", landing=harness.landing, key=key)


def planted(harness: ConformanceHarness) -> tuple[str, str]:
    """Return a record whose free text no other record has, and that text; see `server_of`."""
    texts = {key: one.text or "" for key, one in harness.emulated().items()}
    return max(
        (item for item in texts.items() if item[1].startswith("Alike")), key=lambda i: len(i[1])
    )


def stored(harness: ConformanceHarness, text: str) -> list[str]:
    return [path.name for path in search(harness.settings.data, Needles([("it", text)])).found]


def test_an_excluded_field_never_touches_the_disk(way: Way, quiet: HarnessOf) -> None:
    """At no moment of a read any file holds it, and no schema calls it read.

    Of each vendor one route reads without `exclude` as well: the search finds it then, and a remark says so.
    """
    harness = quiet(way.case)
    _, text = planted(harness)
    moments = 0

    def look(point: str) -> None:
        nonlocal moments
        if point in _LOOKED_AT:
            moments += 1
            assert stored(harness, text) == []

    with watching(look):
        done = read(harness, way.route.name, exclude=(way.case.text,))
    assert (done.route, done.records) == (way.route.name, len(harness.versions()))
    assert moments
    assert text not in repr(done)
    assert way.case.text in done.schema.excluded
    assert stored(harness, text) == []
    if way.route is not way.case.routes[0]:
        return
    read(harness, way.route.name)
    assert stored(harness, text) != []
    obj = ObjectSettings(harness.object, exclude=(way.case.text,))
    [remark] = remarks_of(harness.landing, "demo", harness.object, obj)
    assert (remark.kind, way.case.text in remark.text) == ("kept_out", True)


def test_a_hashed_field_is_stored_as_its_hash(way: Way, quiet: HarnessOf) -> None:
    """The same value has the same hash by each route; routes that save what they receive are refused by name."""
    harness = quiet(way.case)
    record, text = planted(harness)
    if not way.route.records:
        with pytest.raises(ConfigError, match="saves what it receives"):
            read(harness, way.route.name, hash=(way.case.text,))
        assert stored(harness, text) == []
        assert read(harness, "auto", hash=(way.case.text,)).route != way.route.name
    else:
        read(harness, way.route.name, hash=(way.case.text,))
    assert stored(harness, text) == []
    expected = HashKey.of(harness.settings).digest(text)
    rows = [
        row["record"]
        for batch in harness.landing.batches("demo", harness.object)
        for row in pq.read_table(batch.path).to_pylist()
        if row["_source_id"] == record
    ]
    assert rows
    assert all(expected in json.dumps(json.loads(row)) for row in rows)
