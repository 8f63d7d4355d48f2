"""Change records and schema: what users and administrators of the org do behind the API's back."""

from datetime import UTC, date, datetime
from typing import Any

from crm_sandbox.salesforce.ids import full_id
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import Field, SObject, label_of

_STAMPS = ("LastModifiedDate", "SystemModstamp")


class Changes:
    """Every way to change the org.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def edit(
        self, name: str, record: str, *, stamp: datetime | str | None = None, **fields: Any
    ) -> None:
        """Change fields of a record and move its stamps.

        Args:
            name: the object.
            record: the record's id.
            stamp: the new stamp; by default the present.
            **fields: new values by field name.

        Raises:
            KeyError: there is no such record.
            ValueError: the object or a field is unknown.
        """
        sobject = self._org.known(name)
        values = self._values(sobject, fields)
        moment = self._moment(stamp)
        values |= {key: moment for key in _STAMPS if _has(sobject, key)}
        self._update(sobject, record, values)

    def formula_change(self, name: str, record: str, **fields: Any) -> None:
        """Change values without moving any stamp, as recalculated formulas do."""
        sobject = self._org.known(name)
        self._update(sobject, record, self._values(sobject, fields))

    def create(self, name: str, *, stamp: datetime | str | None = None, **fields: Any) -> str:
        """Create a record and return its id; with an older stamp it is a late commit."""
        sobject = self._org.known(name)
        values = self._defaults(sobject) | self._values(sobject, fields)
        moment = self._moment(stamp)
        for key in ("CreatedDate", *_STAMPS):
            if _has(sobject, key):
                values[key] = moment
        with self._org.writing() as cursor:
            values["Id"] = self._org.new_id(sobject)
            columns = ", ".join(f'"{key}"' for key in values)
            marks = ", ".join("?" for _ in values)
            cursor.execute(
                f'INSERT INTO "{sobject.name}" ({columns}) VALUES ({marks})', list(values.values())
            )
            self._rename(cursor, sobject, str(values["Id"]))
        return str(values["Id"])

    def delete(self, name: str, record: str) -> None:
        """Put a record into the recycle bin."""
        self._bin(name, record, deleted=True)

    def restore(self, name: str, record: str) -> None:
        """Take a record out of the recycle bin."""
        self._bin(name, record, deleted=False)

    def hard_delete(self, name: str, record: str) -> None:
        """Remove a record so that no API shows it any more."""
        sobject = self._org.known(name)
        with self._org.writing() as cursor:
            self._must_exist(cursor, sobject, record)
            cursor.execute(f'DELETE FROM "{sobject.name}" WHERE "Id" = ?', [full_id(record)])

    def merge(self, name: str, winner: str, loser: str) -> None:
        """Merge a record into another: the loser is deleted and points to the winner."""
        sobject = self._org.known(name)
        if not sobject.mergeable:
            raise ValueError(f"'{sobject.name}' cannot be merged")
        moment = self._moment(None)
        with self._org.writing() as cursor:
            self._must_exist(cursor, sobject, winner)
        stamps = dict.fromkeys(_STAMPS, moment)
        self._update(sobject, winner, stamps)
        lost = {"IsDeleted": True, "MasterRecordId": full_id(winner)}
        self._update(sobject, loser, stamps | lost)
        self._follow(sobject, winner, loser)

    def _follow(self, sobject: SObject, winner: str, loser: str) -> None:
        with self._org.writing() as cursor:
            for other in self._org.objects:
                for one in other.fields:
                    if sobject.name not in one.reference_to or one.stored == "MasterRecordId":
                        continue
                    cursor.execute(
                        f'UPDATE "{other.name}" SET "{one.stored}" = ? WHERE "{one.stored}" = ?',
                        [full_id(winner), full_id(loser)],
                    )

    def _bin(self, name: str, record: str, *, deleted: bool) -> None:
        sobject = self._org.known(name)
        if not sobject.has_deleted:
            raise ValueError(f"'{sobject.name}' has no recycle bin")
        moment = self._moment(None)
        values: dict[str, Any] = {"IsDeleted": deleted}
        values |= {key: moment for key in _STAMPS if _has(sobject, key)}
        self._update(sobject, record, values)

    def _update(self, sobject: SObject, record: str, values: dict[str, Any]) -> None:
        with self._org.writing() as cursor:
            self._must_exist(cursor, sobject, record)
            sets = ", ".join(f'"{key}" = ?' for key in values)
            cursor.execute(
                f'UPDATE "{sobject.name}" SET {sets} WHERE "Id" = ?',
                [*values.values(), full_id(record)],
            )
            self._rename(cursor, sobject, full_id(record))

    def _rename(self, cursor: Any, sobject: SObject, record: str) -> None:
        """Put a person's compound name together again."""
        if all(_has(sobject, key) for key in ("FirstName", "LastName", "Name")):
            cursor.execute(
                f'UPDATE "{sobject.name}" SET "Name" = '
                "trim(coalesce(\"FirstName\", '') || ' ' || coalesce(\"LastName\", '')) "
                'WHERE "Id" = ?',
                [record],
            )

    def _must_exist(self, cursor: Any, sobject: SObject, record: str) -> None:
        found = cursor.execute(
            f'SELECT 1 FROM "{sobject.name}" WHERE "Id" = ?', [full_id(record)]
        ).fetchone()
        if found is None:
            raise KeyError(f"no {sobject.name} has the id '{record}'")

    def _values(self, sobject: SObject, fields: dict[str, Any]) -> dict[str, Any]:
        known = {one.name.lower(): one for one in sobject.fields}
        values: dict[str, Any] = {}
        for name, value in fields.items():
            one = known.get(name.lower())
            if one is None or one.is_compound:
                raise ValueError(f"unknown field '{name}' of {sobject.name}")
            values[one.stored] = stored_value(one, value)
        return values

    def _defaults(self, sobject: SObject) -> dict[str, Any]:
        values: dict[str, Any] = {
            one.stored: False for one in sobject.fields if one.type == "boolean"
        }
        for key in ("OwnerId", "CreatedById", "LastModifiedById"):
            if _has(sobject, key):
                values[key] = self._org.user_id
        return values

    def _moment(self, stamp: datetime | str | None) -> datetime:
        if stamp is None:
            return self._org.clock.stamp()
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return moment.replace(microsecond=0)


