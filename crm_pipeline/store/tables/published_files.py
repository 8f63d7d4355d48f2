"""The files of `published/`, and their checksums in `published/checksums.json`.

When files change, the record is written twice: first without the changing files, then with their new checksums.
So a process that dies in between leaves files without a record, never files that wrongly look damaged.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier

RECORD = "checksums.json"
_CURE = (
    "Run `crm-pipeline refresh CONNECTION`, whichever connection: damaged files of data/published are "
    "written again."
)


@dataclass(frozen=True)
class Held:
    """What a file holds: the rows of a release, which was the current one at a time.

    Attributes:
        identity: a text that changes when the rows may have changed.
    """

    release: int
    at: datetime
    identity: str = ""


_NOTHING_HELD: Mapping[str, Held] = MappingProxyType({})


class PublishedFiles:
    """The Parquet files beside the snapshot.

    Args:
        folder: `published` below the data folder.
        verifier: with this process's hashes; many of the files are table files under another name.
    """

    def __init__(self, folder: Path, verifier: Verifier) -> None:
        self.folder = folder
        self._verifier = verifier
        self._sums: dict[str, FileSum] | None = None
        self._held: dict[str, Held] = {}

    def recorded(self) -> Mapping[str, FileSum]:
        """Return the checksums of the files by name; files without a record are left out.

        Raises:
            CorruptFile: the record is damaged.
        """
        if self._sums is None:
            try:
                record = files.read_json(self.folder / RECORD, cure=_CURE)
            except FileNotFoundError:  # nothing was published yet, or by an earlier version
                record = {"files": {}}
            self._sums = {name: FileSum.from_dict(entry) for name, entry in record["files"].items()}
            # Earlier versions of the product did not note it.
            self._held = {
                name: Held(
                    int(entry["release"]),
                    parse_instant(entry["at"]),
                    str(entry.get("identity", "")),
                )
                for name, entry in record.get("held", {}).items()
            }
        return self._sums

    def damaged(self) -> list[Path]:
        """Return the files that are not as they were written, the record included."""
        try:
            recorded = self.recorded()
        except CorruptFile:
            return [self.folder / RECORD]
        return self._verifier.damaged((self.folder / name, sum_) for name, sum_ in recorded.items())

    def is_whole(self, name: str) -> bool:
        """Say whether a file has a record and is as it was written."""
        recorded = self._readable().get(name)
        return recorded is not None and self._verifier.is_whole(self.folder / name, recorded)

    def has_its_size(self, name: str) -> bool:
        """Say whether a file has a record and is as long as it was written; a quiet publish compares all of it."""
        recorded = self._readable().get(name)
        try:
            return recorded is not None and (self.folder / name).stat().st_size == recorded.bytes
        except FileNotFoundError:
            return False

    def sum_of(self, name: str) -> FileSum | None:
        """Return the recorded checksum of a file; None where there is none."""
        return self._readable().get(name)

    def held(self, name: str) -> Held | None:
        """Return which release a file holds; None where that is not recorded."""
        self._readable()
        return self._held.get(name)

    def all_held(self) -> Mapping[str, Held]:
        """Return which release each file holds, as far as that is recorded.

        Raises:
            CorruptFile: the record is damaged.
        """
        self.recorded()
        return dict(self._held)

    def taken(self, path: Path) -> FileSum:
        """Return the checksum of a file that was just written."""
        return self._verifier.taken(path)

    def forget(self, names: Collection[str]) -> None:
        """Remove the records of files that are about to change.

        Raises:
            StoreError: the folder is not writable.
        """
        sums = self._readable()
        if any(name in sums for name in names):
            kept = {name: entry for name, entry in sums.items() if name not in names}
            self.record(kept, {name: held for name, held in self._held.items() if name in kept})

    def record(self, sums: Mapping[str, FileSum], held: Mapping[str, Held] = _NOTHING_HELD) -> None:
        """Record the checksums of the files, and which release each holds.

        Raises:
            StoreError: the folder is not writable.
        """
        if self._sums == dict(sums) and self._held == dict(held):
            return
        listed = {name: entry.to_dict() for name, entry in sorted(sums.items())}
        noted = {
            name: {
                "release": entry.release,
                "at": format_instant(entry.at),
                "identity": entry.identity,
            }
            for name, entry in sorted(held.items())
        }
        files.write_json(self.folder / RECORD, {"files": listed, "held": noted}, "checksums")
        self._sums, self._held = dict(sums), dict(held)

    def _readable(self) -> Mapping[str, FileSum]:
        try:
            return self.recorded()
        except CorruptFile:  # without a record all files are written again
            return {}
