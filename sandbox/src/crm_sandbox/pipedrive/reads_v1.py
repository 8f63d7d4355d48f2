"""The operations of v1 that read records: leads, notes, users, and what is out of support."""

from collections.abc import Iterator
from datetime import UTC, datetime

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import page_of, records_v1
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Handler, Route, reading
from crm_sandbox.pipedrive.schema import Entity

_LEAD_FILTERS = {
    "owner_id": "owner_id",
    "person_id": "person_id",
    "organization_id": "organization_id",
}
_NOTE_FILTERS = {key: key for key in ("user_id", "lead_id", "deal_id", "person_id", "org_id")}
_RETIRED = ("deals", "persons", "organizations", "activities", "products", "pipelines", "stages")


def _sorted_by(call: Call, entity: Entity) -> str:
    """Return the order that `sort=field ASC, other DESC` asks for."""
    terms = []
    for term in call.query.joined("sort").split(","):
        name, _, direction = term.strip().partition(" ")
        if entity.column(name):
            terms.append(f'"{name}" {"DESC" if direction.strip().upper() == "DESC" else "ASC"}')
    return ", ".join([*terms, '"id"'])


def _narrow(call: Call, filters: dict[str, str], question: Question) -> None:
    for parameter, column in filters.items():
        if parameter in call.query:
            question.add(f'r."{column}"::VARCHAR = ?', call.query[parameter])


def _since(call: Call, question: Question) -> None:
    text = call.query.get("updated_since")
    if text is None:
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ApiError(400, "Bad request: updated_since must be in RFC3339 format") from problem
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    question.add('r."update_time" >= ?', naive)


def _leads(*, archived: bool) -> Handler:
    def answer(call: Call) -> Response:
        entity, question = ENTITIES["leads"], Question()
        question.add(f'NOT r."is_deleted" AND {"" if archived else "NOT "}r."is_archived"')
        _narrow(call, _LEAD_FILTERS, question)
        if not archived:
            _since(call, question)
        return page_of(call, entity, question, order=_sorted_by(call, entity))

    return answer


def _notes(call: Call) -> Response:
    entity, question = ENTITIES["notes"], Question()
    question.add('r."active_flag"')
    _narrow(call, _NOTE_FILTERS, question)
    _since(call, question)
    return page_of(call, entity, question, order=_sorted_by(call, entity), nothing="null")


def one_lead(call: Call) -> str:
    """Return the id of a living lead.

    Raises:
        ApiError: 404 where there is none.
    """
    entity, question = ENTITIES["leads"], Question()
    question.add('r."id" = ? AND NOT r."is_deleted"', call.parts["id"].lower())
    call.sight.restrict(entity, question)
    sql = f'SELECT r."id" FROM "leads" r WHERE {" AND ".join(question.where)}'
    record = call.company.tables.value(sql, question.params)
    if record is None:
        raise ApiError(404, "requested lead not found")
    return str(record)


def one_note(call: Call) -> int:
    """Return the id of a living note."""
    record = found(call.company, ENTITIES["notes"], call.parts["id"], call.sight)
    if not call.company.tables.value('SELECT "active_flag" FROM notes WHERE id = ?', [record]):
        raise ApiError(404, "Note not found")
    return record


def _shown(call: Call, entity: Entity, record: int | str) -> Response:
    rows = records_v1(call, entity, [record])
    return Response(200, f'{{"success":true,"data":{rows[0]}}}'.encode())


def _users(call: Call) -> Response:
    """Answer all users at once; this list has no pages."""
    ids = [row["id"] for row in call.company.tables.rows("SELECT id FROM users ORDER BY id")]
    rows = records_v1(call, ENTITIES["users"], ids)
    return Response(200, f'{{"success":true,"data":[{",".join(rows)}]}}'.encode())


def _me(call: Call) -> Response:
    row = records_v1(call, ENTITIES["users"], [call.sight.user])[0]
    company = call.company
    own = (
        f'"company_id":{company.company_id},"company_name":"Sandbox {company.name}",'
        f'"company_domain":"{company.access.domain}","company_country":"EE",'
        '"company_industry":null,"language":{"language_code":"en","country_code":"US"}'
    )
    return Response(200, f'{{"success":true,"data":{row[:-1]},{own}}}}}'.encode())


def _user(call: Call) -> Response:
    entity = ENTITIES["users"]
    return _shown(call, entity, found(call.company, entity, call.parts["id"], call.sight))


def _retired_list(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        question = Question()
        status = call.query.get("status", "all_not_deleted")
        if entity.name == "deals" and status == "deleted":
            question.add('r."is_deleted" AND r."deleted_at" >= ?', call.company.purged_before())
        else:
            question.add('NOT r."is_deleted"')
        if entity.name == "deals":
            question.add('NOT r."is_archived"')
            if status in {"open", "won", "lost"}:
                question.add('r."status" = ?', status)
        owner = {"user_id": "owner_id"} if entity.column("owner_id") else {}
        _narrow(call, owner | entity.filters, question)
        order = _sorted_by(call, entity)
        return page_of(call, entity, question, order=order, nothing="null")

    return answer


def _retired_one(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        return _shown(call, entity, found(call.company, entity, call.parts["id"], call.sight))

    return answer


def _routes() -> Iterator[Route]:
    leads, notes = reading("leads"), reading("contacts", "deals")
    yield Route("GET", "/v1/leads", 20, leads, _leads(archived=False))
    yield Route("GET", "/v1/leads/archived", 40, leads, _leads(archived=True))
    yield Route(
        "GET", "/v1/leads/{id}", 2, leads, lambda c: _shown(c, ENTITIES["leads"], one_lead(c))
    )
    yield Route("GET", "/v1/notes", 20, notes, _notes)
    yield Route(
        "GET", "/v1/notes/{id}", 2, notes, lambda c: _shown(c, ENTITIES["notes"], one_note(c))
    )
    yield Route("GET", "/v1/users", 20, ("users:read",), _users)
    yield Route("GET", "/v1/users/me", 2, (), _me)
    yield Route("GET", "/v1/users/{id}", 2, ("users:read",), _user)
    for name in _RETIRED:
        entity = ENTITIES[name]
        is_setup = name in {"pipelines", "stages"}
        scopes = (*reading(entity.scope), *(("admin",) if is_setup else ()))
        cost = 10 if is_setup else 20
        yield Route("GET", f"/v1/{name}", cost, scopes, _retired_list(entity), is_retired=True)
        yield Route("GET", f"/v1/{name}/{{id}}", 2, scopes, _retired_one(entity), is_retired=True)


ROUTES = tuple(_routes())
