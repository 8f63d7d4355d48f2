"""The results of Bulk jobs on disk: a file of CSV lines each, and where each record begins.

A query that is asked again while nothing has changed has the same result, and is not run again: the
vendor's work is done on the vendor's machines, and what shares ours with it should not pay for it.
"""

import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from crm_sandbox.salesforce.rendering import csv_header, csv_line
from crm_sandbox.salesforce.translation import Plan

DELIMITERS = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}
_ROWS_AT_ONCE = 50_000
_REMEMBERED = 4


class JobResult:
    """The lines of one query.

    Args:
        folder: a folder of this result alone.
        plan: the query.
        delimiter: between cells.
        line_end: after each record.
    """

    def __init__(self, folder: Path, plan: Plan, delimiter: str, line_end: str) -> None:
        self._folder = folder
        self._plan = plan
        self._delimiter = delimiter
        self._line_end = line_end
        self._lines = folder / "lines.csv"
        self._lock = threading.Lock()
        self._zipping: dict[tuple[int, int], threading.Lock] = {}
        self._is_written = False
        self._starts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self.header = csv_header(plan, delimiter, line_end)

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self._starts) - 1

    def write(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Run the query, unless it was run, and write its lines as one snapshot."""
        with self._lock:
            if not self._is_written:
                self._write(cursor)
                self._is_written = True

    def remove(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._folder.mkdir(parents=True)
        plan = self._plan
        line = csv_line(plan, self._delimiter, self._line_end)
        sql = f"SELECT {line} AS line {plan.source}{plan.where}{plan.order}{plan.window}"
        sizes: list[NDArray[np.int64]] = []
        with self._lines.open("wb") as file:
            batches: Any = cursor.sql(sql, params=plan.params).to_arrow_reader(_ROWS_AT_ONCE)
            for batch in batches:
                if not batch.num_rows:
                    continue
                lines = batch.column(0)
                width = np.int64 if str(lines.type) == "large_string" else np.int32
                _, offsets, data = lines.buffers()
                edges = np.frombuffer(offsets, dtype=width)
                edges = edges[lines.offset : lines.offset + len(lines) + 1].astype(np.int64)
                file.write(memoryview(data)[int(edges[0]) : int(edges[-1])])
                sizes.append(np.diff(edges))
        everything = np.concatenate([np.zeros(1, dtype=np.int64), *sizes])
        self._starts = np.cumsum(everything)

    def page(self, first: int, last: int, *, zipped: bool) -> bytes:
        """Return the header row and the records from `first` up to, but without, `last`."""
        if not zipped:
            return self._plain(first, last)
        kept = self._folder / f"{first}-{last}.csv.gz"
        with self._lock:
            zipping = self._zipping.setdefault((first, last), threading.Lock())
        with zipping:
            if not kept.exists():
                kept.write_bytes(igzip.compress(self._plain(first, last), 1, mtime=0))
        return kept.read_bytes()

    def _plain(self, first: int, last: int) -> bytes:
        start, end = int(self._starts[first]), int(self._starts[last])
        with self._lines.open("rb") as file:
            file.seek(start)
            return self.header + file.read(end - start)


class ResultShelf:
    """The results of jobs that were not deleted, and of the last few queries.

    Args:
        folder: where results are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._made = 0
        self._remembered: OrderedDict[tuple[Any, ...], JobResult] = OrderedDict()
        self._lent: dict[JobResult, int] = {}

    def lend(self, plan: Plan, delimiter: str, line_end: str, revision: int) -> JobResult:
        """Return the result of a query on one revision of the org; give it back with `drop`."""
        columns = tuple(column.keys for column in plan.columns)
        source = (plan.source, plan.where, plan.order, plan.window, *map(str, plan.params))
        key = (revision, delimiter, line_end, columns, source)
        with self._lock:
            result = self._remembered.pop(key, None)
            if result is None:
                self._made += 1
                result = JobResult(self._folder / f"{self._made:06d}", plan, delimiter, line_end)
            self._remembered[key] = result
            self._lent[result] = self._lent.get(result, 0) + 1
            if len(self._remembered) > _REMEMBERED:
                _, oldest = self._remembered.popitem(last=False)
                self._forget(oldest)
        return result

    def drop(self, result: JobResult) -> None:
        """Take a result back; one that nobody uses or remembers is removed."""
        with self._lock:
            self._lent[result] -= 1
            self._forget(result)

    def _forget(self, result: JobResult) -> None:
        if not self._lent.get(result) and result not in self._remembered.values():
            self._lent.pop(result, None)
            result.remove()
