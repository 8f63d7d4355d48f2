"""The checks of `store.scrub` below `landing/`, `quarantine/` and `looks/`."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name, path_name
from crm_pipeline.model.schema import Schema, is_fingerprint
from crm_pipeline.store import audits, field_backfills, files, sweeps
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import checkpoint, dropped, looks, rereads, tombstones
from crm_pipeline.store.landing.acceptance import refused_from
from crm_pipeline.store.landing.account_facts import FILE as FACTS
from crm_pipeline.store.landing.account_facts import cure as facts_cure
from crm_pipeline.store.landing.corruption import (
    COPY_CURE,
    batch_cure,
    quarantine_cure,
    schema_cure,
    window_cure,
    window_files,
)
from crm_pipeline.store.landing.file_versions import is_rewritten
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit, commit_from, manifest_from
from crm_pipeline.store.landing.origins import path_of
from crm_pipeline.store.landing.outstanding import FILE as OUTSTANDING
from crm_pipeline.store.landing.rewriting import REPLACED_CURE
from crm_pipeline.store.landing.rewriting import SUFFIX as REPLACED
from crm_pipeline.store.scrub.check import (
    ACCOUNTS,
    BATCHES,
    COMMITS,
    LOOKS,
    MANIFESTS,
    QUARANTINE,
    REREADS,
    SCHEMAS,
    UNFINISHED,
    Check,
    Verdict,
    json_look,
    sum_look,
)

_MONTH = "????-??"
_BUILT_WITHIN_S = 3_600
_DERIVED = "Remove it: the next look writes it again."


def landing_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield the checks of each account, and of each object with landed records."""
    chosen = path_name(connection) if connection else "*"
    accounts = {path.parent: path for path in _sorted(data / "landing", f"{chosen}/{FACTS}")}
    for folder in _objects(data / "landing", connection):
        if folder.parent in accounts:
            yield _account(accounts.pop(folder.parent))
        obj = _Object(folder)
        yield from obj.commits()
        yield from obj.schemas()
        yield from obj.batches()
        yield from obj.manifests()
        yield from obj.judgements()
        yield from _rereads(obj.step, folder)
        yield from obj.interrupted()
    yield from map(_account, accounts.values())


def _account(path: Path) -> Check:
    """Return the check of an account's facts."""
    connection = from_path_name(path.parent.name)
    step = f"landing {connection}"
    return Check(ACCOUNTS, step, path, facts_cure(connection), json_look(path, _read_any))


def quarantine_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield the checks of quarantined rows: of reads in folders of months, of builds in `normalized`."""
    for folder in _objects(data / "quarantine", connection):
        committed = _committed(data, folder)
        rows = set(_sorted(folder, f"{_MONTH}/*.parquet"))
        records = {path.with_suffix(".json") for path in rows}
        for record in sorted(records.union(_sorted(folder, f"{_MONTH}/*.json"))):
            path = record.with_suffix(".parquet")
            # An erasure that was interrupted leaves a file before its record; the file of before still counts.
            is_needed = _window_id(record) in committed and not is_rewritten(record)
            if is_needed or record.exists():  # otherwise it is being written, or was never finished
                cure = quarantine_cure(path)
                yield from _set_aside(record, (path,), cure, is_needed=is_needed)
        yield from _rereads("quarantine", folder)
        for path in _sorted(folder, OUTSTANDING):
            yield Check(QUARANTINE, "quarantine", path, _DERIVED, json_look(path, _read_any))
        for path in _sorted(folder, f"{dropped.FOLDER}/*.json"):
            look = json_look(path, dropped.read_decision)
            yield Check(QUARANTINE, "quarantine", path, dropped.CURE, look)
        again = "Remove it: the rows stand in data/landing, and the table's next build writes it."
        for record in _sorted(folder, "normalized/*.json"):
            parts = _sorted(record.parent, f"{record.stem}-*.parquet")
            yield from _set_aside(record, parts, again)
        for path in _sorted(folder, "normalized/*.parquet"):
            record = path.with_name(f"{path.stem.rpartition('-')[0]}.json")
            if not record.exists() and _is_abandoned(path):
                yield Check(QUARANTINE, "quarantine", path, again, _without_record)


def _rereads(step: str, folder: Path) -> Iterator[Check]:
    """Yield the checks of rereads of an object's batches."""
    sums: dict[Path, FileSum] = {}
    for path in _sorted(folder, f"{rereads.FOLDER}/*/*.json"):
        yield Check(REREADS, step, path, COPY_CURE, json_look(path, _read_any))
        if path.name == rereads.INDEX:
            with suppress(CorruptFile, FileNotFoundError):
                sums.update(rereads.recorded(path))
    for path in sorted({*_sorted(folder, f"{rereads.FOLDER}/*/*.parquet"), *sums}):
        look = sum_look(path, sums.get(path))
        yield Check(REREADS, step, path, COPY_CURE, look, is_needed=path in sums)


