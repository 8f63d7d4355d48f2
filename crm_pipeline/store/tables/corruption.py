"""Corrupt files of tables: found before they are read, and named with what to do."""

from collections.abc import Iterable

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.files.corruption import is_readable
from crm_pipeline.store.tables.tables import Tables, TableVersion, connection_of


def check_versions(tables: Tables, versions: Iterable[TableVersion]) -> None:
    """Make sure that the files of versions are as they were written, before they are read.

    Raises:
        CorruptFile: one is not; the text names it and what to do.
    """
    damaged = damaged_version(versions, tables.verifier)
    if damaged is not None:
        raise damaged


def damaged_version(versions: Iterable[TableVersion], verifier: Verifier) -> CorruptFile | None:
    """Return what is wrong with the first file of versions that is not as it was written.

    Files that have no checksum, because an earlier version wrote them, are read to their end.
    """
    owners = {path: version for version in versions for path in version.paths}
    summed = [(path, one.sums[path]) for path, one in owners.items() if path in one.sums]
    unproven = (path for path, one in owners.items() if path not in one.sums)
    damaged = verifier.damaged(summed) or [path for path in unproven if not is_readable(path)]
    if not damaged:
        return None
    return CorruptFile(
        f"{damaged[0]} is damaged or gone: it is not as it was written.",
        cure=table_cure(owners[damaged[0]].name),
    )


def table_cure(name: str) -> str:
    """Say what to do about a damaged file of a table's current version."""
    return (
        "Nothing of it was used. The next `crm-pipeline refresh "
        f"{connection_of(name)}` finds that and builds the table {name} again from data/landing."
    )
