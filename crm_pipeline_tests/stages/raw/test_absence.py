"""Records that are absent from a whole read are counted by id, in all and in each of a vendor's lists."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw.absence import live, losses, too_much
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.records import TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts

SCHEMA = Schema("deals", "Deals", (Field("id", "ID", "id"),))


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock("2026-11-23T10:00Z"))


def land(landing: Landing, parts: Mapping[str, str], deleted: str = "") -> tuple[Manifest, ...]:
    """Land a whole read: the ids of each list, one letter each, and which of them are marked as deleted."""
    with landing.begin("acme", "deals", Window(None, landing.clock.now()), SCHEMA) as writer:
        for part, ids in parts.items():
            batch = {
                "_source_id": pa.array(list(ids), pa.string()),
                "_modified_at": pa.array([None] * len(ids), TIMESTAMP),
                "_deleted": pa.array([one in deleted for one in ids], pa.bool_()),
                "record": pa.array(["{}"] * len(ids), pa.string()),
            }
            writer.write(
                [pa.RecordBatch.from_pydict(batch)],
                shape="json",
                route="x",
                extracted_at=landing.clock.now(),
                part=part,
            )
        commit = writer.commit(Counts(complete=True))
    return commit.batches


def test_who_is_alive(landing: Landing) -> None:
    """The version that landed last decides whether a record is alive, and in which list it is."""
    batches = [
        *land(landing, {"live": "abc", "archived": "de"}),
        *land(landing, {"live": "bd", "archived": "c", "deleted": "e"}, deleted="e"),
    ]
    assert {part: "".join(sorted(ids.to_pylist())) for part, ids in live(batches).items()} == {
        "live": "abd",
        "archived": "c",
    }


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"live": "abcdefghij", "archived": "klmnop"}, []),
        ({"live": "abcdefghijklmnop"}, []),  # what left a list is in another one
        ({"live": "abcdefghijk", "archived": "z"}, [("", 5), ("archived", 5)]),
        ({"live": "abcdefghij"}, [("", 6), ("archived", 6)]),
        ({"live": "abcdefghijkl"}, []),
        ({"archived": "klmnop"}, [("", 10), ("live", 10)]),
        ({}, [("", 16), ("live", 10), ("archived", 6)]),
        ({"live": "abcdefghijklmnopqrstuvwxyz"}, []),
        (
            {"live": "qrstuvwxyzabcd"},
            [("", 12), ("live", 6), ("archived", 6)],
        ),  # as many, but others
        ({"deleted": "abcdefghijklmnop"}, []),  # the vendor says it in so many words
    ],
)
def test_what_is_too_much(
    landing: Landing, now: Mapping[str, str], expected: list[tuple[str, int]]
) -> None:
    """Five records and a fifth of all; or a whole list that is empty, where nothing else holds what it had."""
    before = live(land(landing, {"live": "abcdefghij", "archived": "klmnop"}))
    read = land(landing, now, deleted=now.get("deleted", ""))
    all_losses = losses(before, read)
    assert [
        (one.part, len(one.missing)) for one in all_losses if one.is_too_much(ShrinkBounds())
    ] == expected


def test_each_list_is_judged(landing: Landing) -> None:
    """A list that keeps a single record counts as an empty one, however long the others are."""
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
    before = live(land(landing, {"live": letters, "archived": "abcdefghij"}))
    all_losses = losses(before, land(landing, {"live": letters, "archived": "a"}))
    assert [(one.part, len(one.missing)) for one in too_much(all_losses, ShrinkBounds())] == [
        ("archived", 9)
    ]


def test_what_was_set_aside_is_there(landing: Landing) -> None:
    """A quarantined record with a readable id is not missing; one without is no empty read."""
    rejects = [Reject("bad", b"x", "k"), Reject("bad", b"y")]
    before = live(land(landing, {"": "abcde"}), rejects)
    assert sorted(before[""].to_pylist()) == list("abcdek")
    assert live((), rejects)[""].to_pylist() == ["k"]
    [loss] = losses(before, land(landing, {"": "abcd"}), [Reject("bad", b"z", "e")])
    assert loss.missing.to_pylist() == ["k"]
    [loss] = losses(before, (), [Reject("bad", b"z")])
    assert (len(loss.missing), loss.is_empty) == (6, False)
    deleted = live(land(landing, {"": "ab"}, deleted="b"), [Reject("bad", b"x", "b")])
    assert deleted[""].to_pylist() == ["a"]


def test_nothing_is_too_little_for_an_empty_read(landing: Landing) -> None:
    """An empty read after one record does not delete it; an empty read after none lacks nothing."""
    [loss] = losses(live(land(landing, {"": "a"})), land(landing, {}))
    assert loss.is_too_much(ShrinkBounds())
    [none] = losses({}, land(landing, {}))
    assert not none.is_too_much(ShrinkBounds())


def test_a_sample_is_from_all_over(landing: Landing) -> None:
    """A sample of the missing ids includes the first and is spread over all."""
    [loss] = losses(live(land(landing, {"": "zyxwvutsrqponmlkjihgfedcba"})), land(landing, {}))
    assert loss.sample(5) == ["a", "f", "k", "p", "u"]
    assert loss.sample(20)[-1] == "y", "a few more than are asked about: the last ones, too"
    assert sorted(loss.sample(100)) == list("abcdefghijklmnopqrstuvwxyz")
