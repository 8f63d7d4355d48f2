"""`query`: SQL over the analysts' file, read-only, while runs go on."""

import csv
import sys
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from crm_pipeline.stages.published.past import Snapshot

_SHOWN_ROWS = 50
_NARROWEST = 14  # characters of a column in a terminal; with less nothing can be read


class QueryFailed(StoreError):
    """DuckDB refuses the statement."""


def query(
    sql: Annotated[
        str, typer.Argument(help="A statement in DuckDB's SQL; '-' reads it from stdin.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Rows as CSV with a header.")] = False,
    as_of: Annotated[
        str,
        typer.Option(
            metavar="DAY", help="What was published then: 2026-11-20 or 2026-11-20T15:30."
        ),
    ] = "",
) -> None:
    """Ask data/crm.duckdb something.

    The file is opened read-only; a publish at the same moment disturbs nobody. Without --json or
    --csv the first 50 rows are shown.

    For instance:

      crm-pipeline query "SELECT full_name, title, email FROM crm.contacts LIMIT 5"
      crm-pipeline query "SELECT stage, count(*) FROM crm.deals GROUP BY ALL" --csv > stages.csv
      crm-pipeline query "SHOW ALL TABLES"
      crm-pipeline query "SELECT count(*) FROM crm.deals" --as-of 2026-11-20
    """
    from crm_pipeline.cli.console import say
    from crm_pipeline.cli.workspace import load_settings

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other.", cure="Choose one.")
    statement = sys.stdin.read() if sql == "-" else sql
    if not statement.strip():
        raise ConfigError(
            "there is no statement.", cure='Write one, such as "SHOW ALL TABLES", or - for stdin.'
        )
    data = load_settings().data
    snapshot = _snapshot(data, as_of) if as_of else None
    limit = None if as_json or as_csv else _SHOWN_ROWS + 1
    columns, rows = run(data, statement, snapshot=snapshot.path if snapshot else None, limit=limit)
    if snapshot:
        say(f"From {snapshot}.")
    if as_json:
        from crm_pipeline.cli.console import emit_json

        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        show(columns, rows)


def _snapshot(data: Path, as_of: str) -> "Snapshot":
    from crm_pipeline.stages.published.past import parse_as_of, snapshot_as_of

    return snapshot_as_of(data, parse_as_of(as_of))


def run(
    data: Path, statement: str, *, snapshot: Path | None = None, limit: int | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return column names and rows of a statement over the analysts' file, or over a snapshot.

    Raises:
        StoreError: there is no file yet, or it cannot be opened.
        QueryFailed: DuckDB refuses the statement.
    """
    import duckdb

    from crm_pipeline.store.published import open_published, open_snapshot

    opened = open_snapshot(snapshot) if snapshot else open_published(data)
    with closing(opened) as connection:
        try:
            result = connection.execute(statement)
            # Of a mere comment DuckDB returns nothing at all.
            columns = [column[0] for column in getattr(result, "description", None) or ()]
            if not columns:
                return [], []
            return columns, result.fetchall() if limit is None else result.fetchmany(limit)
        except duckdb.Error as error:
            raise QueryFailed(
                f"DuckDB says: {str(error).strip()}",
                cure='`crm-pipeline query "SHOW ALL TABLES"` lists tables and columns.',
            ) from error


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table, and how to get the others."""
    from crm_pipeline.cli.console import output, say, table

    numbers = [
        index
        for index in range(len(columns))
        if any(type(row[index]) in (int, float, Decimal) for row in rows)
    ]
    console = output()
    fitting = max(1, console.width // _NARROWEST) if console.is_terminal else len(columns)
    shown = [row[:fitting] for row in rows[:_SHOWN_ROWS]]
    console.print(table("", columns[:fitting], shown, numbers=[n for n in numbers if n < fitting]))
    if len(columns) > fitting:
        say(
            f"{len(columns) - fitting} more columns do not fit; name the ones you want instead of *."
        )
    if len(rows) > _SHOWN_ROWS:
        say(f"The first {_SHOWN_ROWS} rows; --csv or --json writes all.")
