"""The changes of a record in v1: the flow, newest first, and the changelog."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from crm_sandbox.http import Response, is_number, json_response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import paged, records_v1, window
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Handler, Route, parsed
from crm_sandbox.pipedrive.schema import Entity

_OF = "FROM changes WHERE entity = ? AND record = ?"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def _change(entity: Entity, row: dict[str, Any]) -> dict[str, Any]:
    record = row["record"]
    return {
        "object": f"{entity.singular}Change",
        "timestamp": str(row["moment"]),
        "data": {
            "id": row["seq"],
            "item_id": int(record) if is_number(record) else record,
            "user_id": row["actor"],
            "field_key": row["field_key"],
            "old_value": row["old_value"],
            "new_value": row["new_value"],
            "is_bulk_update_flag": row["is_bulk"] or None,
            "log_time": str(row["moment"]),
            "change_source": row["source"],
            "change_source_user_agent": _AGENT,
            "additional_data": [],
        },
    }


def _flow(entity: Entity) -> Handler:
    column = {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"}[entity.name]

    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight)
        start, limit = window(call)
        tables = call.company.tables
        sql = f"SELECT * {_OF} ORDER BY moment DESC, seq DESC"
        items = [_change(entity, row) for row in tables.rows(sql, [entity.name, str(record)])]
        sql = f"SELECT id FROM activities WHERE {column} = ? AND NOT is_deleted ORDER BY id"
        ids = [row["id"] for row in tables.rows(sql, [record])]
        for text in records_v1(call, ENTITIES["activities"], ids):
            activity = parsed(text)
            items.append(
                {"object": "activity", "timestamp": activity["add_time"], "data": activity}
            )
        items.sort(key=lambda one: one["timestamp"], reverse=True)
        rows = [json_response(one).body.decode() for one in items[start : start + limit]]
        return Response(200, paged(call, rows, start, limit, more=start + limit < len(items)))

    return answer


def _changelog(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight)
        _, limit = window(call)
        before = _place(call.query.get("cursor", ""))
        sql = f"SELECT * {_OF} AND seq < ? ORDER BY seq DESC LIMIT {limit + 1}"
        rows = call.company.tables.rows(sql, [entity.name, str(record), before])
        data = [
            {
                "field_key": row["field_key"],
                "old_value": row["old_value"],
                "new_value": row["new_value"],
                "actor_user_id": row["actor"],
                "time": str(row["moment"]),
                "change_source": row["source"],
                "change_source_user_agent": _AGENT,
                "is_bulk_update_flag": row["is_bulk"],
            }
            for row in rows[:limit]
        ]
        following = None
        if len(rows) > limit:
            following = base64.b64encode(f"id:{rows[limit - 1]['seq']}".encode()).decode()
        paging = {"next_cursor": following}
        return json_response({"success": True, "data": data, "additional_data": paging})

    return answer


def _place(cursor: str) -> int:
    if not cursor:
        return 1 << 62
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("id:"))
    except (binascii.Error, ValueError) as problem:
        raise ApiError(400, "Bad request: cursor is not valid") from problem


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations"):
        entity = ENTITIES[name]
        base = f"/v1/{name}/{{id}}"
        yield Route("GET", f"{base}/flow", 40, ("recents:read",), _flow(entity))
        yield Route("GET", f"{base}/changelog", 20, ("recents:read",), _changelog(entity))


ROUTES = tuple(_routes())
