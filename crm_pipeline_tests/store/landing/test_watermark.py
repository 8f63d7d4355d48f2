"""How far windows are believed: ends in the future, wrong clocks, data folders of earlier versions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.watermark import Edge, edge_of
from crm_pipeline.store.landing.window import Counts

T0 = datetime(2026, 11, 23, 10, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def commit(start: float | None, end: float, when: float, present: float | None = None) -> Any:
    """Return a commit with window, commit time and present, all as minutes."""
    return WindowCommit(
        window_id=f"{when}",
        kind="window",
        connection="acme",
        object="Contact",
        window=Window(None if start is None else at(start), at(end)),
        batches=(),
        records=0,
        known=0,
        quarantined=0,
        vendor_count=0,
        vendor_count_before=0,
        calls=1,
        route="rest",
        reason="",
        complete=False,
        schema_fingerprint="a",
        committed_at=at(when),
        present=None if present is None else at(present),
    )


HONEST = commit(None, 0, 1)
CASES: dict[str, tuple[list[WindowCommit], float | None, float | None]] = {
    # commits, the present that is known, the watermark
    "honest": ([HONEST, commit(-10, 15, 16)], None, 15),
    "a clock some seconds off": ([HONEST, commit(-10, 15.5, 15)], None, 15.5),
    "an hour ahead": ([HONEST, commit(-10, 75, 16)], None, 16),
    "a whole read an hour ahead": ([commit(None, 60, 1)], None, 1),
    # The reads after a wrong end began there: the time between was never read.
    "long ago": ([HONEST, commit(-10, 75, 16), commit(65, 65, 31), commit(65, 90, 91)], None, 16),
    "healed": ([HONEST, commit(-10, 75, 16), commit(6, 30, 31, 30)], None, 30),
    "healed, and gone on": (
        [HONEST, commit(-10, 75, 16), commit(6, 30, 31, 30), commit(20, 80, 81, 80)],
        None,
        80,
    ),
    "this machine's clock was slow, and the vendor's records said so": (
        [commit(None, 60, 1, 60)],
        None,
        60,
    ),
    "both clocks were ahead": ([HONEST, commit(-10, 75, 76, 75)], 30, 30),
    "both were ahead, and it is noticed by a read": (
        [HONEST, commit(-10, 75, 76, 75), commit(20, 30, 76.1, 30)],
        None,
        30,
    ),
    "nothing whole was read": ([commit(-10, 75, 16)], None, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_watermark(case: str) -> None:
    """The watermark is never later than what a window can have read, whichever clock was wrong at the commit."""
    commits, present, expected = CASES[case]
    edge = edge_of(commits, None if present is None else at(present))
    assert edge.at == (None if expected is None else at(expected))


def test_how_much_is_read_again() -> None:
    """A window with a wrong end is reported until a read has started from the right time."""
    lying = commit(-10, 75, 16)
    assert edge_of([HONEST, lying]) == Edge(at(16), at(75), is_set_back=True)
    assert not edge_of([HONEST, lying, commit(6, 30, 31, 30)]).is_set_back
    assert not edge_of([HONEST]).is_set_back
    # An edge that the present sets back is reported as well, unless it is by seconds.
    assert edge_of([commit(None, 75, 76, 75)], at(5)) == Edge(at(5), at(75), is_set_back=True)
    assert edge_of([commit(None, 75, 76, 75)], at(74.5)) == Edge(at(74.5), at(75))
    # A window that begins behind the present was not read at all.
    assert edge_of([HONEST, commit(20, 75, 76, 75)], at(5)).at == at(0)


def test_a_lie_counts_up_to_its_first_page(tmp_path: Path) -> None:
    """Changes during a read may be missing: a read that took an hour counts up to its start."""
    clock = FrozenClock(T0)
    landing = Landing(tmp_path, clock)
    window = Window(None, at(600))
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        first = replace(_manifest(writer), started_at=clock.now())
        writer.manifests.append(first)
        clock.advance(3600)
        writer.commit(Counts())
    assert landing.watermark("acme", "Contact") == T0


def _manifest(writer: Any) -> Any:
    from crm_pipeline.store.landing.manifest import Manifest

    return Manifest(
        batch_id=f"{writer.window_id}-00001",
        window_id=writer.window_id,
        kind="window",
        connection="acme",
        object="Contact",
        route="rest",
        shape="json",
        window=writer.window,
        records=1,
        bytes=1,
        sha256="",
        vendor_count=None,
        calls=1,
        schema_fingerprint=SCHEMA.fingerprint,
        extractor="test",
        started_at=T0,
        finished_at=T0,
        sequence=1,
        month="2026-11",
        path=Path("x.parquet"),
    )


def test_a_commit_of_before(tmp_path: Path) -> None:
    """Commits without a present are read as they are, and one with it is read back unchanged."""
    landing = Landing(tmp_path, FrozenClock(T0))
    for present in (None, T0):
        with landing.begin("acme", "Contact", Window(None, T0), SCHEMA) as writer:
            made = writer.commit(Counts(present=present))
        path = landing.folder("acme", "Contact") / "windows" / f"{writer.window_id}.json"
        record = files.read_json(path)
        if present is None:
            del record["present"]
            files.write_json(path, record)
        assert Landing(tmp_path).windows("acme", "Contact")[-1] == made
