"""Find corrupt files of tables before they are read, and name them with a cure."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.files.corruption import is_readable
from crm_pipeline.store.tables.release import TableVersion
from crm_pipeline.store.tables.tables import Tables, connection_of


def check_versions(tables: Tables, versions: Iterable[TableVersion]) -> None:
    """Make sure, before versions are read, that their files are as they were written.

    Raises:
        CorruptFile: a file is not; the text names it and the cure.
    """
    damaged = damaged_version(versions, tables.verifier)
    if damaged is not None:
        raise damaged


def check_paths(tables: Tables, version: TableVersion, paths: Iterable[Path]) -> None:
    """Make sure, before some files of a version are read, that they are as they were written.

    Raises:
        CorruptFile: a file is not; the text names it and the cure.
    """
    only = set(paths)
    part = replace(
        version,
        base=tuple(path for path in version.base if path in only),
        delta=tuple(path for path in version.delta if path in only),
        tombstones=tuple(path for path in version.tombstones if path in only),
        changes=tuple(path for path in version.changes or () if path in only),
        beside={},
    )
    check_versions(tables, [part])


def damaged_version(versions: Iterable[TableVersion], verifier: Verifier) -> CorruptFile | None:
    """Return the error for the first file of the versions that is not as it was written; None if all are.

    Files of earlier versions have no checksum and are read to their end instead.
    """
    owners = {path: version for version in versions for path in version.paths}
    summed = [(path, owner.sums[path]) for path, owner in owners.items() if path in owner.sums]
    unproven = (path for path, owner in owners.items() if path not in owner.sums)
    damaged = verifier.damaged(summed) or [path for path in unproven if not is_readable(path)]
    if not damaged:
        return None
    return CorruptFile(
        f"{damaged[0]} is damaged or gone: it is not as it was written.",
        cure=table_cure(owners[damaged[0]].name),
    )


def table_cure(name: str) -> str:
    """Return the cure for a damaged file of a table's current version."""
    return (
        "Nothing of it was used. The next `crm-pipeline refresh "
        f"{connection_of(name)}` finds that and builds the table {name} again from {_source_of(name)}."
    )


def _source_of(name: str) -> str:
    return "data/landing" if name.startswith("normalized/") else "the normalized tables"
