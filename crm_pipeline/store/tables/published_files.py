"""The files of `published/`, and their checksums in `published/checksums.json`.

The record is written twice when files change: first without those that will, then with what they are.
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
        verifier: what this process knows of files; many of them are table files under another name.
    """

    def __init__(self, folder: Path, verifier: Verifier) -> None:
        self.folder = folder
        self._verifier = verifier
        self._sums: dict[str, FileSum] | None = None

    def recorded(self) -> Mapping[str, FileSum]:
        """Return what each file was when it was written, by its name; nothing is known of others.

        Raises:
            CorruptFile: the record is damaged.
        """
        if self._sums is None:
            try:
                record = files.read_json(self.folder / RECORD, cure=_CURE)
            except FileNotFoundError:  # nothing was published yet, or by an earlier version
                record = {"files": {}}
            self._sums = {name: FileSum.from_dict(one) for name, one in record["files"].items()}
        return self._sums

    def damaged(self) -> list[Path]:
        """Return the files that are not as they were written, the record among them."""
        try:
            recorded = self.recorded()
        except CorruptFile:
            return [self.folder / RECORD]
        return self._verifier.damaged((self.folder / name, one) for name, one in recorded.items())

    def is_whole(self, name: str) -> bool:
        """Say whether a file is known to be as it was written."""
        one = self._known().get(name)
        return one is not None and self._verifier.is_whole(self.folder / name, one)

    def sum_of(self, name: str) -> FileSum | None:
        """Return what a file was when it was written, where that is known."""
        return self._known().get(name)

    def taken(self, path: Path) -> FileSum:
        """Return the sum of a file that was just written."""
        return self._verifier.taken(path)

    def forget(self, names: Collection[str]) -> None:
        """Record nothing any more of files that are about to change.

        Raises:
            StoreError: the folder is not writable.
        """
        known = self._known()
        if any(name in known for name in names):
            self.record({name: one for name, one in known.items() if name not in names})

    def record(self, sums: Mapping[str, FileSum]) -> None:
        """Record what the files are.

        Raises:
            StoreError: the folder is not writable.
        """
        if self._sums == dict(sums):
            return
        listed = {name: one.to_dict() for name, one in sorted(sums.items())}
        files.write_json(self.folder / RECORD, {"files": listed}, "checksums")
        self._sums = dict(sums)

    def _known(self) -> Mapping[str, FileSum]:
        try:
            return self.recorded()
        except CorruptFile:  # then nothing is known, and all is written again
            return {}
