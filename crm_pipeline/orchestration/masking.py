"""Masked previews of records for Dagster's metadata.

They show values that identify nobody: ids, references, truth values, numbers, dates, pick lists, and
e-mail addresses as `j***@a***.com`. Names, phones, addresses and free text never leave the record.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_pipeline.kernel.text import on_one_line, shortened
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.orchestration.markdown import literally

_PLAIN = frozenset({"boolean", "integer", "decimal", "double", "date", "time", "timestamp"})
_IDS = frozenset({"id", "reference"})
_EMAIL = re.compile(r"([^@\s]+)@([^@\s]+)\.([A-Za-z0-9-]{2,})")
_COUNTRY_CODE = re.compile(r"\+[0-9]{2}")
_PERSONAL = re.compile(
    r"birth|latitude|longitude|salary|income|ssn|tax|gender|passport|phone|mobile|fax|iban|national",
    re.IGNORECASE,
)
_COLUMNS = 8
_ROWS = 5
_WIDTH = 40


def masked_email(text: str) -> str:
    """Return an e-mail address with all but two initials and the last label hidden."""
    match = _EMAIL.fullmatch(text.strip())
    if match is None:
        return "***"
    person, domain, last = match.groups()
    return f"{person[0]}***@{domain[0]}***.{last.lower()}"


def masked_phone(text: str) -> str:
    """Return a phone number with all but its country code and the number of its characters hidden."""
    code = _COUNTRY_CODE.match(text)
    return f"{code.group() if code else ''}*** ({len(text)} characters)"


def may_show(field: Field) -> bool:
    """Say whether values of a field identify nobody."""
    if _PERSONAL.search(field.name) or _PERSONAL.search(field.label):
        return False
    is_id = field.type.lower() in _IDS or bool(field.reference_to)
    return is_id or field.common_type in _PLAIN or bool(field.values)


def preview(schema: Schema, sample: Sequence[Mapping[str, Any]]) -> str:
    """Return some records as a Markdown table of the fields that may be shown."""
    fields = list(_chosen(schema.fields))
    if not fields or not sample:
        return ""
    lines = [
        _line(_plain(field.name) for field in fields),
        _line("---" for _ in fields),
        *(_line(_shown(field, _value(field, row)) for field in fields) for row in sample[:_ROWS]),
    ]
    withheld = len(schema.fields) - len(fields)
    return "\n".join(lines) + f"\n\n{withheld} more fields are not shown here."


def as_table(rows: Sequence[Mapping[str, str | None]]) -> str:
    """Return rows that are masked already as a Markdown table of their first columns."""
    names = list(rows[0])[:_COLUMNS]
    cells = (_line(_plain(row.get(name) or "") for name in names) for row in rows[:_ROWS])
    return "\n".join([_line(map(_plain, names)), _line("---" for _ in names), *cells])


def _chosen(fields: Iterable[Field]) -> Iterable[Field]:
    shown = [field for field in fields if may_show(field) or _is_email(field)]
    # The id first, then e-mail addresses; system fields are last in most schemas anyway.
    return sorted(shown, key=lambda field: (field.type.lower() != "id", not _is_email(field)))[
        :_COLUMNS
    ]


def _is_email(field: Field) -> bool:
    return field.type.lower() == "email"


def _value(field: Field, row: Mapping[str, Any]) -> Any:
    """Return the value of a field; CSV rows have it under the name, whatever the path."""
    if len(field.keys) == 1 or field.keys[0] not in row:
        return row.get(field.keys[0], row.get(field.name))
    value: Any = row
    for key in field.keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _shown(field: Field, value: Any) -> str:
    # An object, such as {"id", "name", "email"} of a person, is not shown: one part of it is allowed, not all.
    if value is None or value == "" or isinstance(value, Mapping):
        return ""
    return _plain(masked_email(str(value)) if _is_email(field) else str(value))


def _plain(text: str) -> str:
    return literally(shortened(on_one_line(text), _WIDTH))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
