"""Values as clients send them, validated and converted for the tables.

Nothing is coerced: a number in quotes is refused, as the vendor does.
Source: https://pipedrive.readme.io/docs/pipedrive-api-v2-migration-guide
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from crm_sandbox.pipedrive.custom_fields import MEMBERS, CustomField
from crm_sandbox.pipedrive.schema import ADDRESS_PARTS, Column

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")
# Ids and other numbers are 32 bits wide; what is larger is nobody's.
MOST_INTEGER = (1 << 31) - 1
_ZONES = {50: "Europe/Berlin", 1: "UTC"}


class Wrong(ValueError):
    """What is wrong with a value, as the end of a sentence that begins with its name."""


def stored(column: Column, value: Any) -> Any:
    """Return a system field's value for the table.

    Raises:
        Wrong: the value does not fit.
    """
    if value is None:
        return (
            [] if column.kind in {"labels", "emails", "phones", "uuids", "participants"} else None
        )
    reader: Callable[[Any], Any] = _READERS.get(column.kind, _text)
    return reader(value)


def stored_custom(one: CustomField, value: Any) -> Any:
    """Return a custom field's value for the table.

    Raises:
        Wrong: the value does not fit the type, or no option has its id.
    """
    if value is None:
        return None
    if one.type == "enum":
        return _option(one, _whole(value))
    if one.type == "set":
        if not isinstance(value, list) or not value:
            raise Wrong("must be a non-empty array of option ids; null clears it")
        return [_option(one, _whole(item)) for item in value]
    if one.type in MEMBERS:
        return _structure(one, value)
    readers: dict[str, Callable[[Any], Any]] = {"double": number, "date": _day}
    readers |= dict.fromkeys(("user", "org", "people"), _whole)
    plain: Callable[[Any], Any] = readers.get(one.type, _text)
    return plain(value)


def _option(one: CustomField, number: int) -> int:
    if number not in {option.id for option in one.options}:
        raise Wrong(f"has no option {number}")
    return number


def _structure(one: CustomField, value: Any) -> dict[str, Any]:
    """Return a structured value; members that were not sent are null."""
    if not isinstance(value, dict):
        raise Wrong("must be an object")
    if unknown := set(value) - set(one.members):
        raise Wrong(f"must not have '{min(unknown)}'")
    reader: Callable[[Any], Any] = _text
    if one.type == "monetary":
        reader = number
    elif one.type == "daterange":
        reader = _day
    elif one.type in {"time", "timerange"}:
        reader = _clock
    made: dict[str, Any] = dict.fromkeys(one.members)
    for member, part in value.items():
        if part is None:
            continue
        if member == "timezone_id":
            made[member] = _whole(part)
            made["timezone_name"] = _ZONES.get(made[member], "UTC")
        elif member in {"timezone_name", "currency"}:
            made[member] = _text(part)
        else:
            made[member] = reader(part)
    return made


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("must be a string")
    return value


def number(value: Any) -> float:
    """Return a number.

    Raises:
        Wrong: it is none, or too large to be kept.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong("must be a number")
    try:
        return float(value)
    except OverflowError as problem:
        raise Wrong("is out of range") from problem


def _whole(value: Any, most: int = MOST_INTEGER) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong("must be an integer")
    if not -most <= value <= most:
        raise Wrong("is out of range")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("must be a boolean")
    return value


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(_text(value))
    except ValueError as problem:
        raise Wrong("must be a date in the form YYYY-MM-DD") from problem


def _clock(value: Any) -> str:
    if not _CLOCK.fullmatch(_text(value)):
        raise Wrong("must be a time in the form HH:MM:SS")
    return str(value)


def instant(value: Any) -> datetime:
    """Return an RFC 3339 moment in naive UTC, whole seconds.

    Raises:
        Wrong: it is none.
    """
    if not _INSTANT.fullmatch(_text(value)):
        raise Wrong("must be in RFC3339 format")
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _points(value: Any) -> list[dict[str, Any]]:
    """Return e-mails or phones: one is the primary."""
    if not isinstance(value, list):
        raise Wrong("must be an array")
    made = []
    for item in value:
        if not isinstance(item, Mapping) or set(item) - {"value", "primary", "label"}:
            raise Wrong("must be an array of objects with value, primary and label")
        made.append(
            {
                "value": _text(item.get("value")),
                "primary": _flag(item.get("primary", False)),
                "label": _text(item.get("label", "work")),
            }
        )
    if made and not any(point["primary"] for point in made):
        made[0]["primary"] = True
    return made


def _address(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"value": value}
    if not isinstance(value, Mapping) or set(value) - set(ADDRESS_PARTS):
        raise Wrong("must be an address object")
    return {part: None if text is None else _text(text) for part, text in value.items()}


def _participants(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise Wrong("must be an array of objects")
    return [
        {"person_id": _whole(item.get("person_id")), "primary": _flag(item.get("primary", False))}
        for item in value
    ]


def _prices(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise Wrong("must be an array of objects")
    known = {"price": 0, "currency": "EUR", "cost": 0, "direct_cost": None, "notes": ""}
    made = [{key: item.get(key, default) for key, default in known.items()} for item in value]
    for one in made:
        for key, part in one.items():
            reader: Callable[[Any], Any] = _text if key in {"currency", "notes"} else number
            one[key] = None if part is None else reader(part)
    return made


def _list_of(reader: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Wrong("must be an array")
        return [reader(item) for item in value]

    return read


def _category(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _status(value: Any) -> str:
    if value not in ("open", "won", "lost"):
        raise Wrong("must be one of [open, won, lost]")
    return str(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("int", "ref", "user", "org", "people", "stage", "enum", "visible_to"), _whole),
    "whole": lambda value: _whole(value, (1 << 63) - 1),
    "double": number,
    "money": number,
    "boolean": _flag,
    "date": _day,
    "instant": instant,
    "labels": _list_of(_whole),
    "uuids": _list_of(_text),
    "emails": _points,
    "phones": _points,
    "address": _address,
    "participants": _participants,
    "prices": _prices,
    "choice": _category,
    "status": _status,
    "attendees": lambda value: json.dumps(value, ensure_ascii=False),
}
