"""What was merged, as it was: a Parquet file beside a merged commit, `windows/<id>.origins`.

It has one row for each batch of each merged window, in the order in which landed versions are folded, and one row for
a window that has quarantined rows only. `commit` is the window's own commit, manifests included, as JSON, in the first
row of the window. Windows that landed nothing leave no row.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.landing.corruption import window_cure
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit, commit_from, commit_record

SUFFIX = ".origins"
_INSTANT = pa.timestamp("us", "UTC")
_PLACES = ("committed_us", "window_id", "sequence", "batch_id", "merged_into", "is_complete")
_FACTS: Mapping[str, pa.DataType] = {
    "route": pa.string(),
    "records": pa.int64(),
    "bytes": pa.int64(),
    "calls": pa.int64(),
    "schema_fingerprint": pa.string(),
    "sha256": pa.string(),
    "started_at": _INSTANT,
    "finished_at": _INSTANT,
}
_SCHEMA = pa.schema(
    {
        "committed_us": pa.int64(),
        "window_id": pa.string(),
        "sequence": pa.int64(),
        "batch_id": pa.string(),
        "merged_into": pa.string(),
        "is_complete": pa.bool_(),
        **_FACTS,
        "commit": pa.string(),
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """A landed batch by its place in the order in which versions are folded.

    Attributes:
        committed_us: when its window was committed, in microseconds.
        window_id: its window, also where that was merged.
        sequence: its position in the window.
        batch_id: its id, which its rows carry.
        file: the id of the batch whose file holds its rows, its own unless it was merged.
        is_complete: its window held every record.
    """

    committed_us: int
    window_id: str
    sequence: int
    batch_id: str
    file: str
    is_complete: bool


def path_of(folder: Path, commit: WindowCommit) -> Path:
    """Return the file of a merged commit; `folder` is the object's landing folder."""
    version = f".e{commit.origins_version}" if commit.origins_version else ""
    return folder / "windows" / f"{commit.window_id}{version}{SUFFIX}"


def places_of(commit: WindowCommit) -> list[Place]:
    """Return the places of the batches of a commit that is not merged."""
    return [
        Place(
            microseconds(commit.committed_at),
            commit.window_id,
            batch.sequence,
            batch.batch_id,
            batch.batch_id,
            commit.complete,
        )
        for batch in commit.batches
    ]


def merged_places(folder: Path, commit: WindowCommit, verifier: Verifier) -> list[Place]:
    """Return the places of all batches that a merged commit holds.

    Raises:
        CorruptFile: the file of the merged commits is damaged.
    """
    table = read(folder, commit, verifier, _PLACES)
    columns = [table.column(name).to_pylist() for name in _PLACES]
    return [Place(*row) for row in zip(*columns, strict=True) if row[3] is not None]


def ordered(places: Iterable[Place]) -> list[Place]:
    """Return places in the order in which versions are folded."""
    return sorted(places)


