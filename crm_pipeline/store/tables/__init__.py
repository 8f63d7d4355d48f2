"""Versioned Parquet tables, DuckDB over them, and the published database."""

from crm_pipeline.store.tables.changes import Changes, changes_since
from crm_pipeline.store.tables.release import (
    Release,
    TableVersion,
    read_release,
    read_version,
)
from crm_pipeline.store.tables.staged import Commit, Staged, commit_all
from crm_pipeline.store.tables.tables import Tables, connection_of

__all__ = [
    "Changes",
    "Commit",
    "Release",
    "Staged",
    "TableVersion",
    "Tables",
    "changes_since",
    "commit_all",
    "connection_of",
    "read_release",
    "read_version",
]
