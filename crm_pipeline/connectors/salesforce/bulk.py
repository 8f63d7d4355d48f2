"""Reading through Bulk API 2.0 query jobs: create, poll with back-off, download page by page.

A page is spooled exactly as it arrives (gzip kept); `csv_page` parses it. Source: Bulk API 2.0 Developer Guide, "Query Jobs".
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.salesforce import soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.connectors.salesforce.csv_page import CsvPage
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import JobFailed, Rejected, VendorError
from crm_pipeline.wire.paging import Link, walk

PAGE_RECORDS = 50_000
_FIRST_POLL_S = 0.5
_LAST_POLL_S = 30.0
_LONGEST_S = 6 * 3600.0  # a job that works longer is stuck; a million records take minutes
_FINAL = frozenset({"JobComplete", "Failed", "Aborted"})


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


def is_refusal_of_bulk(error: Rejected) -> bool:
    """Say whether Bulk refused an object or query that REST may still read."""
    return error.code in {"INVALIDENTITY", "API_ERROR"} or "not support" in error.message
