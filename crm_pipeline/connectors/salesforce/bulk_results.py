"""The result of a finished Bulk job: downloads its pages, in parallel where the API offers that.

A page is saved in the checkpoint exactly as it arrives (still compressed); `csv_page` parses it. Pages that an earlier
process has saved are not downloaded again. Source: Bulk API 2.0 Developer
Guide, "Get Results for a Query Job", "Get Parallel Results for a Query Job".
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import requests

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.connectors.salesforce.csv_page import CsvPage
from crm_pipeline.kernel.errors import (
    CountMismatch,
    MalformedResponse,
    ProtocolError,
    ReadLost,
    Rejected,
)
from crm_pipeline.store.landing.checkpoint import Checkpoint, CheckpointPage
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.paging import Link, walk

PAGE_RECORDS = 50_000
DOWNLOADS = 4
_PARALLEL_SINCE = 58.0
_COUNT = re.compile(r"[0-9]{1,15}")
_LOCATOR = re.compile(r"[\x21-\x7e]{1,512}")


class _Page(msgspec.Struct):
    url: str | None = msgspec.field(name="resultUrl", default=None)
    link: str | None = msgspec.field(name="resultLink", default=None)


class _Pages(msgspec.Struct):
    pages: list[_Page] = msgspec.field(name="resultPages")
    following: str | None = msgspec.field(name="nextRecordsUrl", default=None)
    next_one: str | None = msgspec.field(name="nextRecordUrl", default=None)
    done: bool | None = None


class BulkResults:
    """The result pages of one job.

    Args:
        api: of the org.
        plan: that the job reads.
        job: the job's id.
        asked_at: when the job was created; its records are of that moment.
        checkpoint: saves the pages.
    """

    def __init__(
        self, api: Api, plan: Plan, job: str, asked_at: datetime, checkpoint: Checkpoint
    ) -> None:
        self._api = api
        self._plan = plan
        self._asked_at = asked_at
        self._checkpoint = checkpoint
        self._path = f"{api.base}/jobs/query/{job}"
        self._owner = f"{api.connection.name}.{plan.object}"

    def pages(self, records: int) -> Iterator[Page]:
        """Yield the pages that are not done yet, in order.

        Args:
            records: the number that the job states.

        Raises:
            ReadLost: the vendor no longer has the job, or a page of its result.
            CountMismatch: the pages hold another number.
        """
        total = 0
        for saved in self._saved(records):
            counted = saved.facts["records"]
            total += records if counted is None else counted
            if not self._checkpoint.is_done(saved.number):
                yield self._page(saved, counted)
        if total != records:
            raise CountMismatch(
                f"{self._owner}: the Bulk job announced {records:,} records, its pages {total:,}.",
                cure="Nothing of this window was kept. Run it again.",
            )

    def _page(self, saved: CheckpointPage, counted: int | None) -> Page:
        rejected: list[Reject] = []
        bounds = self._api.bounds
        parse = CsvPage(self._owner, self._plan, saved.file, counted, rejected, bounds=bounds)
        return Page(
            shape="csv",
            route="bulk",
            batches=parse.batches,
            extracted_at=self._asked_at,
            expected=counted,
            calls=1,
            number=saved.number,
            rejected=rejected,
        )

    def _saved(self, records: int) -> Iterator[CheckpointPage]:
        if records > PAGE_RECORDS and float(self._api.version) >= _PARALLEL_SINCE:
            first = self._addresses_at(f"{self._path}/resultPages")
            if first is not None:
                yield from self._in_parallel(first)
                return
        yield from self._in_sequence()

    def _in_parallel(self, first: _Pages) -> Iterator[CheckpointPage]:
        """Yield the pages, downloaded ahead of the reader; at most `DOWNLOADS` are in progress or unread."""
        running: deque[Future[CheckpointPage]] = deque()
        pool = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="download")
        try:
            for number, address in enumerate(self._addresses(first), 1):
                running.append(pool.submit(self._fetched, number, address))
                if len(running) >= DOWNLOADS:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _addresses(self, page: _Pages) -> Iterator[str]:
        """Yield the addresses of all result pages; the vendor lists five at a time."""
        seen: set[str] = set()
        while True:
            for entry in page.pages:
                # The guide's table, its example and the vendor's Postman collection use different keys.
                yield self._below(entry.url or entry.link)
            following = page.following or page.next_one
            if page.done or (page.done is None and not following):
                return
            if not following:
                raise MalformedResponse(
                    f"{self._owner}: a list of result pages is not the last one and names no next one."
                )
            address = self._below(following)
            if address in seen:
                raise ProtocolError(f"{self._owner}: the list of result pages repeats itself.")
            seen.add(address)
            page = self._addresses_at(address) or _Pages([])

    def _addresses_at(self, address: str) -> _Pages | None:
        """Return one list of addresses; None where the API does not offer lists."""
        try:
            return self._api.ask(address, _Pages, "the list of result pages")
        except Rejected as error:
            if address.endswith("/resultPages") and error.status in {400, 404, 405}:
                return None
            raise self._explained(error) from error

    def _below(self, address: str | None) -> str:
        """Return an address of a response as a path below this job; it may lack its first slash."""
        try:
            parts = urlsplit(address or "")
        except ValueError:
            parts = urlsplit("")
        path = "/" + parts.path.lstrip("/")
        is_below = path.lower().startswith(f"{self._path.lower()}/") and ".." not in path
        if parts.netloc or not is_below:
            raise ProtocolError(
                f"{self._owner}: a result page lies outside of its job.",
                cure="Run again; if it persists, report it to the vendor.",
            )
        return f"{path}?{parts.query}" if parts.query else path

    def _in_sequence(self) -> Iterator[CheckpointPage]:
        numbers = iter(range(1, 1 << 31))

        def fetch(locator: str) -> CheckpointPage:
            address = f"{self._path}/results?maxRecords={PAGE_RECORDS}"
            following = f"{address}&locator={quote(locator, safe='')}" if locator else address
            return self._fetched(next(numbers), following)

        link = Link[CheckpointPage]("", lambda page: page.facts["next"])
        yield from walk(link, fetch, owner=self._owner)

    def _fetched(self, number: int, address: str) -> CheckpointPage:
        kept = self._checkpoint.kept(number)
        if kept is not None:
            if kept.facts["address"] != address:
                raise ReadLost(
                    f"{self._owner}: the job has other pages than before.",
                    cure="Run it again; the window is read from its beginning.",
                )
            return kept
        file = self._checkpoint.path(number, ".csv")
        try:
            response, head = self._api.fetch(address, file, self._head)
        except Rejected as error:
            raise self._explained(error) from error
        if response.headers.get("Content-Encoding") == "gzip":
            file = file.rename(file.with_suffix(".csv.gz"))
        return self._checkpoint.keep(number, file, {"address": address, **head})

    def _head(self, response: requests.Response) -> Mapping[str, Any]:
        """Return the number of records and the next locator, from the headers of a page.

        Raises:
            MalformedResponse: the headers are not of the documented form.
        """
        following = response.headers.get("Sforce-Locator")
        counted = response.headers.get("Sforce-NumberOfRecords")
        if counted and not _COUNT.fullmatch(counted.strip()):
            raise MalformedResponse(
                f"{self._owner}: a Bulk page states a number of records that is no number.",
                status=response.status_code,
            )
        if following and not _LOCATOR.fullmatch(following):
            raise MalformedResponse(
                f"{self._owner}: a Bulk page names a next page with a malformed locator.",
                status=response.status_code,
            )
        return {
            "records": int(counted) if counted else None,
            # The last page has the text "null", not an absent header.
            "next": following if following and following != "null" else None,
        }

    def _explained(self, error: Rejected) -> Exception:
        """Return ReadLost for a job or locator that no longer exists; any other error unchanged."""
        if error.status == 404 or "LOCATOR" in error.code.upper():
            return ReadLost(
                f"{self._owner}: the result of the Bulk job is gone ({error.code}).",
                cure="Run it again; the window is read from its beginning.",
            )
        return error
