"""Count quarantined records that no later read has landed.

A record is outstanding until its id lands, or until a later window without it covers the window that it came in. This
is derived from commits, batches and quarantine. The result is kept in `outstanding.json` of the object's quarantine,
so that only later commits have to be read; if the file is lost, it is derived again.
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
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.rejects import Reject, from_table

FILE = "outstanding.json"
_VERSION = 1
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


class _Window(msgspec.Struct):
    """The outstanding records of one window; `named` holds reasons by id, or by digest without an id."""

    committed_at: datetime
    from_at: datetime | None
    to_at: datetime
    named: dict[str, str] = {}
    unnamed: dict[str, int] = {}


class _State(msgspec.Struct):
    version: int = _VERSION
    through: tuple[datetime, str] | None = None
    windows: list[_Window] = []


def outstanding(landing: Landing, connection: str, obj: str) -> Outstanding:
    """Return the quarantined records of an object that have not landed since.

    Raises:
        CorruptFile: a commit cannot be read.
    """
    commits = landing.windows(connection, obj)
    if not any(commit.quarantined for commit in commits):
        return Outstanding()
    folder = landing.quarantine(connection, obj)
    state = _stored(folder, commits)
    later = sorted(_later(landing, commits, state.through), key=lambda read: _position(read.commit))
    for read in later:
        _apply(state, read, folder)
    if later:
        _store(folder, state)
    return _summed(state)


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
    if not batches or not outstanding(landing, connection, obj).records:
        return
    folder = landing.quarantine(connection, obj)
    state = _stored(folder, landing.windows(connection, obj))
    before = _summed(state)
    _remove_landed(state, batches)
    if _summed(state) != before:
        _store(folder, state)


def _apply(state: _State, read: _Read, folder: Path) -> None:
    """Apply a later commit to the state."""
    commit = read.commit
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
    if unread := commit.quarantined - len(rejects):
        window.unnamed[_UNKNOWN] = max(0, unread)
    return window


def _summed(state: _State) -> Outstanding:
    reasons = Counter[str]()
    for window in state.windows:
        reasons.update(window.named.values())
        reasons.update(window.unnamed)
    since = min((window.committed_at for window in state.windows), default=None)
    return Outstanding(dict(sorted(reasons.items())), since)


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


__all__ = ["Outstanding", "note_recovered", "outstanding"]
