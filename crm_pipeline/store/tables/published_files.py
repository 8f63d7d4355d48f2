"""The files of `published/`, and their checksums in `published/checksums.json`.

When files change, the record is written twice: first without the changing files, then with their new checksums.
So a process that dies in between leaves files without a record, never files that wrongly look damaged.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier

RECORD = "checksums.json"
_CURE = (
    "Run `crm-pipeline refresh CONNECTION`, whichever connection: damaged files of data/published are "
    "written again."
)


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

    def sum_of(self, name: str) -> FileSum | None:
        """Return the recorded checksum of a file; None where there is none."""
        return self._readable().get(name)

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
            self.record({name: entry for name, entry in sums.items() if name not in names})

    def record(self, sums: Mapping[str, FileSum]) -> None:
        """Record the checksums of the files.

        Raises:
            StoreError: the folder is not writable.
        """
        if self._sums == dict(sums):
            return
        listed = {name: entry.to_dict() for name, entry in sorted(sums.items())}
        files.write_json(self.folder / RECORD, {"files": listed}, "checksums")
        self._sums = dict(sums)

    def _readable(self) -> Mapping[str, FileSum]:
        try:
            return self.recorded()
        except CorruptFile:  # without a record all files are written again
            return {}
