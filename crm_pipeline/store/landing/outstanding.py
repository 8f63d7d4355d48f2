"""Count quarantined records that no later read has landed.

A record is outstanding until its id lands, or until a later window without it covers the window that it came in. This
is derived from commits, batches and quarantine. The result is kept in `outstanding.json` of the object's quarantine,
so that only later commits have to be read; if the file is lost, it is derived again. Records that a person has dropped
(see `dropped`) stay in it, and are taken out when they are counted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.landing.dropped import DIGITS, digest, dropped_rows
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.rejects import Reject, from_table

FILE = "outstanding.json"
STAGE = "landing"
"""What decisions call rows that could not be landed."""
_VERSION = 2
_MOST_NAMED = 20_000  # by window; more are only counted, until a later window covers it
_UNKNOWN = "their file in quarantine cannot be read"


@dataclass(frozen=True)
class Outstanding:
    """The quarantined records that one object lacks.

    Attributes:
        reasons: reason -> number of records.
        since: when the first of them came.
    """

    reasons: Mapping[str, int] = field(default_factory=dict)
    since: datetime | None = None

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Lacking:
    """The records that an object lacks for one reason.

    Attributes:
        records: number of them; those of `rows` are known one by one.
        rows: the digest of each record (see `dropped.digest`) -> its id, "" where it has none.
        since: when the first of them came; `last_seen_at` when one of them came last.
        is_dropped: a person has dropped them.
    """

    reason: str
    records: int
    rows: Mapping[str, str]
    since: datetime
    last_seen_at: datetime
    is_dropped: bool


class _Window(msgspec.Struct):
    """The outstanding records of one window.

    Attributes:
        named: reasons by id, or by the digest of the bytes without an id.
        digests: what stands in decisions for each record of `named` that has an id.
        since: when a record of `named` came first, if an earlier window had it.
    """

    committed_at: datetime
    from_at: datetime | None
    to_at: datetime
    named: dict[str, str] = {}
    unnamed: dict[str, int] = {}
    digests: dict[str, str] = {}
    since: dict[str, datetime] = {}


class _State(msgspec.Struct):
    version: int = _VERSION
    through: tuple[datetime, str] | None = None
    windows: list[_Window] = []


def outstanding(landing: Landing, connection: str, obj: str) -> Outstanding:
    """Return the quarantined records of an object that have not landed since.

    Raises:
        CorruptFile: a commit cannot be read.
    """
    waiting = [each for each in lacking(landing, connection, obj) if not each.is_dropped]
    reasons = {each.reason: each.records for each in waiting}
    return Outstanding(reasons, min((each.since for each in waiting), default=None))


def lacking(landing: Landing, connection: str, obj: str) -> list[Lacking]:
    """Return the same by reason, with the records that a person has dropped.

    Raises:
        CorruptFile: a commit cannot be read.
    """
    commits = landing.windows(connection, obj)
    if not any(commit.quarantined for commit in commits):
        return []
    folder = landing.quarantine(connection, obj)
    state = _stored(folder, commits)
    later = sorted(_later(landing, commits, state.through), key=lambda read: _position(read.commit))
    for read in later:
        _apply(state, read, folder)
    if later:
        _store(folder, state)
    return _by_reason(state, dropped_rows(folder, STAGE))


@dataclass(frozen=True)
class _Read:
    """A commit as it was before it was merged.

    Attributes:
        ids: the ids that landed, where they are not in files of its own any more.
    """

    commit: WindowCommit
    ids: frozenset[str] | None = None


def _later(
    landing: Landing, commits: Iterable[WindowCommit], through: tuple[datetime, str] | None
) -> Iterator[_Read]:
    """Yield the commits behind a position, merged ones as they were."""
    for commit in commits:
        if commit.origins is None:
            if through is None or _position(commit) > through:
                yield _Read(commit)
        elif through is None or commit.committed_at >= through[0]:
            for read in _merged(landing, commit):
                if through is None or _position(read.commit) > through:
                    yield read


def _merged(landing: Landing, commit: WindowCommit) -> Iterator[_Read]:
    columns = ["_source_id", "_batch_id"]
    ids: dict[str, set[str]] = {}
    for batch in commit.batches:
        with suppress(OSError, pa.ArrowException):  # the next build reports it
            table = pq.read_table(batch.path, columns=columns)
            pairs = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
            for source_id, batch_id in pairs:
                ids.setdefault(batch_id, set()).add(source_id)
    merged = landing.merged_commits(commit.connection, commit.object, commit)
    for one, held in merged:
        yield _Read(one, frozenset().union(*(ids.get(name, set()) for name in held)))


def note_recovered(
    landing: Landing, connection: str, obj: str, batches: Sequence[Manifest]
) -> None:
    """Remove records that were recovered from quarantine into these batches."""
    if not batches or not lacking(landing, connection, obj):
        return
    folder = landing.quarantine(connection, obj)
    state = _stored(folder, landing.windows(connection, obj))
    before = msgspec.to_builtins(state)
    _remove_landed(state, batches)
    if msgspec.to_builtins(state) != before:
        _store(folder, state)


def _apply(state: _State, read: _Read, folder: Path) -> None:
    """Apply a later commit to the state."""
    commit = read.commit
    first = {
        key: window.since.get(key, window.committed_at)
        for window in reversed(state.windows)
        for key in (window.named if commit.quarantined else ())
    }
    if state.windows:
        if read.ids is None:
            _remove_landed(state, commit.batches)
        else:
            _remove(state, read.ids)
        # A merged commit has the time of several reads, none of which need have covered the window.
        if commit.kind == "window" and commit.reads == 1:
            state.windows = [window for window in state.windows if not _covers(commit, window)]
    if commit.quarantined:
        fresh = _quarantined(commit, folder)
        fresh.since = {key: first[key] for key in fresh.named if key in first}
        for window in state.windows:
            window.named = {
                key: reason for key, reason in window.named.items() if key not in fresh.named
            }
        state.windows.append(fresh)
    state.windows = [window for window in state.windows if window.named or window.unnamed]
    state.through = _position(commit)


def _covers(commit: WindowCommit, window: _Window) -> bool:
    starts_before = commit.window.from_at is None or (
        window.from_at is not None and commit.window.from_at <= window.from_at
    )
    return starts_before and commit.window.to_at >= window.to_at


def _remove_landed(state: _State, batches: Iterable[Manifest]) -> None:
    """Remove the records that batches hold from the state."""
    wanted = pa.array([key for window in state.windows for key in window.named], pa.string())
    for batch in batches if len(wanted) else ():
        # The next build reports a batch that is damaged or gone.
        with suppress(OSError, pa.ArrowException):
            ids = pq.read_table(batch.path, columns=["_source_id"]).column("_source_id")
            _remove(state, set(ids.filter(pc.is_in(ids, wanted)).to_pylist()))


def _remove(state: _State, landed: Collection[str]) -> None:
    for window in state.windows:
        window.named = {key: reason for key, reason in window.named.items() if key not in landed}


def _quarantined(commit: WindowCommit, folder: Path) -> _Window:
    # A record that was read by its id may have any time of change: only a read of everything covers it.
    start = None if commit.is_point else commit.window.from_at
    window = _Window(commit.committed_at, start, commit.window.to_at)
    rejects: list[Reject] = []
    for path in sorted(folder.glob(f"????-??/{commit.window_id}-*.parquet")):
        with suppress(OSError, pa.ArrowException, KeyError):
            rejects += from_table(pq.read_table(path))
    if len(rejects) > _MOST_NAMED:
        window.unnamed = dict(Counter(reject.reason for reject in rejects))
    else:
        window.named = {reject.source_id or reject.digest: reject.reason for reject in rejects}
        window.digests = {r.source_id: digest(r.raw) for r in rejects if r.source_id}
    if unread := commit.quarantined - len(rejects):
        window.unnamed[_UNKNOWN] = max(0, unread)
    return window


def _by_reason(state: _State, dropped: frozenset[str]) -> list[Lacking]:
    rows: dict[tuple[str, bool], dict[str, str]] = {}
    counts = Counter[tuple[str, bool]]()
    times: dict[tuple[str, bool], list[datetime]] = {}
    for window in state.windows:
        at = window.committed_at
        for key, reason in window.named.items():
            row = window.digests.get(key, key[:DIGITS])
            entry = (reason, row in dropped)
            rows.setdefault(entry, {})[row] = key if key in window.digests else ""
            counts[entry] += 1
            times.setdefault(entry, []).extend((window.since.get(key, at), at))
        for reason, records in window.unnamed.items():
            counts[reason, False] += records
            times.setdefault((reason, False), []).append(at)
    return [
        Lacking(
            reason,
            counts[reason, is_dropped],
            rows.get((reason, is_dropped), {}),
            min(times[reason, is_dropped]),
            max(times[reason, is_dropped]),
            is_dropped,
        )
        for reason, is_dropped in sorted(counts)
        if counts[reason, is_dropped]
    ]


def _position(commit: WindowCommit) -> tuple[datetime, str]:
    return commit.committed_at, commit.window_id


def _stored(folder: Path, commits: Sequence[WindowCommit]) -> _State:
    """Return the stored state; an empty one where the file is missing, damaged, or does not fit the commits."""
    try:
        stored: Any = files.read_json(folder / FILE)
        state = msgspec.convert(stored, _State)
    except (FileNotFoundError, CorruptFile, msgspec.ValidationError):
        return _State()
    is_valid = state.version == _VERSION and (
        state.through is None or _position(commits[-1]) >= state.through
    )
    return state if is_valid else _State()


def _store(folder: Path, state: _State) -> None:
    """Write the state; where that fails, the next call derives it again."""
    with suppress(StoreError):
        files.write_json(folder / FILE, msgspec.to_builtins(state))


__all__ = ["STAGE", "Lacking", "Outstanding", "lacking", "note_recovered", "outstanding"]