def _window_id(batch: Path) -> str:
    return batch.stem.rpartition("-")[0]


def _committed(data: Path, folder: Path) -> set[str]:
    """Return the ids of the windows that have committed; both files of their quarantined rows must exist."""
    landed = data / "landing" / folder.relative_to(data / "quarantine")
    found = set()
    for path in _sorted(landed, "windows/*.json"):
        found.add(path.stem)
        with suppress(CorruptFile, FileNotFoundError):
            found.update(files.read_json(path).get("rejected_in", ()))
    return found


def _is_abandoned(path: Path) -> bool:
    """Say whether a file is older than any build needs to write its record."""
    try:
        return time.time() - path.stat().st_mtime > _BUILT_WITHIN_S
    except FileNotFoundError:
        return False


def _without_record() -> Verdict:
    return Verdict("the record that belongs to it is gone", is_proven=False)


def looks_checks(data: Path, connection: str = "") -> Iterator[Check]:
    """Yield the checks of the looks at connections, of sweeps, backfills and audits, and of the tombstones of erased persons."""
    for path in _sorted(data / "looks", f"{path_name(connection) if connection else '*'}.json"):
        yield Check(LOOKS, "looks", path, looks.CURE, json_look(path, _read_looks))
    for path in _sorted(data / "sweeps", f"{path_name(connection) if connection else '*'}.json"):
        yield Check(LOOKS, "looks", path, sweeps.CURE, json_look(path, _read_sweeps))
    for path in _sorted(
        data / field_backfills.FOLDER, f"{path_name(connection) if connection else '*'}.json"
    ):
        yield Check(LOOKS, "looks", path, field_backfills.CURE, json_look(path, _read_backfills))
    for path in _sorted(data / "audits", f"{path_name(connection) if connection else '*'}.json"):
        yield Check(LOOKS, "looks", path, audits.CURE, json_look(path, _read_audits))
    if (path := data / tombstones.FILE).exists():
        yield Check(LOOKS, "looks", path, tombstones.CURE, json_look(path, _read_tombstones))


def _read_sweeps(record: Mapping[str, Any]) -> str:
    sweeps.read_sweeps(record)
    return ""


def _read_audits(record: Mapping[str, Any]) -> str:
    audits.read_audits(record, "")
    return ""


def _read_backfills(record: Mapping[str, Any]) -> str:
    field_backfills.read_backfills(record)
    return ""


def _read_tombstones(record: Mapping[str, Any]) -> str:
    tombstones.Tombstones.from_dict(record)
    return ""


def _read_looks(record: Mapping[str, Any]) -> str:
    looks.read_looks(record, SystemClock().now())
    return ""


def _set_aside(
    record: Path, paths: Iterator[Path] | tuple[Path, ...], cure: str, *, is_needed: bool = False
) -> Iterator[Check]:
    step = "quarantine"
    look = json_look(record, _counted)
    yield Check(QUARANTINE, step, record, cure, look, is_needed=is_needed)
    sums = _sums_of(record)
    for path in sorted({*paths, *sums}):
        look = sum_look(path, sums.get(path))
        yield Check(QUARANTINE, step, path, cure, look, is_needed=is_needed or path in sums)


def _counted(record: Mapping[str, Any]) -> str:
    return "" if int(record["records"]) >= 0 else "it counts less than nothing"