class SchemaChanges:
    """Every way to change what the org's objects look like.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def rename_field(self, name: str, field: str, new_name: str) -> None:
        """Give a field another API name; its values stay."""
        sobject, one = self._field(name, field)
        if any(other.name.lower() == new_name.lower() for other in sobject.fields):
            raise ValueError(f"{sobject.name} already has a field '{new_name}'")
        self._org.replace(sobject.with_field(one.changed(name=new_name, label=label_of(new_name))))

    def retype_field(self, name: str, field: str, new_type: str) -> None:
        """Give a field another type; values that do not fit become null."""
        sobject, one = self._field(name, field)
        changed = one.changed(type=new_type, length=one.length or 255, precision=18, scale=2)
        with self._org.writing() as cursor:
            cursor.execute(
                f'ALTER TABLE "{sobject.name}" ALTER "{one.stored}" TYPE {changed.column_type} '
                f'USING TRY_CAST("{one.stored}" AS {changed.column_type})'
            )
            self._org.replace(sobject.with_field(changed))

    def hide_field(self, name: str, field: str, *, hidden: bool = True) -> None:
        """Take a field away from the integration user, or give it back."""
        sobject, one = self._field(name, field)
        self._org.replace(sobject.with_field(one.changed(hidden=hidden)))

    def add_field(self, name: str, field: str, kind: str = "string", value: Any = None) -> None:
        """Add a field that has one value in every row."""
        sobject = self._org.known(name)
        if any(one.name.lower() == field.lower() for one in sobject.fields):
            raise ValueError(f"{sobject.name} already has a field '{field}'")
        made = Field(field, kind, label=label_of(field), length=255, custom=field.endswith("__c"))
        with self._org.writing() as cursor:
            cursor.execute(f'ALTER TABLE "{sobject.name}" ADD COLUMN "{field}" {made.column_type}')
            cursor.execute(
                f'UPDATE "{sobject.name}" SET "{field}" = ?', [stored_value(made, value)]
            )
        fields = (*sobject.fields, made)
        self._org.replace(SObject(**(vars(sobject) | {"fields": fields})))

    def hide_object(self, name: str, *, hidden: bool = True) -> None:
        """Take an object away from the integration user, or give it back."""
        sobject = self._org.known(name)
        self._org.replace(SObject(**(vars(sobject) | {"hidden": hidden})))

    def _field(self, name: str, field: str) -> tuple[SObject, Field]:
        sobject = self._org.known(name)
        for one in sobject.fields:
            if one.name.lower() == field.lower():
                return sobject, one
        raise ValueError(f"unknown field '{field}' of {sobject.name}")


def _has(sobject: SObject, column: str) -> bool:
    return any(one.stored == column for one in sobject.fields)


def stored_value(one: Field, value: Any) -> Any:
    """Return a JSON value as the table holds it.

    Raises:
        ValueError: the value does not fit the field's type.
    """
    if value is None or value == "":
        return False if one.type == "boolean" else None
    if one.type == "datetime" and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if one.type == "date" and isinstance(value, str):
        return date.fromisoformat(value)
    if one.type == "boolean" and not isinstance(value, bool):
        raise ValueError(f"'{one.name}' takes true or false, not {value!r}")
    if one.type in {"double", "currency", "percent"}:
        return float(value)
    if one.type == "int":
        return int(value)
    return full_id(value) if one.type == "reference" else value