def read(
    folder: Path, commit: WindowCommit, verifier: Verifier, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return what was merged into a commit; empty where none of it landed anything.

    Raises:
        CorruptFile: the file is damaged or gone.
    """
    if commit.origins is None:
        return _SCHEMA.empty_table().select(list(columns or _SCHEMA.names))
    path = path_of(folder, commit)
    cure = window_cure(folder, commit.window_id)
    if not verifier.is_whole(path, commit.origins):
        raise CorruptFile(f"{path} is damaged or gone.", cure=cure)
    try:
        return pq.read_table(path, columns=list(columns or _SCHEMA.names))
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path} is damaged or gone.", cure=cure) from error


def merged_commits(
    folder: Path, commit: WindowCommit, verifier: Verifier
) -> list[tuple[WindowCommit, dict[str, str]]]:
    """Return the merged commits as they were, each with the batch that holds the rows of each of its batches.

    The batches' own files are gone.
    """
    table = read(folder, commit, verifier, ("window_id", "batch_id", "merged_into", "commit"))
    held: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    for row in table.to_pylist():
        into = held.setdefault(row["window_id"], {})
        if row["batch_id"] is not None:
            into[row["batch_id"]] = row["merged_into"]
        if row["commit"] is not None:
            texts[row["window_id"]] = row["commit"]
    return [(commit_from(json.loads(texts[name]), folder), into) for name, into in held.items()]


def facts(folder: Path, commit: WindowCommit, verifier: Verifier) -> pa.Table:
    """Return the facts of the merged batches, for people: `batch_id`, `merged_into`, and the facts of manifests."""
    table = read(folder, commit, verifier, ("batch_id", "merged_into", *_FACTS))
    return table.filter(table.column("batch_id").is_valid())


def written(
    folder: Path,
    merged: WindowCommit,
    commits: Sequence[WindowCommit],
    into: Mapping[str, str],
    verifier: Verifier,
) -> FileSum | None:
    """Write what a merged commit replaces; return the file's checksum, None where none of it landed anything.

    Args:
        folder: of the object.
        merged: the merged commit.
        commits: the commits that it replaces, some of which may be merged themselves.
        into: the new batch for each batch whose rows were moved.
        verifier: compares the files of those that are merged.
    """
    tables = [
        read(folder, commit, verifier) if commit.origins else _rows(commit) for commit in commits
    ]
    table = pa.concat_tables(tables)
    if not table.num_rows:
        return None
    order = [(name, "ascending") for name in ("committed_us", "window_id", "sequence")]
    table = table.sort_by(order)
    names = [
        into.get(name, name) if name else name for name in table.column("merged_into").to_pylist()
    ]
    index = table.schema.get_field_index("merged_into")
    table = table.set_column(index, "merged_into", pa.array(names, pa.string()))
    return _write(path_of(folder, merged), table)


def rewritten(
    folder: Path,
    commit: WindowCommit,
    verifier: Verifier,
    change: Callable[[WindowCommit], WindowCommit],
) -> WindowCommit:
    """Write the merged commits of a commit anew, and return the commit that names the new file.

    Args:
        folder: of the object.
        commit: the merged commit.
        verifier: compares the file of before.
        change: returns a merged commit as it shall be; its batches keep their ids.

    Raises:
        CorruptFile: the file of before is damaged or gone.
    """
    rows = read(folder, commit, verifier).to_pylist()
    records: dict[str, int] = {}
    for row in rows:
        if row["commit"] is not None:
            changed = change(commit_from(json.loads(row["commit"]), folder))
            row["commit"] = _text(changed)
            records.update((batch.batch_id, batch.records) for batch in changed.batches)
        row["records"] = records.get(row["batch_id"])
    fresh = replace(commit, origins_version=commit.origins_version + 1)
    table = pa.Table.from_pylist(rows, _SCHEMA)
    return replace(fresh, origins=_write(path_of(folder, fresh), table))


def _write(path: Path, table: pa.Table) -> FileSum:
    with files.replacing(path, "origins") as temporary:
        pq.write_table(table, temporary, compression="zstd")
        return FileSum.of(temporary)


def _text(commit: WindowCommit) -> str:
    return json.dumps(commit_record(commit), ensure_ascii=False)


def microseconds(at: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    passed = at - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _rows(commit: WindowCommit) -> pa.Table:
    """Return the rows of a commit that is not merged."""
    if not (commit.batches or commit.quarantined):
        return _SCHEMA.empty_table()
    batches: Sequence[Manifest | None] = commit.batches or (None,)
    rows = [_row(commit, batch) for batch in batches]
    rows[0]["commit"] = _text(commit)
    return pa.Table.from_pylist(rows, _SCHEMA)


def _row(commit: WindowCommit, batch: Manifest | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "committed_us": microseconds(commit.committed_at),
        "window_id": commit.window_id,
        "sequence": 0,
        "is_complete": commit.complete,
    }
    if batch is None:
        return row
    named = {"batch_id": batch.batch_id, "merged_into": batch.batch_id}
    return {**row, **named, "sequence": batch.sequence, **attributes(batch)}


def attributes(batch: Manifest) -> dict[str, Any]:
    """Return the facts of a manifest that are listed for people."""
    named = attrgetter(*_FACTS)(batch)
    return dict(zip(_FACTS, named, strict=True))
