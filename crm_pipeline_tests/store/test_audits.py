"""Results of audits on disk: kept, bounded, and read again whatever became of the file."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.store.audits import MOST_PAST, Audited, Audits

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
    assert "damaged" in audits.at("acme").damage
    audits.note("acme", [EQUAL])
    assert audits.at("acme").of("Contact").months == {"2026-10": EQUAL}
