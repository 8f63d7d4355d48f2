"""Reading through Bulk API 2.0 query jobs: create, poll with back-off, download page by page.

A page is spooled exactly as it arrives (gzip kept) and parsed from the file, so memory is bounded
by a block of CSV. Source: Bulk API 2.0 Developer Guide, "Query Jobs".
"""

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.salesforce import describe, soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import JobFailed, ProtocolError, Rejected, VendorError
from crm_pipeline.store import records
from crm_pipeline.wire.paging import Link, walk

PAGE_RECORDS = 50_000
_BLOCK_BYTES = 8 << 20  # must hold the longest record: 400,000 characters by the vendor's limits
_FIRST_POLL_S = 0.5
_LAST_POLL_S = 30.0
_LONGEST_S = 6 * 3600.0  # a job that works longer is stuck; a million records take minutes
_FINAL = frozenset({"JobComplete", "Failed", "Aborted"})
# A record without an id, or a line with too few or too many cells, cannot be landed.
_NO_ID = "record without Id"
_QUOTED = re.compile(r"'.*'", re.DOTALL)


def create(api: Api, plan: Plan) -> str:
    """Create the query job and return its id.

    Raises:
        Rejected: the object or query is not possible in Bulk; the caller may take another route.
    """
    conditions = soql.window_condition(plan.stamp_field, plan.window)
    body = {
        "operation": "queryAll",
        "query": soql.select(plan.schema.names, plan.object, conditions),
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    # Repeated after a lost answer, this costs at worst one more job of the daily 10,000.
    job: dict[str, Any] = api.post(f"{api.base}/jobs/query", body).json()
    return str(job["id"])


def wait(api: Api, job: str, clock: Clock, uniform: Callable[[float, float], float]) -> int:
    """Poll until the job is complete and return the number of its records.

    Raises:
        JobFailed: it failed or was aborted; the text carries the vendor's words.
    """
    pause_s = _FIRST_POLL_S
    started_s = clock.monotonic()
    while True:
        info: dict[str, Any] = api.get(f"{api.base}/jobs/query/{job}").json()
        state = info.get("state")
        if state == "JobComplete":
            return int(info.get("numberRecordsProcessed") or 0)
        if state in _FINAL:
            words = info.get("errorMessage") or "no reason given"
            raise JobFailed(
                f"{api.connection.name}: Bulk job {job} on {info.get('object')} ended as {state}: "
                f"{words}",
                code=str(state),
                cure="Nothing was landed. Set 'route: rest' for this object in connections.yaml if "
                "it fails again.",
            )
        if clock.monotonic() - started_s > _LONGEST_S:
            raise JobFailed(
                f"{api.connection.name}: Bulk job {job} is still {state} after "
                f"{_LONGEST_S / 3600:.0f} hours.",
                code=str(state),
                cure="Nothing was landed. Abort it in Setup, Bulk Data Load Jobs, and run again.",
            )
        clock.sleep(pause_s * uniform(0.8, 1.2))
        pause_s = min(_LAST_POLL_S, pause_s * 1.6)


def pages(
    api: Api,
    plan: Plan,
    job: str,
    *,
    spool: Path,
    clock: Clock,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[Page]:
    """Wait for a query job and read its result pages.

    Raises:
        JobFailed: the job ended without a result.
        ProtocolError: a page has other columns than were asked for, or another number of records
            than its header says.
    """
    asked_at = api.now()
    wait(api, job, clock, uniform)
    numbers = iter(range(1, 1 << 31))

    def fetch(locator: str) -> tuple[str | None, Page]:
        file = spool / f"{job}-{next(numbers):05d}.csv"
        given = {"locator": locator} if locator else {}
        response = api.download(
            f"{api.base}/jobs/query/{job}/results", file, maxRecords=str(PAGE_RECORDS), **given
        )
        if response.headers.get("Content-Encoding") == "gzip":
            file = file.rename(file.with_suffix(".csv.gz"))
        following = response.headers.get("Sforce-Locator")
        counted = response.headers.get("Sforce-NumberOfRecords")
        page = _page(api, plan, file, asked_at, int(counted) if counted else None)
        # The end is the text "null", not an absent header.
        return (following if following and following != "null" else None), page

    link = Link[tuple[str | None, Page]]("", lambda read: read[0])
    for _, page in walk(link, fetch, owner=f"{api.connection.name}.{plan.object}"):
        yield page
    # All was read: a job that stays is no reason to read again, the vendor removes it after 7 days.
    with suppress(VendorError):
        api.delete(f"{api.base}/jobs/query/{job}")


def _page(api: Api, plan: Plan, file: Path, asked_at: datetime, expected: int | None) -> Page:
    rejected: list[tuple[str, str]] = []
    parse = CsvPage(f"{api.connection.name}.{plan.object}", plan, file, expected, rejected)
    return Page(
        shape="csv",
        route="bulk",
        batches=partial(parse.batches),
        extracted_at=asked_at,
        expected=expected,
        calls=1,
        rejected=rejected,
    )


class CsvPage:
    """A spooled page of CSV, parsed in blocks; every cell stays the text that it was."""

    def __init__(
        self,
        owner: str,
        plan: Plan,
        file: Path,
        expected: int | None,
        rejected: list[tuple[str, str]],
    ) -> None:
        self._owner = owner
        self._plan = plan
        self._file = file
        self._expected = expected
        self._rejected = rejected

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns, then remove the file.

        Raises:
            ProtocolError: other columns, or another number of records, than announced.
        """
        rows = 0
        self._check_header()
        try:
            with self._opened() as source:
                for raw in source:
                    rows += raw.num_rows
                    yield self._keyed(raw)
        except (pa.ArrowInvalid, EOFError, OSError, zlib.error) as error:
            # Arrow quotes the value that it could not read, which may be anybody's.
            words = _QUOTED.sub("'***'", str(error))[:200]
            raise ProtocolError(
                f"{self._owner}: a Bulk page is no readable CSV: {words}",
                cure="Nothing of this window counts; run again.",
            ) from None
        rows += sum(reason != _NO_ID for reason, _ in self._rejected)
        if self._expected is not None and rows != self._expected:
            raise ProtocolError(
                f"{self._owner}: a Bulk page announced {self._expected} records and held {rows}.",
                cure="Nothing of this window counts; run again.",
            )
        self._file.unlink()

    def _keyed(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        names = self._plan.schema.by_name
        batch = records.keyed(
            raw,
            id_field="Id",
            modified_field=describe.stamp_field(self._plan.schema),
            deleted_field="IsDeleted" if "IsDeleted" in names else None,
        )
        has_id = pc.not_equal(raw.column("Id"), "")
        if pc.all(has_id).as_py() is not False:
            return batch
        for row in raw.filter(pc.invert(has_id)).to_pylist():
            self._rejected.append((_NO_ID, json.dumps(row, ensure_ascii=False)))
        return batch.filter(has_id)

    def _opened(self) -> Any:
        names = self._plan.schema.names
        return pacsv.open_csv(
            self._file,
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._invalid
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
                null_values=[],
                check_utf8=True,
            ),
        )

    def _check_header(self) -> None:
        opener = gzip.open if self._file.suffix == ".gz" else open
        with opener(self._file, "rb") as file:
            line = file.readline().decode("utf-8", "replace").rstrip("\r\n")
        found = [cell.strip('"') for cell in line.split(",")]
        names = list(self._plan.schema.names)
        if found == names:
            return
        missing = [name for name in names if name not in found]
        surplus = [name for name in found if name not in names]
        raise ProtocolError(
            f"{self._owner}: a Bulk page has other columns than were asked for (missing: "
            f"{', '.join(missing) or 'none'}; not asked for: {', '.join(surplus) or 'none'}"
            f"{'' if missing or surplus else '; other order'}).",
            cure="Nothing of this window counts; run again, the fields are described anew.",
        )

    def _invalid(self, row: Any) -> str:
        reason = f"{row.actual_columns} cells where {row.expected_columns} were expected"
        self._rejected.append((reason, row.text or ""))
        return "skip"


def is_refusal_of_bulk(error: Rejected) -> bool:
    """Say whether Bulk refused an object or query that REST may still read."""
    return error.code in {"INVALIDENTITY", "API_ERROR"} or "not support" in error.message