def _sums_of(record: Path) -> dict[Path, FileSum]:
    try:
        content = files.read_json(record)
        if content.get("sha256"):
            return {record.with_suffix(".parquet"): FileSum.from_dict(content)}
        listed = content.get("files", {})
        return {record.with_name(name): FileSum.from_dict(entry) for name, entry in listed.items()}
    except (FileNotFoundError, CorruptFile):
        return {}


@dataclass
class _Object:
    """One object's landing folder; its commits say which files are used."""

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
                COMMITS,
                path,
                partial(self._read_commit, path.stem),
                window_cure(self.folder, path.stem),
            )
        for path, commit in self._commits.items():
            if commit is not None and commit.origins is not None:
                kept, cure = path_of(self.folder, commit), window_cure(self.folder, path.stem)
                look = sum_look(kept, commit.origins)
                yield Check(COMMITS, self.step, kept, cure, look, is_needed=True)
        for path in _sorted(self.folder, f"windows/*{REPLACED}"):
            yield self._json(COMMITS, path, _read_replaced, REPLACED_CURE)

    def _read_commit(self, window_id: str, record: Mapping[str, Any]) -> str:
        commit = commit_from(record, self.folder)
        return "" if commit.window_id == window_id else "it is about another window"

    def schemas(self) -> Iterator[Check]:
        cure = schema_cure(self.folder)
        needed = {
            self.folder / "schemas" / f"{commit.schema_fingerprint}.json"
            for commit in self._commits.values()
            if commit is not None
        }
        for path in sorted({*_sorted(self.folder, "schemas/*.json"), *needed}):
            look = json_look(path, partial(_read_schema, path.stem))
            yield Check(SCHEMAS, self.step, path, cure, _as_proof(look), path in needed)

    def batches(self) -> Iterator[Check]:
        paths = {*self._committed, *_sorted(self.folder, f"{_MONTH}/*.parquet")}
        for path in sorted(paths):
            batch = self._committed.get(path) or self._uncommitted_manifest(path)
            if batch is not None:  # otherwise it is being written, or was never finished
                is_needed = path in self._committed
                cure = batch_cure(batch) if is_needed else self._uncommitted(path)
                look, is_used = sum_look(path, batch.sum), is_needed or self._is_claimed(path)
                yield Check(BATCHES, self.step, path, cure, look, is_needed, is_used)

    def _uncommitted_manifest(self, path: Path) -> Manifest | None:
        """Return the manifest of a batch that no commit names."""
        try:
            return manifest_from(files.read_json(path.with_suffix(".json")), self.folder)
        except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
            return None

    def manifests(self) -> Iterator[Check]:
        for path in _sorted(self.folder, f"{_MONTH}/*.json"):
            batch = self._committed.get(path.with_suffix(".parquet"))
            same = "Remove it: the window's commit says the same."
            cure = same if batch else self._uncommitted(path)
            check = self._json(MANIFESTS, path, partial(self._read_manifest, batch), cure)
            yield replace(check, is_used=bool(batch) or self._is_claimed(path))

    def _is_claimed(self, batch: Path) -> bool:
        """Say whether the window of a batch is being read, or has a commit that cannot be read."""
        window = self.folder / "windows" / _window_id(batch)
        return window.with_suffix(".open").exists() or window.with_suffix(".json").exists()

    def _uncommitted(self, batch: Path) -> str:
        """Return the cure for a batch that no readable commit names."""
        window_id = _window_id(batch)
        if (self.folder / "windows" / f"{window_id}.json").exists():
            return window_cure(self.folder, window_id)
        if self._is_claimed(batch):
            return f"The next run of {self.connection} removes it and reads its window anew."
        if batch.with_suffix(".parquet") in self._replaced():
            return "Nothing to do: its rows were merged into another file; a later read removes it."
        left = window_files(self.folder, window_id)
        return (
            "Nothing to do: no window's commit names it, so nothing uses it. All that is left of its window "
            f"may go: {left}."
        )

    def _replaced(self) -> set[Path]:
        """Return the files that merges have replaced or will remove."""
        found: set[Path] = set()
        for path in _sorted(self.folder, f"windows/*{REPLACED}"):
            with suppress(CorruptFile, FileNotFoundError):
                found.update(self.folder / name for name in files.read_json(path).get("files", ()))
        return found

    def _read_manifest(self, batch: Manifest | None, record: Mapping[str, Any]) -> str:
        manifest = manifest_from(record, self.folder)
        is_same = batch is None or batch == manifest
        return "" if is_same else "it says something else than its window's commit"

    def judgements(self) -> Iterator[Check]:
        """Yield the checks of acceptances and refusals of schemas and windows, and of visibility notes."""
        cure = "Remove it: the next read says it again if the fields are still missing."
        for path in _sorted(self.folder, "schemas/*.refused"):
            yield self._json(SCHEMAS, path, _read_refused, cure)
        cure = "That it is there is what counts: remove it if nobody has accepted that."
        for kind, pattern in ((SCHEMAS, "schemas/*.accepted"), (COMMITS, "windows/*.accepted")):
            for path in _sorted(self.folder, pattern):
                yield self._json(kind, path, _read_any, cure)
        cure = "Remove it: the next whole read says it again."
        for path in _sorted(self.folder, "windows/*.sight"):
            yield self._json(COMMITS, path, _read_any, cure)

    def interrupted(self) -> Iterator[Check]:
        wait = f"The next run of {self.connection}"
        for path in _sorted(self.folder, "windows/*.open"):
            cure = f"{wait} that finds it two days old removes it and what its window had begun."
            yield self._json(UNFINISHED, path, _read_marker, cure)
        for path in _sorted(self.folder, "spool/*/*"):
            cure = f"{wait} does not use it and asks for what it held again."
            if path.suffix == ".json":
                yield self._json(UNFINISHED, path, partial(_read_note, path.name), cure)
                yield from self._page(path, cure)

    def _page(self, note: Path, cure: str) -> Iterator[Check]:
        """Yield the check of the bytes of a page that has arrived."""
        try:
            record = files.read_json(note)
        except (FileNotFoundError, CorruptFile):
            return
        if checkpoint.is_note(note.name, record) and "bytes" in record and "page" not in record:
            path = note.with_name(str(record["file"]))

            def look() -> Verdict:
                is_whole = checkpoint.is_whole(path, record)
                return Verdict("" if is_whole else "it is not as it arrived", "crc32" in record)

            yield Check(UNFINISHED, self.step, path, cure, look)

    def _json(
        self, kind: str, path: Path, read: Callable[[Mapping[str, Any]], str], cure: str
    ) -> Check:
        return Check(kind, self.step, path, cure, json_look(path, read))


