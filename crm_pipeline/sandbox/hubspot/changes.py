"""Change records: what users of a portal do behind the API's back."""

from datetime import UTC, datetime
from typing import Any

from crm_pipeline.sandbox.hubspot.api import PortalApi
from crm_pipeline.sandbox.hubspot.instants import ms_of
from crm_pipeline.sandbox.hubspot.schema import ObjectType


class Changes:
    """Every way to change the records of the portals; ids are texts."""

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for a portal."""
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
        """Change properties of a record and move its stamp, by default to the present.

        Raises:
            KeyError: there is no such record.
            ValueError: the object or a property is unknown.
        """
        api, one = self._of(name, account)
        values = _values(one, fields)
        api.writer.store(one, {int(record): values}, _moment(stamp), "CRM_UI")

    def formula_change(
        self, name: str, record: str, *, account: str = "main", **fields: Any
    ) -> None:
        """Change values without moving the stamp, as recalculated properties do."""
        api, one = self._of(name, account)
        api.writer.store(one, {int(record): _values(one, fields)}, silent=True)

    def create(
        self,
        name: str,
        *,
        stamp: datetime | str | None = None,
        account: str = "main",
        **fields: Any,
    ) -> str:
        """Create a record and return its id; with an older stamp it is a late commit."""
        api, one = self._of(name, account)
        return str(api.writer.insert(one, [_values(one, fields)], _moment(stamp), "CRM_UI")[0])

    def burst(
        self, name: str, count: int, *, stamp: datetime | str | None = None, account: str = "main"
    ) -> int:
        """Create many records that share one stamp to the millisecond; return how many."""
        api, one = self._of(name, account)
        primary = one.primary or next(prop.column for prop in one.stored)
        rows = [{primary: f"Burst {number}"} for number in range(count)]
        moment = _moment(stamp)
        at = api.portal.now_ms() if moment is None else moment
        with api.portal.tables.writing():
            ids = api.writer.new_ids(one, count)
            whole = [
                {**row, "_id": record, "_created": at, "_updated": at, "_archived": False}
                for record, row in zip(ids, rows, strict=True)
            ]
            api.portal.tables.insert(one.table, whole)
        return count

    def delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Put a record into the recycle bin."""
        api, one = self._of(name, account)
        api.writer.current(one, [int(record)])
        api.writer.archive(one, [int(record)], "CRM_UI")

    def restore(self, name: str, record: str, *, account: str = "main") -> None:
        """Take a record out of the recycle bin."""
        api, one = self._of(name, account)
        api.writer.current(one, [int(record)])
        api.writer.restore(one, [int(record)])

    def hard_delete(self, name: str, record: str, *, account: str = "main") -> None:
        """Remove a record so that no API shows it any more."""
        api, one = self._of(name, account)
        api.writer.current(one, [int(record)])
        api.writer.erase(one, [int(record)])

    def merge(self, name: str, winner: str, loser: str, *, account: str = "main") -> str:
        """Merge a record into another; return the id of the new one that comes out."""
        api, one = self._of(name, account)
        return str(api.merger.merge(one, int(winner), int(loser)))

    def _of(self, name: str, account: str) -> tuple[PortalApi, ObjectType]:
        api = self.api(account)
        return api, api.portal.catalog.known(name)


def _values(one: ObjectType, fields: dict[str, Any]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for name, value in fields.items():
        prop = one.properties.get(name)
        if prop is None or prop.is_virtual:
            raise ValueError(f"unknown property '{name}' of {one.name}")
        text = str(value).lower() if isinstance(value, bool) else value
        values[prop.column] = None if text in (None, "") else str(text)
    return values


def _moment(stamp: datetime | str | None) -> int | None:
    if stamp is None:
        return None
    moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
    return ms_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
