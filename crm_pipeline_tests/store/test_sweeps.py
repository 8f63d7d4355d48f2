"""How far sweeps have come."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from crm_pipeline.store import files
from crm_pipeline.store.scrub import scrub
from crm_pipeline.store.sweeps import CURE, MOST_RESULTS, Progress, SweepResult, Sweeps


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


def test_lists_and_fields_are_noted_apart(tmp_path: Path) -> None:
    """Both kinds of an object have their own place, and files of versions that knew lists only are read."""
    sweeps = Sweeps(tmp_path)
    sweeps.note("demo", "contacts", Progress(after="7f"))
    older = (tmp_path / "sweeps" / "demo.json").read_text()
    assert '"fields"' not in older
    sweeps.note("demo", "contacts", Progress(after="2026-11-01T00:00:00Z"), "fields")
    assert sweeps.at("demo") == {"contacts": Progress(after="7f")}
    assert sweeps.at("demo", "fields") == {"contacts": Progress(after="2026-11-01T00:00:00Z")}


def test_the_last_results_are_kept(tmp_path: Path) -> None:
    """Of each object and kind the last results are kept, and notes of progress leave them."""
    sweeps, first = Sweeps(tmp_path), datetime(2026, 11, 1, tzinfo=UTC)
    for day in range(MOST_RESULTS + 2):
        at = first + timedelta(days=day)
        sweeps.add("demo", [SweepResult("deals", "fields", "computed fields", at, landed=day)])
    other = SweepResult("deals", "lists", "associations", first, error="HubSpot answered 403.")
    sweeps.add("demo", [other])
    sweeps.note("demo", "deals", Progress(after="9"))
    kept = Sweeps(tmp_path).results("demo")
    assert [one.landed for one in kept if one.kind == "fields"] == list(range(2, MOST_RESULTS + 2))
    assert [one for one in kept if one.kind == "lists"] == [other]


def test_damage_is_found(tmp_path: Path) -> None:
    """`scrub` reads the files as well, and says what to do."""
    Sweeps(tmp_path).note("demo", "contacts", Progress(after="7f"))
    assert scrub(tmp_path).is_usable
    path = tmp_path / "sweeps" / "demo.json"
    path.write_bytes(path.read_bytes().replace(b"7f", b"7e"))
    [one] = scrub(tmp_path).corruption
    assert (one.path, one.cure) == (path, CURE)


def test_damaged_files_are_kept(tmp_path: Path) -> None:
    """A file with values of other types is damaged as well; what a sweep notes then takes its place, and it stays beside it."""
    path = tmp_path / "sweeps" / "demo.json"
    Sweeps(tmp_path).note("demo", "contacts", Progress(after="7f"))
    files.write_json(path, {**files.read_json(path), "objects": {"contacts": {"after": 7}}})
    edited = path.read_bytes()
    assert Sweeps(tmp_path).at("demo") == {}
    Sweeps(tmp_path).note("demo", "deals", Progress(after="9"))
    assert Sweeps(tmp_path).at("demo") == {"deals": Progress(after="9")}
    assert path.with_name("demo.json.damaged").read_bytes() == edited
