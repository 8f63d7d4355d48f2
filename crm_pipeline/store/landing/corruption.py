"""Corrupt files below `landing/` and `quarantine/`: what is wrong with them, and what to do about it."""

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing.manifest import Manifest

COPY_CURE = "Remove it: the next build of its tables makes it anew from what landed."
"""About what was made of batches that were read again, see `rereads`."""


def damaged_batch(batches: Iterable[Manifest]) -> CorruptFile | None:
    """Return what is wrong with the first landed batch that is not as it was written."""
    verifier = Verifier()  # of what was compared before nothing is believed
    for batch in batches:
        if not verifier.is_whole(batch.path, batch.sum):
            return unreadable_batch(batch)
    return None


def unreadable_batch(batch: Manifest) -> CorruptFile:
    """Say which batch it is, and how its window is read again."""
    return CorruptFile(
        f"{batch.path} is damaged or gone: it is not as it was landed.", cure=batch_cure(batch)
    )


def batch_cure(batch: Manifest) -> str:
    """Say what to do about a batch that is damaged."""
    if batch.is_copy:
        return COPY_CURE
    return window_cure(batch.path.parent.parent, batch.window_id)


def window_cure(folder: Path, window_id: str) -> str:
    """Say what to do where a file of a window is damaged, of an object with this landing folder."""
    return (
        f"Restore it from a backup; or move all files of its window away ({window_files(folder, window_id)}), "
        f"then `{backfill_command(folder)}` reads the object again."
    )


def window_files(folder: Path, window_id: str) -> str:
    """Return shell patterns for the files of a window: its commit, its batches, what it set aside."""
    quarantine = folder.parents[2] / "quarantine" / folder.parent.name / folder.name
    names = f"{window_id}*"
    places = [folder, *([quarantine] if any(quarantine.glob(f"*/{names}")) else [])]
    return " ".join(f"{place}/*/{names}" for place in places)


def schema_cure(folder: Path) -> str:
    """Say what to do about stored fields that are damaged, of an object with this landing folder."""
    return (
        f"Restore it from a backup; or move it away, and `{backfill_command(folder)}` writes it again if the "
        "fields are the same as then."
    )


def quarantine_cure(path: Path) -> str:
    """Say what to do about rows that could not be landed and whose file, or record, is damaged."""
    return (
        f"Restore {path.stem}.* from a backup, or remove both files: `{backfill_command(path.parents[1])}` reads "
        "the object again and sets the rows aside anew."
    )


def backfill_command(folder: Path) -> str:
    """Return the command that reads an object again, by its folder below `landing` or `quarantine`."""
    connection, obj = from_path_name(folder.parent.name), from_path_name(folder.name)
    return f"crm-pipeline backfill {connection} --object {quote(obj)}"
