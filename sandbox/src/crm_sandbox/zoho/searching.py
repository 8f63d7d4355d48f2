"""Search Records, and how many records there are.

https://www.zoho.com/crm/developer/docs/api/v8/search-records.html and `record-count.html`. The search
index lags behind, and equality of text is said to act like containment (a single secondary source);
both are switches here.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from crm_sandbox.http import Parameters, Request, Response, json_response
from crm_sandbox.zoho.columns import Columns
from crm_sandbox.zoho.conditions import Comparison, Condition, Junction, condition_sql
from crm_sandbox.zoho.criteria import parse_criteria, refuse
from crm_sandbox.zoho.errors import ZohoError, ambiguous
from crm_sandbox.zoho.listing import fields_of, page_of, per_page_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.paging import info_of, listed
from crm_sandbox.zoho.rendering import json_value, record
from crm_sandbox.zoho.schema import Module

_WAYS = ("criteria", "email", "phone", "word")
_WORD_TYPES = frozenset({"text", "email", "phone", "website", "picklist"})


@dataclass
class SearchSettings:
    """How the index behaves.

    Attributes:
        most: how many records a search reaches.
        lag_s: records changed since so many seconds are not found yet.
        contains: whether equality of text is containment.
    """

    most: int = 2_000
    lag_s: float = 0.0
    contains: bool = False


class SearchHandler:
    """Answers searches and counts.

    Args:
        org: holds the records.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self.settings = SearchSettings()

    def search(self, request: Request, module: Module) -> Response:
        """Return one page of what was found; 204 for nothing.

        Raises:
            ZohoError: the search cannot be read, or reaches too far.
        """
        query = request.query
        page, per_page = page_of(query), per_page_of(query)
        if (page - 1) * per_page >= self.settings.most:
            raise ZohoError(
                400,
                "LIMIT_EXCEEDED",
                "You can only get the first 2000 records",
                {"limit": self.settings.most, "param_name": "page"},
            )
        columns = Columns(self._org, module)
        where, params = self._where(query, columns, must=True)
        fields = fields_of(module, query) if query.get("fields") else _shown(module)
        found = [columns.find(one.name) for one in fields]
        entries = [(one.key, json_value(columns, one)) for one in found if one is not None]
        if all(key != "id" for key, _ in entries):
            entries.append(("id", "t.id::VARCHAR"))
        sql = (
            f"SELECT {record(entries)} FROM {columns.source} WHERE {where} "
            f"ORDER BY t.id DESC LIMIT {per_page + 1} OFFSET {(page - 1) * per_page}"
        )
        texts = [row[0] for row in self._org.tables.cursor().execute(sql, params).fetchall()]
        return listed(texts[:per_page], info_of(page, per_page, texts))

    def count(self, request: Request, module: Module) -> Response:
        """Return how many records there are, or how many a search would find."""
        columns = Columns(self._org, module)
        where, params = self._where(request.query, columns, must=False)
        sql = f"SELECT count(*) FROM {columns.source} WHERE {where}"
        return json_response({"count": self._org.tables.value(sql, params)})

    def _where(self, query: Parameters, columns: Columns, *, must: bool) -> tuple[str, list[Any]]:
        module = columns.module
        parts, params = ["t._ended IS NULL"], list[Any]()
        converted = query.get("converted", "false")
        if module.stored == "Leads" and converted != "both":
            parts.append(f'{"" if converted == "true" else "NOT "}t."Converted__s"')
        given = [name for name in _WAYS if query.get(name)]
        if len(given) > 1 and not must:
            raise ambiguous(*given)
        if not given and must:
            raise ZohoError(
                400,
                "REQUIRED_PARAM_MISSING",
                "One of the expected parameter is missing",
                {"param_names": list(_WAYS)},
            )
        if given:
            condition = _condition(given[0], query[given[0]], module)
            if condition is None:
                return "FALSE", []
            if self.settings.contains:
                condition = _loosened(condition, columns)
            parts.append(condition_sql(condition, columns, params, refuse))
            if self.settings.lag_s:
                parts.append(f't."{module.stamp}" <= ?')
                lag = timedelta(seconds=self.settings.lag_s)
                params.append(self._org.clock.stamp() - lag)
        return " AND ".join(parts), params


def _shown(module: Module) -> list[Any]:
    return [one for one in module.visible_fields if one.is_stored]


def _condition(way: str, value: str, module: Module) -> Condition | None:
    if way == "criteria":
        return parse_criteria(value)
    kinds = _WORD_TYPES if way == "word" else {way}
    operator = "contains" if way == "word" else "="
    names = [one.name for one in _shown(module) if one.type in kinds and not one.structured]
    parts = tuple(Comparison(name, operator, (value,)) for name in names)
    return Junction("OR", parts) if parts else None


def _loosened(condition: Condition, columns: Columns) -> Condition:
    if isinstance(condition, Junction):
        parts = tuple(_loosened(part, columns) for part in condition.parts)
        return replace(condition, parts=parts)
    column = columns.find(condition.path)
    is_text = column is not None and column.field.type in {"text", "email"}
    if condition.operator == "=" and is_text:
        return replace(condition, operator="contains")
    return condition
