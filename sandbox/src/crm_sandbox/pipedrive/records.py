"""Reading records of v2: lists page by page, single ones by id."""

import re

from crm_sandbox.http import Parameters
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.paging import page, rendered
from crm_sandbox.pipedrive.question import (
    Question,
    Reader,
    is_id,
    list_question,
    record_question,
)
from crm_sandbox.pipedrive.rendering import shape_v2
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.sight import Sight


def envelope(rows: list[str], following: str | None, end: str) -> bytes:
    """Return a v2 list; a last page differs from object to object."""
    data = f'{{"success":true,"data":[{",".join(rows)}]'
    if following is not None:
        data += f',"additional_data":{{"next_cursor":"{following}"}}'
    elif end == "null":
        data += ',"additional_data":{"next_cursor":null}'
    return (data + "}").encode()


def listed(
    company: Company, entity: Entity, query: Parameters, sight: Sight, *, archived: bool
) -> bytes:
    """Answer a list.

    Raises:
        ApiError: 400 for parameters that are wrong or unknown.
    """
    question = list_question(entity, query)
    _restrict(company, entity, question, archived=archived)
    sight.restrict(entity, question)
    shape = _shape(company, entity, question)
    rows, following = page(company.tables, entity, question, shape, ahead=company.ahead)
    return envelope(rows, following, entity.end)


def _shape(company: Company, entity: Entity, question: Question) -> str:
    return shape_v2(
        company,
        entity,
        question.asked,
        question.keys,
        option_labels=question.option_labels,
        labels=question.labels,
    )


def _restrict(company: Company, entity: Entity, question: Question, *, archived: bool) -> None:
    if entity.name != "deals":
        if entity.is_binned:
            question.add('NOT r."is_deleted"')
        return
    question.add('r."is_archived"' if archived else 'NOT r."is_archived"')
    living = [one for one in question.statuses if one != "deleted"]
    conditions = []
    if living or not question.statuses:
        among = f" AND r.status IN ({str(living)[1:-1]})" if living else ""
        conditions.append(f'(NOT r."is_deleted"{among})')
    if "deleted" in question.statuses:
        conditions.append('(r."is_deleted" AND r."deleted_at" >= ?)')
        question.params.append(company.purged_before())
    question.where.append(f"({' OR '.join(conditions)})")


def one_record(
    company: Company, entity: Entity, record: str, query: Parameters, sight: Sight
) -> bytes:
    """Answer a record by its id.

    Raises:
        ApiError: 404 where it is not there any more, or never was.
    """
    question = record_question(entity, query)
    shape = _shape(company, entity, question)
    rows = rendered(company.tables, entity, [found(company, entity, record, sight)], shape)
    return f'{{"success":true,"data":{rows[0]}}}'.encode()


def found(
    company: Company, entity: Entity, record: str, sight: Sight, *, alive: bool = False
) -> int:
    """Return the id of a record that may be seen.

    Args:
        company: where to look.
        entity: its object.
        record: the id as the client wrote it.
        sight: of the user who asks.
        alive: whether deleted ones count as missing.

    Raises:
        ApiError: 400 for no number, 404 for no such record.
    """
    if not re.fullmatch(r"[0-9]+", record):
        raise ApiError(
            400, "Validation failed: id: id must be a number", "ERR_SCHEMA_VALIDATION_FAILED"
        )
    question = Question()
    question.add('r."id" = ?', int(record) if is_id(record) else -1)
    if entity.is_binned:
        hidden = alive or entity.name in company.gone_as_404
        question.add(
            'NOT r."is_deleted"' if hidden else '(NOT r."is_deleted" OR r."deleted_at" >= ?)',
            *([] if hidden else [company.purged_before()]),
        )
    sight.restrict(entity, question)
    sql = f'SELECT r."id" FROM "{entity.name}" r WHERE {" AND ".join(question.where)}'
    number = company.tables.value(sql, question.params)
    if number is None:
        raise ApiError(404, entity.missing, "ERR_NOT_FOUND")
    return int(number)


def deal_products(company: Company, query: Parameters, sight: Sight, deal: str | None) -> bytes:
    """Answer the products of one deal, or of up to 100 deals named by `deal_ids`."""
    entity = ENTITIES["deal_products"]
    plain = Parameters(pair for pair in query.pairs if pair[0] != "deal_ids")
    ids = [found(company, ENTITIES["deals"], deal, sight)] if deal is not None else _deal_ids(query)
    reader = Reader(plain)
    reader.check({"limit", "cursor", "sort_by", "sort_direction"})
    reader.refuse()
    question = list_question(entity, plain)
    question.add('r."deal_id" IN (SELECT unnest(?::INTEGER[]))', ids)
    shape = shape_v2(company, entity)
    return envelope(*page(company.tables, entity, question, shape), "null")


def _deal_ids(query: Parameters) -> list[int]:
    reader = Reader(query)
    words = reader.words("deal_ids", 100)
    if not words or not all(is_id(word) for word in words):
        reader.problems.append("deal_ids: deal_ids must be a list of numbers")
    reader.refuse()
    return [int(word) for word in words]
