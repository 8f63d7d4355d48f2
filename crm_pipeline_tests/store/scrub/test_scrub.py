import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.scrub import KINDS, Scrubbed, scrub
from crm_pipeline_tests.rot.flips import copied, flip_bit

KEYS = {"checksum", "bytes", "sha256", "crc32", "files"}


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data folder with every kind of file, to be changed."""
    return copied(filled, tmp_path / "data")


def found(done: Scrubbed) -> dict[str, str]:
    return {one.path.name: one.problem for one in done.corruption}


def some(data: Path, pattern: str) -> Path:
    return min(data.glob(pattern))


@pytest.mark.parametrize(
    ("pattern", "problem", "cure"),
    [
        (
            "landing/acme/Contact/windows/*.json",
            "is damaged",
            "backfill acme --object Contact` reads",
        ),
        ("landing/acme/User/*/*.parquet", "checksum does not fit", "move all files of its window"),
        ("landing/acme/Lead/schemas/*.json", "is damaged", "backfill acme --object Lead"),
        ("landing/acme/Lead/spool/*/*.csv", "not as it arrived", "asks for what it held again"),
        ("landing/acme/User/schemas/*.refused", "is damaged", "the next read says it again"),
        ("landing/acme/User/windows/*.accepted", "is damaged", "if nobody has accepted"),
        ("landing/acme/Contact/reread/*/*.parquet", "checksum", "the next build of its tables"),
        ("quarantine/acme/Lead/reread/*/index.json", "is damaged", "the next build of its tables"),
        ("quarantine/acme/Contact/normalized/*.parquet", "checksum", "rows stand in data/landing"),
        ("looks/acme.json", "is damaged", "the next look fills it again"),
        ("tables/normalized/other/contacts/*/*.parquet", "checksum", "refresh other"),
        ("tables/release.json", "is damaged", "it is a copy"),
        ("snapshots/*.duckdb", "checksum does not fit", "cannot be asked for any more"),
        ("published/deals.parquet", "checksum does not fit", "refresh CONNECTION`, whichever"),
        ("published/contacts.parquet", "checksum does not fit", "writes it again"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(
    data: Path, pattern: str, problem: str, cure: str
) -> None:
    """One flipped bit is one damaged file, of its kind, and nothing else is called damaged."""
    path = some(data, pattern)
    flip_bit(path)
    done = scrub(data)
    [one] = done.corruption
    assert one.path == path
    assert problem in one.problem
    assert cure in one.cure
    assert {kind: tally.damaged for kind, tally in done.kinds.items() if tally.damaged} == {
        one.kind: 1
    }


@pytest.mark.parametrize(
    "pattern",
    [
        "landing/acme/Contact/*/*.parquet",
        "landing/acme/Contact/schemas/*.json",
        "landing/acme/Contact/reread/*/*.parquet",
        "quarantine/acme/Lead/????-??/*.json",
        "quarantine/acme/Lead/????-??/*.parquet",
        "quarantine/acme/Contact/normalized/*.parquet",
        "tables/normalized/acme/contacts/*/*.parquet",
        "published/contacts.parquet",
    ],
)
def test_a_file_that_is_gone_is_named(data: Path, pattern: str) -> None:
    """A file that an undamaged file names must exist."""
    path = some(data, pattern)
    path.unlink()
    assert found(scrub(data)) == {path.name: "it is gone"}


def test_rows_of_a_build_whose_record_is_gone(data: Path) -> None:
    """They are reported once no build can be about to write the record."""
    record = some(data, "quarantine/acme/Contact/normalized/*.json")
    rows = sorted(record.parent.glob(f"{record.stem}-*.parquet"))
    record.unlink()
    assert scrub(data).corruption == ()
    for path in rows:
        os.utime(path, (0, 0))
    corruption = scrub(data).corruption
    assert [one.path for one in corruption] == rows
    assert {one.problem for one in corruption} == {"the record that belongs to it is gone"}
    assert all(one.cure.startswith("Remove it") for one in corruption)


def test_rows_of_a_read_that_did_not_end(data: Path) -> None:
    """A process that was killed before the record leaves them; the next run removes them."""
    for commit in data.glob("landing/acme/Lead/windows/*.json"):
        commit.unlink()
    some(data, "quarantine/acme/Lead/????-??/*.json").unlink()
    assert scrub(data).corruption == ()


def test_the_current_version_of_a_table_must_be_there(data: Path) -> None:
    """A release that names a version without a record is reported, and so is a link without a target."""
    current = files.read_json(data / "tables" / "release.json")["tables"]["normalized/acme/users"]
    record = data / "tables" / "normalized" / "acme" / "users" / current / "version.json"
    snapshot = (data / "crm.duckdb").resolve()
    record.unlink()
    snapshot.unlink()
    assert found(scrub(data)) == dict.fromkeys(("version.json", snapshot.name), "it is gone")


def test_something_else_in_place_of_the_link(data: Path) -> None:
    """A copy of the file under its stable name would never change again."""
    link = data / "crm.duckdb"
    content = link.read_bytes()
    link.unlink()
    link.write_bytes(content)
    assert found(scrub(data)) == {"crm.duckdb": "it is no link to a snapshot"}


def test_only_one_connection(data: Path) -> None:
    """With a connection its landing, quarantine and tables are checked, and nothing else."""
    flip_bit(some(data, "landing/acme/Contact/*/*.parquet"))
    flip_bit(some(data, "snapshots/*.duckdb"))
    assert scrub(data, "other").corruption == ()
    done = scrub(data, "acme")
    assert [one.kind for one in done.corruption] == ["landed batches"]
    assert done.kinds["snapshots"].files == done.kinds["releases"].files == 0
    assert done.kinds["tables"].files > 0


def test_what_earlier_versions_wrote_is_unproven(data: Path) -> None:
    """Without checksums nothing is called damaged that can be read, and no file passes for proven."""
    for pattern in ("reread/*/*", "*.refused", "*.accepted", "*.sight"):
        for path in data.rglob(pattern):
            path.unlink()  # there was nothing of the kind
    for path in [*data.rglob("*.json"), *data.rglob("*.open")]:
        record = files.read_json(path)
        is_manifest = "batch_id" in record and "schema_fingerprint" in record
        if not is_manifest or "quarantine" in path.parts:
            record = {key: value for key, value in record.items() if key not in KEYS}
        path.write_text(json.dumps(record, ensure_ascii=False, indent=1))
    for path in [*data.glob("snapshots/*.json"), data / "published" / "checksums.json"]:
        path.unlink()
    done = scrub(data)
    assert done.corruption == ()
    proven = {kind: one.files - one.unproven for kind, one in done.kinds.items()}
    # A batch has its checksum in the commit since ever, and a schema is what its name stands for.
    assert {kind for kind, count in proven.items() if count} == {"landed batches", "schemas"}
    for pattern in ("tables/**/base-*.parquet", "published/deals.parquet", "snapshots/*.duckdb"):
        path = some(data, pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 20])
    assert len(scrub(data).corruption) == 3


def test_a_damaged_batch_that_no_window_names_is_not_read_again(data: Path) -> None:
    """After its commit was moved away and the window read again, nothing has to be done about the remaining files."""
    path = some(data, "landing/acme/User/????-??/*.parquet")
    for commit in data.glob("landing/acme/User/windows/*.json"):
        commit.unlink()
    flip_bit(path)
    flip_bit(path.with_suffix(".json"))  # without it nothing is known of the file
    done = scrub(data)
    [one] = done.corruption
    assert one.path == path.with_suffix(".json")
    assert one.cure.startswith("Nothing to do: no window's commit names it")
    assert done.is_usable
    assert path in named(one.cure)


@pytest.mark.parametrize("kind", ["open", "json"])
def test_a_batch_without_a_commit_that_is_not_left_over(data: Path, kind: str) -> None:
    """While its window is being read, or only its commit is damaged, no file of the window may be removed."""
    path = some(data, "landing/acme/User/????-??/*.parquet")
    commit = data / "landing/acme/User/windows" / f"{path.stem.rpartition('-')[0]}.json"
    commit.write_text("{")
    if kind == "open":
        commit.rename(commit.with_suffix(".open"))
    flip_bit(path)
    done = scrub(data)
    cures = {one.path: one.cure for one in done.corruption if one.is_used}
    assert cures.keys() == {path, commit if kind == "json" else commit.with_suffix(".open")}
    told = "reads its window anew" if kind == "open" else "Restore it from a backup"
    assert told in cures[path]


def named(cure: str) -> set[Path]:
    """Return the files that a cure's patterns for the shell match."""
    patterns = re.findall(r"/[^ ()]+[*]", cure)
    return {path for pattern in patterns for path in Path("/").glob(pattern[1:])}


