"""Pages of a v2 list: the opaque cursor, and the few rows that an answer needs.

The ids of a page are found first and rendered after that, so a page costs the same at any size.
"""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from crm_sandbox.pipedrive.ahead import PAGES, RowsAhead
from crm_sandbox.pipedrive.errors import ApiError, invalid
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.tables import Tables

_FEW = 50
_AT_ONCE = 500
"""To plan a query with optional fields takes as long as to render so many records with it."""
_NEVER = datetime(1970, 1, 1)  # noqa: DTZ001 - sorts what has no stamp, as naive UTC like the tables


def write_cursor(question: Question, value: Any, record: Any) -> str:
    """Return the cursor that goes on behind a record."""
    shown = f"{value.isoformat()}Z" if isinstance(value, datetime) else value
    place = {"field": question.sort, "fieldValue": shown}
    place |= {"sortDirection": "desc" if question.descending else "asc", "id": record}
    text = json.dumps(place, separators=(",", ":"), default=str).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_cursor(question: Question) -> tuple[Any, Any] | None:
    """Return the value and the id behind which a page begins.

    Raises:
        ApiError: 400, for what is no cursor or belongs to another order.
    """
    if not question.cursor:
        return None
    try:
        padded = question.cursor + "=" * (-len(question.cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        value, record = place["fieldValue"], place["id"]
        direction = "desc" if question.descending else "asc"
        if (place["field"], place["sortDirection"]) != (question.sort, direction):
            raise invalid("cursor: the cursor belongs to another sort order")
        if question.sort.endswith("_time"):
            value = datetime.fromisoformat(value.removesuffix("Z"))
    except ApiError:
        raise
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise invalid("cursor: cursor is not valid") from problem
    return value, record


def page(
    tables: Tables,
    entity: Entity,
    question: Question,
    shape: str,
    *,
    joins: str = "",
    ahead: RowsAhead | None = None,
) -> tuple[list[str], str | None]:
    """Return the rendered records of a page and the cursor of the next one.

    Args:
        tables: of the company.
        entity: its object.
        question: what was asked.
        shape: SQL that renders a record.
        joins: that the shape needs.
        ahead: where records of the next pages are kept, for lists that many pages are read of.
    """
    where, params = list(question.where), list(question.params)
    key = f'r."{question.sort}"'
    if question.sort.endswith("_time"):
        key = f"coalesce({key}, TIMESTAMP '1970-01-01')"
    elif question.sort == "due_date":
        key = f"coalesce({key}::VARCHAR, '')"
    after = read_cursor(question)
    sign = "<" if question.descending else ">"
    if after is not None and question.sort == "id":
        where.append(f'r."id" {sign} ?')
        params.append(after[1])
    elif after is not None:
        where.append(f'({key} {sign} ? OR ({key} = ? AND r."id" {sign} ?))')
        params += [after[0], after[0], after[1]]
    order = "DESC" if question.descending else "ASC"
    at_once = _at_once(question) if ahead else question.limit
    sql = (
        f'SELECT r."id", {key} AS place FROM "{entity.name}" r WHERE {" AND ".join(where) or "true"} '
        f'ORDER BY place {order}, r."id" {order} LIMIT {at_once + 1}'
    )
    revision = tables.revision
    found = tables.cursor().execute(sql, params).fetchall()
    shown = found[: question.limit]
    ids, later = [row[0] for row in shown], [row[0] for row in found[question.limit : at_once]]
    if ahead and at_once > question.limit:
        texts = ahead.get(
            (entity.name, shape, joins),
            revision,
            ids,
            later,
            lambda wanted: texts_of(tables, entity, wanted, shape, joins),
        )
        rows = [texts[one] for one in ids if one in texts]
    else:
        rows = rendered(tables, entity, ids, shape, joins)
    following = None
    if len(found) > question.limit:
        following = write_cursor(question, shown[-1][1] or _NEVER, shown[-1][0])
    return rows, following


def _at_once(question: Question) -> int:
    """Return how many records are rendered with a page, its own included."""
    # By id the records of a page lie side by side.
    is_scattered = question.sort != "id" and question.limit > _FEW
    return question.limit * PAGES if is_scattered else max(question.limit, _AT_ONCE)


def rendered(
    tables: Tables, entity: Entity, ids: list[Any], shape: str, joins: str = ""
) -> list[str]:
    """Return the JSON texts of records in the order of their ids given."""
    texts = texts_of(tables, entity, ids, shape, joins)
    return [texts[one] for one in ids if one in texts]


def texts_of(
    tables: Tables, entity: Entity, ids: list[Any], shape: str, joins: str = ""
) -> dict[Any, str]:
    """Return the JSON texts of records by id."""
    if not ids:
        return {}
    sql = (
        f'SELECT r."id", {shape} FROM "{entity.name}" r {joins} '
        f'WHERE r."id" IN (SELECT unnest(?::{entity.key_type}[]))'
    )
    return dict(tables.cursor().execute(sql, [ids]).fetchall())
