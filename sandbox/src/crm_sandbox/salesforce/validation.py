"""Validation of a record before it is written: field names, types, lengths and required fields.

Only what one record and the schema tell; what other records tell is in `writes.py`.
"""

import re
from typing import Any

from crm_sandbox.salesforce.changes import stored_value
from crm_sandbox.salesforce.errors import (
    ApiError,
    malformed_id,
    no_such_column,
)
from crm_sandbox.salesforce.ids import full_id, is_id
from crm_sandbox.salesforce.schema import TEXT_TYPES, Field, SObject

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_VERBS = {"create": "inserted", "update": "updated", "upsert": "upserted"}


class WrongTypeError(ApiError):
    """A value that its field cannot hold; over REST the whole body then counts as unreadable.

    Args:
        one: the field.
        value: what was given.
    """

    def __init__(self, one: Field, value: Any) -> None:
        text = f"Cannot deserialize instance of {one.type} from value {value!r} in field {one.name}"
        super().__init__(400, "JSON_PARSER_ERROR", text)
        self.field = one
        self.value = value


def record_id_of(sobject: SObject, text: Any) -> str:
    """Return an id of this object with 18 characters.

    Raises:
        ApiError: `MALFORMED_ID` for anything else.
    """
    known = isinstance(text, str) and is_id(text) and text.startswith(sobject.prefix)
    if not known or full_id(text[:15]) != full_id(text):
        raise malformed_id(f"{sobject.name} ID", text, "Id")
    return full_id(text)


def check_operation(sobject: SObject, operation: str) -> None:
    """Refuse to write to objects that only the vendor itself writes.

    Raises:
        ApiError: `INVALID_TYPE_FOR_OPERATION`.
    """
    gone = operation in {"delete", "hardDelete"}
    if not sobject.createable or (gone and not sobject.has_deleted):
        verb = _VERBS.get(operation, "deleted")
        raise ApiError(
            400,
            "INVALID_TYPE_FOR_OPERATION",
            f"entity type cannot be {verb}: {sobject.name}",
        )


def checked_values(sobject: SObject, body: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Return the values of a record by stored column, each as the table holds it.

    Raises:
        ApiError: the first field that cannot be written so.
    """
    values: dict[str, Any] = {}
    for name, value in body.items():
        one = sobject.find(name)
        if one is None:
            raise no_such_column(name, sobject.name)
        if not (one.createable if new else one.updateable):
            raise ApiError(
                400,
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {one.name}. Please check the security settings "
                "of this field and verify that it is read/write for your profile or permission set.",
                [one.name],
            )
        values[one.stored] = _checked(one, value)
    return values


def check_required(sobject: SObject, values: dict[str, Any], *, new: bool) -> None:
    """Refuse a record that lacks what it must have, or an update that takes it away.

    Raises:
        ApiError: `REQUIRED_FIELD_MISSING` with every field at fault.
    """
    missing = [
        one.name
        for one in sobject.fields
        if _is_required(one)
        and (new or one.stored in values)
        and values.get(one.stored) is None
        and not (new and one.name == "OwnerId")
    ]
    if missing:
        text = f"Required fields are missing: [{', '.join(missing)}]"
        raise ApiError(400, "REQUIRED_FIELD_MISSING", text, missing)


def _is_required(one: Field) -> bool:
    return not one.nillable and one.createable and one.type != "boolean"


def _checked(one: Field, value: Any) -> Any:
    if isinstance(value, dict | list):
        raise WrongTypeError(one, value)
    if value is None or value == "":
        return stored_value(one, None)
    label = one.label or one.name
    if one.type == "reference":
        if not isinstance(value, str) or not is_id(value):
            raise malformed_id(f"{label} ID", value, one.name)
        return full_id(value)
    if one.type in TEXT_TYPES:
        return _checked_text(one, label, value)
    try:
        return stored_value(one, value)
    except (ValueError, TypeError) as problem:
        raise WrongTypeError(one, value) from problem


def _checked_text(one: Field, label: str, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if one.length and len(text) > one.length:
        raise ApiError(
            400,
            "STRING_TOO_LONG",
            f"{label}: data value too large: {text[:255]} (max length={one.length})",
            [one.name],
        )
    if one.type == "email" and not _EMAIL.fullmatch(text):
        raise ApiError(
            400, "INVALID_EMAIL_ADDRESS", f"{label}: invalid email address: {text}", [one.name]
        )
    return text
