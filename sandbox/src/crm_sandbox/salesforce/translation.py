"""From a SOQL tree to DuckDB SQL with parameters, checked against the org's schema."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from crm_sandbox.salesforce.columns import Column
from crm_sandbox.salesforce.conditions import condition_sql
from crm_sandbox.salesforce.errors import ApiError, invalid_field, malformed
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import Field, SObject
from crm_sandbox.salesforce.soql import Item, Query

_MAX_OFFSET = 2000
_MAX_DEPTH = 5
_POLYMORPHIC = (
    Field("Id", "id", nillable=False, length=18),
    Field("Name", "string", length=255, name_field=True),
    Field("Type", "string", length=40),
)


@dataclass
class Plan:
    """A query resolved against the schema, and the SQL made from it."""

    query: Query
    sobject: SObject
    columns: list[Column] = field(default_factory=list)
    parents: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)
    joins: list[str] = field(default_factory=list)
    where: str = ""
    params: list[Any] = field(default_factory=list)
    order: str = ""
    groups: list[str] = field(default_factory=list)
    selected: list[tuple[str, str]] = field(default_factory=list)

    @property
    def source(self) -> str:
        """FROM with every join."""
        return " ".join([f'FROM "{self.sobject.name}" t', *self.joins])

    @property
    def window(self) -> str:
        """LIMIT and OFFSET."""
        limit = f" LIMIT {self.query.limit}" if self.query.limit is not None else ""
        return limit + (f" OFFSET {self.query.offset}" if self.query.offset else "")


class Translator:
    """Resolve one query.

    Args:
        org: its schema counts.
        query: the tree.
        deleted: whether rows in the recycle bin are wanted too.
    """

    def __init__(self, org: Org, query: Query, *, deleted: bool) -> None:
        self._org = org
        self._plan = Plan(query, org.visible(query.entity))
        self._deleted = deleted
        self._aliases: dict[tuple[str, ...], tuple[str, SObject | None]] = {}

    def plan(self) -> Plan:
        """Return the resolved query.

        Raises:
            ApiError: a name is unknown or the query is not allowed.
        """
        plan, query = self._plan, self._plan.query
        if query.offset is not None and query.offset > _MAX_OFFSET:
            raise ApiError(
                400,
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"Maximum SOQL offset allowed is {_MAX_OFFSET}, not {query.offset}",
            )
        if not query.is_aggregate:
            plan.columns = [self.column(one.path) for one in self._items()]
        elif not query.is_count:
            plan.groups = [self.column(path).sql for path in query.group_by]
            plan.selected = [self._grouped(k, item) for k, item in enumerate(query.items)]
        conditions = []
        if query.where is not None:
            today = self._org.clock.stamp().date()
            conditions.append(condition_sql(query.where, self.column, plan.params, today))
        if not self._deleted and plan.sobject.has_deleted:
            conditions.append('NOT t."IsDeleted"')
        plan.where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        plan.order = self._order()
        return plan

    def _items(self) -> list[Item]:
        query = self._plan.query
        if not query.macro:
            if any(one.alias for one in query.items):
                raise malformed("only aggregate expressions use field aliasing")
            return list(query.items)
        if query.limit is None or query.limit > 200:
            raise malformed("The SOQL FIELDS function must have a LIMIT of at most 200")
        wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[query.macro]
        names = [f.name for f in self._plan.sobject.visible_fields if f.custom in wanted]
        return [Item(name) for name in names]

    def _grouped(self, position: int, item: Item) -> tuple[str, str]:
        if item.function:
            return item.alias or f"expr{position}", self.aggregate(item)
        if item.path.lower() not in {path.lower() for path in self._plan.query.group_by}:
            raise malformed(f"Field must be grouped or aggregated: {item.path}")
        column = self.column(item.path)
        return item.alias or column.keys[-1], column.sql

    def _order(self) -> str:
        terms = []
        for term in self._plan.query.order_by:
            expression = (
                self.aggregate(term.item) if term.item.function else self._sortable(term.item.path)
            )
            direction = "DESC" if term.descending else "ASC"
            terms.append(f"{expression} {direction} NULLS {'LAST' if term.nulls_last else 'FIRST'}")
        return f" ORDER BY {', '.join(terms)}" if terms else ""

    def _sortable(self, path: str) -> str:
        column = self.column(path)
        if column.field.is_compound or column.field.length > 4000:
            raise malformed(f"field '{column.field.name}' can not be sorted in a query call")
        return column.sql

    def aggregate(self, item: Item) -> str:
        """Return the SQL of an aggregate function over a field."""
        column = self.column(item.path)
        numeric = column.field.type in {"int", "double", "currency", "percent"}
        if item.function in {"SUM", "AVG"} and not numeric:
            raise malformed(
                f"field {column.field.name} does not support aggregate operator {item.function}"
            )
        if item.function == "COUNT_DISTINCT":
            return f"count(DISTINCT {column.sql})"
        value = f"{column.sql}::DOUBLE" if item.function in {"SUM", "AVG"} else column.sql
        return f"{item.function.lower()}({value})"

    def column(self, path: str) -> Column:
        """Resolve a dotted path, adding the joins that it needs.

        Raises:
            ApiError: `INVALID_FIELD` for an unknown name.
        """
        *parents, name = path.split(".")
        if parents and parents[0].lower() == self._plan.sobject.name.lower():
            parents = parents[1:]
        if len(parents) > _MAX_DEPTH:
            raise malformed("SOQL relationships may not go more than 5 levels up")
        alias, sobject = "t", self._plan.sobject
        keys: tuple[str, ...] = ()
        for parent in parents:
            alias, found, keys = self._join(alias, sobject, keys, parent)
            if found is None:
                return self._polymorphic(alias, keys, name)
            sobject = found
        one = sobject.find(name)
        if one is None:
            raise invalid_field(path, self._plan.sobject.name)
        return Column((*keys, one.name), one, alias)

    def _polymorphic(self, alias: str, keys: tuple[str, ...], name: str) -> Column:
        one = next((f for f in _POLYMORPHIC if f.name.lower() == name.lower()), None)
        if one is None:
            raise invalid_field(name, "Name")
        return Column((*keys, one.name), one, alias)

    def _join(
        self, alias: str, sobject: SObject, keys: tuple[str, ...], parent: str
    ) -> tuple[str, SObject | None, tuple[str, ...]]:
        link = sobject.relation(parent) if parent else None
        if link is None:
            raise ApiError(
                400,
                "INVALID_FIELD",
                f"Didn't understand relationship '{parent}' in field path. If you are attempting to "
                "use a custom relationship, be sure to append the '__r' after the custom relationship name.",
            )
        path = (*keys, link.relationship)
        if path in self._aliases:
            return (*self._aliases[path], path)
        made = f"p{len(self._aliases)}"
        if len(link.reference_to) > 1:
            target, relation, kind = None, self._union(link.reference_to), f'{made}."Type"'
        else:
            target = self._org.visible(link.reference_to[0])
            relation, kind = f'"{target.name}"', f"'{target.name}'"
        self._plan.joins.append(
            f'LEFT JOIN {relation} {made} ON {made}."Id" = {alias}."{link.stored}"'
        )
        self._aliases[path] = (made, target)
        self._plan.parents[path] = (made, kind)
        return made, target, path

    def _union(self, names: tuple[str, ...]) -> str:
        parts = []
        for name in names:
            known = self._org.known(name)
            label = known.name_field
            named = f'"{label.stored}"' if label else "NULL"
            parts.append(f'SELECT "Id", {named} AS "Name", \'{name}\' AS "Type" FROM "{name}"')
        return f"({' UNION ALL '.join(parts)})"


def python_value(value: Any) -> Any:
    """Return a stored value as JSON would carry it in the admin API."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    if isinstance(value, date):
        return value.isoformat()
    return value
