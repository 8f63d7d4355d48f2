"""JSON values of a write as the tables hold them."""

import json
from datetime import date, datetime
from typing import Any

from crm_sandbox.zoho.conditions import moment_of
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.schema import NUMBERS, Field

_EXPECTED = {
    "boolean": "boolean",
    "integer": "integer",
    "bigint": "bigint",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "date": "date",
    "datetime": "datetime",
    "multiselectpicklist": "jsonarray",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "userlookup": "jsonobject",
}


def expected_type(one: Field) -> str:
    """Return what an error names as the type that was expected."""
    return _EXPECTED.get(one.value_type, "email" if one.type == "email" else "string")


def stored_value(one: Field, value: Any) -> Any:
    """Return a JSON value as the column holds it.

    Raises:
        ValueError: the value does not fit the field's type.
    """
    if one.structured:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if value is None or value == "":
        return False if one.value_type == "boolean" else None
    if one.is_lookup:
        return _looked_up(value)
    kind = one.value_type
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"'{one.name}' takes true or false, not {value!r}")
        return value
    if kind in NUMBERS:
        return _number(kind, value)
    if kind in {"date", "datetime"}:
        return _moment(kind, value)
    if kind == "multiselectpicklist":
        if not isinstance(value, list):
            raise ValueError(f"'{one.name}' takes a list, not {value!r}")
        return [str(part) for part in value]
    if not isinstance(value, str):
        raise ValueError(f"'{one.name}' takes a text, not {value!r}")  # noqa: TRY004 - a fault of data
    return value


def _looked_up(value: Any) -> int:
    text = value.get("id") if isinstance(value, dict) else value
    number = id_of(text)
    if number is None:
        raise ValueError(f"{text!r} is no id")
    return number


def _number(kind: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no number")  # noqa: TRY004 - as above
    if isinstance(value, str) and kind != "bigint":
        raise ValueError(f"{value!r} is a text")
    if kind in {"integer", "bigint"}:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(f"{value!r} is no whole number")
        return int(value)
    return float(value)


def _moment(kind: str, value: Any) -> date | datetime:
    if kind == "date":
        if isinstance(value, datetime):
            return value.date()
        return value if isinstance(value, date) else date.fromisoformat(value)
    return value if isinstance(value, datetime) else moment_of(value).replace(microsecond=0)
