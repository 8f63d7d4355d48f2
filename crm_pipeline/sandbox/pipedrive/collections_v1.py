"""Lists that old v1 had beside the plain ones: collections with a cursor, deals of a record, participants.

Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import datetime

from crm_pipeline.sandbox.http import Response
from crm_pipeline.sandbox.pipedrive.errors import ApiError
from crm_pipeline.sandbox.pipedrive.objects import ENTITIES
from crm_pipeline.sandbox.pipedrive.pages_v1 import page_of, paged, records_v1, window
from crm_pipeline.sandbox.pipedrive.question import Question
from crm_pipeline.sandbox.pipedrive.records import found
from crm_pipeline.sandbox.pipedrive.route import Call, Handler, Route, parsed, reading
from crm_pipeline.sandbox.pipedrive.schema import INSTANT_V1, Entity

_DEALS, _PERSONS = ENTITIES["deals"], ENTITIES["persons"]


def _place(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return int(json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))["id"])
    except (binascii.Error, ValueError, KeyError, TypeError) as problem:
        raise ApiError(400, "Bad request: cursor is not valid") from problem


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC without a zone
    except ValueError as problem:
        raise ApiError(400, "Bad request: a moment must be YYYY-MM-DD HH:MM:SS") from problem


def _collection(entity: Entity) -> Handler:
    """Answer a page behind a cursor, in order of the ids."""

    def answer(call: Call) -> Response:
        _, limit = window(call)
        after = _place(call.query.get("cursor", ""))
        question = Question()
        question.add('NOT r."is_deleted" AND r."id" > ?', after)
        if entity.name == "deals":
            question.add('NOT r."is_archived"')
        for parameter, sign in (("since", ">="), ("until", "<=")):
            if parameter in call.query:
                question.add(f'r."update_time" {sign} ?', _moment(call.query[parameter]))
        call.sight.restrict(entity, question)
        sql = (
            f'SELECT r."id" FROM "{entity.name}" r WHERE {" AND ".join(question.where)} '
            f'ORDER BY r."id" LIMIT {limit + 1}'
        )
        ids = [row["id"] for row in call.company.tables.rows(sql, question.params)]
        rows = records_v1(call, entity, ids[:limit])
        following = "null"
        if len(ids) > limit:
            text = json.dumps({"id": ids[limit - 1]}).encode()
            following = f'"{base64.urlsafe_b64encode(text).decode().rstrip("=")}"'
        body = f'{{"success":true,"data":[{",".join(rows)}],'
        return Response(200, f'{body}"additional_data":{{"next_cursor":{following}}}}}'.encode())

    return answer


def _archived(call: Call) -> Response:
    question = Question()
    question.add('NOT r."is_deleted" AND r."is_archived"')
    return page_of(call, _DEALS, question, nothing="null")


def _deals_of(entity: Entity, column: str) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight)
        question = Question()
        question.add(f'NOT r."is_deleted" AND NOT r."is_archived" AND r."{column}" = ?', record)
        return page_of(call, _DEALS, question, nothing="null")

    return answer


def _participants(call: Call) -> Response:
    """Answer a deal's people; the sandbox knows the contact person only."""
    record = found(call.company, _DEALS, call.parts["id"], call.sight)
    start, limit = window(call)
    added = INSTANT_V1.format("add_time")
    sql = f"SELECT person_id, title, {added} AS added FROM deals WHERE id = ?"
    deal = call.company.tables.rows(sql, [record])[0]
    rows = []
    if deal["person_id"] is not None:
        person = parsed(records_v1(call, _PERSONS, [deal["person_id"]])[0])
        short = {key: person[key] for key in ("active_flag", "name", "email", "phone")}
        rows = [
            json.dumps(
                {
                    "id": record,
                    "person_id": short | {"value": person["id"]},
                    "add_time": deal["added"],
                    "active_flag": True,
                    "related_item_data": {"deal_id": record, "title": deal["title"]},
                    "person": person,
                },
                ensure_ascii=False,
            )
        ]
    shown = rows[start : start + limit]
    return Response(200, paged(call, shown, start, limit, more=False))


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations", "activities"):
        entity = ENTITIES[name]
        path = f"/v1/{name}/collection"
        handler = _collection(entity)
        yield Route("GET", path, 10, reading(entity.scope), handler, is_retired=True)
    deals = reading("deals")
    yield Route("GET", "/v1/deals/archived", 40, deals, _archived)
    yield Route("GET", "/v1/deals/{id}/participants", 10, deals, _participants)
    for name, column, is_retired in (
        ("stages", "stage_id", False),
        ("pipelines", "pipeline_id", False),
        ("persons", "person_id", True),
        ("organizations", "org_id", True),
    ):
        handler = _deals_of(ENTITIES[name], column)
        path = f"/v1/{name}/{{id}}/deals"
        yield Route("GET", path, 20, deals, handler, is_retired=is_retired)


ROUTES = tuple(_routes())
