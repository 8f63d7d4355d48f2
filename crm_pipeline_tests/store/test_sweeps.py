"""How far sweeps have come."""

from datetime import UTC, datetime
from pathlib import Path

from crm_pipeline.store.scrub import scrub
from crm_pipeline.store.sweeps import CURE, Progress, Sweeps


def test_progress_survives_and_damage_begins_again(tmp_path: Path) -> None:
    """What a sweep notes is there for the next one; of a damaged file nothing is."""
    sweeps = Sweeps(tmp_path)
    done = Progress(completed_at=datetime(2026, 11, 1, tzinfo=UTC), compared=3, landed=1)
    sweeps.note("demo", "contacts", Progress(after="7f"))
    sweeps.note("demo", "deals", Progress(after="9"))
    sweeps.note("demo", "contacts", done)
    assert Sweeps(tmp_path).at("demo") == {"contacts": done, "deals": Progress(after="9")}
    assert sweeps.at("other") == {}
    (tmp_path / "sweeps" / "demo.json").write_text("{")
    assert sweeps.at("demo") == {}


def test_damage_is_found(tmp_path: Path) -> None:
    """`scrub` reads the files as well, and says what to do."""
    Sweeps(tmp_path).note("demo", "contacts", Progress(after="7f"))
    assert scrub(tmp_path).is_usable
    path = tmp_path / "sweeps" / "demo.json"
    path.write_bytes(path.read_bytes().replace(b"7f", b"7e"))
    [one] = scrub(tmp_path).corruption
    assert (one.path, one.cure) == (path, CURE)
