"""`query`: SQL over the analysts' file, read-only, while runs go on."""

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.cli.query_result import QueryLimits, QueryResult
    from crm_pipeline.stages.published.past import Snapshot

_SHOWN_ROWS = 50
_MOST = 1_000_000_000  # as of the variables, which `settings.numbers` bounds; the program starts without it
_NARROWEST = 14  # characters of a column in a terminal; with less nothing can be read


def query(
    sql: Annotated[
        str | None, typer.Argument(help="A statement in DuckDB's SQL; '-' reads it from stdin.")
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="A file that holds the statement."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON objects.")] = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Rows as CSV with a header; formulas become text."),
    ] = False,
    as_raw_csv: Annotated[
        bool, typer.Option("--raw-csv", help="Rows as CSV, each cell as it is.")
    ] = False,
    as_of: Annotated[
        str,
        typer.Option(
            metavar="DAY",
            help="What was published then: 2026-11-20, yesterday (a day's end), 2026-11-20T15:30; all UTC.",
        ),
    ] = "",
    timeout_s: Annotated[
        int | None,
        typer.Option(
            "--timeout",
            min=0,
            max=_MOST,
            metavar="SECONDS",
            help="By default CRM_QUERY_TIMEOUT_S; 0: none.",
        ),
    ] = None,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", min=64, max=_MOST, help="By default CRM_MEMORY_MB.")
    ] = None,
    unrestricted: Annotated[
        bool,
        typer.Option(
            "--unrestricted",
            help="Run any statements with your rights: files, network, COPY, ATTACH, extensions.",
        ),
    ] = False,
) -> None:
    """Ask data/crm.duckdb something.

    The file is opened read-only; a publish at the same moment disturbs nobody. Without --json or
    --csv the first 50 rows are shown. One statement that reads is run; it reaches the tables of the file
    and nothing else on this machine or the network.

    For instance:

      crm-pipeline query "SELECT full_name, title, email FROM crm.contacts LIMIT 5"
      crm-pipeline query "SELECT stage, count(*) FROM crm.deals GROUP BY ALL" --csv > stages.csv
      crm-pipeline query "SHOW ALL TABLES"
      crm-pipeline query --file docs/analysts/13_can_i_trust_it.sql
      crm-pipeline query "SELECT count(*) FROM crm.deals" --as-of yesterday
    """
    from crm_pipeline.cli.query_result import QueryLimits
    from crm_pipeline.cli.workspace import load_settings

    if as_json + as_csv + as_raw_csv > 1:
        raise ConfigError("--json, --csv and --raw-csv exclude each other.", cure="Choose one.")
    statement = _statement(sql, file)
    settings = load_settings()
    allowed_s = settings.query_timeout_s if timeout_s is None else timeout_s
    limits = QueryLimits(memory_mb or settings.memory_mb, allowed_s or None, unrestricted)
    with _opened_result(settings.data, statement, limits, as_of) as result:
        if as_json:
            _write_json(result)
        elif as_csv or as_raw_csv:
            write_csv(result.columns, result.chunks(), is_raw=as_raw_csv)
        else:
            show(result.columns, result.first(_SHOWN_ROWS + 1))


def _statement(sql: str | None, file: Path | None) -> str:
    if sql is not None and file is not None:
        raise ConfigError("a statement and --file exclude each other.", cure="Choose one.")
    text = _typed(sql or "") if file is None else _read(file)
    if not text.strip():
        raise ConfigError(
            f"there is no statement{f' in {file}' if file else ''}.",
            cure='Write one, such as "SHOW ALL TABLES", - for stdin, or --file FILE.',
        )
    return text


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"--file {file}: {error.strerror or error}.", cure="Name a file with a statement."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--file {file}: it is not UTF-8.", cure="Save it as UTF-8.") from error


def _typed(sql: str) -> str:
    try:
        statement = sys.stdin.read() if sql == "-" else sql
        statement.encode()
    except UnicodeError:
        raise ConfigError("the statement is not UTF-8 text.", cure="Save it as UTF-8.") from None
    return statement


@contextmanager
def _opened_result(
    data: Path, statement: str, limits: "QueryLimits", as_of: str
) -> Iterator["QueryResult"]:
    """Run a statement with the limits on the whole process; yield its result."""
    from crm_pipeline.cli.console import say
    from crm_pipeline.cli.query_result import result_of
    from crm_pipeline.store.tables.bounds import memory_limit

    snapshot = _snapshot(data, as_of) if as_of else None
    with ExitStack() as stack:
        if not limits.unrestricted:
            stack.enter_context(memory_limit(limits.memory_mb))
        result = stack.enter_context(
            result_of(data, statement, limits, snapshot.path if snapshot else None)
        )
        if snapshot:
            say(f"From {snapshot}.")
        yield result


def _snapshot(data: Path, as_of: str) -> "Snapshot":
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.stages.published.past import parse_as_of, snapshot_as_of

    return snapshot_as_of(data, parse_as_of(as_of, SystemClock().now()))


def _write_json(result: "QueryResult") -> None:
    from crm_pipeline.cli.console import emit_json_rows

    names = _distinct(result.columns)
    emit_json_rows(dict(zip(names, row, strict=True)) for rows in result.chunks() for row in rows)


def _distinct(columns: Sequence[str]) -> list[str]:
    """Return names that differ, made as DuckDB makes them for the columns of a subquery."""
    names: dict[str, None] = {}
    for column in columns:
        numbered = (f"{column}_{number}" for number in itertools.count(1))
        names[column if column not in names else next(n for n in numbered if n not in names)] = None
    return [*names]


def write_csv(
    columns: Sequence[str], chunks: Iterable[Sequence[Sequence[Any]]], *, is_raw: bool = False
) -> None:
    """Print rows as CSV with a header."""
    from crm_pipeline.cli.spreadsheet import harmless_row

    # A quoted cell stays one cell where a spreadsheet separates cells at semicolons. With both characters in
    # its line end the writer quotes cells that hold either.
    writer = csv.writer(
        _Lines(sys.stdout),
        lineterminator="\r\n",
        quoting=csv.QUOTE_MINIMAL if is_raw else csv.QUOTE_ALL,
    )
    cells = list if is_raw else harmless_row
    writer.writerow(cells(columns))
    for rows in chunks:
        writer.writerows(map(cells, rows))


@dataclass(frozen=True)
class _Lines:
    """A file for lines that end with a line feed alone; each is written at once."""

    file: TextIO

    def write(self, line: str) -> int:
        return self.file.write(f"{line.removesuffix(chr(13) + chr(10))}\n")


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]], at_most: int = _SHOWN_ROWS) -> None:
    """Print rows as a table, and how to get the others."""
    from crm_pipeline.cli.console import output, say, table

    numbers = [
        index
        for index in range(len(columns))
        if any(type(row[index]) in (int, float, Decimal) for row in rows)
    ]
    console = output()
    fitting = max(1, console.width // _NARROWEST) if console.is_terminal else len(columns)
    shown = [row[:fitting] for row in rows[:at_most]]
    console.print(table("", columns[:fitting], shown, numbers=[n for n in numbers if n < fitting]))
    if len(columns) > fitting:
        say(
            f"{len(columns) - fitting} more columns do not fit; name the ones you want instead of *."
        )
    if len(rows) > at_most:
        say(f"The first {at_most} rows; --csv or --json writes all.")
