"""From the body of a bulk read job to SQL for its lines.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/create-job.html
"""

import re
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.zoho.columns import Column, Columns
from crm_sandbox.zoho.conditions import Comparison, Condition, Junction, condition_sql
from crm_sandbox.zoho.criteria import COMPARATORS
from crm_sandbox.zoho.errors import ZohoError
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.rendering import csv_cell
from crm_sandbox.zoho.schema import Module

# https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/limitations.html
_WITHOUT_BULK = frozenset({"Notes"})
_MOST_CRITERIA = 25
_MOST_PAGES = 500
_EMPTY = "${EMPTY}"
_MILLISECONDS = re.compile(r"T\d\d:\d\d:\d\d\.\d")
_REASONS = {
    "column given seems to be invalid": "FIELD_IN_CRITERIA_NOT_AVAILABLE",
    "column is not filterable": "FIELD_IN_CRITERIA_NOT_SUPPORTED",
    "operator is not supported for the column": "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
    "value given seems to be invalid for the column": "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
}


def refused(code: str, message: str, **details: Any) -> ZohoError:
    """Return the refusal of a job."""
    return ZohoError(400, code, message, details)


@dataclass(frozen=True)
class BulkQuery:
    """What a job reads.

    Attributes:
        asked: the query as it was sent, which job details repeat.
        after: the id of the last row of the page before.
    """

    module: Module
    columns: list[Column]
    asked: dict[str, Any]
    where: str
    params: list[Any] = field(default_factory=list)
    page: int = 1
    after: int = 0

    @property
    def header(self) -> str:
        """The first line: names, with the id's in capitals."""
        return ",".join("Id" if one.field.name == "id" else one.key for one in self.columns) + "\n"

    @property
    def cells(self) -> list[str]:
        """SQL for the cells of a line."""
        return [_cell(one) for one in self.columns]


def read_query(org: Org, asked: Any) -> BulkQuery:
    """Resolve a job's query.

    Raises:
        ZohoError: it cannot be read, or names what there is not.
    """
    if not isinstance(asked, dict) or not isinstance(asked.get("module"), dict):
        raise refused("INVALID_REQUEST", "The query is invalid")
    name = str(asked["module"].get("api_name", ""))
    module = org.find(name)
    if module is None or module.listed_only or not module.api_supported:
        raise refused("MODULE_NOT_AVAILABLE", "The module is not available", api_name=name)
    if module.stored in _WITHOUT_BULK or module.kind == "linking":
        raise refused("MODULE_NOT_SUPPORTED", "The module is not supported")
    if asked.get("cvid") and str(asked["cvid"]) != org.ids.setting("view", module.stored):
        raise refused("CVID_NOT_SUPPORTED", "The custom view is not supported")
    page = 1 if asked.get("page") is None else asked["page"]
    if not isinstance(page, int) or not 1 <= page <= _MOST_PAGES:
        raise refused("PAGE_RANGE_EXCEEDED", "The page is out of range", max_limit=_MOST_PAGES)
    columns = Columns(org, module)
    shown = _columns(columns, asked.get("fields"))
    where, params = "t._ended IS NULL", list[Any]()
    if asked.get("criteria") is not None:
        condition = _condition(asked["criteria"], _MOST_CRITERIA)
        where += f" AND {condition_sql(condition, columns, params, _refuse)}"
        if columns.joins:
            raise refused("JOIN_LIMIT_EXCEEDED", "Joins are not supported in criteria")
    return BulkQuery(module, shown, asked, where, params, page)


def _columns(columns: Columns, names: Any) -> list[Column]:
    if names is None:
        names = [one.name for one in columns.module.visible_fields if one.is_stored and one.coql]
    if not isinstance(names, list):
        raise refused("INVALID_REQUEST", "The fields are invalid")
    found: dict[str, Column] = {}
    for name in names:
        column = columns.find(str(name))
        if column is None or "." in str(name):
            raise refused("FIELD_NOT_AVAILABLE", "The field is not available")
        if not column.field.is_stored or not column.field.coql:
            raise refused("FIELD_NOT_SUPPORTED", "The field is not supported", api_name=name)
        found[column.field.stored] = column
    first = columns.find("id")
    assert first is not None
    return list(found.values()) if "id" in found else [first, *found.values()]


def _cell(column: Column) -> str:
    if column.field.stored == "Tag":
        return f"array_to_string(json_extract_string({column.sql}, '$[*].name'), ',')"
    if column.field.type == "consent_lookup":
        return f"json_extract_string({column.sql}, '$.Data_Processing_Basis')"
    return csv_cell(column)


def _condition(criteria: Any, left: int) -> Condition:
    if not isinstance(criteria, dict):
        raise refused("INVALID_CRITERIA", "The criteria is invalid")
    if "group" in criteria:
        word, group = str(criteria.get("group_operator", "")).upper(), criteria["group"]
        if word not in {"AND", "OR"}:
            message = "The group operator is not supported"
            raise refused("GROUP_OPERATOR_NOT_SUPPORTED", message, supported=["and", "or"])
        if not isinstance(group, list) or not group:
            raise refused("INVALID_CRITERIA", "The criteria is invalid")
        if len(group) > left:
            raise refused("CRITERIA_LIMIT_EXCEEDED", "Too many criteria", max_limit=_MOST_CRITERIA)
        return Junction(word, tuple(_condition(one, left - len(group) + 1) for one in group))
    return _comparison(criteria)


def _comparison(one: dict[str, Any]) -> Comparison:
    about, comparator = one.get("field"), str(one.get("comparator", ""))
    if not isinstance(about, dict) or "value" not in one or comparator not in COMPARATORS:
        raise refused("INVALID_CRITERIA", "The criteria is invalid")
    path, value = str(about.get("api_name", "")), one["value"]
    operator = COMPARATORS[comparator]
    if value == _EMPTY and operator in {"=", "!="}:
        return Comparison(path, "is null" if operator == "=" else "is not null")
    values = tuple(value) if isinstance(value, list) else (value,)
    if any(_MILLISECONDS.search(str(part)) for part in values):
        raise refused(
            "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
            "The value has milliseconds",
            api_name=path,
        )
    if operator.endswith("between") and len(values) != 2:
        raise refused("INVALID_CRITERIA", "between takes two values", api_name=path)
    return Comparison(path, operator, values)


def _refuse(path: str, reason: str) -> ZohoError:
    return refused(_REASONS.get(reason, "INVALID_CRITERIA"), reason, api_name=path)