def test_the_cure_of_a_batch_leaves_no_remains(data: Path) -> None:
    """The cure names all files of the window: its commit, its batches and its quarantined rows."""
    batch = some(data, "landing/acme/Contact/????-??/*.parquet")
    window = batch.stem.rpartition("-")[0]
    aside = data / "quarantine" / "acme" / "Contact" / batch.parent.name / f"{window}-00009.parquet"
    aside.parent.mkdir(exist_ok=True)
    aside.touch()
    flip_bit(batch)
    one = next(one for one in scrub(data).corruption if one.path == batch)
    every = {path for path in data.rglob(f"{window}*") if "reread" not in path.parts}
    assert len(every) >= 4
    assert named(one.cure) == every
    assert "backfill acme --object Contact`" in one.cure


def test_what_nothing_current_uses_is_no_damage_to_act_on(data: Path) -> None:
    """A replaced version of a table and an older release are reported last, with nothing to do."""
    current = files.read_json(data / "tables" / "release.json")
    version = current["tables"]["normalized/acme/contacts"]
    folder = data / "tables" / "normalized" / "acme" / "contacts"
    old = next(path for path in sorted(folder.glob("*/*.parquet")) if path.parent.name != version)
    release = data / "tables" / "releases" / "1.json"
    for path in (old, release):
        flip_bit(path)
    done = scrub(data)
    assert {one.path for one in done.corruption} == {old, release}
    assert all(one.cure.startswith("Nothing to do: ") for one in done.corruption)
    assert done.is_usable
    used = next((folder / version).glob("*.parquet"))
    flip_bit(used)
    done = scrub(data)
    assert not done.is_usable
    assert done.corruption[0].path == used
    flip_bit(data / "tables" / "releases" / f"{current['number']}.json")
    (data / "tables" / "release.json").unlink()
    told = {one.path: one.cure for one in scrub(data).corruption if one.is_used}
    assert (
        told[old]
        == "Mend the newest release first, which says whether this is used; then scrub again."
    )


