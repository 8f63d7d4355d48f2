"""The registry of all stores that may hold personal data, and of what holds none."""

from pathlib import Path

from crm_pipeline.store.erasing import Store
from crm_pipeline.store.files.erasing import TextsStore
from crm_pipeline.store.landing.erasing import LandingStore
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.erasing import DatabaseStore
from crm_pipeline.store.tables.erasing import PublishedStore, SnapshotsStore, TablesStore

HOLDS_NOBODY = frozenset(
    {
        "README.md",
        "state.key",
        "hash.key",
        "erased.json",  # keyed hashes
        "erasing.json",  # of an unfinished erasure, encrypted
        ".permissions.json",
        ".postgres.borrowed",
        ".postgres.lock",
        ".postgres.users",
        "tmp",  # spilled rows of running statements
    }
)
"""Names below the data folder that belong to no store; the search of a proof reads them as well."""


def stores(data: Path, database: Database | None) -> tuple[Store, ...]:
    """Return all stores, in the order in which they are erased: what others are made from comes first."""
    return (
        LandingStore(data),
        TablesStore(data),
        PublishedStore(data),
        SnapshotsStore(data),
        DatabaseStore(database),
        TextsStore(data, "looks", ("looks",)),
        TextsStore(data, "logs and files of runs", ("dagster", "run")),
    )


def unowned(data: Path) -> list[str]:
    """Return the names below the data folder that belong to no store."""
    owned = {name for store in stores(data, None) for name in store.covers} | HOLDS_NOBODY
    return sorted(path.name for path in data.iterdir() if path.name not in owned)
