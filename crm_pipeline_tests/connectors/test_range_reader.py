"""Key ranges that are split while they are read: nothing is lost, nothing comes twice, all workers read."""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors import range_reader as module
from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.kernel.errors import ProtocolError, Unavailable
from crm_pipeline.store.landing.checkpoint import Checkpoint, PageDone

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Vendor:
    """Numbers in ascending order, a page at a time, by a keyset (unique places) or by a cursor."""

    def __init__(
        self, places: list[int], page: int = 3, *, tells: bool = True, pause_s: float = 0
    ) -> None:
        self.places = sorted(places)
        self.page = page
        self.tells = tells
        self.pause_s = pause_s
        self.asked: Counter[str] = Counter()
        self.fails_at: int | None = None

    def read(self, key_range: KeyRange) -> Generator[RangeBatch]:
        first = bisect_left(self.places, key_range.low)
        high = key_range.high
        while True:
            # A keyset asks with the range as it is now, a cursor with the one that it began with.
            high = key_range.high if self.tells else high
            last = bisect_left(self.places, high)
            self.asked[threading.current_thread().name] += 1
            time.sleep(self.pause_s)
            found = self.places[first : min(first + self.page, last)]
            if self.fails_at is not None and self.fails_at in found:
                raise Unavailable("on order")
            first += len(found)
            yield slice_of(
                found, is_last=first >= last, behind=last - first if self.tells else None
            )
            if first >= last:
                return


def slice_of(places: list[int], *, is_last: bool, behind: int | None = None) -> RangeBatch:
    batch = pa.record_batch({"_source_id": pa.array([str(place) for place in places], pa.string())})
    return RangeBatch(places, batch, NOW, is_last=is_last, behind=behind)


def rows(pages: Iterator[Page]) -> Counter[str]:
    return Counter(
        one for page in pages for batch in page.batches() for one in batch["_source_id"].to_pylist()
    )


def workers(vendor: Vendor, at_once: int, **options: bool) -> ParallelRangeReader:
    return ParallelRangeReader(
        vendor.read, at_once=at_once, owner="acme.contacts", route="search", **options
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 400), unique=True, max_size=120),
    st.integers(1, 7),
    st.integers(1, 6),
    st.booleans(),
)
def test_every_record_comes_once(places: list[int], page: int, at_once: int, tells: bool) -> None:
    """Any distribution of positions, any number of workers, with and without a count of the vendor."""
    vendor = Vendor(places, page, tells=tells)
    found = rows(workers(vendor, at_once).pages([KeyRange(0, 401)]))
    assert found == Counter(str(place) for place in places)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=150), st.integers(1, 9), st.integers(1, 5))
def test_records_of_one_second_come_once(places: list[int], page: int, at_once: int) -> None:
    """Many records share a position, and a page ends in the middle of them."""
    vendor = Vendor(places, page, tells=False)
    found = rows(workers(vendor, at_once, unique=False).pages([KeyRange(0, 31)]))
    assert found == Counter(str(place) for place in places)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 300), unique=True, min_size=20, max_size=120),
    st.integers(1, 5),
    st.data(),
)
def test_after_a_crash_only_what_is_missing_is_read(
    places: list[int], at_once: int, data: st.DataObject
) -> None:
    """The finished chunks and the second read hold every record once."""
    vendor = Vendor(places, 2)
    vendor.fails_at = data.draw(st.sampled_from(places))
    done: list[Page] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ROWS", 4)
        with pytest.raises(Unavailable):
            done.extend(workers(vendor, at_once).pages([KeyRange(0, 301)]))
        vendor.fails_at = None
        gaps = missing(KeyRange(0, 301), [page.facts for page in done])
        again = list(workers(vendor, at_once).pages(gaps))
    assert rows(iter([*done, *again])) == Counter(str(place) for place in places)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 12), min_size=20, max_size=150), st.integers(1, 4), st.integers(1, 9)
)
def test_after_a_crash_no_record_of_a_shared_second_comes_twice(
    places: list[int], at_once: int, page: int
) -> None:
    """A chunk ends between two seconds, so that the second reading can begin with a whole one."""
    vendor = Vendor(places, page, tells=False)
    vendor.fails_at = max(places)
    done: list[Page] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ROWS", 4)
        with pytest.raises(Unavailable):
            done.extend(workers(vendor, at_once, unique=False).pages([KeyRange(0, 13)]))
        vendor.fails_at = None
        gaps = missing(KeyRange(0, 13), [page.facts for page in done])
        again = list(workers(vendor, at_once, unique=False).pages(gaps))
    assert rows(iter([*done, *again])) == Counter(str(place) for place in places)


