"""How far the histories of new fields are filled, as it is stored."""

from pathlib import Path

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.store import files
from crm_pipeline.store.field_backfills import CURE, FieldBackfill, FieldBackfills
from crm_pipeline.store.scrub import scrub


def test_what_is_noted_and_spent(tmp_path: Path) -> None:
    """What one process notes the next one has; costs are added up by the day, for all objects of a connection; of a
    damaged file nothing is believed, and keys of later versions are ignored."""
    clock = FrozenClock("2026-11-23T23:00:00Z")
    backfills = FieldBackfills(tmp_path, clock)
    state = FieldBackfill("k", ("A", "B"), "filling", "7f", records=9, started_at=clock.now())
    backfills.note("demo", "contacts", state, cost=3)
    backfills.note("demo", "deals", FieldBackfill("k"), cost=4)
    again = FieldBackfills(tmp_path, clock)
    assert (again.of("demo", "contacts"), again.of("demo", "leads")) == (state, None)
    assert (again.spent_today("demo"), again.spent_today("other")) == (7, 0)
    clock.advance(3_600)
    assert again.spent_today("demo") == 0
    path = tmp_path / "field_backfills" / "demo.json"
    record = files.read_json(path)
    record["objects"]["contacts"]["later"] = 1
    files.write_json(path, record)
    assert again.of("demo", "contacts") == state
    path.write_text("{")
    assert again.of("demo", "contacts") is None


def test_damage_is_found(tmp_path: Path) -> None:
    """`scrub` reads the files as well, and says what to do."""
    FieldBackfills(tmp_path).note("demo", "contacts", FieldBackfill("k", after="7f"))
    assert scrub(tmp_path).is_usable
    path = tmp_path / "field_backfills" / "demo.json"
    path.write_bytes(path.read_bytes().replace(b"7f", b"7e"))
    [one] = scrub(tmp_path).corruption
    assert (one.path, one.cure) == (path, CURE)


def test_damaged_files_are_kept(tmp_path: Path) -> None:
    """A file with values of other types is damaged as well; the next note takes its place, and it stays beside it."""
    path = tmp_path / "field_backfills" / "demo.json"
    FieldBackfills(tmp_path).note("demo", "contacts", FieldBackfill("k", records=9))
    record = files.read_json(path)
    record["objects"]["contacts"]["records"] = "nine"
    files.write_json(path, record)
    edited = path.read_bytes()
    assert FieldBackfills(tmp_path).of("demo", "contacts") is None
    FieldBackfills(tmp_path).note("demo", "deals", FieldBackfill("k"))
    assert FieldBackfills(tmp_path).of("demo", "deals") == FieldBackfill("k")
    assert path.with_name("demo.json.damaged").read_bytes() == edited
