"""Get Records: pages of a module by number and by token.

https://www.zoho.com/crm/developer/docs/api/v8/get-records.html
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from crm_sandbox.answers import AnswerCache
from crm_sandbox.http import Parameters, Request, Response, is_number
from crm_sandbox.zoho.columns import Columns
from crm_sandbox.zoho.conditions import moment_of
from crm_sandbox.zoho.errors import (
    ZohoError,
    ambiguous,
    invalid_data,
    limit_exceeded,
    missing_param,
)
from crm_sandbox.zoho.fetching import texts_of
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.page_tokens import PageTokens, Position
from crm_sandbox.zoho.rendering import json_value
from crm_sandbox.zoho.schema import Field, Module

MOST_FIELDS = 50
MOST_PER_PAGE = 200
# How many pages are made at once for whoever walks by tokens.
_AHEAD = 10
_LAST_PAGE = 10**9
_SORTS = ("id", "Created_Time", "Modified_Time")


@dataclass
class PagingLimits:
    """How many rows come by page number, and how many by token."""

    by_number: int = 2_000
    by_token: int = 100_000


@dataclass(frozen=True)
class Asked:
    """A listing as it was asked for; everything that a token is bound to."""

    fields: tuple[str, ...]
    per_page: int
    sort: str
    ascending: bool
    since: datetime | None
    converted: str
    ids: tuple[int, ...]
    view: str

    @property
    def key(self) -> str:
        """The parameters as one text."""
        return json.dumps(vars(self), default=str)


@dataclass(frozen=True)
class Walk:
    """A listing of a module with the names of its fields."""

    module: Module
    names: tuple[str, ...]
    asked: Asked


def fields_of(module: Module, query: Parameters, *, must: bool = True) -> list[Field]:
    """Return the fields asked for by name; unknown names are passed over.

    Args:
        module: has the fields.
        query: the parameters.
        must: whether some have to be named; otherwise all come.

    Raises:
        ZohoError: none or too many were named.
    """
    names = names_of(query, "fields")
    if not names and not must:
        return [one for one in module.visible_fields if one.is_stored]
    if not names:
        raise missing_param("fields")
    if len(names) > MOST_FIELDS:
        raise limit_exceeded(
            "The number of fields given exceeds the limit",
            limit=MOST_FIELDS,
            param_name="fields",
        )
    found = [module.find(name) for name in dict.fromkeys(names)]
    return list(dict.fromkeys(one for one in found if one is not None and one.is_stored))


def names_of(query: Parameters, name: str) -> list[str]:
    """Return a list of the query string: commas between, or (not confirmed) the name repeated."""
    return [text.strip() for text in query.joined(name).split(",") if text.strip()]


def per_page_of(query: Mapping[str, str]) -> int:
    """Return the size of a page.

    Raises:
        ZohoError: it is no number from 1 to 200.
    """
    text = query.get("per_page", str(MOST_PER_PAGE))
    if not is_number(text) or not 1 <= int(text) <= MOST_PER_PAGE:
        raise invalid_data(
            "the per_page given is invalid", param_name="per_page", maximum_value=MOST_PER_PAGE
        )
    return int(text)


def page_of(query: Mapping[str, str]) -> int:
    """Return the number of the page.

    Raises:
        ZohoError: it is no positive number.
    """
    text = query.get("page", "1")
    if not is_number(text) or not 1 <= int(text) <= _LAST_PAGE:
        raise invalid_data("the page given is invalid", param_name="page")
    return int(text)


def check_number(start: int, limits: PagingLimits) -> None:
    """Refuse a page that lies beyond what page numbers reach.

    Raises:
        ZohoError: `DISCRETE_PAGINATION_LIMIT_EXCEEDED`.
    """
    if start >= limits.by_number:
        raise ZohoError(
            400,
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
            "You can only get the first 2000 records without using page_token param. "
            "Either use page_token parameter or export data",
            {"limit": limits.by_number},
        )


class ListingHandler:
    """Answers Get Records.

    Args:
        org: holds the records.
        tokens: makes page tokens.
        cache: keeps the rows of pages.
    """

    def __init__(self, org: Org, tokens: PageTokens, cache: AnswerCache) -> None:
        self._org = org
        self._tokens = tokens
        self._cache = cache
        self.limits = PagingLimits()

    def answer(self, request: Request, module: Module, *, needs_fields: bool = True) -> Response:
        """Return one page; 204 where there is nothing, 304 where nothing changed since."""
        query = request.query
        if "page_token" in query and "page" in query:
            raise ambiguous("page_token", "page")
        if "cvid" in query and "sort_by" in query:
            raise ambiguous("cvid", "sort_by")
        fields = fields_of(module, query, must=needs_fields)
        asked = self._asked(request, module, fields)
        owner = f"{self._org.account.key}/{module.stored}"
        number = page_of(query)
        if "page_token" in query:
            start = self._tokens.read(query["page_token"], owner, asked.key)
            self._check_served(start)
        else:
            start = Position(served=(number - 1) * asked.per_page)
            check_number(start.served, self.limits)
        head, _, rows = self._page(module, fields, asked, start).partition(b"\n")
        count, more, last = json.loads(head)
        if not count:
            return Response(304 if asked.since else 204)
        onward = Position(last, start.after, start.served + count) if more else None
        back = None
        if start.after is not None:
            back = Position(start.before, None, start.served - asked.per_page)
        info = {
            "call": False,
            "per_page": asked.per_page,
            "count": count,
            "sort_by": asked.sort,
            "page": number,
            "email": False,
            "sort_order": "asc" if asked.ascending else "desc",
            "more_records": more,
        }
        info |= self._given(owner, asked, onward, back)
        tail = json.dumps(info, separators=(",", ":")).encode()
        return Response(200, b'{"data":[' + rows + b'],"info":' + tail + b"}")

    def _given(
        self, owner: str, asked: Asked, onward: Position | None, back: Position | None
    ) -> dict[str, str | None]:
        """Return the tokens for the pages after and before, where there are any, and their end."""
        names = ("previous_page_token", "next_page_token", "page_token_expiry")
        given: dict[str, str | None] = dict.fromkeys(names)
        for name, position in (("previous_page_token", back), ("next_page_token", onward)):
            if position is not None:
                given[name], until = self._tokens.make(owner, asked.key, position)
                given["page_token_expiry"] = self._local(until)
        return given

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(ZoneInfo(self._org.account.zone)).isoformat()

    def _check_served(self, start: Position) -> None:
        if start.served >= self.limits.by_token:
            raise ZohoError(
                400,
                "PAGINATION_LIMIT_EXCEEDED",
                "You have exceeded the limit for getting the records using page_token",
                {"limit": self.limits.by_token},
            )

    def _asked(self, request: Request, module: Module, fields: list[Field]) -> Asked:
        query = request.query
        sort = query.get("sort_by", "id")
        if sort not in _SORTS or module.find(sort) is None:
            raise invalid_data("the sort_by given is invalid", param_name="sort_by")
        order = query.get("sort_order", "desc")
        if order not in {"asc", "desc"}:
            raise invalid_data("the sort_order given is invalid", param_name="sort_order")
        since = request.header("if-modified-since")
        try:
            moment = moment_of(since) if since else None
        except ValueError as problem:
            raise invalid_data(
                "the If-Modified-Since given is invalid", header_name="If-Modified-Since"
            ) from problem
        view = query.get("cvid", "")
        if view and view != self._org.ids.setting("view", module.stored):
            raise invalid_data("the cvid given seems to be invalid", param_name="cvid")
        ids = [id_of(text) for text in query.joined("ids").split(",") if text]
        return Asked(
            tuple(one.stored for one in fields),
            per_page_of(query),
            sort,
            order == "asc",
            moment,
            query.get("converted", "false"),
            tuple(one for one in ids if one is not None),
            view,
        )

    def _page(self, module: Module, fields: list[Field], asked: Asked, start: Position) -> bytes:
        """Return the rows with a first line that tells their number, whether more follow, the last."""
        skip = 0 if start.after is not None else start.served
        walk = Walk(module, tuple(one.name for one in fields), asked)
        revision = self._org.tables.revision
        return self._cache.get(
            self._key(walk, start.after, skip),
            revision,
            lambda: self._made(walk, start.after, skip, revision),
        )

    def _key(self, walk: Walk, after: list[Any] | None, skip: int) -> Hashable:
        account = self._org.account.key
        return account, walk.module.stored, walk.names, walk.asked.key, str(after), skip

    def _made(self, walk: Walk, after: list[Any] | None, skip: int, revision: int) -> bytes:
        """Return a page; whoever walks by tokens finds the next ones made together with it."""
        size = walk.asked.per_page
        pages = 1 if after is None else _AHEAD
        rows = self._rows(walk, after, pages * size + 1, skip)
        starts = range(0, max(1, min(len(rows), pages * size)), size)
        bodies = [_body(rows[first : first + size], len(rows) > first + size) for first in starts]
        for first, body in zip(starts[1:], bodies[1:], strict=True):
            key = self._key(walk, _place(rows[first - 1][0]), 0)
            self._cache.get(key, revision, partial(bytes, body))
        return bodies[0]

    def _rows(
        self, walk: Walk, after: list[Any] | None, most: int, skip: int
    ) -> list[tuple[tuple[Any, ...], str]]:
        """Return sort keys, the id last, and texts of rows in order."""
        module, asked = walk.module, walk.asked
        wanted, params = _wanted(module, asked, after)
        direction = "ASC" if asked.ascending else "DESC"
        keys = ["t.id"] if asked.sort == "id" else [f't."{asked.sort}"', "t.id"]
        order = ", ".join(f"{key} {direction}" for key in keys)
        sql = (
            f'SELECT {", ".join(keys)} FROM "{module.stored}" t WHERE {wanted} '
            f"ORDER BY {order} LIMIT {most} OFFSET {skip}"
        )
        found = self._org.tables.cursor().execute(sql, params).fetchall()
        columns = Columns(self._org, module)
        named = [columns.find(name) for name in walk.names]
        entries = [(one.key, json_value(columns, one)) for one in named if one is not None]
        if all(key != "id" for key, _ in entries):
            entries.append(("id", "t.id::VARCHAR"))
        texts = texts_of(columns, entries, [row[-1] for row in found])
        return [(row, texts[row[-1]]) for row in found if row[-1] in texts]


def _place(keys: tuple[Any, ...]) -> list[str]:
    return [str(value) for value in keys]


def _body(rows: list[tuple[tuple[Any, ...], str]], more: bool) -> bytes:
    last = _place(rows[-1][0]) if rows else None
    return f"{json.dumps([len(rows), more, last])}\n{','.join(text for _, text in rows)}".encode()


def _wanted(module: Module, asked: Asked, after: list[Any] | None) -> tuple[str, list[Any]]:
    parts, params = ["t._ended IS NULL"], list[Any]()
    if module.stored == "Leads" and asked.converted != "both":
        parts.append(f'{"" if asked.converted == "true" else "NOT "}t."Converted__s"')
    if asked.since is not None:
        parts.append(f't."{module.stamp}" >= ?')
        params.append(asked.since)
    if asked.ids:
        parts.append("t.id IN (SELECT unnest(?::BIGINT[]))")
        params.append(list(asked.ids))
    if after is not None:
        sign = ">" if asked.ascending else "<"
        if asked.sort == "id":
            parts.append(f"t.id {sign} ?::BIGINT")
        else:
            parts.append(f'(t."{asked.sort}", t.id) {sign} (?::TIMESTAMP, ?::BIGINT)')
        params.extend(after)
    return " AND ".join(parts), params
