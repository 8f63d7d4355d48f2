"""Lists that old v1 had beside the plain ones: collections with a cursor, deals of a record, participants.

Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import page_of, paged, records_v1, window
from crm_sandbox.pipedrive.paging import texts_of
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.rendering import shape_v1
from crm_sandbox.pipedrive.route import Call, Handler, Route, parsed, reading
from crm_sandbox.pipedrive.schema import INSTANT_V1, Entity
from crm_sandbox.tables import Tables

# The contact person has a number as well, above those of all others.
_PEOPLE = f"""
SELECT *, {INSTANT_V1.format("add_time")} AS added FROM (
    SELECT d.id + 1000000 AS id, d.id AS deal_id, d.title, d.person_id, d.add_time,
           d.creator_user_id AS added_by, 0 AS place
    FROM deals d WHERE d.id = ? AND d.person_id IS NOT NULL
    UNION ALL
    SELECT q.id, d.id, d.title, q.person_id, q.add_time, q.added_by, 1
    FROM participants q JOIN deals d ON d.id = q.deal_id
    WHERE d.id = ? AND q.person_id IS DISTINCT FROM d.person_id
) ORDER BY place, id
"""
_NEXT_PEOPLE = """
SELECT DISTINCT person_id FROM (
    (SELECT person_id FROM deals WHERE id > ? AND person_id IS NOT NULL ORDER BY id LIMIT 300)
    UNION ALL (SELECT person_id FROM participants WHERE deal_id > ? ORDER BY deal_id LIMIT 300)
)
"""
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
    """Answer a deal's people, the contact person first."""
    record = found(call.company, _DEALS, call.parts["id"], call.sight)
    start, limit = window(call)
    people = call.company.tables.rows(_PEOPLE, [record, record])
    shown = _participants_shown(call, people[start : start + limit])
    return Response(200, paged(call, shown, start, limit, more=start + limit < len(people)))


def _participants_shown(call: Call, rows: list[dict[str, Any]]) -> list[str]:
    tables = call.company.tables
    ids = list({row["person_id"] for row in rows})
    # Whoever asks for the people of a deal asks for those of the next deals, too.
    revision, last = tables.revision, max((row["deal_id"] for row in rows), default=0)
    shape, joins = shape_v1(call.company, _PERSONS, call.sight.user)
    texts = call.company.ahead.get(
        (_PERSONS.name, shape, joins),
        revision,
        ids,
        _next_people(tables, last),
        lambda wanted: texts_of(tables, _PERSONS, wanted, shape, joins),
    )
    persons = {one: parsed(text) for one, text in texts.items()}
    users = {one["id"]: one for one in call.company.tables.rows("SELECT * FROM users")}
    return [_participant(row, persons[row["person_id"]], users[row["added_by"]]) for row in rows]


def _next_people(tables: Tables, last: int) -> Iterator[int]:
    """Yield the people of the next deals; the query runs where somebody looks."""
    for row in tables.rows(_NEXT_PEOPLE, [last, last]):
        yield row["person_id"]


def _participant(row: dict[str, Any], person: dict[str, Any], user: dict[str, Any]) -> str:
    keys = ("id", "name", "email", "active_flag")
    short = {key: person[key] for key in ("active_flag", "name", "email", "phone")}
    return json.dumps(
        {
            "id": row["id"],
            "person_id": short | {"value": person["id"]},
            "add_time": row["added"],
            "active_flag": True,
            "related_item_data": {"deal_id": row["deal_id"], "title": row["title"]},
            "person": person,
            "added_by_user_id": {key: user[key] for key in keys} | {"value": user["id"]},
            "related_item_type": "deal",
            "related_item_id": row["deal_id"],
        },
        ensure_ascii=False,
    )


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