def _as_proof(look: Callable[[], Verdict]) -> Callable[[], Verdict]:
    """Return a check of a file whose name is a checksum, which proves it without a seal."""

    def looked() -> Verdict:
        verdict = look()
        return verdict if verdict.problem else Verdict()

    return looked


def _read_schema(name: str, record: Mapping[str, Any]) -> str:
    Schema.from_dict(record)
    return "" if is_fingerprint(name, record) else "it is not what its name stands for"


def _read_marker(record: Mapping[str, Any]) -> str:
    return "" if {"host", "pid", "started_at"} <= record.keys() else "it names no writer"


def _read_refused(record: Mapping[str, Any]) -> str:
    refused_from(record)
    return ""


def _read_replaced(record: Mapping[str, Any]) -> str:
    return "" if {"noted_at", "files"} <= record.keys() else "it lists nothing"


def _read_any(_: Mapping[str, Any]) -> str:
    return ""  # only the seal is checked


def _read_note(name: str, record: Mapping[str, Any]) -> str:
    # The connector's notes are not checked.
    return (
        "" if checkpoint.is_note(name, record) else "it is about something else than its name says"
    )


def _objects(folder: Path, connection: str) -> Iterator[Path]:
    chosen = path_name(connection) if connection else "*"
    for path in _sorted(folder, f"{chosen}/*"):
        if path.is_dir():
            yield path


def _sorted(folder: Path, pattern: str) -> Iterator[Path]:
    """Return the files that match, in order, without temporary files."""
    return iter(sorted(p for p in folder.glob(pattern) if not p.name.startswith(".")))
