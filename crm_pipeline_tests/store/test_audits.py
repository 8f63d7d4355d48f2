"""Results of audits on disk: kept, bounded, and read again whatever became of the file."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.store import files
from crm_pipeline.store.audits import CURE, MOST_PAST, Audited, Audits
from crm_pipeline.store.scrub import scrub

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
EQUAL = Audited("acme", "Contact", "2026-10", NOW, "count", "equal", 4, 4, calls=1, verdict="equal")


def test_results_are_kept_and_bounded(tmp_path: Path) -> None:
    """The last result of each month and the last ones that were not equal are kept, however many there were."""
    clock = FrozenClock(NOW)
    audits = Audits(tmp_path, clock)
    for day in range(MOST_PAST + 20):
        at = NOW + timedelta(days=day)
        wrong = replace(EQUAL, audited_at=at, state="differs", with_us=3, missing=1)
        audits.note("acme", [wrong, replace(EQUAL, month="2026-11", audited_at=at)], cost=3)
    kept = audits.at("acme").of("Contact")
    assert len(kept.past) == MOST_PAST
    assert kept.months == {
        "2026-10": wrong,
        "2026-11": replace(EQUAL, month="2026-11", audited_at=at),
    }
    assert kept.open == [wrong]
    assert len(kept.all) == MOST_PAST + 1
    assert kept.audited_at("2026-09") is None
    audits.note("acme", [replace(EQUAL, audited_at=at + timedelta(days=1))], sight="seen")
    audits.note("acme", ())
    assert audits.at("acme").of("Contact").open == []
    assert audits.at("acme").sight == "seen"
    assert audits.spent_today("acme") == 3 * (MOST_PAST + 20)
    clock.advance(86_400)
    assert audits.spent_today("acme") == 0


def test_a_file_of_others(tmp_path: Path) -> None:
    """A damaged file says so and is filled again; what a later version added is ignored."""
    audits = Audits(tmp_path, FrozenClock(NOW))
    assert audits.at("acme").objects == {}
    audits.note("acme", [EQUAL])
    [path] = (tmp_path / "audits").iterdir()
    stored = json.loads(path.read_text())
    stored.pop("crc32", None)
    path.write_text("{")
    assert str(path) in audits.at("acme").damage
    audits.note("acme", [EQUAL])
    assert audits.at("acme").of("Contact").months == {"2026-10": EQUAL}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(spent=[1]),
        lambda record: record.update(objects=[]),
        lambda record: record["objects"]["Contact"]["months"][0].update(missing="three"),
        lambda record: record["objects"]["Contact"]["months"][0].update(in_crm=True),
        lambda record: record["objects"]["Contact"]["months"].append("2026-10"),
    ],
)
def test_values_of_other_types_are_damage(tmp_path: Path, change: Any) -> None:
    """A file that somebody has edited is no file of ours: it is named, kept beside the new one, and found by scrub."""
    audits = Audits(tmp_path, FrozenClock(NOW))
    audits.note("acme", [EQUAL], sight="all")
    [path] = (tmp_path / "audits").glob("*.json")
    stored = files.read_json(path)
    change(stored)
    files.write_json(path, stored, "audits")
    assert str(path) in audits.at("acme").damage
    [one] = scrub(tmp_path).corruption
    assert (one.path, one.cure) == (path, CURE)
    edited = path.read_bytes()
    audits.note("acme", [EQUAL])
    assert path.with_name(f"{path.name}.damaged").read_bytes() == edited
    assert audits.at("acme").damage == ""
    assert scrub(tmp_path).is_usable
