"""Which keys of a table changed between two of its versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.names import quoted
from crm_pipeline.store import files
from crm_pipeline.store.tables.engine import parquet_files
from crm_pipeline.store.tables.release import TableVersion, read_version
from crm_pipeline.store.tables.tables import Tables

_LONGEST = 200
"""More steps than this are not followed: to read the whole table is cheaper then."""


@dataclass(frozen=True)
class Changes:
    """The keys whose rows may differ between two versions; rows of other keys are the same in both.

    Attributes:
        key: the columns of the key.
        paths: files with the keys; None: any row may differ.
    """

    key: tuple[str, ...]
    paths: tuple[Path, ...] | None

    @property
    def is_all(self) -> bool:
        """Whether any row may differ."""
        return self.paths is None

    @property
    def is_none(self) -> bool:
        """Whether no row differs."""
        return self.paths == ()

    @property
    def relation(self) -> str:
        """SQL for the keys, without duplicates.

        Raises:
            ValueError: any row may differ, or none does: there are no files.
        """
        if not self.paths:
            raise ValueError("there are no files of changed keys")
        key = ", ".join(map(quoted, self.key))
        return f"(SELECT DISTINCT {key} FROM {parquet_files(self.paths)})"


def changes_since(tables: Tables, version: TableVersion, since: str) -> Changes:
    """Return the keys that changed between an earlier version and a later one of the same table.

    Where a version in between is gone or damaged, or does not say what it changed, any row may differ.

    Args:
        tables: the store.
        version: the later version.
        since: the id of the earlier one.
    """
    everything = Changes(version.key, None)
    paths: list[Path] = []
    recorded: list[tuple[TableVersion, Sequence[Path]]] = []
    step = version
    for _ in range(_LONGEST):
        if step.version != since:
            if step.changes is None or step.parent is None or step.key != version.key:
                return everything
            paths.extend(step.changes)
            recorded.append((step, step.changes))
        if since in {step.version, step.parent}:
            whole = not _are_damaged(tables, recorded)
            return Changes(version.key, tuple(paths)) if whole else everything
        folder = tables.folder(version.name) / str(step.parent)
        try:
            step = read_version(folder, files.read_json(folder / "version.json"))
        except (FileNotFoundError, KeyError, TypeError, ValueError, CorruptFile):
            return everything
    return everything


def _are_damaged(tables: Tables, recorded: Sequence[tuple[TableVersion, Sequence[Path]]]) -> bool:
    sums = [(path, version.sums[path]) for version, paths in recorded for path in paths]
    return bool(tables.verifier.damaged(sums))
