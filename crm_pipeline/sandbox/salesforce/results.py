"""The result of a Bulk job on disk: one file of CSV lines and where each record begins."""

import gzip
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from crm_pipeline.sandbox.salesforce.rendering import csv_header, csv_line
from crm_pipeline.sandbox.salesforce.translation import Plan

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


class JobResult:
    """The lines of one finished job.

    Args:
        folder: a folder of this job alone.
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
        self._starts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self.header = csv_header(plan, delimiter, line_end)

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self._starts) - 1

    def write(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Run the query and write its lines as one snapshot."""
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
            if not kept.exists():
                kept.write_bytes(gzip.compress(self._plain(first, last), 1, mtime=0))
        return kept.read_bytes()

    def _plain(self, first: int, last: int) -> bytes:
        start, end = int(self._starts[first]), int(self._starts[last])
        with self._lines.open("rb") as file:
            file.seek(start)
            return self.header + file.read(end - start)
