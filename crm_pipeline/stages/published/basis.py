"""What a snapshot was built from, as noted beside it, and whether the next one may be made from a copy of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.stages.published.history import HistoryTable
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.tables import Release
from crm_pipeline.store.tables.published import made_of


@dataclass(frozen=True)
class Basis:
    """What a snapshot was built from.

    Attributes:
        layout: version of the file's layout.
        engine: version of DuckDB.
        release: number of the release.
        tables: the version of each table by its name in the store.
        currencies: the main currency of each connection whose account states it.
        shape: a text that changes when schemas, tables, columns or comments change.
        views: a text for each view that changes with its SQL and comments.
        full_at: when the last file was built from nothing that this one descends from.
    """

    layout: int
    engine: str
    release: int
    tables: Mapping[str, str]
    currencies: Mapping[str, str]
    shape: str
    views: Mapping[str, str]
    full_at: datetime

    @classmethod
    def of(cls, snapshot: Path) -> "Basis | None":
        """Read what was noted beside a snapshot; None where an earlier version built it, or the note is damaged."""
        noted = made_of(snapshot)
        try:
            return cls(
                layout=int(noted["layout"]),
                engine=str(noted["engine"]),
                release=int(noted["release"]),
                tables=dict(noted["tables"]),
                currencies=dict(noted["currencies"]),
                shape=str(noted["shape"]),
                views=dict(noted["views"]),
                full_at=parse_instant(noted["full_at"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "layout": self.layout,
            "engine": self.engine,
            "release": self.release,
            "tables": dict(self.tables),
            "currencies": dict(self.currencies),
            "shape": self.shape,
            "views": dict(self.views),
            "full_at": format_instant(self.full_at),
        }

    @property
    def held(self) -> Release:
        """The release that the snapshot shows, with its published tables only."""
        return Release(self.release, self.tables)


def engine_version() -> str:
    """Return the version of DuckDB that writes files."""
    return str(duckdb.__version__)


def shape_of(
    schemas: Iterable[str],
    tables: Sequence[PublishedTable],
    of_stages: Sequence[StageRows],
    derived: Sequence[Derived],
    histories: Sequence[HistoryTable] = (),
) -> str:
    """Return a text that changes when the tables of the file get other columns or comments."""
    every: list[PublishedTable | StageRows | Derived] = [*tables, *of_stages, *derived]
    described = [(table.name, table.description, table.columns) for table in every]
    versions = [(each.stored_name, each.columns, each.view.sql) for each in histories]
    return fingerprint([sorted(schemas), described, versions])


def shapes_of(views: Iterable[View]) -> dict[str, str]:
    """Return a text for each view that changes with its SQL and comments, by schema and name."""
    return {
        f"{view.schema}.{view.name}": fingerprint(
            [view.sql, view.comment, [(c.name, c.comment) for c in view.columns], dict(view.more)]
        )
        for view in views
    }
