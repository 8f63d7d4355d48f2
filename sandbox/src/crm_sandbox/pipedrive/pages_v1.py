"""Pages of v1 lists: `start` and `limit`, and an envelope that says whether there is more."""

import json
from collections.abc import Sequence
from typing import Any

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.paging import rendered
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.rendering import shape_v1
from crm_sandbox.pipedrive.route import Call
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.values import MOST_INTEGER

_MOST = 500


def window(call: Call) -> tuple[int, int]:
    """Return where a page begins and how long it is.

    Raises:
        ApiError: 400 for no numbers.
    """
    try:
        start = int(call.query.get("start") or 0)
        limit = int(call.query.get("limit") or 100)
    except ValueError as problem:
        raise ApiError(400, "Bad request: start and limit must be numbers") from problem
    if not 0 <= start <= MOST_INTEGER or limit < 1:
        raise ApiError(400, "Bad request: start and limit must be positive")
    return start, min(limit, _MOST)


def paged(
    call: Call, rows: Sequence[str], start: int, limit: int, *, more: bool, nothing: str = "[]"
) -> bytes:
    """Return a v1 list of rendered rows.

    Args:
        call: its company says where paging stands.
        rows: the JSON texts.
        start: where the page began.
        limit: how long it may be.
        more: whether another page follows.
        nothing: what an empty list looks like, `[]` or `null`.
    """
    paging: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": more}
    if more:
        paging["next_start"] = start + limit
    data = f"[{','.join(rows)}]" if rows else nothing
    extra = json.dumps(paging if call.company.flat_paging else {"pagination": paging})
    return f'{{"success":true,"data":{data},"additional_data":{extra}}}'.encode()


def page_of(
    call: Call, entity: Entity, question: Question, *, order: str = '"id"', nothing: str = "[]"
) -> Response:
    """Answer a page of an object in the v1 shape."""
    start, limit = window(call)
    call.sight.restrict(entity, question)

    def make() -> bytes:
        where = " AND ".join(question.where) or "true"
        sql = (
            f'SELECT r."id" FROM "{entity.name}" r WHERE {where} '
            f"ORDER BY {order} LIMIT {limit + 1} OFFSET {start}"
        )
        ids = [
            row[0] for row in call.company.tables.cursor().execute(sql, question.params).fetchall()
        ]
        rows = records_v1(call, entity, ids[:limit])
        return paged(call, rows, start, limit, more=len(ids) > limit, nothing=nothing)

    return call.kept(make)


def records_v1(call: Call, entity: Entity, ids: list[Any]) -> list[str]:
    """Return records as v1 shows them."""
    shape, joins = shape_v1(call.company, entity, call.sight.user)
    return rendered(call.company.tables, entity, ids, shape, joins)


def with_plain_ids(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with ids where others have objects, as merges and recents do."""
    keys = ("owner_id", "user_id", "creator_user_id", "person_id", "org_id")
    plain = {key: record[key]["value"] for key in keys if isinstance(record.get(key), dict)}
    return record | plain
