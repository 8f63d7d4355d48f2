"""REST queries: a page of records, and locators for the rest, tied to the session that asked."""

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm_sandbox.http import Request, Response
from crm_sandbox.salesforce.errors import ApiError, malformed
from crm_sandbox.salesforce.ids import make_id
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.rendering import record_json
from crm_sandbox.salesforce.soql import parse
from crm_sandbox.salesforce.translation import Plan, Translator, python_value

DEFAULT_BATCH = 2000
_SMALLEST_BATCH = 200
_OPEN_LOCATORS = 200
_LOCATOR = re.compile(r"(01g[A-Za-z0-9]{12,15})-(\d{1,9})")


@dataclass(frozen=True)
class _OpenQuery:
    """A query with more rows than one page: its row numbers as they were when it began."""

    plan: Plan
    rows: NDArray[np.int64]
    session: str


@dataclass(frozen=True)
class QueryPage:
    """One page of an answer.

    Attributes:
        plan: the resolved query.
        total: how many rows the whole answer has.
        records: the JSON of each record.
        locator: where the next page is, or empty.
    """

    plan: Plan
    total: int
    records: list[str]
    locator: str

    def response(self, version: str) -> Response:
        """Return the page as REST sends it."""
        done, after = "true", ""
        if self.locator:
            done = "false"
            after = f',"nextRecordsUrl":"/services/data/v{version}/query/{self.locator}"'
        records = ",".join(self.records)
        body = f'{{"totalSize":{self.total},"done":{done}{after},"records":[{records}]}}'
        return Response(200, body.encode())


class QueryHandler:
    """Answer `/query`, `/queryAll` and locators.

    Args:
        org: what is asked about.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _OpenQuery] = OrderedDict()
        self._opened = 0
        self.loose_batches = False

    def answer(self, request: Request, version: str, session: str, *, deleted: bool) -> Response:
        """Run the query of a request and return its first page."""
        text = request.query.get("q")
        if text is None:
            raise malformed("SOQL statement cannot be empty or null")
        wanted = _wanted_batch(request)
        return self.first(text, version, session, deleted=deleted, batch=wanted).response(version)

    def more(self, request: Request, version: str, session: str, locator: str) -> Response:
        """Return a later page."""
        return self.following(locator, version, session, _wanted_batch(request)).response(version)

    def first(
        self, text: str, version: str, session: str, *, deleted: bool, batch: int | None
    ) -> QueryPage:
        """Run a query and return its first page.

        Args:
            text: the SOQL.
            version: the API version, which the records' URLs name.
            session: owns the locator.
            deleted: whether rows in the recycle bin are wanted too.
            batch: the size of a page that was asked for, if any.

        Raises:
            ApiError: the query is not allowed.
        """
        plan = Translator(self._org, parse(text), deleted=deleted).plan()
        if plan.query.is_count:
            return QueryPage(plan, self._count(plan), [], "")
        if plan.query.is_aggregate:
            records = self._aggregate(plan)
            return QueryPage(plan, len(records), records, "")
        size = self._size(batch)
        rows = self._row_numbers(plan)
        records = self._page(plan, version, rows[:size])
        locator = ""
        if len(rows) > size:
            locator = f"{self._remember(_OpenQuery(plan, rows, session))}-{size}"
        return QueryPage(plan, len(rows), records, locator)

    def following(self, locator: str, version: str, session: str, batch: int | None) -> QueryPage:
        """Return the page at a locator.

        Raises:
            ApiError: `INVALID_QUERY_LOCATOR` for an unknown locator or another session's.
        """
        match = _LOCATOR.fullmatch(locator)
        with self._lock:
            found = self._open.get(match[1]) if match else None
        if match is None or found is None or found.session != session:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start = int(match[2])
        after = start + self._size(batch)
        records = self._page(found.plan, version, found.rows[start:after])
        following = f"{match[1]}-{after}" if after < len(found.rows) else ""
        return QueryPage(found.plan, len(found.rows), records, following)

    def _size(self, batch: int | None) -> int:
        size = min(max(batch or DEFAULT_BATCH, _SMALLEST_BATCH), DEFAULT_BATCH)
        # The vendor does not promise the size that was asked for.
        return size - size // 10 if self.loose_batches else size

    def _remember(self, query: _OpenQuery) -> str:
        with self._lock:
            self._opened += 1
            locator = make_id("01g", self._opened)
            self._open[locator] = query
            if len(self._open) > _OPEN_LOCATORS:
                self._open.popitem(last=False)
        return locator

    # Row numbers first, records second: sorting and limiting then never touch the wide columns.
    def _row_numbers(self, plan: Plan) -> NDArray[np.int64]:
        sql = f"SELECT t.rowid AS r {plan.source}{plan.where}{plan.order}{plan.window}"
        found: Any = self._org.cursor().execute(sql, plan.params).fetchnumpy()["r"]
        return np.asarray(found, dtype=np.int64)

    def _page(self, plan: Plan, version: str, rows: NDArray[np.int64]) -> list[str]:
        if not len(rows):
            return []
        # The bounds let the engine skip row groups before it joins.
        tail = (
            " JOIN unnest(?::BIGINT[]) WITH ORDINALITY AS page(r, position) ON t.rowid = page.r"
            " WHERE t.rowid BETWEEN ? AND ? ORDER BY page.position"
        )
        bounds = [rows.tolist(), int(rows.min()), int(rows.max())]
        return self._records(plan, version, tail, bounds)

    def _records(self, plan: Plan, version: str, tail: str, params: list[Any]) -> list[str]:
        sql = f"SELECT {record_json(plan, version)} {plan.source}{tail}"
        return [row[0] for row in self._org.cursor().execute(sql, params).fetchall()]

    def _count(self, plan: Plan) -> int:
        if len(plan.query.items) > 1 or plan.query.group_by:
            raise malformed("COUNT() cannot be combined with other fields")
        sql = f"SELECT count(*) FROM (SELECT 1 {plan.source}{plan.where}{plan.window})"
        row = self._org.cursor().execute(sql, plan.params).fetchone()
        return int(row[0]) if row else 0

    def _aggregate(self, plan: Plan) -> list[str]:
        columns = ", ".join(f'{sql} AS "{name}"' for name, sql in plan.selected)
        grouping = f" GROUP BY {', '.join(plan.groups)}" if plan.groups else ""
        sql = f"SELECT {columns} {plan.source}{plan.where}{grouping}{plan.order}{plan.window}"
        rows = self._org.cursor().execute(sql, plan.params).fetchall()
        names = [name for name, _ in plan.selected]
        return [
            json.dumps(
                {"attributes": {"type": "AggregateResult"}}
                | {name: python_value(value) for name, value in zip(names, row, strict=True)},
                ensure_ascii=False,
            )
            for row in rows
        ]


def _wanted_batch(request: Request) -> int | None:
    wanted = re.search(r"batchSize\s*=\s*(\d{1,9})", request.header("sforce-query-options"))
    return int(wanted[1]) if wanted else None