def test_idle_workers_take_a_part_of_the_work() -> None:
    """All positions are close together, and still every worker reads a part of them."""
    vendor = Vendor(list(range(9_000, 9_400)), 5, pause_s=0.002)
    found = rows(workers(vendor, 4).pages([KeyRange(0, 100_000)]))
    assert len(found) == 400
    calls = sorted(vendor.asked.values())
    assert len(calls) == 4
    assert calls[0] > 10, "a worker was idle"
    assert sum(calls) < 80 + 25, "splitting cost more than it saved"


def test_a_range_that_cannot_start_in_its_middle_is_not_split() -> None:
    """One worker reads a range of a vendor that has cursors only."""
    vendor = Vendor(list(range(60)), 5, pause_s=0.001)
    assert len(rows(workers(vendor, 4, splits=False).pages([KeyRange(0, 60)]))) == 60
    assert sum(vendor.asked.values()) == 12
    assert len(vendor.asked) == 1


def test_records_out_of_order_are_refused() -> None:
    """Records below the requested position are an error: reading on would miss some."""

    def read(key_range: KeyRange) -> Generator[RangeBatch]:
        yield slice_of([5, 6], is_last=False)
        yield slice_of([6, 7], is_last=True)

    with pytest.raises(ProtocolError, match="out of the order"):
        rows(
            ParallelRangeReader(read, at_once=2, owner="acme", route="list").pages(
                [KeyRange(0, 10)]
            )
        )


def test_a_reader_that_stops_ends_all_workers() -> None:
    """Closing the pages early leaves no thread behind."""
    before = threading.active_count()
    vendor = Vendor(list(range(500)), 2, pause_s=0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ROWS", 2)
        pages = workers(vendor, 3).pages([KeyRange(0, 500)])
        next(pages)
        pages.close()
    assert threading.active_count() == before


def test_chunks_are_saved_with_their_ranges(tmp_path: Path) -> None:
    """The checkpoint says which ranges are done, for a later process."""
    checkpoint = Checkpoint(tmp_path / "spool")
    checkpoint.begin({"lanes": [0, 100]})
    vendor = Vendor(list(range(50)), 5)
    noted = ParallelRangeReader(
        vendor.read, at_once=2, owner="a", route="search", checkpoint=checkpoint
    )
    for page in noted.pages([KeyRange(0, 40)]):
        assert page.number is not None
        checkpoint.done(page.number, PageDone((), {}, 1, 1, 0, page.route, facts=page.facts))
    again = Checkpoint(tmp_path / "spool")
    gaps = missing(KeyRange(0, 100), [done.facts for done in again.all_done()])
    assert gaps == [KeyRange(40, 100)]
    numbers = [path.name[:5] for path in checkpoint.folder.glob("*.done.json")]
    assert f"{again.fresh_number():05d}" not in numbers


def test_a_whole_is_cut_into_parts() -> None:
    """Parts join without a gap, and no part is empty."""
    assert missing(KeyRange(0, 10), [], parts=3) == [
        KeyRange(0, 3),
        KeyRange(3, 6),
        KeyRange(6, 10),
    ]
    assert missing(KeyRange(5, 7), [], parts=4) == [KeyRange(5, 6), KeyRange(6, 7)]
    assert missing(KeyRange(0, 9), [{"low": 0, "high": 9}]) == []


def test_the_vendors_cursors_are_saved(tmp_path: Path) -> None:
    """A chunk has the cursor of the next page, unless its end was given to another worker."""

    def read(key_range: KeyRange) -> Generator[RangeBatch]:
        yield replace(slice_of([1, 2], is_last=False), cursor="after 2")
        key_range.high = 4
        yield replace(slice_of([3, 4], is_last=True), cursor="after 4")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ROWS", 2)
        noted = ParallelRangeReader(
            read, at_once=1, owner="a", route="list", splits=False, note={"part": "live"}
        )
        facts = [page.facts for page in noted.pages([KeyRange(0, 9)])]
    whole = {"part": "live", "route": "list", "low": 0, "high": 3, "cursor": "after 2"}
    assert facts == [whole, {"part": "live", "route": "list", "low": 3, "high": 4}]