def test_a_snapshot_of_a_past_day(data: Path) -> None:
    """The cure names the record to remove with it; with only the record damaged, the snapshot is merely unproven."""
    current = (data / "crm.duckdb").resolve()
    old = current.with_name("crm-00000000-aaaa.duckdb")
    old.write_bytes(current.read_bytes())
    record = old.with_name(f"{old.name}.json")
    files.write_json(record, files.read_json(current.with_name(f"{current.name}.json")))
    flip_bit(old)
    [one] = scrub(data).corruption
    assert one.path == old
    assert f"remove it and {record.name} beside it" in one.cure
    flip_bit(old)
    flip_bit(record)
    [one] = scrub(data).corruption
    assert one.path == record
    assert "the snapshot beside it is unproven then" in one.cure


def test_two_records_that_disagree(data: Path) -> None:
    """A sealed manifest that differs from its window's commit is reported."""
    path = some(data, "landing/acme/Contact/????-??/*.json")
    files.write_json(path, {**files.read_json(path), "records": 1})
    assert found(scrub(data)) == {path.name: "it says something else than its window's commit"}


def test_whole_notes_under_each_others_names(data: Path) -> None:
    """A resumed read does not use them, so they are reported, although each is sealed."""
    folder = some(data, "landing/acme/Lead/spool/*")
    request, page = folder / "request.json", folder / "00002.json"
    texts = request.read_bytes(), page.read_bytes()
    page.write_bytes(texts[0])
    request.write_bytes(texts[1])
    assert found(scrub(data)) == dict.fromkeys(
        ("request.json", "00002.json"), "it is about something else than its name says"
    )


