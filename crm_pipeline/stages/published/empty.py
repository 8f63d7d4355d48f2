"""The empty tables and the views of a file that is published, all with their comments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted, shown
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.stages.published.history import SCHEMA as HISTORY_SCHEMA
from crm_pipeline.stages.published.history import HistoryTable
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.stored import long_text_columns
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.tables.engine import Engine

_SCHEMA = "schema_only"


@dataclass(frozen=True)
class EmptyTables:
    """Creates what a file consists of; rows come later.

    Args:
        engine: the engine that has the file attached.
        database: the name under which it is attached.
    """

    engine: Engine
    database: str

    def create(  # noqa: PLR0917 - each argument is plain at the call
        self,
        schemas: Iterable[str],
        tables: Iterable[PublishedTable],
        of_stages: Iterable[StageRows],
        derived: Iterable[Derived],
        views: Iterable[View],
        histories: Sequence[HistoryTable] = (),
    ) -> None:
        """Create all tables of records, of versions, of stages and of links, and the views.

        They are created in memory and copied in one go: each comment on a view writes the view again, which a
        file would log each time.
        """
        run = self.engine.run
        run(f"ATTACH ':memory:' AS {_SCHEMA}")
        try:
            for schema in schemas:
                run(f"CREATE SCHEMA {_SCHEMA}.{quoted(schema)}")
            for table in tables:
                long_texts = long_text_columns(self.engine, table.columns, table.versions)
                for name, suffix in (
                    (table.name, "Live records only."),
                    (table.deleted_name, f"Deleted; live ones: crm.{table.name}."),
                ):
                    about = f"{table.description} {suffix}"
                    self._table(name, table.columns, about, long_texts)
            for rows in of_stages:
                long_texts = long_text_columns(self.engine, rows.columns, rows.versions)
                self._table(rows.name, rows.columns, rows.description, long_texts)
            for made in derived:
                self._table(made.name, made.columns, made.description)
            self._histories(histories)
            for view in views:
                self._view(view)
            run(f"COPY FROM DATABASE {_SCHEMA} TO {self.database} (SCHEMA)")
        finally:
            run(f"DETACH {_SCHEMA}")

    def ops_names(self) -> set[str]:
        """Return the names of the tables of schema `ops`, for `ops`: listing them takes longer than writing most."""
        rows = self.engine.rows(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'ops' "
            f"AND database_name = {literal(self.database)}"
        )
        return {name for (name,) in rows}

    def ops(self, table: OpsTable, present: Collection[str] = ()) -> None:
        """Write the rows of a table of schema `ops`.

        Args:
            table: its name, comments and rows.
            present: the tables that the schema has; one that it has not is created.
        """
        target = f"{self.database}.ops.{quoted(table.name)}"
        with self.engine.registered(table.arrow) as rows:
            if table.name in present:
                self.engine.run(f"DELETE FROM {target}")
                self.engine.run(f"INSERT INTO {target} SELECT * FROM {rows}")
                return
            self.engine.run(f"CREATE TABLE {target} AS SELECT * FROM {rows}")
        self._comment("TABLE", target, table.description)
        self._comments(target, {name: about for name, (_, about) in table.columns.items()})

    def replace_view(self, view: View) -> None:
        """Write a view with its comments, in place of one with its name."""
        self._view(view, self.database)

    def _histories(self, histories: Sequence[HistoryTable]) -> None:
        run = self.engine.run
        run(f"CREATE SCHEMA {_SCHEMA}.{HISTORY_SCHEMA}")
        for each in histories:
            long_texts = long_text_columns(self.engine, each.table.columns, each.stored)
            about = f"The stored versions behind {HISTORY_SCHEMA}.{each.table.name}: ask that view."
            self._table(each.stored_name, each.columns, about, long_texts, HISTORY_SCHEMA)
            if not each.has_batches:
                self._view(each.view)

    def _table(
        self,
        name: str,
        columns: Sequence[tuple[str, str, str]],
        about: str,
        long_texts: Collection[str] = (),
        schema: str = "crm",
    ) -> None:
        target = f"{_SCHEMA}.{schema}.{quoted(name)}"
        listed = ", ".join(
            f"{quoted(c)} {kind}{' USING COMPRESSION zstd' if c in long_texts else ''}"
            for c, kind, _ in columns
        )
        self.engine.run(f"CREATE TABLE {target} ({listed})")
        self._comment("TABLE", target, about)
        self._comments(target, {c: comment for c, _, comment in columns})

    def view(self, view: View) -> None:
        """Create a view over tables that the file has by now."""
        self.engine.run(f"USE {self.database}")
        try:
            self._view(view, self.database)
        finally:
            self.engine.run("USE memory")

    def _view(self, view: View, database: str = _SCHEMA) -> None:
        target = f"{database}.{quoted(view.schema)}.{quoted(view.name)}"
        self.engine.run(f"CREATE OR REPLACE VIEW {target} AS {view.sql}")
        self._comment("VIEW", target, view.comment)
        comments = {column.name: column.comment for column in view.columns}
        self._comments(target, comments | dict(view.more))

    def _comment(self, kind: str, target: str, comment: str) -> None:
        self.engine.run(f"COMMENT ON {kind} {target} IS {literal(shown(comment))}")

    def _comments(self, target: str, columns: Mapping[str, str]) -> None:
        for name, comment in columns.items():
            self._comment("COLUMN", f"{target}.{quoted(name)}", comment)
