"""Schema `crm_history`: every version of each record, as views over the stored versions and the tables of schema `crm`.

A table `<table>_versions` has the versions of records that have had more than one. The view `<table>` adds the records
that were never changed: their one version is their row in `crm.<table>` or `crm.<table>_deleted`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from crm_pipeline.model.names import quoted
from crm_pipeline.model.table import TEXTS
from crm_pipeline.model.tables import DELETED_SUFFIX
from crm_pipeline.stages.published.relations import PREFIX, PublishedTable
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.tables import Release, Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

SCHEMA = "crm_history"
HISTORY = "history/"
"""Prefix of the names of tables with versions, as `normalized/` is that of tables."""
STORED_SUFFIX = "_versions"
DAILY = "deals_daily"
SHOWN_AFTER_CLOSING_DAYS = 30
"""`deals_daily` shows a closed deal for so many days, so that the closing is seen in windows of weeks and months."""
VALIDITY = (
    (
        "valid_from",
        "TIMESTAMPTZ",
        "Since when the record was so: modification time of the version; when it was read, where the CRM moved none.",
    ),
    ("valid_to", "TIMESTAMPTZ", "Until when: start of the next version. NULL: it is so now."),
    (
        "changed_fields",
        TEXTS,
        "Columns that differ from the version before, modified_at and batch_id aside. Empty: the first known version.",
    ),
)
_BETWEEN = "chr(31)"
_HEAD = 4
"""Connection, object, source_id and key come before `VALIDITY`."""


@dataclass(frozen=True)
class _Versions(PublishedTable):
    """The stored versions, with the columns that are looked up or computed when a table is published.

    Attributes:
        stored: the versions of the tables that hold them.
        keys: a relation with the records that count; "" for all.
    """

    stored: tuple[TableVersion, ...] = ()
    keys: str = ""

    @property
    def sql(self) -> str:
        """SQL for the versions."""
        key = quoted(self.key)
        rows = self._sql("", self.versions) if self.stored else self._no_rows
        return f"SELECT * REPLACE (split_part({key}, {_BETWEEN}, 1) AS {key}) FROM ({rows})"

    def _union(self, versions: Sequence[TableVersion]) -> str:  # noqa: ARG002 - the rows of `stored` take their place
        """Return SQL for the rows; each has a key of its own, because the steps of a finish join by keys."""
        key = quoted(self.key)
        only = f" SEMI JOIN {self.keys} USING ({key})" if self.keys else ""
        parts = [self._no_rows]
        parts.extend(
            f"SELECT * REPLACE ({key} || {_BETWEEN} || row_number() OVER () AS {key}) "
            f"FROM {Tables.relation(version)}{only} WHERE _is_version"
            for version in self.stored
        )
        names = ", ".join(quoted(name) for name, _, _ in self.columns)
        return f"SELECT {names} FROM ({' UNION ALL BY NAME '.join(parts)})"


@dataclass(frozen=True)
class HistoryTable:
    """The history of a table of schema `crm`.

    Attributes:
        table: the table.
        stored: the versions of the tables that hold its versions.
        keys: a relation with the records that count; "" for all.
    """

    table: PublishedTable
    stored: tuple[TableVersion, ...]
    keys: str = ""

    @property
    def has_batches(self) -> bool:
        """Whether some records have no stored versions at all: then their batches say when they were read.

        Stored versions have all records without a modification time.
        """
        return len(self.stored) < len(self.table.versions)

    @property
    def stored_name(self) -> str:
        """The table of schema `crm_history` with the stored versions."""
        return f"{self.table.name}{STORED_SUFFIX}"

    @property
    def columns(self) -> tuple[tuple[str, str, str], ...]:
        """Name, type and description of each column: those of the table, without what later stages add to live rows."""
        added = {name for columns in self.table.added for name in columns.columns}
        own = tuple(column for column in self.table.columns if column[0] not in added)
        return (*own[:_HEAD], *VALIDITY, *own[_HEAD:])

    @property
    def description(self) -> str:
        """The description of the view."""
        return (
            f"{self.table.description} One row per version of a record, deleted ones included; valid_to IS NULL: "
            f"as it is now. Versions are known since the record was read first."
        )

    @property
    def stored_sql(self) -> str:
        """SQL for the stored versions, in `columns`."""
        own = {f.name: getattr(self.table, f.name) for f in fields(PublishedTable)}
        own |= {"columns": self.columns, "added": ()}
        names = ", ".join(quoted(name) for name, _, _ in self.columns)
        return f"SELECT {names} FROM ({_Versions(**own, stored=self.stored, keys=self.keys).sql})"

    @property
    def view(self) -> View:
        """The view of all versions; where `has_batches`, `ops.batches` has to exist."""
        name, key = self.table.name, quoted(self.table.key)
        stored = f"{SCHEMA}.{quoted(self.stored_name)}"
        own = [column for column, _, _ in self.columns]
        given = {
            "valid_from": "coalesce(t.modified_at, b.started_at)"
            if self.has_batches
            else "t.modified_at",
            "valid_to": "NULL::TIMESTAMPTZ",
            "changed_fields": f"[]::{TEXTS}",
        }
        listed = ", ".join(
            f"{given[column]} AS {column}" if column in given else f"t.{quoted(column)}"
            for column in own
        )
        batches = " LEFT JOIN ops.batches AS b USING (batch_id)" if self.has_batches else ""
        once = " UNION ALL ".join(
            f"SELECT {listed} FROM crm.{quoted(source)} AS t{batches} ANTI JOIN {stored} AS v ON v.{key} = t.{key}"
            for source in (name, f"{name}{DELETED_SUFFIX}")
        )
        names = ", ".join(map(quoted, own))
        sql = f"SELECT {names} FROM {stored} UNION ALL {once}"
        return View(SCHEMA, name, self.description, (), sql, _comments(self.columns))


def history_tables(
    tables: Tables, release: Release, published: Sequence[PublishedTable]
) -> list[HistoryTable]:
    """Return the histories of a release: of each published table that has one in any connection."""
    found = []
    for table in published:
        names = [f"{HISTORY}{v.name.removeprefix(PREFIX)}" for v in table.versions]
        stored = [tables.version(name, release) for name in names]
        kept = tuple(version for version in stored if version is not None)
        if kept or table.name == "deals":
            found.append(HistoryTable(table, kept))
    return found


def late_views(histories: Sequence[HistoryTable]) -> list[View]:
    """Return the views that use tables of schema `ops`, which have to exist: some of versions, and those of days."""
    versions = [each.view for each in histories if each.has_batches]
    return [*versions, *(_daily(each) for each in histories if each.table.name == "deals")]


def fill(engine: Engine, database: str, histories: Sequence[HistoryTable]) -> dict[str, int]:
    """Insert the stored versions into their tables; return how many rows each has."""
    return {
        each.stored_name: int(
            engine.row(
                f"INSERT INTO {database}.{SCHEMA}.{quoted(each.stored_name)} {each.stored_sql}"
            )[0]
        )
        for each in histories
        if any(version.rows for version in each.stored)
    }


def wanted_history(release: Release) -> Release:
    """Return a release without the histories of tables that it does not have."""
    kept = {
        name: version
        for name, version in release.tables.items()
        if not name.startswith(HISTORY) or f"{PREFIX}{name.removeprefix(HISTORY)}" in release.tables
    }
    return replace(release, tables=kept)


def _daily(deals: HistoryTable) -> View:
    """Return the view with the state of each deal at the end of each day, in the time zone of its account."""
    zone = "coalesce(c.time_zone, 'UTC')"
    own = [name for name, _, _ in deals.columns]
    listed = ", ".join(f"v.{quoted(name)}" for name in own[_HEAD:])
    head = ", ".join(f"v.{quoted(name)}" for name in own[:_HEAD])

    def day(instant: str) -> str:
        return f"CAST({instant} AT TIME ZONE {zone} AS DATE)"

    # At the end of the day on which a version ends, the next one is valid.
    end = (
        f"least(coalesce({day('v.valid_to')} - 1, {day('p.published_at')}), CASE WHEN v.is_closed THEN "
        f"{day('greatest(v.valid_from, v.closed_at)')} + {SHOWN_AFTER_CLOSING_DAYS} END, {day('p.published_at')})"
    )
    days = f"unnest(generate_series({day('v.valid_from')}, {end}, INTERVAL 1 DAY))"
    sql = (
        f"SELECT {head}, CAST(v.day AS DATE) AS day, {listed} FROM (SELECT v.*, {days} AS day "
        f"FROM {SCHEMA}.deals AS v LEFT JOIN ops.connections AS c ON c.connection = v.connection "
        f"CROSS JOIN ops.publication AS p WHERE v.is_deleted IS NOT TRUE) AS v"
    )
    about = (
        "One row per deal and day: the deal as it was at the end of that day, in the account's time zone, from its first "
        f"known version to today; a closed deal for {SHOWN_AFTER_CLOSING_DAYS} days more, a deleted one up to the day "
        "before. Filter by day: rows are computed when they are read."
    )
    comments = {
        **_comments(deals.columns),
        "day": "Day in the account's time zone; the row is the state at its end.",
    }
    return View(SCHEMA, DAILY, about, (), sql, comments)


def _comments(columns: Sequence[tuple[str, str, str]]) -> Mapping[str, str]:
    return {name: about for name, _, about in columns}
