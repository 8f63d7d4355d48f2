"""All changes of records: their consequences, times, history and events."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.consequences import defaults, entailed
from crm_sandbox.pipedrive.paging import rendered
from crm_sandbox.pipedrive.rendering import shape_v1, shape_v2
from crm_sandbox.pipedrive.schema import Entity

_TOLD = {"deals", "persons", "organizations"}
_UNTOLD = {"update_time", "deleted_at", "add_time"}


@dataclass(frozen=True)
class Author:
    """Who changes something, and how: by the API, or by the app's own pages."""

    user: int
    source: str = "app"


@dataclass(frozen=True)
class News:
    """One change of one record.

    Attributes:
        action: `create`, `change` or `delete`.
        before: the record as it was; None where it is new.
        after: the record as it is; None where it is gone.
        correlation: what belongs to one and the same act.
    """

    entity: Entity
    action: str
    record: Any
    author: Author
    moment: datetime
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    correlation: str = ""
    is_bulk: bool = False


class Store:
    """Create, change, delete, restore and remove records of a company.

    Attributes:
        listeners: called with every change.
    """

    def __init__(self, company: CompanyData) -> None:
        self._company = company
        self.listeners: list[Callable[[News], None]] = []

    def row(self, entity: Entity, record: Any) -> dict[str, Any] | None:
        """Return a record with Python values."""
        sql = f'SELECT * FROM "{entity.name}" WHERE "id" = ?'
        rows = self._company.tables.rows(sql, [record])
        return rows[0] if rows else None

    def create(
        self,
        entity: Entity,
        values: Mapping[str, Any],
        author: Author,
        *,
        moment: datetime | None = None,
    ) -> Any:
        """Add a record and return its id."""
        company = self._company
        at = moment or company.clock.stamp()
        with company.tables.writing():
            record: Any = values.get("id") or self._new_id(entity)
            start = defaults(company, entity, author.user, author.source, at)
            whole = start | dict(values) | {"id": record}
            whole |= entailed(company, entity, None, whole, at)
            company.tables.insert(entity.name, [whole])
            if entity.name in _TOLD:
                stamp = f"{at:%Y-%m-%d %H:%M:%S}"
                self._tell(entity, record, {"add_time": (None, stamp)}, author, at)
        self._announce(News(entity, "create", record, author, at))
        return record

    def update(
        self,
        entity: Entity,
        record: Any,
        values: Mapping[str, Any],
        author: Author,
        *,
        moment: datetime | None = None,
        is_silent: bool = False,
        correlation: str = "",
    ) -> None:
        """Change fields of a record.

        Args:
            entity: the object.
            record: the record's id.
            values: new values by column.
            author: who does it.
            moment: when; by default now.
            is_silent: leave stamps and history alone, as recalculations do.
            correlation: the act that this belongs to.

        Raises:
            KeyError: there is no such record.
        """
        company = self._company
        at = moment or company.clock.stamp()
        with company.tables.writing():
            before = self.row(entity, record)
            if before is None:
                raise KeyError(f"no {entity.singular} has the id '{record}'")
            shown = self._shown(entity, record)
            changed = dict(values) | entailed(company, entity, before, dict(values), at)
            if not is_silent:
                changed["update_time"] = at
            company.tables.update(entity.name, "id", {record: changed})
            if entity.name in _TOLD and not is_silent:
                self._tell(entity, record, _differences(before, changed), author, at)
        gone = bool(changed.get("is_deleted")) and not before.get("is_deleted")
        gone = gone or (entity.name == "notes" and changed.get("active_flag") is False)
        action = "delete" if gone else "change"
        self._announce(News(entity, action, record, author, at, shown, correlation=correlation))

    def delete(
        self, entity: Entity, record: Any, author: Author, *, correlation: str = "", **more: Any
    ) -> None:
        """Delete a record softly, where its object knows that; for 30 days it can come back."""
        at = self._company.clock.stamp()
        if entity.name == "notes":
            self.update(entity, record, {"active_flag": False}, author)
        elif entity.is_binned:
            values = {"is_deleted": True, "deleted_at": at, **more}
            self.update(entity, record, values, author, correlation=correlation)
        else:
            shown = self._shown(entity, record)
            self.remove(entity, record)
            self._announce(News(entity, "delete", record, author, at, shown))

    def restore(self, entity: Entity, record: Any, author: Author) -> None:
        """Take a deleted record back."""
        values: dict[str, Any] = {"is_deleted": False, "deleted_at": None}
        if entity.column("merged_into"):
            values["merged_into"] = None
        self.update(entity, record, values, author)

    def remove(self, entity: Entity, record: Any) -> None:
        """Take a record away so that nothing shows it any more."""
        if self.row(entity, record) is None:
            raise KeyError(f"no {entity.singular} has the id '{record}'")
        self._company.tables.remove(entity.name, "id", [record])

    def _new_id(self, entity: Entity) -> Any:
        if entity.key_type == "VARCHAR":
            return str(uuid.uuid4())
        return self._company.new_id(entity)

    def _shown(self, entity: Entity, record: Any) -> dict[str, Any] | None:
        """Return a record as the API shows it; only needed where somebody listens."""
        if not self.listeners:
            return None
        if entity.name in {"leads", "notes", "users"}:
            shape, joins = shape_v1(self._company, entity, self._company.admin)
        else:
            shape, joins = shape_v2(self._company, entity), ""
        texts = rendered(self._company.tables, entity, [record], shape, joins)
        found: dict[str, Any] | None = json.loads(texts[0]) if texts else None
        return found

    def _announce(self, news: News) -> None:
        if not self.listeners:
            return
        after = None if news.action == "delete" else self._shown(news.entity, news.record)
        correlation = news.correlation or str(uuid.uuid4())
        whole = replace(news, after=after, correlation=correlation)
        for listener in self.listeners:
            listener(whole)

    def _tell(
        self,
        entity: Entity,
        record: Any,
        changes: Mapping[str, tuple[Any, Any]],
        author: Author,
        moment: datetime,
    ) -> None:
        tables = self._company.tables
        first = int(tables.value("SELECT coalesce(max(seq), 0) + 1 FROM changes"))
        rows = [
            {
                "seq": first + place,
                "entity": entity.name,
                "record": str(record),
                "field_key": key,
                "old_value": _written(old),
                "new_value": _written(new),
                "actor": author.user,
                "moment": moment,
                "source": author.source,
                "is_bulk": False,
            }
            for place, (key, (old, new)) in enumerate(changes.items())
        ]
        tables.insert("changes", rows)


def _differences(before: dict[str, Any], changed: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the old and the new value of what history keeps."""
    return {
        key: (before.get(key), value)
        for key, value in changed.items()
        if key not in _UNTOLD and before.get(key) != value
    }


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
