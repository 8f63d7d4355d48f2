"""Records that could not be read when they came, and that no later read has brought.

A record is outstanding until its id lands, or until a later window without it covers the one that it came in. That
is derived from commits, batches and quarantine; what is known stands in `outstanding.json` of the object's
quarantine, so that a look costs what was committed since. Where that file is lost, it is made anew.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
_MOST_NAMED = 20_000  # of a window; more are counted, until a later window covers it
_UNKNOWN = "their file in quarantine cannot be read"


@dataclass(frozen=True)
class Outstanding:
    """The records of one object that are missing because they could not be read.

    Attributes:
        reasons: reason -> how many.
        since: when the first of them came.
    """

    reasons: Mapping[str, int] = field(default_factory=dict)
    since: datetime | None = None

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(self.reasons.values())


class _Window(msgspec.Struct):
    """What is outstanding of one window; `named` are reasons by id, or by digest where there is no id."""

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
    """Return what of an object could not be read and has not been since.

    Raises:
        CorruptFile: a commit cannot be read.
    """
    commits = landing.windows(connection, obj)
    if not any(commit.quarantined for commit in commits):
        return Outstanding()
    folder = landing.quarantine(connection, obj)
    state = _known(folder, commits)
    later = [
        commit for commit in commits if state.through is None or _place(commit) > state.through
    ]
    for commit in later:
        _follow(state, commit, folder)
    if later:
        _keep(folder, state)
    return _summed(state)


def note_recovered(
    landing: Landing, connection: str, obj: str, batches: Sequence[Manifest]
) -> None:
    """Note that records can be read by now, from where they were set aside."""
    if not batches or not outstanding(landing, connection, obj).records:
        return
    folder = landing.quarantine(connection, obj)
    state = _known(folder, landing.windows(connection, obj))
    before = _summed(state)
    _landed(state, batches)
    if _summed(state) != before:
        _keep(folder, state)


def _follow(state: _State, commit: WindowCommit, folder: Path) -> None:
    """Take over what a commit says."""
    if state.windows:
        _landed(state, commit.batches)
        # A merged commit claims the span of several reads, none of which need have covered a window.
        if commit.kind == "window" and commit.reads == 1:
            state.windows = [one for one in state.windows if not _covers(commit, one)]
    if commit.quarantined:
        fresh = _set_aside(commit, folder)
        for one in state.windows:
            one.named = {key: why for key, why in one.named.items() if key not in fresh.named}
        state.windows.append(fresh)
    state.windows = [one for one in state.windows if one.named or one.unnamed]
    state.through = _place(commit)


def _covers(commit: WindowCommit, one: _Window) -> bool:
    starts = commit.window.from_at is None or (
        one.from_at is not None and commit.window.from_at <= one.from_at
    )
    return starts and commit.window.to_at >= one.to_at


def _landed(state: _State, batches: Iterable[Manifest]) -> None:
    """Strike out the records that batches hold."""
    wanted = pa.array([key for one in state.windows for key in one.named], pa.string())
    for batch in batches if len(wanted) else ():
        # Of a batch that is damaged or gone the next build tells.
        with suppress(OSError, pa.ArrowException):
            ids = pq.read_table(batch.path, columns=["_source_id"]).column("_source_id")
            found = set(ids.filter(pc.is_in(ids, wanted)).to_pylist())
            for one in state.windows:
                one.named = {key: why for key, why in one.named.items() if key not in found}


def _set_aside(commit: WindowCommit, folder: Path) -> _Window:
    one = _Window(commit.committed_at, commit.window.from_at, commit.window.to_at)
    rejects: list[Reject] = []
    for path in sorted(folder.glob(f"????-??/{commit.window_id}-*.parquet")):
        with suppress(OSError, pa.ArrowException, KeyError):
            rejects += from_table(pq.read_table(path))
    if len(rejects) > _MOST_NAMED:
        one.unnamed = dict(Counter(reject.reason for reject in rejects))
    else:
        one.named = {reject.source_id or reject.digest: reject.reason for reject in rejects}
    if unread := commit.quarantined - len(rejects):
        one.unnamed[_UNKNOWN] = max(0, unread)
    return one


def _summed(state: _State) -> Outstanding:
    reasons = Counter[str]()
    for one in state.windows:
        reasons.update(one.named.values())
        reasons.update(one.unnamed)
    since = min((one.committed_at for one in state.windows), default=None)
    return Outstanding(dict(sorted(reasons.items())), since)


def _place(commit: WindowCommit) -> tuple[datetime, str]:
    return commit.committed_at, commit.window_id


def _known(folder: Path, commits: Sequence[WindowCommit]) -> _State:
    """Return what is known; nothing where the file is missing, damaged, or of a landing that was changed by hand."""
    try:
        stored: Any = files.read_json(folder / FILE)
        state = msgspec.convert(stored, _State)
    except (FileNotFoundError, CorruptFile, msgspec.ValidationError):
        return _State()
    is_ours = state.version == _VERSION and (
        state.through is None or _place(commits[-1]) >= state.through
    )
    return state if is_ours else _State()


def _keep(folder: Path, state: _State) -> None:
    """Write down what is known; where nothing can be written, it is derived again."""
    with suppress(StoreError):
        files.write_json(folder / FILE, msgspec.to_builtins(state))


__all__ = ["Outstanding", "note_recovered", "outstanding"]
