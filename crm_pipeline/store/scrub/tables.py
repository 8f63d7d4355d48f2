"""The checks of `store.scrub` below `tables/`, `snapshots/` and `published/`."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.scrub.check import (
    PUBLISHED,
    RELEASES,
    SNAPSHOTS,
    TABLES,
    Check,
    Verdict,
    json_look,
    sum_look,
)
from crm_pipeline.store.tables import Release, Tables, read_release, read_version
from crm_pipeline.store.tables.corruption import table_cure
from crm_pipeline.store.tables.published import (
    Snapshots,
    can_be_opened,
    read_sum,
    record_of,
    recorded_sum,
)
from crm_pipeline.store.tables.published_files import RECORD, PublishedFiles

_REFRESH = "`crm-pipeline refresh CONNECTION`, whichever connection,"
_OLD = (
    "Nothing to do: it was replaced, and nothing current uses it. A publish removes it once it was replaced so "
    "many days ago as CRM_KEEP_VERSION_DAYS says, one by default."
)
_UNDECIDED = "Mend the newest release first, which says whether this is used; then scrub again."
_OLD_RELEASE = "Nothing to do: a later one took its place, and it is removed in time."


def table_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield the checks of all tables' versions and of the releases; with a connection, of its tables only."""
    tables = Tables(data)
    yield from _versions(tables, connection)
    if not connection:
        yield from _releases(tables)


def published_checks(data: Path) -> Iterator[Check]:
    """Yield the checks of the snapshots, the link to the current one, and the files of `published/`."""
    yield from _snapshots(Snapshots(data))
    yield from _published(PublishedFiles(data / "published", Verifier()))


def _versions(tables: Tables, connection: str) -> Iterator[Check]:
    release = _current(tables)
    current = release.tables if release else {}
    wanted = {tables.folder(name) / version: name for name, version in current.items()}
    below = tables.root / "normalized" / path_name(connection) if connection else tables.root
    folders = {path.parent for path in below.rglob("version.json")}
    needed = {folder for folder in wanted if folder.is_relative_to(below)}
    for folder in sorted(folders | needed):
        name = wanted.get(folder)
        is_used = name is not None or release is None
        cure = table_cure(name) if name else _OLD if release else _UNDECIDED
        path = folder / "version.json"
        look = json_look(path, partial(_read_version, folder))
        yield Check(TABLES, "tables", path, cure, look, folder in needed, is_used)
        yield from _parts(folder, cure, is_used=is_used)


def _parts(folder: Path, cure: str, *, is_used: bool) -> Iterator[Check]:
    try:
        version = read_version(folder, files.read_json(folder / "version.json"))
    except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
        paths = sorted(folder.glob("*.parquet"))  # without their record they have no checksums
        sums: Mapping[Path, FileSum] = {}
    else:
        paths, sums = list(version.paths), version.sums
    for path in paths:
        look = sum_look(path, sums.get(path))
        yield Check(TABLES, "tables", path, cure, look, path in sums, is_used)


def _read_version(folder: Path, record: Mapping[str, Any]) -> str:
    if record["version"] != folder.name:
        return "it is about another version"
    read_version(folder, record)
    return ""


def _current(tables: Tables) -> Release | None:
    try:
        return tables.current()
    except StoreError:  # its file has a check of its own
        return None


def _releases(tables: Tables) -> Iterator[Check]:
    latest = max((int(path.stem) for path in tables.releases.glob("[0-9]*.json")), default=0)
    for path in sorted(tables.releases.glob("[0-9]*.json")):
        look = json_look(path, partial(_read_release, path))
        is_used = int(path.stem) == latest
        copy = f"Copy {tables.pointer} over it, if that says the same number, as readers do."
        cure = copy if is_used else _OLD_RELEASE
        yield Check(RELEASES, "releases", path, cure, look, is_used=is_used)
    if tables.pointer.exists():
        cure = "Remove it: it is a copy, and the next commit writes it again."
        look = json_look(tables.pointer, partial(_read_copy, tables.releases))
        yield Check(RELEASES, "releases", tables.pointer, cure, look)


def _read_release(path: Path, record: Mapping[str, Any]) -> str:
    return "" if read_release(record).number == int(path.stem) else "it is about another release"


def _read_copy(releases: Path, record: Mapping[str, Any]) -> str:
    release = read_release(record)
    try:
        original = read_release(files.read_json(releases / f"{release.number}.json"))
    except (FileNotFoundError, CorruptFile):  # collected, or has a check of its own
        return ""
    return "" if original == release else f"it is no copy of release {release.number}"


def _snapshots(snapshots: Snapshots) -> Iterator[Check]:
    current = snapshots.current()
    again = f"{_REFRESH} builds it again."
    if snapshots.link.is_symlink() and current is None:
        target = snapshots.data / snapshots.link.readlink()
        yield Check(SNAPSHOTS, "snapshots", target, again, Verdict, is_needed=True)
    if snapshots.link.exists() and not snapshots.link.is_symlink():
        cure = f"Move it away: {_REFRESH} makes the link again."
        look = partial(Verdict, "it is no link to a snapshot")
        yield Check(SNAPSHOTS, "snapshots", snapshots.link, cure, look)
    for path in sorted(snapshots.kept()):
        record = record_of(path)
        cure = again if path == current else _old_snapshot(record)
        yield Check(SNAPSHOTS, "snapshots", path, cure, partial(_look_at_snapshot, path))
        if record.exists():
            cure = again if path == current else _OLD_RECORD
            yield Check(SNAPSHOTS, "snapshots", record, cure, json_look(record, _read_sum))


_OLD_RECORD = "Restore it from a backup, or remove it: the snapshot beside it is unproven then."


def _old_snapshot(record: Path) -> str:
    return (
        f"Restore it from a backup, or remove it and {record.name} beside it: what was published then cannot "
        "be asked for any more."
    )


def _look_at_snapshot(path: Path) -> Verdict:
    try:
        recorded = recorded_sum(path)
    except CorruptFile:  # has a check of its own
        recorded = None
    if recorded is not None:
        return sum_look(path, recorded)()
    return Verdict("" if can_be_opened(path) else "it cannot be opened", is_proven=False)


def _read_sum(record: Mapping[str, Any]) -> str:
    read_sum(record)
    return ""


def _published(published: PublishedFiles) -> Iterator[Check]:
    cure = f"{_REFRESH} writes it again."
    record = published.folder / RECORD
    if record.exists():
        yield Check(PUBLISHED, "published", record, cure, json_look(record, _read_sums))
    try:
        sums = published.recorded()
    except CorruptFile:
        sums = {}
    names = {path.name for path in published.folder.glob("*.parquet")}
    for name in sorted(names | sums.keys()):
        path = published.folder / name
        look = sum_look(path, sums.get(name))
        yield Check(PUBLISHED, "published", path, cure, look, is_needed=name in sums)


def _read_sums(record: Mapping[str, Any]) -> str:
    for entry in record["files"].values():
        FileSum.from_dict(entry)
    return ""
