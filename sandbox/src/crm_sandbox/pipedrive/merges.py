"""Merging two records: one goes, the other takes over what it lacked and all that pointed at the first.

Source: https://developers.pipedrive.com/docs/api/v1/Persons#mergePersons
"""

import uuid
from collections.abc import Iterator
from typing import Any

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import records_v1, with_plain_ids
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, parsed, writing
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.store import Author

MERGEABLE = ("deals", "persons", "organizations")
_POINTERS = {
    "persons": (
        *(("deals", "person_id"), ("activities", "person_id"), ("notes", "person_id")),
        *(("leads", "person_id"), ("participants", "person_id")),
    ),
    "organizations": (
        *(("persons", "org_id"), ("deals", "org_id"), ("activities", "org_id")),
        *(("notes", "org_id"), ("leads", "organization_id")),
    ),
    "deals": (
        *(("activities", "deal_id"), ("notes", "deal_id"), ("deal_products", "deal_id")),
        ("participants", "deal_id"),
    ),
}  # fmt: skip
_OWN = {"id", "add_time", "update_time", "is_deleted", "deleted_at", "merged_into", "name"}
_OWN |= {"first_name", "last_name"}


def merge(company: Company, entity: Entity, winner: int, loser: int, author: Author) -> None:
    """Merge a record into another.

    Raises:
        KeyError: one of them does not exist.
        ValueError: they are one and the same.
    """
    if winner == loser:
        raise ValueError("a record cannot be merged with itself")
    store, correlation = company.store, str(uuid.uuid4())
    with company.tables.writing() as cursor:
        kept, lost = store.row(entity, winner), store.row(entity, loser)
        if kept is None or lost is None:
            raise KeyError(f"no {entity.singular} has the id '{loser if kept else winner}'")
        store.delete(entity, loser, author, correlation=correlation, merged_into=winner)
        taken = {
            key: value
            for key, value in lost.items()
            if key not in _OWN and kept[key] in (None, "", []) and value not in (None, "", [])
        }
        for key in ("emails", "phones"):
            if key in kept:
                taken[key] = _joined(kept[key], lost[key])
        store.update(entity, winner, taken, author, correlation=correlation)
        for table, column in _POINTERS[entity.name]:
            cursor.execute(
                f'UPDATE "{table}" SET "{column}" = ?, "update_time" = ? WHERE "{column}" = ?',
                [winner, company.clock.stamp(), loser],
            )


def _joined(kept: list[dict[str, Any]], lost: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {point["value"].lower() for point in kept}
    more = [{**point, "primary": not kept} for point in lost if point["value"].lower() not in known]
    return [*kept, *more]


def _merger(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        company = call.company
        going = found(company, entity, call.parts["id"], call.sight, alive=True)
        other = str(call.body().get("merge_with_id", ""))
        staying = found(company, entity, other, call.sight, alive=True)
        if entity.name in company.merge_keeps_path:
            going, staying = staying, going
        if going == staying:
            raise ApiError(400, "Cannot merge an item with itself")
        merge(company, entity, staying, going, Author(call.sight.user, "api"))
        if entity.name == "organizations":
            return ok({"id": staying})
        data = with_plain_ids(parsed(records_v1(call, entity, [staying])[0]))
        return ok(data | {"merge_what_id": going})

    return answer


def _routes() -> Iterator[Route]:
    for name in MERGEABLE:
        entity = ENTITIES[name]
        path = f"/v1/{name}/{{id}}/merge"
        yield Route("PUT", path, 40, writing(entity.scope), _merger(entity))


ROUTES = tuple(_routes())
