"""Change records and fields: what people and administrators do behind the API's back."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from crm_sandbox.pipedrive import shaping
from crm_sandbox.pipedrive.company import Companies, Company, known
from crm_sandbox.pipedrive.merges import MERGEABLE, merge
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.store import Author

_DATES = {"date", "instant"}


class Changes:
    """Every way to change the companies.

    Args:
        companies: all of them.
    """

    def __init__(self, companies: Companies) -> None:
        self._changed = companies

    def edit(
        self,
        name: str,
        record: Any,
        /,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> None:
        """Change fields of a record and move its stamp.

        Args:
            name: the object.
            record: the record's id.
            stamp: the new stamp; by default the present.
            account: the company.
            **fields: new values by column; custom fields by key or by name.

        Raises:
            KeyError: there is no such record.
            ValueError: the object or a field is unknown.
        """
        company, entity = self._changed[account], known(name)
        values = _values(company, entity, fields)
        moment = _moment(company, stamp)
        company.store.update(entity, _id(entity, record), values, _app(company), moment=moment)

    def formula_change(
        self, name: str, record: Any, /, *, account: str = "main", **fields: Any
    ) -> None:
        """Change values without moving any stamp, as recalculated fields do."""
        company, entity = self._changed[account], known(name)
        values = _values(company, entity, fields)
        company.store.update(entity, _id(entity, record), values, _app(company), is_silent=True)

    def create(
        self,
        name: str,
        /,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> Any:
        """Create a record and return its id; with an older stamp it is a late commit."""
        company, entity = self._changed[account], known(name)
        values = _values(company, entity, fields)
        moment = _moment(company, stamp)
        return company.store.create(entity, values, _app(company), moment=moment)

    def delete(self, name: str, record: Any, *, account: str = "main") -> None:
        """Delete a record; for 30 days it can come back."""
        company, entity = self._changed[account], known(name)
        company.store.delete(entity, _id(entity, record), _app(company))

    def restore(self, name: str, record: Any, *, account: str = "main") -> None:
        """Take a deleted record back."""
        company, entity = self._changed[account], known(name)
        if entity.name == "notes":
            values = {"active_flag": True}
            company.store.update(entity, _id(entity, record), values, _app(company))
        elif entity.is_binned:
            company.store.restore(entity, _id(entity, record), _app(company))
        else:
            raise ValueError(f"{entity.name} are not kept after their deletion")

    def hard_delete(self, name: str, record: Any, *, account: str = "main") -> None:
        """Remove a record so that nothing shows it any more."""
        company, entity = self._changed[account], known(name)
        company.store.remove(entity, _id(entity, record))

    def merge(self, name: str, winner: int, loser: int, *, account: str = "main") -> None:
        """Merge a record into another: the loser is deleted and the winner takes over.

        Raises:
            ValueError: the object cannot be merged.
        """
        company, entity = self._changed[account], known(name)
        if entity.name not in MERGEABLE:
            raise ValueError(f"{entity.name} cannot be merged; known: {', '.join(MERGEABLE)}")
        merge(company, entity, int(winner), int(loser), _app(company))


class SchemaChanges:
    """Every way to change what the companies' objects look like.

    Args:
        companies: all of them.
    """

    def __init__(self, companies: Companies) -> None:
        self._shaped = companies

    def rename_field(self, name: str, field: str, new_name: str, *, account: str = "main") -> None:
        """Give a custom field (by key or name) another name; its key stays."""
        shaping.rename_field(self._shaped[account], known(name), field, new_name)

    def retype_field(self, name: str, field: str, new_type: str, *, account: str = "main") -> None:
        """Give a custom field another type under the same key."""
        shaping.retype_field(self._shaped[account], known(name), field, new_type)

    def hide_field(
        self, name: str, field: str, *, hidden: bool = True, account: str = "main"
    ) -> None:
        """Take a custom field out of sight, or bring it back with its values."""
        company = self._shaped[account]
        shaping.field_of(company, known(name), field).is_hidden = hidden
        company.tables.bump()

    def remove_field(self, name: str, field: str, *, account: str = "main") -> None:
        """Remove a custom field for good, with all its values."""
        shaping.remove_field(self._shaped[account], known(name), field)

    def add_field(
        self,
        name: str,
        field: str,
        kind: str = "varchar",
        value: Any = None,
        *,
        labels: Sequence[str] = (),
        account: str = "main",
    ) -> str:
        """Add a custom field with one value in every record, without moving stamps; return its key."""
        company, entity = self._shaped[account], known(name)
        one = shaping.add_field(company, entity, field, kind, labels)
        if value is not None:
            with company.tables.writing() as cursor:
                cursor.execute(f'UPDATE "{entity.name}" SET "{one.code}" = ?', [value])
        return one.code

    def add_option(self, name: str, field: str, label: str, *, account: str = "main") -> int:
        """Add an option to an enum or a set; return its number."""
        company, entity = self._shaped[account], known(name)
        one = shaping.field_of(company, entity, field)
        return shaping.add_options(company, one, [label])[0].id

    def rename_option(
        self, name: str, field: str, label: str, new_label: str, *, account: str = "main"
    ) -> None:
        """Give an option another label; its number stays."""
        company, entity = self._shaped[account], known(name)
        one = shaping.field_of(company, entity, field)
        option = one.labelled(label)
        if option is None:
            raise ValueError(f"'{field}' has no option '{label}'")
        shaping.rename_options(company, one, {option.id: new_label})

    def remove_option(self, name: str, field: str, label: str, *, account: str = "main") -> None:
        """Remove an option; records lose it without being touched."""
        company, entity = self._shaped[account], known(name)
        one = shaping.field_of(company, entity, field)
        option = one.labelled(label)
        if option is None:
            raise ValueError(f"'{field}' has no option '{label}'")
        shaping.remove_options(company, entity, one, [option.id])

    def hide_object(self, name: str, *, hidden: bool = True, account: str = "main") -> None:
        """Let users have no permission for an object, or give it back."""
        company, entity = self._shaped[account], known(name)
        (company.hidden.add if hidden else company.hidden.discard)(entity.name)
        company.tables.bump()


def _app(company: Company) -> Author:
    return Author(company.admin)


def _id(entity: Entity, record: Any) -> Any:
    return str(record) if entity.key_type == "VARCHAR" else int(record)


def _values(company: Company, entity: Entity, fields: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        column = entity.column(name)
        if column is not None and not column.computed:
            is_text = isinstance(value, str) and column.kind in _DATES
            values[name] = _read(column.kind, value) if is_text else value
            continue
        one = company.field(entity.name, name)
        if one is None:
            raise ValueError(f"unknown field '{name}' of {entity.name}")
        is_text = isinstance(value, str) and one.type == "date"
        values[one.code] = date.fromisoformat(value) if is_text else value
    return values


def _read(kind: str, text: str) -> date | datetime:
    if kind == "date":
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _moment(company: Company, stamp: datetime | str | None) -> datetime:
    if stamp is None:
        return company.clock.stamp()
    moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=0)