@pytest.mark.parametrize("is_collected", [True, False])
def test_what_changes_meanwhile_is_not_damaged(
    data: Path, monkeypatch: pytest.MonkeyPatch, is_collected: bool
) -> None:
    """A file that a run replaces or removes during the scrub is checked again before it is reported."""
    path = some(data, "published/contacts.parquet")
    record = path.with_name("checksums.json")
    plain = FileSum.of
    hits: list[Path] = []

    def of(which: Path) -> object:
        if which == path and not hits:
            hits.append(which)
            sums = files.read_json(record)["files"]
            if is_collected:
                path.unlink()
                del sums[path.name]
            else:
                path.unlink()
                path.write_bytes((data / "published" / "deals.parquet").read_bytes())
                sums[path.name] = sums["deals.parquet"]
            files.write_json(record, {"files": sums})
        return plain(which)

    monkeypatch.setattr(FileSum, "of", of)
    assert scrub(data).corruption == ()
    assert hits


def test_files_that_are_being_written_are_left_alone(data: Path) -> None:
    """Temporary names, parts of a version without record, batches and pages without theirs."""
    before = scrub(data)
    for name in (
        "landing/acme/Contact/2026-11/.x.parquet.0a1b2c3d.tmp",
        "landing/acme/Contact/2026-11/x-00001.parquet",
        "landing/acme/Lead/spool/x/00003.csv",
        "tables/normalized/acme/contacts/0123456789abcdef0123456789/base-00000.parquet",
        "snapshots/.crm-00000009.duckdb.tmp",
    ):
        path = data / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert scrub(data) == before


def test_a_disk_that_does_not_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the system cannot read is a damaged file; a folder that it cannot list, an error."""
    path = some(data, "tables/normalized/acme/users/*/base-00000.parquet")
    plain = Path.open

    def refuse(self: Path, *arguments: str, **options: object) -> object:
        if self == path:
            raise OSError(5, os.strerror(5))
        return plain(self, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert found(scrub(data))[path.name] == "it cannot be read: Input/output error"

    def unlisted(*_: object) -> None:
        raise OSError(5, os.strerror(5), str(data))

    monkeypatch.setattr(Path, "rglob", unlisted)
    with pytest.raises(StoreError, match="cannot be looked at: Input/output error"):
        scrub(data)


def test_progress_is_told_step_by_step(data: Path) -> None:
    """Steps are reported one after the other, each with its files counted from one."""
    told: list[tuple[str, int]] = []

    def tell(step: str, count: int, expected: int | None) -> None:
        assert expected is None
        told.append((step, count))

    tell_it: Callable[[str, int, int | None], None] = tell
    done = scrub(data, report=tell_it)
    steps = list(dict.fromkeys(step for step, _ in told))
    assert steps[:2] == ["landing acme", "landing other"]
    assert steps[-3:] == ["releases", "snapshots", "published"]
    last = dict(told)
    assert sum(last.values()) == sum(one.files for one in done.kinds.values()) == len(told)


def test_a_new_folder_is_whole(tmp_path: Path) -> None:
    """In an empty folder nothing is damaged, and a scrub makes no files."""
    done = scrub(tmp_path / "data")
    assert (done.corruption, {one.files for one in done.kinds.values()}) == ((), {0})
    assert tuple(done.kinds) == KINDS
    assert not (tmp_path / "data").exists()
