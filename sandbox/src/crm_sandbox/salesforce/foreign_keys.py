"""Parents named by an external id: `"Account": {"External_Key__c": "A-1"}` instead of an id."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crm_sandbox.salesforce.errors import ApiError, no_such_column
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import Field, SObject


@dataclass(frozen=True)
class ForeignKey:
    """A relationship, the parent's object, and the external id field that it goes by."""

    link: Field
    parent: str
    key: Field

    def missing(self, value: Any) -> ApiError:
        """Return the error for a parent that is not there, or there several times."""
        return ApiError(
            400,
            "INVALID_FIELD",
            f"Foreign key external ID: {value} not found for field {self.key.name} "
            f"in entity {self.parent}",
        )


def foreign_key(org: Org, sobject: SObject, relationship: str, field: str) -> ForeignKey:
    """Return the foreign key that a relationship and a field of the parent make.

    Raises:
        ApiError: `INVALID_FIELD` when there is no such relationship or no such external id.
    """
    link = sobject.relation(relationship) if relationship else None
    for name in link.reference_to if link else ():
        parent = org.held(name)
        key = parent.find(field) if parent else None
        if link and parent and key is not None and (key.external_id or key.type == "id"):
            return ForeignKey(link, parent.name, key)
    raise no_such_column(f"{relationship}.{field}", sobject.name)


def ids_of(org: Org, wanted: ForeignKey, values: Sequence[Any]) -> dict[str, str]:
    """Return the ids of living parents by the text of their key; those that are not alone are left out."""
    parent, column = org.known(wanted.parent), f'"{wanted.key.stored}"::VARCHAR'
    gone = ' AND NOT "IsDeleted"' if parent.has_deleted else ""
    sql = (
        f'SELECT {column}, min("Id") FROM "{parent.name}" WHERE {column} IN '
        f"(SELECT unnest(?::VARCHAR[])){gone} GROUP BY 1 HAVING count(*) = 1"
    )
    return dict(org.cursor().execute(sql, [[str(value) for value in values]]).fetchall())


def fill_in(org: Org, sobject: SObject, bodies: Sequence[dict[str, Any]]) -> list[ApiError | None]:
    """Replace parents named by an external id with their ids, and return what is wrong per body."""
    problems: list[ApiError | None] = [None] * len(bodies)
    meant: dict[ForeignKey, list[tuple[int, Any]]] = defaultdict(list)
    for position, body in enumerate(bodies):
        nested = {
            name: value
            for name, value in body.items()
            if isinstance(value, dict) and sobject.find(name) is None
        }
        try:
            for name, value in nested.items():
                wanted, given = _named(org, sobject, name, value)
                meant[wanted].append((position, given))
                del body[name]
        except ApiError as problem:
            problems[position] = problem
    for wanted, places in meant.items():
        ids = ids_of(org, wanted, [value for _, value in places])
        for position, value in places:
            if str(value) in ids:
                bodies[position][wanted.link.name] = ids[str(value)]
            else:
                problems[position] = problems[position] or wanted.missing(value)
    return problems


def _named(
    org: Org, sobject: SObject, relationship: str, value: dict[str, Any]
) -> tuple[ForeignKey, Any]:
    parts = {name: one for name, one in value.items() if name != "attributes"}
    if len(parts) != 1:
        raise no_such_column(relationship, sobject.name)
    ((field, given),) = parts.items()
    return foreign_key(org, sobject, relationship, field), given
