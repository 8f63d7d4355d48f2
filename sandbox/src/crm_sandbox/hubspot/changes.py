"""Change records and schema: what users and administrators of a portal do behind the API's back."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from crm_sandbox.hubspot.api import PortalApi
from crm_sandbox.hubspot.errors import ApiError
from crm_sandbox.hubspot.instants import ms_of
from crm_sandbox.hubspot.schema import ObjectType

_UI = "CRM_UI"


class Changes:
    """Every way to change records."""

    api: Callable[[str], PortalApi]

    def edit(
        self,
        name: str,
        record: str,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> None:
        """Change properties of a record and move its stamp.

        Args:
            name: the object type.
            record: the record's id.
            stamp: the new stamp; by default the present.
            account: the portal.
            **fields: new values by property name.

        Raises:
            KeyError: there is no such record.
            ValueError: the object type or a property is unknown.
        """
        api, one = self._known(name, account)
        values = _values(one, fields)
        api.writer.store(one, {_number(record): values}, _moment(stamp), _UI)

    def formula_change(
        self, name: str, record: str, *, account: str = "main", **fields: Any
    ) -> None:
        """Change values without moving any stamp, as some recalculated properties do."""
        api, one = self._known(name, account)
        api.writer.store(one, {_number(record): _values(one, fields)}, silent=True)

    def create(
        self,
        name: str,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> str:
        """Create a record and return its id; with an older stamp it is a late commit."""
        api, one = self._known(name, account)
        return str(api.writer.insert(one, [_values(one, fields)], _moment(stamp), _UI)[0])

    def delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Put a record into the recycle bin."""
        api, one = self._known(name, account)
        self._must_move(one, record, api.writer.archive(one, [_number(record)], _UI))

    def restore(self, name: str, record: str, *, account: str = "main") -> None:
        """Take a record out of the recycle bin."""
        api, one = self._known(name, account)
        self._must_move(one, record, api.writer.restore(one, [_number(record)], _UI))

    def hard_delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Remove a record so that no API shows it any more."""
        api, one = self._known(name, account)
        api.writer.current(one, [_number(record)])
        api.writer.erase(one, [_number(record)])

    def merge(self, name: str, winner: str, loser: str, *, account: str = "main") -> str:
        """Merge a record into another and return the id of the new one that stands for both."""
        api, one = self._known(name, account)
        if not one.mergeable:
            raise ValueError(f"'{one.name}' cannot be merged")
        try:
            return str(api.merges.join(one, _number(winner), _number(loser), _UI))
        except ApiError as problem:
            raise KeyError(problem.message) from problem

    def make_list(
        self,
        name: str,
        records: Sequence[str],
        *,
        listed: str = "contacts",
        processing: str = "MANUAL",
        account: str = "main",
    ) -> str:
        """Make a list of records of an object type and return its id."""
        api, one = self._known(listed, account)
        return str(api.lists.make(name, one, [_number(record) for record in records], processing))

    def change_members(
        self,
        number: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        account: str = "main",
    ) -> None:
        """Put records on a list and take others off, which moves no modification time of theirs."""
        lists = self.api(account).lists
        lists.change(
            _number(number), [_number(one) for one in add], [_number(one) for one in remove]
        )

    def drop_list(self, number: str, *, account: str = "main") -> None:
        """Delete a list."""
        self.api(account).lists.drop(_number(number))

    def burst(
        self,
        name: str = "contacts",
        rows: int = 10_500,
        stamp: datetime | str | None = None,
        *,
        account: str = "main",
    ) -> int:
        """Let so many live records share one millisecond, as a bulk update does; return which one.

        Records that are lacking are made as copies of another one, with names of their own.
        """
        api, one = self._known(name, account)
        tables = api.portal.tables
        moment = _moment(stamp) or api.portal.now_ms()
        with tables.writing() as cursor:
            live = int(tables.value(f'SELECT count(*) FROM "{one.table}" WHERE NOT _archived'))
            if live < rows:
                self._multiply(api, one, rows - live, moment)
            cursor.execute(
                f'UPDATE "{one.table}" SET _updated = ? WHERE _id IN '
                f'(SELECT _id FROM "{one.table}" WHERE NOT _archived ORDER BY _id DESC LIMIT ?)',
                [moment, rows],
            )
        return moment

    def _multiply(self, api: PortalApi, one: ObjectType, count: int, moment: int) -> None:
        ids = api.writer.new_ids(one, count)
        # The second one, because the first has a very long text.
        named = {"email": "'burst' || n || '@example.org'"}
        selected = ", ".join(
            f"{named.get(p.column, 'NULL' if p.unique else _quoted(p.column))} AS {_quoted(p.column)}"
            for p in one.stored
        )
        api.portal.tables.cursor().execute(
            f'INSERT INTO "{one.table}" BY NAME SELECT {ids[0]} + n * {(ids[-1] - ids[0]) // max(1, count - 1)} '
            f"AS _id, {moment} AS _created, {moment} AS _updated, FALSE AS _archived, {selected} "
            f'FROM (FROM "{one.table}" WHERE NOT _archived ORDER BY _id LIMIT 1 OFFSET 1), '
            f"(SELECT range AS n FROM range({count}))"
        )

    def _known(self, name: str, account: str) -> tuple[PortalApi, ObjectType]:
        api = self.api(account)
        return api, api.portal.catalog.known(name)

    def _must_move(self, one: ObjectType, record: str, moved: list[int]) -> None:
        if not moved:
            raise KeyError(f"no record of {one.name} has the id '{record}' there")


def _values(one: ObjectType, fields: dict[str, Any]) -> dict[str, str | None]:
    values = {}
    for name, value in fields.items():
        prop = one.properties.get(name)
        if prop is None or prop.is_virtual:
            raise ValueError(f"unknown property '{name}' of {one.name}")
        values[prop.column] = text_of(value)
    return values


def text_of(value: Any) -> str | None:
    """Return a value of an admin as a property holds it."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(column: str) -> str:
    return f'"{column}"'


def _number(record: str) -> int:
    if not str(record).isdigit():
        raise KeyError(f"'{record}' is no id")
    return int(record)


def _moment(stamp: datetime | str | None) -> int | None:
    if stamp is None:
        return None
    return ms_of(datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp)
