"""What `store.scrub` looks at below `landing/` and `quarantine/`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name, path_name
from crm_pipeline.model.schema import Schema, is_fingerprint
from crm_pipeline.store import files, spool
from crm_pipeline.store.checksums import FileSum
from crm_pipeline.store.damage import batch_cure, commit_cure, rejects_cure, schema_cure
from crm_pipeline.store.manifest import Manifest, WindowCommit, commit_from, manifest_from
from crm_pipeline.store.scrub_check import (
    BATCHES,
    COMMITS,
    MANIFESTS,
    QUARANTINE,
    SCHEMAS,
    UNFINISHED,
    Check,
    Verdict,
    json_look,
    sum_look,
)

_MONTH = "????-??"
_UNUSED = "No window's commit names it, so nothing uses it: remove it and the .json beside it."


def landing_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield what there is to look at of each object that has landed something."""
    for folder in _objects(data / "landing", connection):
        one = _Object(folder)
        yield from one.commits()
        yield from one.schemas()
        yield from one.batches()
        yield from one.manifests()
        yield from one.unfinished()


def quarantine_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield what was set aside: by reads in folders of months, by builds in `normalized`."""
    for folder in _objects(data / "quarantine", connection):
        name = from_path_name(folder.parent.name)
        for record in _sorted(folder, f"{_MONTH}/*.json"):
            path = record.with_suffix(".parquet")
            yield from _set_aside(record, (path,), rejects_cure(name, path))
        for record in _sorted(folder, "normalized/*.json"):
            cure = (
                "Remove it: the rows stand in data/landing, and the table's next build writes it."
            )
            found = _sorted(record.parent, f"{record.stem}-*.parquet")
            yield from _set_aside(record, found, cure)


def _set_aside(
    record: Path, paths: Iterator[Path] | tuple[Path, ...], cure: str
) -> Iterator[Check]:
    step = "quarantine"
    yield Check(QUARANTINE, step, record, cure, json_look(record, _counted))
    sums = _sums_of(record)
    listed = {*paths, *(path for path in sums if path is not None)}
    for path in sorted(listed):
        yield Check(
            QUARANTINE, step, path, cure, sum_look(path, sums.get(path)), is_needed=path in sums
        )


def _counted(told: Mapping[str, Any]) -> str:
    return "" if int(told["records"]) >= 0 else "it counts less than nothing"


def _sums_of(record: Path) -> dict[Path, FileSum]:
    try:
        told = files.read_json(record)
        if "sha256" in told:
            return {record.with_suffix(".parquet"): FileSum.from_dict(told)}
        listed = told.get("files", {})
        return {record.with_name(name): FileSum.from_dict(one) for name, one in listed.items()}
    except (FileNotFoundError, CorruptFile):
        return {}


@dataclass
class _Object:
    """One object's landing folder; its commits say what of it counts."""

    folder: Path
    _commits: dict[Path, WindowCommit | None] = field(default_factory=dict)
    _committed: dict[Path, Manifest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in _sorted(self.folder, "windows/*.json"):
            try:
                commit = commit_from(files.read_json(path), self.folder)
            except FileNotFoundError:  # merged meanwhile
                continue
            except (CorruptFile, KeyError, TypeError, ValueError):
                self._commits[path] = None
                continue
            self._commits[path] = commit
            self._committed.update({batch.path: batch for batch in commit.batches})

    @property
    def connection(self) -> str:
        return from_path_name(self.folder.parent.name)

    @property
    def step(self) -> str:
        return f"landing {self.connection}"

    def commits(self) -> Iterator[Check]:
        for path in self._commits:
            yield self._json(
                COMMITS, path, partial(self._read_commit, path.stem), commit_cure(self.connection)
            )

    def _read_commit(self, window_id: str, record: Mapping[str, Any]) -> str:
        commit = commit_from(record, self.folder)
        return "" if commit.window_id == window_id else "it is about another window"

    def schemas(self) -> Iterator[Check]:
        cure = schema_cure(self.connection)
        needed = {
            self.folder / "schemas" / f"{commit.schema_fingerprint}.json"
            for commit in self._commits.values()
            if commit is not None
        }
        for path in sorted({*_sorted(self.folder, "schemas/*.json"), *needed}):
            look = json_look(path, partial(_read_schema, path.stem))
            yield Check(SCHEMAS, self.step, path, cure, _as_proof(look), path in needed)

    def batches(self) -> Iterator[Check]:
        found = {*self._committed, *_sorted(self.folder, f"{_MONTH}/*.parquet")}
        for path in sorted(found):
            batch = self._committed.get(path) or self._described(path)
            if batch is not None:  # else it is being written, or was never finished
                is_needed = path in self._committed
                cure = batch_cure(batch) if is_needed else _UNUSED
                yield Check(BATCHES, self.step, path, cure, sum_look(path, batch.sum), is_needed)

    def _described(self, path: Path) -> Manifest | None:
        """Return the manifest of a batch that no commit names."""
        try:
            return manifest_from(files.read_json(path.with_suffix(".json")), self.folder)
        except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
            return None

    def manifests(self) -> Iterator[Check]:
        for path in _sorted(self.folder, f"{_MONTH}/*.json"):
            batch = self._committed.get(path.with_suffix(".parquet"))
            cure = (
                "Remove it: the window's commit says the same."
                if batch
                else f"The next run of {self.connection} removes it and reads its window anew."
            )
            yield self._json(MANIFESTS, path, partial(self._read_manifest, batch), cure)

    def _read_manifest(self, batch: Manifest | None, record: Mapping[str, Any]) -> str:
        told = manifest_from(record, self.folder)
        is_same = batch is None or batch == told
        return "" if is_same else "it says something else than its window's commit"

    def unfinished(self) -> Iterator[Check]:
        wait = f"The next run of {self.connection}"
        for path in _sorted(self.folder, "windows/*.open"):
            cure = f"{wait} that finds it two days old removes it and what its window had begun."
            yield self._json(UNFINISHED, path, _read_marker, cure)
        for path in _sorted(self.folder, "spool/*/*"):
            cure = f"{wait} does not use it and asks for what it held again."
            if path.suffix == ".json":
                yield self._json(UNFINISHED, path, _read_note, cure)
                yield from self._page(path, cure)

    def _page(self, note: Path, cure: str) -> Iterator[Check]:
        """Yield the bytes of a page that has arrived."""
        try:
            record = files.read_json(note)
        except (FileNotFoundError, CorruptFile):
            return
        if "bytes" in record and "page" not in record:
            path = note.with_name(str(record["file"]))

            def look() -> Verdict:
                is_whole = spool.is_whole(path, record)
                return Verdict("" if is_whole else "it is not as it arrived", "crc32" in record)

            yield Check(UNFINISHED, self.step, path, cure, look)

    def _json(
        self, kind: str, path: Path, read: Callable[[Mapping[str, Any]], str], cure: str
    ) -> Check:
        return Check(kind, self.step, path, cure, json_look(path, read))


def _as_proof(look: Callable[[], Verdict]) -> Callable[[], Verdict]:
    """Return a look at a file whose name is a checksum: whole, it is proven without a seal."""

    def looked() -> Verdict:
        verdict = look()
        return verdict if verdict.problem else Verdict()

    return looked


def _read_schema(name: str, record: Mapping[str, Any]) -> str:
    Schema.from_dict(record)
    return "" if is_fingerprint(name, record) else "it is not what its name stands for"


def _read_marker(record: Mapping[str, Any]) -> str:
    return "" if {"host", "pid", "started_at"} <= record.keys() else "it names no writer"


def _read_note(_: Mapping[str, Any]) -> str:
    return ""  # what a connector notes is its own


def _objects(folder: Path, connection: str) -> Iterator[Path]:
    chosen = path_name(connection) if connection else "*"
    for path in _sorted(folder, f"{chosen}/*"):
        if path.is_dir():
            yield path


def _sorted(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that match, but those that are being written under a temporary name."""
    return iter(sorted(p for p in folder.glob(pattern) if not p.name.startswith(".")))
