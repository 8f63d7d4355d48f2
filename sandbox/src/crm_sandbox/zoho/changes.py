"""Change records: what the people of an org do behind the API's back."""

from datetime import UTC, datetime
from typing import Any

from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.store import RecordStore
from crm_sandbox.zoho.values import stored_value


class Changes:
    """Every way to change records of the orgs."""

    def org(self, account: str) -> Org:
        """Return the org of an account."""
        raise NotImplementedError

    def store(self, account: str) -> RecordStore:
        """Return what writes the rows of an account."""
        raise NotImplementedError

    def edit(
        self,
        name: str,
        record: str,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> None:
        """Change fields of a record and move its stamp.

        Args:
            name: the module.
            record: the record's id.
            stamp: the new stamp; by default the present.
            account: holds the record.
            **fields: new values by field name.

        Raises:
            KeyError: there is no such record.
            ValueError: the module or a field is unknown.
        """
        module, number = self._found(name, record, account)
        changed = {number: _values(module, fields)}
        self.store(account).change(module, changed, self._moment(stamp, account))

    def formula_change(
        self, name: str, record: str, *, account: str = "main", **fields: Any
    ) -> None:
        """Change values without moving the stamp, as recalculated formulas do."""
        module, number = self._found(name, record, account)
        self.store(account).change(module, {number: _values(module, fields)}, None)

    def create(
        self,
        name: str,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> str:
        """Create a record and return its id; with an older stamp it is a late commit."""
        module = self.org(account).known(name)
        moment = self._moment(stamp, account)
        return str(self.store(account).create(module, [_values(module, fields)], moment)[0])

    def delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Put a record into the recycle bin."""
        module, number = self._found(name, record, account)
        self.store(account).end(module, [number], "recycle", self._moment(None, account), None)

    def restore(self, name: str, record: str, *, account: str = "main") -> None:
        """Take a record out of the recycle bin."""
        module, number = self._found(name, record, account)
        self.store(account).revive(module, [number], self._moment(None, account))

    def hard_delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Delete a record for good: only its id is listed as deleted."""
        module, number = self._found(name, record, account)
        self.store(account).end(module, [number], "permanent", self._moment(None, account), None)

    def merge(self, name: str, winner: str, loser: str, *, account: str = "main") -> None:
        """Merge a record into another: the loser is deleted, and what pointed to it follows.

        Raises:
            ValueError: records of this module cannot be merged.
        """
        module, kept = self._found(name, winner, account)
        if not module.mergeable:
            raise ValueError(f"'{module.name}' cannot be merged")
        _, lost = self._found(name, loser, account)
        moment = self._moment(None, account)
        store, org = self.store(account), self.org(account)
        with org.tables.writing() as cursor:
            for other in org.modules:
                for one in other.columns:
                    if one.is_lookup and one.target in {module.stored, "se_module"}:
                        cursor.execute(
                            f'UPDATE "{other.stored}" SET "{one.stored}" = ? WHERE "{one.stored}" = ?',
                            [kept, lost],
                        )
            store.change(module, {kept: {}}, moment)
            store.end(module, [lost], "recycle", moment, kept)

    def _found(self, name: str, record: str, account: str) -> tuple[Module, int]:
        module = self.org(account).known(name)
        number = id_of(record)
        if number is None or number not in self.store(account).state_of(module, [number]):
            raise KeyError(f"no {module.name} has the id '{record}'")
        return module, number

    def _moment(self, stamp: datetime | str | None, account: str) -> datetime:
        if stamp is None:
            return self.org(account).clock.stamp()
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return moment.replace(microsecond=0)


def _values(module: Module, fields: dict[str, Any]) -> dict[str, Any]:
    known = {one.name.lower(): one for one in module.columns}
    values: dict[str, Any] = {}
    for name, value in fields.items():
        one = known.get(name.lower())
        if one is None:
            raise ValueError(f"unknown field '{name}' of {module.name}")
        values[one.stored] = stored_value(one, value)
    return values
