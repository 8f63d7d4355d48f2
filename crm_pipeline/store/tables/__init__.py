"""Versioned Parquet tables, DuckDB over them, and the published database."""

from crm_pipeline.store.tables.tables import (
    Release,
    Staged,
    Tables,
    TableVersion,
    connection_of,
    read_release,
    read_version,
)

__all__ = [
    "Release",
    "Staged",
    "TableVersion",
    "Tables",
    "connection_of",
    "read_release",
    "read_version",
]
