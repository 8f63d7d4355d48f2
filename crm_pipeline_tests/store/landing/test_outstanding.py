"""Quarantined records that have not landed since, by every way of counting them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.outstanding import Outstanding, note_recovered, outstanding
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))


def hours(number: float) -> datetime:
    return ORIGIN + timedelta(hours=number)


def batch(ids: Sequence[str]) -> pa.RecordBatch:
    columns = [
        pa.array(ids, pa.string()),
        pa.array([ORIGIN] * len(ids), TIMESTAMP),
        pa.array([False] * len(ids), pa.bool_()),
        pa.array(ids, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[*KEY_COLUMNS, "Id"])


def commit(
    landing: Landing,
    span: tuple[float | None, float],
    landed: Sequence[str] = (),
    refused: Sequence[str] = (),
) -> None:
    """Commit a window; a rejected record whose name begins with `?` has no id."""
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(3600)
    window = Window(None if span[0] is None else hours(span[0]), hours(span[1]))
    rejects = [
        Reject("the record is no JSON", name.encode(), "" if name[0] == "?" else name)
        for name in refused
    ]
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        if landed:
            writer.write([batch(landed)], shape="json", route="rest", extracted_at=hours(0))
        writer.quarantine(rejects)
        writer.commit(Counts(known=0))


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock(hours(24)))


def missing(landing: Landing) -> int:
    return outstanding(landing, "acme", "Contact").records


def test_nothing_is_written_where_all_can_be_read(landing: Landing) -> None:
    commit(landing, (None, 1), ["a"])
    assert outstanding(landing, "acme", "Contact") == Outstanding()
    assert not landing.quarantine("acme", "Contact").exists()


def test_a_record_is_missing_until_it_lands(landing: Landing) -> None:
    """Other windows and other records change nothing; reason and start are reported."""
    commit(landing, (None, 1), ["a"], refused=["b"])
    commit(landing, (1, 2), ["c"])
    commit(landing, (2, 3))
    result = outstanding(landing, "acme", "Contact")
    assert (dict(result.reasons), result.since) == ({"the record is no JSON": 1}, hours(25))
    commit(landing, (3, 4), ["b"])
    assert missing(landing) == 0


def test_a_record_that_stays_unreadable_counts_once(landing: Landing) -> None:
    """A record that every look-back reads again counts once."""
    for end in (1, 2, 3):
        commit(landing, (None if end == 1 else end - 2, end), refused=["b", "?"])
    assert missing(landing) == 2


@pytest.mark.parametrize(("span", "left"), [((None, 2), 0), ((0, 2), 1), ((None, 0.5), 1)])
def test_a_later_read_of_the_same_window_settles_it(
    landing: Landing, span: tuple[float | None, float], left: int
) -> None:
    """This holds for a record without an id, too; a read of a part of the window may have left it out."""
    commit(landing, (None, 1), refused=["?"])
    commit(landing, span, ["a"])
    assert missing(landing) == left


def test_a_record_that_a_newer_reader_reads_is_not_missing(landing: Landing) -> None:
    """A recovered record's batch is made from the quarantine itself and belongs to no window."""
    commit(landing, (None, 1), ["a"], refused=["b", "c"])
    other = Landing(landing.root / "other", FrozenClock(hours(24)))
    commit(other, (None, 1), ["b"])
    note_recovered(landing, "acme", "Contact", other.batches("acme", "Contact"))
    assert missing(landing) == 1


@pytest.mark.parametrize("damage", [b"{}", b"\x00", b'{"version": 9, "windows": []}'])
def test_a_damaged_memory_is_made_anew(landing: Landing, damage: bytes) -> None:
    commit(landing, (None, 1), refused=["b", "?"])
    assert missing(landing) == 2
    [memory] = landing.root.glob("quarantine/acme/Contact/outstanding.json")
    memory.write_bytes(damage)
    assert missing(landing) == 2


def test_a_quarantine_that_cannot_be_read_is_counted(landing: Landing) -> None:
    """The commit has their number."""
    commit(landing, (None, 1), refused=["b", "c"])
    for path in landing.root.glob("quarantine/acme/Contact/*/*.parquet"):
        path.write_bytes(b"")
    result = outstanding(landing, "acme", "Contact")
    assert dict(result.reasons) == {"their file in quarantine cannot be read": 2}


IDS = st.lists(st.sampled_from("abc"), unique=True, max_size=2)
COMMITS = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(2, 4), IDS, IDS, st.booleans()),
    min_size=1,
    max_size=5,
)


@hypothesis_settings(max_examples=25)
@given(COMMITS)
def test_it_does_not_matter_when_somebody_asks(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple]
) -> None:
    """The state kept step by step equals the one of the whole history, computed here in another way."""
    landing = Landing(tmp_path_factory.mktemp("asked"), FrozenClock(hours(24)))
    for start, end, landed, refused, is_asked in plan:
        commit(landing, (start, end), [i for i in landed if i not in refused], refused)
        if is_asked:
            missing(landing)
    expected = set()
    for number, (start, end, _, refused, _) in enumerate(plan):
        for name in refused:
            later = plan[number + 1 :]
            is_landed = any(name in ids and name not in bad for _, _, ids, bad, _ in later)
            is_read_again = any(
                (a is None or (start is not None and a <= start)) and b >= end for a, b, *_ in later
            )
            if not (is_landed or is_read_again):
                expected.add(name)
    assert missing(landing) == len(expected)
