"""From a COQL tree to DuckDB SQL, and the handler that answers queries.

Limits: https://www.zoho.com/crm/developer/docs/api/v8/COQL-Limitations.html
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.zoho.columns import Column, Columns
from crm_sandbox.zoho.conditions import Comparison, Condition, Junction, condition_sql
from crm_sandbox.zoho.coql import Item, Query, parse, syntax_error
from crm_sandbox.zoho.errors import ZohoError, invalid_data, limit_exceeded
from crm_sandbox.zoho.fetching import texts_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.rendering import bare_value, json_value, record
from crm_sandbox.zoho.schema import NUMBERS
from crm_sandbox.zoho.versions import Version

_MOST_ORDER = 10
_MOST_GROUPS = 4
_MOST_AGGREGATES = 5
_MOST_JOINS = 15


@dataclass
class CoqlSettings:
    """Limits, and what sources do not agree on.

    Attributes:
        most_rows: the largest LIMIT.
        most_reached: the largest sum of LIMIT and OFFSET; older versions go less far.
        most_fields: how many may be selected; 50 in older pages.
        most_values: how many values `in` takes.
        where_required: whether a query must have a WHERE.
        brackets_required: whether more than two conditions have to be bracketed pairwise. Older pages of
            the vendor say so, that of the seventh version does not list it, and a client in wide use
            sends chains of AND.
        lookup_names: whether a lookup comes with the name of its record.
        shows_converted: whether converted leads are found without asking for them.
    """

    most_rows: int = 2_000
    most_reached: int = 100_000
    most_fields: int = 500
    most_values: int = 50
    where_required: bool = True
    brackets_required: bool = True
    lookup_names: bool = False
    shows_converted: bool = False


@dataclass
class Plan:
    """A query resolved against the schema.

    Attributes:
        columns: what WHERE and ORDER BY need.
        shown: what the SELECT list needs; its joins are made for the rows found only.
    """

    query: Query
    columns: Columns
    shown: Columns
    entries: list[tuple[str, str]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    where: str = ""
    params: list[Any] = field(default_factory=list)
    order: str = ""

    @property
    def is_aggregate(self) -> bool:
        """Whether rows stand for groups of records."""
        return bool(self.query.groups) or any(one.function for one in self.query.items)

    @property
    def window(self) -> str:
        """One row more than LIMIT tells whether there are more."""
        return f"LIMIT {self.query.limit + 1} OFFSET {self.query.offset}"

    @property
    def ids_sql(self) -> str:
        """The statement that finds which records are meant."""
        return (
            f"SELECT t.id FROM {self.columns.source} WHERE {self.where}{self.order} {self.window}"
        )

    @property
    def groups_sql(self) -> str:
        """The statement that renders groups."""
        groups = f" GROUP BY {', '.join(self.groups)}" if self.groups else ""
        # ORDER BY may name an aggregate, so rows are rendered last.
        names = ", ".join(f"{sql} AS c{k}" for k, (_, sql) in enumerate(self.entries))
        texts = record((key, f"q.c{k}") for k, (key, _) in enumerate(self.entries))
        inner = (
            f"SELECT {names} FROM {self.columns.source} WHERE {self.where}{groups}{self.order} "
            f"{self.window}"
        )
        return f"SELECT {texts} FROM ({inner}) q"


def invalid_query(path: str, reason: str) -> ZohoError:
    """Return the error for a column that cannot be used so."""
    return ZohoError(400, "INVALID_QUERY", reason, {"column_name": path})


class CoqlHandler:
    """Answers queries.

    Args:
        org: holds the records.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self.settings = CoqlSettings()

    def read(self, request: Request, version: Version) -> Query:
        """Return the query of a request.

        Raises:
            ZohoError: there is none, or it cannot be read, or asks for too much.
        """
        try:
            body = request.json()
        except ValueError as problem:
            raise invalid_data("the request body is not JSON") from problem
        text = body.get("select_query") if isinstance(body, dict) else None
        if text is None:
            raise ZohoError(
                400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "select_query"}
            )
        if not isinstance(text, str):
            details = {"expected_data_type": "string", "api_name": "select_query"}
            raise invalid_data("invalid data", **details, json_path="$.select_query")
        query = parse(text, brackets=self.settings.brackets_required)
        settings = self.settings
        if query.where is None and settings.where_required:
            raise syntax_error(clause="where")
        if not 1 <= query.limit <= settings.most_rows:
            raise limit_exceeded("the limit given exceeds the maximum", limit=settings.most_rows)
        reach = version.reach(settings.most_reached)
        if query.limit + query.offset > reach:
            raise limit_exceeded("the offset given exceeds the maximum", limit=reach)
        return query

    def answer(self, query: Query) -> Response:
        """Return the rows; 204 where there are none.

        Raises:
            ZohoError: a name is unknown, or the query is not allowed.
        """
        plan = self.plan(query)
        sql = plan.groups_sql if plan.is_aggregate else plan.ids_sql
        found = [row[0] for row in self._org.tables.cursor().execute(sql, plan.params).fetchall()]
        texts = found[: query.limit]
        if not plan.is_aggregate:
            by_id = texts_of(plan.shown, plan.entries, texts)
            texts = [by_id[one] for one in texts if one in by_id]
        if not texts:
            return Response(204)
        more = "true" if len(found) > query.limit else "false"
        info = f'{{"count":{len(texts)},"more_records":{more}}}'
        return Response(200, f'{{"data":[{",".join(texts)}],"info":{info}}}'.encode())

    def plan(self, query: Query) -> Plan:
        """Resolve a query."""
        module = self._org.find(query.module)
        if module is None or module.listed_only or not module.api_supported:
            raise ZohoError(400, "INVALID_MODULE", "the module name given seems to be invalid")
        plan = Plan(query, Columns(self._org, module), Columns(self._org, module))
        self._check_counts(query)
        if plan.is_aggregate:
            self._aggregated(plan)
        else:
            self._selected(plan)
        parts = ["t._ended IS NULL"]
        hides = module.stored == "Leads" and not self.settings.shows_converted
        if hides and not _names_field(query.where, "Converted__s"):
            parts.append('NOT t."Converted__s"')
        if query.where is not None:
            self._check_values(query.where)
            parts.append(condition_sql(query.where, plan.columns, plan.params, invalid_query))
        plan.where = " AND ".join(parts)
        plan.order = self._order(plan)
        if len({*plan.columns.joins, *plan.shown.joins}) > _MOST_JOINS:
            raise limit_exceeded("the joins exceed the limit", limit=_MOST_JOINS)
        return plan

    def _check_counts(self, query: Query) -> None:
        aggregates = [one for one in query.items if one.function]
        for found, most in (
            (query.items, self.settings.most_fields),
            (query.order, _MOST_ORDER),
            (query.groups, _MOST_GROUPS),
            (aggregates, _MOST_AGGREGATES),
        ):
            if len(found) > most:
                raise limit_exceeded("the columns given exceed the limit", limit=most)
        _refuse_twice([path for path, _ in query.order])
        _refuse_twice(query.groups)
        functions = Counter((one.function, one.path.lower()) for one in aggregates)
        for (function, path), times in functions.items():
            if times > 1:
                details = {"column_name": path, "aggregate": function}
                raise ZohoError(400, "DUPLICATE_DATA", "duplicate data", details)
        aliases = Counter(one.alias.lower() for one in query.items if one.alias)
        for alias, times in aliases.items():
            if times > 1:
                named = [one.path for one in query.items if one.alias.lower() == alias]
                details_of = {"alias": alias, "referred_columns": named}
                raise ZohoError(400, "DUPLICATE_ALIAS", "duplicate alias", details_of)

    def _column(self, columns: Columns, path: str) -> Column:
        column = columns.find(path)
        if column is None:
            raise invalid_query(path, "column given seems to be invalid")
        if not column.field.coql or not column.field.is_stored:
            raise invalid_query(path, "column is not supported in the query")
        return column

    def _selected(self, plan: Plan) -> None:
        entries: dict[str, str] = {}
        for item in plan.query.items:
            column = self._column(plan.shown, item.path)
            value = json_value if self.settings.lookup_names else bare_value
            entries[item.alias or column.key] = value(plan.shown, column)
        if all(key.lower() != "id" for key in entries):
            entries["id"] = "t.id::VARCHAR"
        plan.entries = list(entries.items())

    def _aggregated(self, plan: Plan) -> None:
        grouped = {path.lower() for path in plan.query.groups}
        for item in plan.query.items:
            column = self._column(plan.columns, item.path)
            if item.function:
                plan.entries.append((item.alias or _title(item), _aggregate(item, column)))
                continue
            if item.path.lower() not in grouped:
                raise invalid_query(item.path, "column must be grouped or aggregated")
            plan.entries.append((item.alias or column.key, bare_value(plan.columns, column)))
        plan.groups = [self._column(plan.columns, path).sql for path in plan.query.groups]

    def _order(self, plan: Plan) -> str:
        columns = plan.columns
        aliases = {one.alias.lower(): one for one in plan.query.items if one.alias}
        terms = []
        for path, goes_down in plan.query.order:
            item = aliases.get(path.lower())
            if item is not None and item.function:
                sql = _aggregate(item, self._column(columns, item.path))
            elif item is None and "." not in path and columns.find(path) is None:
                details = {"alias": "", "column_name": path}
                raise ZohoError(400, "INVALID_ALIAS", "invalid alias given", details)
            else:
                sql = self._column(columns, item.path if item else path).sql
            terms.append(f"{sql} {'DESC NULLS LAST' if goes_down else 'ASC NULLS FIRST'}")
        if not terms and not plan.is_aggregate:
            terms.append("t.id ASC")
        return f" ORDER BY {', '.join(terms)}" if terms else ""

    def _check_values(self, condition: Condition) -> None:
        if isinstance(condition, Junction):
            for part in condition.parts:
                self._check_values(part)
        elif (
            condition.operator.endswith("in") and len(condition.values) > self.settings.most_values
        ):
            raise limit_exceeded(
                "the values given for the operator exceed the limit",
                limit=self.settings.most_values,
            )


def _aggregate(item: Item, column: Column) -> str:
    if item.function in {"SUM", "AVG"} and column.field.value_type not in NUMBERS:
        raise invalid_query(item.path, "aggregate function is not supported for the column")
    if column.field.value_type == "datetime" and item.function in {"MAX", "MIN"}:
        return f"zoho_moment({item.function.lower()}({column.sql}))"
    return f"{item.function.lower()}({column.sql})"


def _title(item: Item) -> str:
    return f"{item.function}({item.path})"


def _refuse_twice(paths: Sequence[str]) -> None:
    for path, times in Counter(path.lower() for path in paths).items():
        if times > 1:
            raise ZohoError(400, "DUPLICATE_DATA", "duplicate data", {"column_name": path})


def _names_field(condition: Condition | None, name: str) -> bool:
    if isinstance(condition, Junction):
        return any(_names_field(part, name) for part in condition.parts)
    return isinstance(condition, Comparison) and condition.path.lower() == name.lower()
