"""Errors and cures for corrupt files below `landing/` and `quarantine/`."""

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing.manifest import Manifest

COPY_CURE = "Remove it: the next build of its tables makes it anew from what landed."
"""For copies of batches that were read again, see `rereads`."""


def damaged_batch(batches: Iterable[Manifest]) -> CorruptFile | None:
    """Return the error for the first landed batch that is not as it was written; None if all are."""
    verifier = Verifier()  # a fresh one, because earlier comparisons are not trusted here
    for batch in batches:
        if not verifier.is_whole(batch.path, batch.sum):
            return unreadable_batch(batch)
    return None


def unreadable_batch(batch: Manifest) -> CorruptFile:
    """Return the error that names a damaged batch and says how to read its window again."""
    return CorruptFile(
        f"{batch.path} is damaged or gone: it is not as it was landed.", cure=batch_cure(batch)
    )


def batch_cure(batch: Manifest) -> str:
    """Return the cure for a damaged batch."""
    if batch.is_copy:
        return COPY_CURE
    return window_cure(batch.path.parent.parent, batch.window_id)


def window_cure(folder: Path, window_id: str) -> str:
    """Return the cure for a damaged file of a window; `folder` is the object's landing folder."""
    return (
        f"Restore it from a backup; or move all files of its window away ({window_files(folder, window_id)}), "
        f"then `{backfill_command(folder)}` reads the object again."
    )


def window_files(folder: Path, window_id: str) -> str:
    """Return shell patterns for the files of a window: commit, batches, quarantined rows."""
    quarantine = folder.parents[2] / "quarantine" / folder.parent.name / folder.name
    names = f"{window_id}*"
    folders = [folder, *([quarantine] if any(quarantine.glob(f"*/{names}")) else [])]
    return " ".join(f"{parent}/*/{names}" for parent in folders)


def schema_cure(folder: Path) -> str:
    """Return the cure for a damaged stored schema; `folder` is the object's landing folder."""
    return (
        f"Restore it from a backup; or move it away, and `{backfill_command(folder)}` writes it again if the "
        "fields are the same as then."
    )


def quarantine_cure(path: Path) -> str:
    """Return the cure for a damaged file of quarantined rows, or its damaged record."""
    return (
        f"Restore {path.stem}.* from a backup, or remove both files: `{backfill_command(path.parents[1])}` reads "
        "the object again and sets the rows aside anew."
    )


def backfill_command(folder: Path) -> str:
    """Return the command that reads an object again, by its folder below `landing` or `quarantine`."""
    connection, obj = from_path_name(folder.parent.name), from_path_name(folder.name)
    return f"crm-pipeline backfill {connection} --object {quote(obj)}"
