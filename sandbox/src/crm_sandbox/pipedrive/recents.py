"""`/v1/recents`: everything that changed since a moment, a month back at most.

Records whose update time is null never show up: https://github.com/airbytehq/airbyte/pull/59676
"""

import json
from datetime import datetime, timedelta

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import paged, records_v1, window, with_plain_ids
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.route import Call, Route, parsed

_BACK = timedelta(days=31)
_ITEMS = {
    entity.singular: entity
    for name, entity in ENTITIES.items()
    if name not in {"leads", "deal_products"}
}


def _recents(call: Call) -> Response:
    since = _since(call)
    wanted = [item for item in call.query.joined("items").split(",") if item]
    if unknown := [
        item for item in wanted if item not in {*_ITEMS, "activityType", "file", "filter"}
    ]:
        raise ApiError(400, f"Bad request: unknown item '{unknown[0]}'")
    start, limit = window(call)
    parts, params = [], []
    for item, entity in _ITEMS.items():
        if wanted and item not in wanted:
            continue
        question = Question()
        question.add('r."update_time" >= ?', since)
        call.sight.restrict(entity, question)
        parts.append(
            f'SELECT \'{item}\' AS item, r."id" AS id, r."update_time" AS moment '
            f'FROM "{entity.name}" r WHERE {" AND ".join(question.where)}'
        )
        params += question.params
    if not parts:
        return Response(200, paged(call, [], start, limit, more=False, nothing="null"))
    sql = f"{' UNION ALL '.join(parts)} ORDER BY moment, item, id LIMIT {limit + 1} OFFSET {start}"
    rows = call.company.tables.rows(sql, params)
    texts: dict[tuple[str, object], str] = {}
    for item, entity in _ITEMS.items():
        ids = [row["id"] for row in rows[:limit] if row["item"] == item]
        shown = records_v1(call, entity, ids)
        if item != "organization":
            # Of all objects only organizations keep their owner as an object here.
            records = [with_plain_ids(parsed(text)) for text in shown]
            shown = [json.dumps(record, ensure_ascii=False) for record in records]
        texts |= {(item, one): text for one, text in zip(ids, shown, strict=True)}
    data = [
        f'{{"item":"{row["item"]}","id":{row["id"]},"data":{texts[row["item"], row["id"]]}}}'
        for row in rows[:limit]
    ]
    return Response(200, paged(call, data, start, limit, more=len(rows) > limit, nothing="null"))


def _since(call: Call) -> datetime:
    text = call.query.get("since_timestamp", "")
    try:
        since = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC without a zone
    except ValueError as problem:
        raise ApiError(400, "Bad request: since_timestamp must be YYYY-MM-DD HH:MM:SS") from problem
    earliest = call.company.clock.stamp() - _BACK
    if since < earliest:
        if call.company.old_recents == "refuse":
            raise ApiError(400, "Bad request: since_timestamp must be within the last month")
        return earliest
    return since


ROUTES = (Route("GET", "/v1/recents", 20, ("recents:read", "search:read"), _recents),)
