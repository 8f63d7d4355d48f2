"""Write contracts of the model's tables in the Open Data Contract Standard, version 3.1.

https://bitol-io.github.io/open-data-contract-standard/
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from crm_pipeline.model.contracts import LIVE
from crm_pipeline.model.names import quoted
from crm_pipeline.model.table import Column, Rule, Table

API_VERSION = "v3.1.0"
_LOGICAL = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMPTZ": "timestamp",
}
_SEVERITY = {"error": "error", "warning": "warning"}


def exported(tables: Iterable[Table], version: str) -> str:
    """Return one contract with all tables as YAML.

    Args:
        tables: the tables.
        version: the version of this package, which is the contract's.
    """
    document = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": "crm-pipeline",
        "name": "crm_pipeline",
        "version": version,
        "status": "active",
        "schema": [_object(table) for table in tables],
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def _object(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "physicalName": f"crm.{table.name}",
        "physicalType": "table",
        "logicalType": "object",
        "description": table.description,
        "properties": [_property(table, column) for column in table.columns],
        "quality": [_sql(rule) for rule in table.rules if rule.other],
    }


def _property(table: Table, column: Column) -> dict[str, Any]:
    own = [rule for rule in table.rules if rule.column == column.name and not rule.other]
    kinds = {rule.kind: rule for rule in own}
    made: dict[str, Any] = {
        "name": column.name,
        "logicalType": _logical(column.type),
        "physicalType": column.type,
        "description": column.description,
    }
    if column.type.endswith("[]"):
        made["items"] = {"logicalType": "object" if column.type.startswith("STRUCT") else "string"}
    if "required" in kinds and kinds["required"].severity == "error":
        made["required"] = True
    if "unique" in kinds:
        made["unique"] = True
    if column.name == table.key:
        made |= {"primaryKey": True, "primaryKeyPosition": 1}
    quality = [entry for rule in own for entry in _library(rule)]
    return made | ({"quality": quality} if quality else {})


def _logical(kind: str) -> str:
    if kind.endswith("[]"):
        return "array"
    return "number" if kind.startswith("DECIMAL") else _LOGICAL[kind]


def _library(rule: Rule) -> list[dict[str, Any]]:
    facts = {"name": rule.name, "mustBe": 0, "severity": _SEVERITY[rule.severity]}
    if rule.kind == "required":
        return [{"metric": "nullValues", **facts}]
    if rule.kind == "one_of":
        return [
            {"metric": "invalidValues", "arguments": {"validValues": list(rule.values)}, **facts}
        ]
    if rule.kind == "matches":
        return [{"metric": "invalidValues", "arguments": {"pattern": rule.pattern}, **facts}]
    if rule.kind == "between":
        column = quoted(rule.column)
        sides = [f"{column} < {rule.low}"] if rule.low is not None else []
        sides += [f"{column} > {rule.high}"] if rule.high is not None else []
        return [_query(" OR ".join(sides), facts)]
    return []


def _sql(rule: Rule) -> dict[str, Any]:
    facts = {"name": rule.name, "mustBe": 0, "severity": _SEVERITY[rule.severity]}
    column, other = quoted(rule.column), quoted(rule.other)
    broken = f"{column} < {other}" if rule.kind == "not_before" else f"{column} AND NOT {other}"
    return _query(broken, facts)


def _query(broken: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    query = f"SELECT count(*) FROM {{object}} WHERE {LIVE} AND ({broken})"
    return {"type": "sql", "query": query, **facts}
