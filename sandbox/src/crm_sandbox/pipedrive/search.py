"""Search, in one object or in all: at least two letters, the best results first.

The vendor's index lags behind the records; by how much is a setting. E-mails and phones are plain texts
in results, unlike in records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from crm_sandbox.http import Response, json_response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.errors import invalid
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.paging import read_cursor, write_cursor
from crm_sandbox.pipedrive.question import Question, Reader
from crm_sandbox.pipedrive.rendering import struct
from crm_sandbox.pipedrive.route import Call, Handler, Route, parsed, reading
from crm_sandbox.pipedrive.searched import SEARCHED


@dataclass(frozen=True)
class Term:
    """What is looked for."""

    text: str
    is_exact: bool
    fields: tuple[str, ...]

    @property
    def test(self) -> str:
        """SQL that judges a text called `one`, with a parameter for the term."""
        return "lower(one) = lower(?)" if self.is_exact else "contains(lower(one), lower(?))"


def _term(reader: Reader, known: set[str]) -> Term:
    text = reader.query.get("term", "")
    is_exact = bool(reader.flag("exact_match"))
    if len(text) < (1 if is_exact else 2):
        reader.problems.append("term: term must be at least 2 characters long")
    fields = reader.words("fields", 10)
    reader.problems += [
        f"fields: '{one}' is not a valid value" for one in fields if one not in known
    ]
    return Term(text, is_exact, fields)


def hits(call: Call, item: str, term: Term, conditions: Question) -> list[dict[str, Any]]:
    """Return everything in one object that matches."""
    company, searched = call.company, SEARCHED[item]
    entity = ENTITIES[searched.entity]
    custom = _custom_texts(company, searched.entity)
    texts = {**searched.fields, "custom_fields": custom}
    chosen = [sql for name, sql in texts.items() if not term.fields or name in term.fields]
    if not chosen:
        return []
    matched = [f"list_filter({sql}, lambda one: {term.test})" for sql in chosen]
    first = f"list_concat({', '.join(matched)})" if len(matched) > 1 else matched[0]
    found = f"list_filter({custom}, lambda one: {term.test})"
    question = Question(where=list(conditions.where), params=list(conditions.params))
    question.add('NOT r."is_deleted"')
    if company.search_lag_s:
        indexed = company.clock.stamp() - timedelta(seconds=company.search_lag_s)
        question.add("coalesce(r.update_time, r.add_time) <= ?", indexed)
    call.sight.restrict(entity, question)
    shown = [("id", "r.id"), ("type", f"'{item}'"), *searched.shown]
    shown += [("custom_fields", found)]
    shown += [] if item == "product" else [("notes", "[]::VARCHAR[]")]
    sql = (
        f"SELECT to_json({struct(shown)})::VARCHAR, {first} AS matches, r.id "
        f'FROM "{entity.name}" r {searched.joins} WHERE {" AND ".join(question.where)} '
        "AND len(matches) > 0 ORDER BY r.id"
    )
    params = [term.text] * (len(chosen) + 1)
    rows = company.tables.cursor().execute(sql, [*params, *question.params]).fetchall()
    return [
        {"result_score": _score(term, matches), "item": parsed(text)} for text, matches, _ in rows
    ]


def _score(term: Term, matches: list[str]) -> float:
    return round(max(len(term.text) / max(len(one), 1) for one in matches), 5)


def _custom_texts(company: Company, name: str) -> str:
    codes = [
        f'r."{one.code}"'
        for one in company.fields(name)
        if one.type in {"varchar", "varchar_auto", "text", "phone"}
    ]
    return f"[{', '.join(codes)}]::VARCHAR[]"


def _answer(call: Call, reader: Reader, items: list[dict[str, Any]], **more: Any) -> Response:
    limit = reader.number("limit", 100, 100)
    reader.refuse()
    question = Question(cursor=call.query.get("cursor", ""))
    after = read_cursor(question)
    start = int(after[1]) if after else 0
    items.sort(key=lambda one: -one["result_score"])
    shown = items[start : start + limit]
    is_last = start + limit >= len(items)
    following = None if is_last else write_cursor(question, None, start + limit)
    data = {"items": shown, **more}
    paging = {"next_cursor": following}
    return json_response({"success": True, "data": data, "additional_data": paging})


def _search(item: str) -> Handler:
    searched = SEARCHED[item]

    def answer(call: Call) -> Response:
        reader = Reader(call.query)
        common = {"term", "fields", "exact_match", "limit", "cursor", "include_fields"}
        reader.check(common | set(searched.filters))
        term = _term(reader, {*searched.fields, "custom_fields"})
        reader.number("limit", 100, 100)
        extras = reader.words("include_fields", 5)
        if any(one not in searched.extras for one in extras):
            reader.problems.append("include_fields: include_fields is not a valid value")
        reader.refuse()
        conditions = Question()
        for name in searched.filters:
            if name in call.query:
                column = "org_id" if name == "organization_id" and item != "lead" else name
                conditions.add(f"r.{column}::VARCHAR = ?", call.query[name])
        return _answer(call, reader, hits(call, item, term, conditions))

    return answer


def _everywhere(call: Call) -> Response:
    reader = Reader(call.query)
    common = {"term", "item_types", "fields", "exact_match", "limit", "cursor", "include_fields"}
    reader.check(common | {"search_for_related_items"})
    fields = {name for searched in SEARCHED.values() for name in searched.fields}
    term = _term(reader, fields | {"custom_fields", "description"})
    kinds = reader.words("item_types", 10)
    known = {*SEARCHED, "file", "mail_attachment", "project"}
    reader.problems += [f"item_types: '{one}' is not valid" for one in kinds if one not in known]
    reader.number("limit", 100, 100)
    reader.refuse()
    found = [
        one
        for item in SEARCHED
        if not kinds or item in kinds
        for one in hits(call, item, term, Question())
    ]
    return _answer(call, reader, found, related_items=[])


def _values(call: Call) -> Response:
    """Answer the values of one field that match a term."""
    reader = Reader(call.query)
    reader.check({"term", "entity_type", "match", "field", "limit", "cursor"})
    item, name = call.query.get("entity_type", ""), call.query.get("field", "")
    if item not in SEARCHED:
        raise invalid(f"entity_type: '{item}' is not a valid value")
    entity = ENTITIES[SEARCHED[item].entity]
    is_known = entity.column(name) or any(
        one.code == name for one in call.company.fields(entity.name)
    )
    if not is_known or len(call.query.get("term", "")) < 2:
        reader.problems.append("field: the field or the term is not valid")
    reader.refuse()
    test = {
        "exact": "lower({0}) = lower(?)",
        "beginning": "starts_with(lower({0}), lower(?))",
    }.get(call.query.get("match", "exact"), "contains(lower({0}), lower(?))")
    value = f'"{name}"::VARCHAR'
    sql = (
        f'SELECT id, {value} AS "{name}" FROM "{entity.name}" WHERE NOT is_deleted '
        f"AND {test.format(value)} ORDER BY id"
    )
    rows = call.company.tables.rows(sql, [call.query["term"]])
    paging = {"next_cursor": None}
    return json_response({"success": True, "data": rows, "additional_data": paging})


def _routes() -> Iterator[Route]:
    for item, searched in SEARCHED.items():
        entity = ENTITIES[searched.entity]
        scopes = (*reading(entity.scope), "search:read")
        for prefix, cost, is_retired in (("/api/v2", 20, False), ("/v1", 40, True)):
            yield Route(
                "GET",
                f"{prefix}/{entity.name}/search",
                cost,
                scopes,
                _search(item),
                is_retired=is_retired and item != "lead",
                is_search=True,
            )
    for prefix, cost, is_retired in (("/api/v2", 20, False), ("/v1", 40, True)):
        for path, handler in (("itemSearch", _everywhere), ("itemSearch/field", _values)):
            yield Route(
                "GET",
                f"{prefix}/{path}",
                cost,
                ("search:read",),
                handler,
                is_retired=is_retired,
                is_search=True,
            )


ROUTES = tuple(_routes())
