"""The rows of an import: found or made, changed, and what was wrong with each."""

from collections import Counter
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crm_sandbox.http import is_number
from crm_sandbox.hubspot.errors import ApiError
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.writes import Writer

# What the vendor's import calls the complaints that its other APIs make.
_CALLED = {
    "INVALID_EMAIL": "INVALID_EMAIL",
    "INVALID_NUMBER": "COULD_NOT_PARSE_NUMBER",
    "INVALID_LONG": "COULD_NOT_PARSE_DATE",
    "INVALID_DATE": "COULD_NOT_PARSE_DATE",
    "INVALID_OPTION": "INVALID_ENUMERATION_OPTION",
}


@dataclass(frozen=True)
class Column:
    """Which property a column of the file goes to.

    Attributes:
        key: how it tells records apart: `HUBSPOT_OBJECT_ID`, `HUBSPOT_ALTERNATE_ID` or empty.
    """

    type: str
    property: str
    key: str


@dataclass(frozen=True)
class Mapping:
    """How a file is read."""

    file: str
    columns: tuple[Column, ...]

    @property
    def types(self) -> list[str]:
        """The object types that it has."""
        return list(dict.fromkeys(column.type for column in self.columns if column.type))

    @classmethod
    def of(cls, entry: Dictionary[str, Any], header: Sequence[str]) -> "Mapping":
        """Read the mapping of one file; columns that it does not name are left alone."""
        pages = entry.get("fileImportPage") or {}
        known = {
            str(one.get("columnName")): Column(
                str(one.get("columnObjectTypeId") or ""),
                str(one.get("propertyName") or ""),
                str(one.get("columnType") or one.get("idColumnType") or ""),
            )
            for one in pages.get("columnMappings") or ()
        }
        nothing = Column("", "", "")
        return cls(str(entry.get("fileName", "")), tuple(known.get(n, nothing) for n in header))


class ImportRows:
    """Writes rows into one portal.

    Args:
        portal: the portal.
        writer: how they are written.
    """

    def __init__(self, portal: Portal, writer: Writer) -> None:
        self._portal = portal
        self._writer = writer

    def write(
        self,
        mapping: Mapping,
        rows: Sequence[Sequence[str]],
        counters: Counter[str],
        errors: list[dict[str, Any]],
    ) -> None:
        """Write rows one after the other; what is wrong with one does not stop the others."""
        counters["TOTAL_ROWS"] += len(rows)
        for number, row in enumerate(rows, 2):
            place = (mapping, number, row)
            if len(row) != len(mapping.columns):
                errors.append(self._error(place, "INCORRECT_NUMBER_OF_COLUMNS", "", None))
                continue
            for name in mapping.types:
                one = self._portal.catalog.asked(name)
                try:
                    made = self._write(one, mapping, row)
                except ApiError as refusal:
                    errors.append(self._refused(place, one, refusal))
                    continue
                counters["CREATED_OBJECTS" if made else "UPDATED_OBJECTS"] += 1
        counters["ERRORS"] = len(errors)

    def _write(self, one: ObjectType, mapping: Mapping, row: Sequence[str]) -> bool:
        """Write one row; return whether a record was made."""
        values: dict[str, str] = {}
        found: int | None = None
        for column, text in zip(mapping.columns, row, strict=True):
            if not column.type or self._portal.catalog.asked(column.type) != one or not text:
                continue
            if column.key == "HUBSPOT_OBJECT_ID":
                found = int(text) if is_number(text) else None
                continue
            values[column.property] = text
            prop = one.find(column.property)
            if prop is not None and prop.unique:
                found = self._writer.holder(one, prop.column, text) or found
        if found is None:
            self._writer.create_one(one, {"properties": values}, source="IMPORT")
            return True
        self._writer.update_one(one, found, {"properties": values}, source="IMPORT")
        return False

    def _refused(
        self, place: tuple[Mapping, int, Sequence[str]], one: ObjectType, refusal: ApiError
    ) -> dict[str, Any]:
        first = refusal.errors[0] if refusal.errors else {}
        code = str(first.get("code") or refusal.sub_category or refusal.category)
        called = _CALLED.get(
            code, code if code == "GDPR_BLACKLISTED_EMAIL" else "FAILED_VALIDATION"
        )
        names = (first.get("context") or {}).get("propertyName") or [""]
        wrong = None
        for column, text in zip(place[0].columns, place[2], strict=True):
            if column.property == names[0]:
                wrong = text
        return self._error(place, called, one.id, wrong) | {"errorMessage": refusal.message}

    def _error(
        self, place: tuple[Mapping, int, Sequence[str]], kind: str, type_id: str, wrong: str | None
    ) -> dict[str, Any]:
        mapping, number, row = place
        made: dict[str, Any] = {
            "id": str(9_000_000 + number),
            "createdAt": self._portal.now_ms(),
            "errorType": kind,
            "sourceData": {
                "fileId": 1,
                "lineNumber": number,
                "pageName": mapping.file,
                "rowData": list(row),
                "additionalRowData": [],
                "containsEncryptedProperties": False,
            },
        }
        if type_id:
            made |= {
                "objectType": "CONTACT" if type_id == "0-1" else "OBJECT",
                "objectTypeId": type_id,
            }
        if wrong is not None:
            made["invalidValue"] = wrong
        return made
