"""The GraphQL endpoint: collections and single records with their links; mistakes answer 200.

Source: https://developers.hubspot.com/docs/cms/reference/data/query-hubspot-data-using-graphql
"""

from collections.abc import Mapping
from typing import Any

import graphql

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.association_reads import LinkReader
from crm_sandbox.hubspot.errors import ApiError, invalid, unsupported_method
from crm_sandbox.hubspot.paging import answered, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, shape_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.search_filters import Condition, FilterReader, column_of

MOST_PAGE = 100
_OPERATORS = {
    "eq": "EQ",
    "neq": "NEQ",
    "lt": "LT",
    "lte": "LTE",
    "gt": "GT",
    "gte": "GTE",
    "in": "IN",
    "not_in": "NOT_IN",
    "contains": "CONTAINS_TOKEN",
}
_Field = graphql.FieldNode


class _Mistake(Exception):
    """A query that cannot be answered, with where it says so."""

    def __init__(self, message: str, field: _Field) -> None:
        super().__init__(message)
        self.field = field


class GraphHandler:
    """Answers queries about one portal.

    Args:
        portal: the portal.
        reader: how records are read.
        links: how links are read.
    """

    def __init__(self, portal: Portal, reader: RecordReader, links: LinkReader) -> None:
        self._portal = portal
        self._reader = reader
        self._links = links
        self._filters = FilterReader(portal)

    def handle(self, request: Request, _: tuple[str, ...]) -> Response:
        """Answer one query; what is wrong with it stands in `errors` of a 200."""
        if request.method != "POST":
            raise unsupported_method()
        body = json_of(request, bodies.GraphQuery)
        variables = body.get("variables") or {}
        try:
            document = graphql.parse(str(body.get("query") or ""))
            roots = _selected(_operation(document, body.get("operationName")))
            data = {_name(root): self._root(root, variables) for root in roots}
        except graphql.GraphQLError as problem:
            return answered({"errors": [problem.formatted]})
        except _Mistake as problem:
            where = problem.field.loc.start_token if problem.field.loc else None
            place = {"line": where.line, "column": where.column} if where else {}
            return answered({"errors": [{"message": str(problem), "locations": [place]}]})
        except ApiError as refusal:
            return answered({"errors": [{"message": refusal.message}]})
        return answered({"data": data})

    def _root(self, root: _Field, variables: Mapping[str, Any]) -> dict[str, Any]:
        if root.name.value != "CRM":
            raise _Mistake(f"Cannot query field '{root.name.value}' on type 'Query'.", root)
        made: dict[str, Any] = {}
        for one in _selected(root):
            arguments = _arguments(one, variables)
            name = one.name.value.removeprefix("p_")
            if name.endswith("_collection"):
                kind = self._type(name.removesuffix("_collection"), one)
                made[_name(one)] = self._collection(kind, one, arguments)
            else:
                made[_name(one)] = self._single(self._type(name, one), one, arguments)
        return made

    def _type(self, name: str, field: _Field) -> ObjectType:
        found = self._portal.catalog.named(name)
        if found is None:
            raise _Mistake(f"Cannot query field '{field.name.value}' on type 'CRM'.", field)
        return found

    def _collection(
        self, kind: ObjectType, field: _Field, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        limit = _whole(arguments, "limit", 10, field)
        offset = _whole(arguments, "offset", 0, field)
        if not 0 < limit <= MOST_PAGE:
            raise _Mistake(f"limit must be between 1 and {MOST_PAGE}", field)
        condition = Condition("NOT _archived").also(self._condition(kind, arguments.get("filter")))
        name, _, way = str(arguments.get("orderBy", "hs_object_id__asc")).rpartition("__")
        prop = kind.find(name)
        if prop is None:
            raise _Mistake(f"'{name}' is not a property of {kind.singular}", field)
        order = f"{column_of(prop)[0]} {'DESC' if way == 'desc' else 'ASC'}, _id"
        where = f'FROM "{kind.table}" WHERE {condition.sql}'
        total = int(self._portal.tables.value(f"SELECT count(*) {where}", condition.params))
        rows = self._portal.tables.cursor().execute(
            f"SELECT _id {where} ORDER BY {order} LIMIT {limit} OFFSET {offset}", condition.params
        )
        ids = [row[0] for row in rows.fetchall()]
        return self._page(kind, field, ids, total=total, offset=offset)

    def _page(
        self, kind: ObjectType, field: _Field, ids: list[int], *, total: int, offset: int = 0
    ) -> dict[str, Any]:
        known = {
            "total": total,
            "offset": offset,
            "limit": len(ids),
            "hasMore": offset + len(ids) < total,
        }
        made: dict[str, Any] = {}
        for one in _selected(field):
            if one.name.value == "items":
                made[_name(one)] = self._items(kind, one, ids)
            elif one.name.value in known:
                made[_name(one)] = known[one.name.value]
            else:
                raise _Mistake(f"Cannot query field '{one.name.value}' on a collection.", one)
        return made

    def _condition(self, kind: ObjectType, wanted: Any) -> Condition:
        filters = []
        if not isinstance(wanted, dict | None):
            raise invalid("filter must be an object")
        for key, value in (wanted or {}).items():
            name, _, operator = key.rpartition("__")
            entry: dict[str, Any] = {
                "propertyName": name,
                "operator": _OPERATORS.get(operator, operator),
            }
            if isinstance(value, list):
                entry["values"] = [str(one).lower() for one in value]
            else:
                entry["value"] = f"*{value}*" if operator == "contains" else value
            filters.append(entry)
        return self._filters.read(kind, [{"filters": filters}] if filters else [])

    def _single(
        self, kind: ObjectType, field: _Field, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        name = str(arguments.get("uniqueIdentifier", "id")).replace("id", "hs_object_id", 1)
        name = name if kind.find(name) else str(arguments.get("uniqueIdentifier"))
        entry = {
            "propertyName": name,
            "operator": "EQ",
            "value": arguments.get("uniqueIdentifierValue"),
        }
        condition = Condition("NOT _archived").also(
            self._filters.read(kind, [{"filters": [entry]}])
        )
        sql = f'SELECT _id FROM "{kind.table}" WHERE {condition.sql} LIMIT 1'
        found = self._portal.tables.value(sql, condition.params)
        return None if found is None else self._items(kind, field, [int(found)])[0]

    def _items(self, kind: ObjectType, field: _Field, ids: list[int]) -> list[dict[str, Any]]:
        selected = _selected(field)
        plain = [one for one in selected if one.selection_set is None]
        for one in plain:
            if kind.find(one.name.value) is None:
                raise _Mistake(
                    f"Cannot query field '{one.name.value}' on type '{kind.singular}'.", one
                )
        shape = shape_of(kind, [one.name.value for one in plain] or ["hs_object_id"])
        records = self._reader.by_ids(kind, ids, shape)
        made = []
        for record in ids:
            values = records[record]["properties"]
            row: dict[str, Any] = {_name(one): values[one.name.value] for one in plain}
            for one in selected:
                if one.selection_set is not None:
                    row[_name(one)] = self._linked(kind, one, record)
            made.append(row)
        return made

    def _linked(self, kind: ObjectType, field: _Field, record: int) -> dict[str, Any]:
        if field.name.value != "associations":
            raise _Mistake(f"Cannot query field '{field.name.value}' on '{kind.singular}'.", field)
        made = {}
        for one in _selected(field):
            name, _, link = one.name.value.partition("_collection__")
            other = self._type(name.removeprefix("p_"), one)
            entries = self._links.named(kind, other, record)
            plain = f"{kind.singular}_to_{other.singular}"
            kept = [e for e in entries if link in {plain, e["type"]}]
            ids = sorted({int(entry["id"]) for entry in kept})
            made[_name(one)] = self._page(other, one, ids[:MOST_PAGE], total=len(ids))
        return made


def _operation(document: graphql.DocumentNode, name: Any) -> graphql.OperationDefinitionNode:
    for one in document.definitions:
        if isinstance(one, graphql.OperationDefinitionNode):
            called = one.name.value if one.name else None
            if not name or called == name:
                return one
    raise graphql.GraphQLError(f'Unknown operation named "{name}".')


def _selected(node: _Field | graphql.OperationDefinitionNode) -> list[_Field]:
    kept = node.selection_set.selections if node.selection_set else ()
    return [one for one in kept if isinstance(one, graphql.FieldNode)]


def _whole(arguments: Mapping[str, Any], name: str, default: int, field: _Field) -> int:
    """Return a number among arguments; one that a variable leaves out has its default."""
    value = arguments.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise _Mistake(f"Int cannot represent the value of '{name}': {value!r}", field)
    return value


def _name(field: _Field) -> str:
    return field.alias.value if field.alias else field.name.value


def _arguments(field: _Field, variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        one.name.value: graphql.value_from_ast_untyped(one.value, dict(variables))
        for one in field.arguments
    }
