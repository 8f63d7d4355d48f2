"""The vendor's checks of a record that is to be written, field by field.

Codes: https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html. Names that the module does not
have are passed over in silence, and so are fields that cannot be written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Field, Module
from crm_sandbox.zoho.values import expected_type, stored_value

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_ABOUT = ("What_Id", "Parent_Id")


@dataclass
class Failure:
    """Why a record, or one field of it, is refused."""

    code: str
    message: str
    details: dict[str, Any]

    @property
    def shown(self) -> dict[str, Any]:
        """The entry of the answer."""
        return {
            "code": self.code,
            "details": self.details,
            "message": self.message,
            "status": "error",
        }


@dataclass
class Draft:
    """A record on its way.

    Attributes:
        values: by stored column.
        rows: rows of sub-forms and of several lookups, by the table that holds them.
        failures: what is wrong with it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def failure(self) -> Failure | None:
        """The one failure to answer with; several come as one that lists them."""
        if len(self.failures) <= 1:
            return self.failures[0] if self.failures else None
        errors = [one.shown for one in self.failures]
        return Failure("MULTIPLE_OR_MULTI_ERRORS", "Multiple errors", {"errors": errors})


def invalid(one: Field, path: str, **more: Any) -> Failure:
    """Return the failure for a value that does not fit its field."""
    details = more or {"expected_data_type": expected_type(one)}
    return Failure(
        "INVALID_DATA", "invalid data", {**details, "api_name": one.name, "json_path": path}
    )


def missing(name: str, path: str) -> Failure:
    """Return the failure for a field that must be there."""
    return Failure(
        "MANDATORY_NOT_FOUND", "required field not found", {"api_name": name, "json_path": path}
    )


class Checker:
    """Reads records of one org.

    Args:
        org: its modules count.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def read(
        self, module: Module, record: Mapping[str, Any], path: str, *, inserting: bool
    ) -> Draft:
        """Return a record's values, and what is wrong with it.

        Args:
            module: where it shall go.
            record: the JSON object.
            path: its place in the body.
            inserting: whether it is to be a new record.
        """
        draft = Draft()
        known = {one.name: one for one in module.visible_fields}
        for name, value in record.items():
            one = known.get(name)
            if one is None or one.read_only or name == "id":
                continue
            self._read_field(one, value, f"{path}.{name}", draft)
        for one in module.visible_fields:
            given = record.get(one.name)
            absent = given in (None, "", []) and (inserting or one.name in record)
            if one.mandatory and not one.read_only and absent:
                draft.failures.append(missing(one.name, f"{path}.{one.name}"))
        self._about(module, record, path, draft)
        return draft

    def _read_field(self, one: Field, value: Any, path: str, draft: Draft) -> None:
        if not one.is_stored:
            self._read_rows(one, value, path, draft)
            return
        try:
            stored = stored_value(one, value)
        except (ValueError, TypeError, OverflowError):
            draft.failures.append(invalid(one, path))
            return
        if isinstance(stored, str) and one.length and len(stored) > one.length:
            draft.failures.append(invalid(one, path, maximum_length=one.length))
        elif one.type == "email" and stored and not _EMAIL.fullmatch(stored):
            draft.failures.append(invalid(one, path))
        elif one.is_lookup and stored is not None and not self._leads_somewhere(one, stored):
            details = {"api_name": one.name, "json_path": path}
            message = "the id given seems to be invalid"
            draft.failures.append(Failure("INVALID_DATA", message, details))
        else:
            draft.values[one.stored] = stored

    def _leads_somewhere(self, one: Field, number: int) -> bool:
        table = self._org.ids.table_of(number)
        if not table or one.target not in {"se_module", table}:
            return False
        sql = f'SELECT 1 FROM "{table}" WHERE id = ? AND _ended IS NULL'
        return self._org.tables.value(sql, [number]) is not None

    def _read_rows(self, one: Field, value: Any, path: str, draft: Draft) -> None:
        if not isinstance(value, list):
            draft.failures.append(
                Failure(
                    "INVALID_DATA",
                    "invalid data",
                    {"expected_data_type": "jsonarray", "api_name": one.name, "json_path": path},
                )
            )
            return
        below = self._org.behind(one.rows)
        made = []
        for place, row in enumerate(value):
            inner = Draft()
            if one.type == "subform":
                inner = self.read(below, row, f"{path}[{place}]", inserting=True)
            else:
                link = below.fields[2]
                chosen = row.get(one.name, row) if isinstance(row, dict) else row
                self._read_field(link, chosen, f"{path}[{place}].{one.name}", inner)
            draft.failures += inner.failures
            made.append(inner.values)
        draft.rows[one.rows] = made

    def _about(self, module: Module, record: Mapping[str, Any], path: str, draft: Draft) -> None:
        """An activity says with `$se_module` what it is about, a note beside its parent."""
        name = next((one for one in _ABOUT if draft.values.get(one)), "")
        if not name or not module.has("$se_module") or "$se_module" in draft.values:
            return
        parent = record.get(name)
        inside = parent.get("module") if isinstance(parent, dict) else None
        if isinstance(inside, dict) and inside.get("api_name"):
            draft.values["$se_module"] = inside["api_name"]
            return
        if name == "Parent_Id":
            draft.values["$se_module"] = self._org.ids.table_of(draft.values[name])
            return
        dependee = {"api_name": name, "json_path": f"{path}.{name}"}
        details = {
            "dependee": dependee,
            "api_name": "$se_module",
            "json_path": f"{path}.$se_module",
        }
        message = "required dependent field not found"
        draft.failures.append(Failure("DEPENDENT_FIELD_MISSING", message, details))


def id_in(record: Mapping[str, Any], path: str) -> int | Failure:
    """Return the id that a record names, or why it names none."""
    if record.get("id") in (None, ""):
        return missing("id", f"{path}.id")
    number = id_of(record["id"])
    if number is None:
        details = {"expected_data_type": "bigint", "api_name": "id", "json_path": f"{path}.id"}
        return Failure("INVALID_DATA", "invalid data", details)
    return number
