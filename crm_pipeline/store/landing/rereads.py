"""Results of batches that were read again under newer rules: an index per object and version of the rules.

Layout: `<object>/reread/<version>/index.json`, beside it `<batch>.parquet` where a batch came out different.
All of it is derived from landing and quarantine, so damaged or lost files are made again.
"""

import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing.rejects import SetAside

FOLDER, INDEX = "reread", "index.json"
_AT_ONCE = 200
"""At most so many batches are read again once more after a crash."""
_KEPT_FOR_S = 86_400
_log = structlog.get_logger("crm_pipeline.store")


class Copy(msgspec.Struct, frozen=True):
    """A batch that came out different under newer rules.

    Attributes:
        aside: the record of the quarantine file that it was made from; None for a landed batch.
    """

    rows: int
    bytes: int
    sha256: str
    aside: SetAside | None = None

    @property
    def sum(self) -> FileSum:
        """Checksum of the Parquet file when it was written."""
        return FileSum(self.bytes, self.sha256)


class _Index(msgspec.Struct):
    same: set[str] = msgspec.field(default_factory=set)
    copies: dict[str, Copy] = msgspec.field(default_factory=dict)


class Rereads:
    """Results of rereading the batches below one folder.

    Two processes that write at the same time lose each other's notes, and repeat the lost rereads.

    Args:
        folder: of an object, in landing or in quarantine.
        version: of the rules.
    """

    def __init__(self, folder: Path, version: int) -> None:
        self.version = version
        self._folder = folder / FOLDER / str(version)
        self._unsaved = 0
        self._index = _Index()
        self._existing: frozenset[str] | None = None
        try:
            self._index = _read(self._folder / INDEX)
        except FileNotFoundError:
            pass
        except CorruptFile as error:
            _log.warning("batches are read again once more", reason=error.message)

    def path(self, batch_id: str) -> Path:
        """Return the path of a batch's copy."""
        return self._folder / f"{batch_id}.parquet"

    def is_known(self, batch_id: str) -> bool:
        """Say whether a batch was reread, and its copy, if there is one, exists."""
        copy = self._index.copies.get(batch_id)
        if copy is None:
            return batch_id in self._index.same
        path = self.path(batch_id)
        exists = path.exists() and path.stat().st_size == copy.bytes
        if not exists:
            _log.warning("a batch is read again: its copy was damaged or gone", path=str(path))
        return exists

    def copy(self, batch_id: str) -> Copy | None:
        """Return the copy of a reread batch; None where it came out the same."""
        return self._index.copies.get(batch_id)

    def note(self, batch_id: str, copy: Copy | None) -> None:
        """Note the result of rereading a batch; None where it came out the same."""
        if copy is None:
            self._index.copies.pop(batch_id, None)
            self._index.same.add(batch_id)
        else:
            self._index.copies[batch_id] = copy
        self._unsaved += 1
        if self._unsaved >= _AT_ONCE:
            self.save()

    def forget(self, batch_ids: Collection[str]) -> None:
        """Forget the results of these batches, so that they are read again."""
        known = [
            name for name in batch_ids if name in self._index.same or name in self._index.copies
        ]
        for name in known:
            self._index.same.discard(name)
            self._index.copies.pop(name, None)
        self._unsaved += len(known)
        self.save()

    def keep_only(self, existing: Collection[str]) -> None:
        """Say which batches exist: what is noted of others, which were merged since, goes with the next `save`."""
        self._existing = frozenset(existing)

    def save(self) -> None:
        """Write the notes to disk, and remove the results of older rules."""
        if not self._unsaved:
            return
        if self._existing is not None:
            self._forget_others(self._existing)
        for other in self._folder.parent.glob("*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        record = msgspec.to_builtins(self._index)
        files.write_json(
            self._folder / INDEX, {**record, "same": sorted(record["same"])}, "reread_index"
        )
        self._unsaved = 0

    def _forget_others(self, existing: frozenset[str]) -> None:
        """Forget other batches, and remove their copies once they are a day old: a build may be reading them."""
        self._index.same &= existing
        copies = {name: copy for name, copy in self._index.copies.items() if name in existing}
        self._index.copies = copies
        for path in self._folder.glob("[!.]*.parquet"):
            with suppress(FileNotFoundError):
                is_old = time.time() - path.stat().st_mtime > _KEPT_FOR_S
                if is_old and path.stem not in copies:
                    path.unlink()


def recorded(index: Path) -> Mapping[Path, FileSum]:
    """Return the checksums of the copies beside an index.

    Raises:
        CorruptFile, FileNotFoundError: the index is damaged or gone.
    """
    copies = _read(index).copies.items()
    return {index.with_name(f"{batch_id}.parquet"): copy.sum for batch_id, copy in copies}


def _read(path: Path) -> _Index:
    try:
        return msgspec.convert(files.read_json(path), _Index)
    except msgspec.ValidationError as error:
        raise CorruptFile(f"{path} is damaged: {error}.") from error
