"""Write records: checked values into tables, with stamps, history and events."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from crm_sandbox.hubspot.association_writes import LinkWriter
from crm_sandbox.hubspot.automatic import computed
from crm_sandbox.hubspot.errors import ApiError, invalid, wrong_values
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.search_index import SearchIndex
from crm_sandbox.hubspot.storage import FIRST_ID, STEP, history_of
from crm_sandbox.hubspot.validation import Validator

Values = Mapping[str, str | None]


class Writer:
    """Writes records of one portal.

    Args:
        portal: the portal.
        index: of the search; it gets every change.
        links: writes the links that come with a record.
    """

    def __init__(self, portal: Portal, index: SearchIndex, links: LinkWriter) -> None:
        self._portal = portal
        self._index = index
        self._links = links
        self._validator = Validator(portal)
        self._last: dict[str, int] = {}

    @contextmanager
    def all_or_nothing(self, wanted: bool) -> Iterator[None]:
        """Take back everything inside the block if it fails, where that is wanted."""
        if not wanted:
            yield
            return
        with self._portal.tables.writing(), self._portal.events.held():
            yield

    def create_one(
        self,
        one: ObjectType,
        body: Mapping[str, Any],
        *,
        strict: bool = False,
        source: str = "API",
    ) -> int:
        """Create a record and return its id.

        Args:
            one: the object type.
            body: `properties`, and `associations` with what it is linked to.
            strict: whether the administrator's rules hold.
            source: what wrote it.

        Raises:
            ApiError: it cannot be created; nothing was written then.
        """
        with self._portal.tables.writing(), self._portal.events.held():
            values = self._validator.checked(one, body.get("properties") or {}, None)
            values = {name: value or None for name, value in values.items()}
            self._validator.require(one, values)
            if strict:
                self._validator.require_configured(one, values, None)
            self._refuse_known(one, values, None)
            record = self.insert(one, [values], source=source)[0]
            self._links.from_body(one, record, body.get("associations") or [])
            return record

    def update_one(
        self,
        one: ObjectType,
        record: int,
        body: Mapping[str, Any],
        *,
        strict: bool = False,
        source: str = "API",
    ) -> None:
        """Change a record.

        Raises:
            ApiError: it cannot be changed; nothing was written then.
        """
        with self._portal.tables.writing():
            before = self.current(one, [record])[record]
            named = {p.name: before.get(p.column) for p in one.stored}
            values = self._validator.checked(one, body.get("properties") or {}, named)
            if strict:
                self._validator.require_configured(one, values, named)
            self._refuse_known(one, values, record)
            if self._portal.oddities.is_idle():
                return
            self.store(one, {record: values}, source=source)

    def insert(
        self, one: ObjectType, rows: Sequence[Values], at_ms: int | None = None, source: str = "API"
    ) -> list[int]:
        """Add records with values by column; return their ids in order."""
        now = self._portal.now_ms() if at_ms is None else at_ms
        with self._portal.tables.writing():
            ids = self.new_ids(one, len(rows))
            self._index.before(one, ids)
            system = {"_created": now, "_updated": now, "_archived": False}
            whole = [
                {**row, **computed(self._portal, one, row, row, now), **system, "_id": record}
                for record, row in zip(ids, rows, strict=True)
            ]
            self._portal.tables.insert(one.table, whole)
        for record, row in zip(ids, rows, strict=True):
            self._portal.events.tell(one, record, "creation", {"changeFlag": "NEW"}, source)
            self._tell_values(one, record, row, source)
        return ids

    def store(
        self,
        one: ObjectType,
        changes: Mapping[int, Values],
        at_ms: int | None = None,
        source: str = "API",
        *,
        silent: bool = False,
    ) -> None:
        """Change records, given as values by column by id; the stamp moves unless it is silent."""
        now = self._portal.now_ms() if at_ms is None else at_ms
        with self._portal.tables.writing():
            self._index.before(one, list(changes))
            before = self.current(one, list(changes))
            written: dict[int, dict[str, Any]] = {}
            for record, values in changes.items():
                news = {k: v for k, v in values.items() if before[record].get(k) != v}
                extra = computed(self._portal, one, {**before[record], **values}, news, now)
                stamp = {} if silent else {"_updated": now}
                written[record] = {**values, **extra, **stamp}
            self._portal.tables.update(one.table, "_id", written)
            if not silent:
                self._keep_history(one, before, changes, now, source)
        for record, values in changes.items():
            changed = {k: v for k, v in values.items() if before[record].get(k) != v}
            self._tell_values(one, record, changed, source)

    def archive(self, one: ObjectType, ids: Sequence[int], source: str = "API") -> list[int]:
        """Put live records into the recycle bin; return which were."""
        return self._bin(one, ids, archived=True, source=source)

    def restore(self, one: ObjectType, ids: Sequence[int], source: str = "CRM_UI") -> list[int]:
        """Take records out of the recycle bin; return which were in it."""
        return self._bin(one, ids, archived=False, source=source)

    def replace(self, one: ObjectType, old: int, new: int, values: Mapping[str, Any]) -> None:
        """Give a record another id and other values, now."""
        with self._portal.tables.writing():
            self._index.before(one, [old, new])
            self._portal.tables.update(one.table, "_id", {old: values})
            self._portal.tables.cursor().execute(
                f'UPDATE "{one.table}" SET _id = ?, _updated = ? WHERE _id = ?',
                [new, self._portal.now_ms(), old],
            )

    def erase(self, one: ObjectType, ids: Sequence[int]) -> None:
        """Remove records with their history and their links; no API shows them any more."""
        with self._portal.tables.writing():
            self._index.before(one, list(ids))
            self._portal.tables.remove(one.table, "_id", list(ids))
            self._portal.tables.remove(history_of(one.name), "id", list(ids))
            self._links.drop_all(one, ids)

    def current(self, one: ObjectType, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the stored rows of records by id.

        Raises:
            KeyError: one is not there.
        """
        rows = self._portal.tables.rows(
            f'SELECT * FROM "{one.table}" WHERE _id BETWEEN ? AND ? '
            "AND _id IN (SELECT unnest(?::BIGINT[]))",
            [min(ids, default=0), max(ids, default=0), list(ids)],
        )
        found = {row["_id"]: row for row in rows}
        for record in ids:
            if record not in found:
                raise KeyError(f"no record of {one.name} has the id '{record}'")
        return found

    def new_ids(self, one: ObjectType, count: int) -> list[int]:
        """Return ids that no record had before."""
        with self._portal.tables.lock:
            last = self._last.get(one.name)
            if last is None:
                merged = "SELECT max(new_id) FROM merged WHERE object = ?"
                last = self._portal.tables.value(
                    f'SELECT greatest((SELECT max(_id) FROM "{one.table}"), ({merged}))', [one.name]
                )
            first = (FIRST_ID - STEP if last is None else int(last)) + STEP
            self._last[one.name] = first + STEP * (count - 1)
            return list(range(first, first + STEP * count, STEP))

    def _bin(
        self, one: ObjectType, ids: Sequence[int], *, archived: bool, source: str
    ) -> list[int]:
        with self._portal.tables.writing():
            rows = self._portal.tables.rows(
                f'SELECT _id FROM "{one.table}" WHERE _archived = ? AND '
                "_id IN (SELECT unnest(?::BIGINT[]))",
                [not archived, list(ids)],
            )
            moved = [int(row["_id"]) for row in rows]
            if not moved:
                return []
            self._index.before(one, moved)
            at = self._portal.now_ms() if archived else None
            state = {"_archived": archived, "_archived_at": at}
            if not archived:
                state["_updated"] = self._portal.now_ms()
            self._portal.tables.update(one.table, "_id", dict.fromkeys(moved, state))
        kind, flag = ("deletion", "DELETED") if archived else ("restore", "RESTORED")
        for record in moved:
            self._portal.events.tell(one, record, kind, {"changeFlag": flag}, source)
        return moved

    def _keep_history(
        self,
        one: ObjectType,
        before: Mapping[int, Mapping[str, Any]],
        changes: Mapping[int, Values],
        now: int,
        source: str,
    ) -> None:
        """Write the new values into the history, and the first ones where it did not begin yet."""
        table = history_of(one.name)
        rows = self._portal.tables.cursor().execute(
            f'SELECT DISTINCT id, property FROM "{table}" WHERE id IN (SELECT unnest(?::BIGINT[]))',
            [list(changes)],
        )
        known = set(rows.fetchall())
        made: list[dict[str, Any]] = []
        user = {"source_id": str(self._portal.app_id), "user_id": self._portal.facts.user_id}
        for record, values in changes.items():
            for column, value in values.items():
                old = before[record].get(column)
                entry = {"id": record, "property": column, **user}
                if (record, column) not in known and old is not None:
                    first = before[record]["_created"]
                    made.append({**entry, "value": old, "at": first, "source": "CRM_UI"})
                made.append({**entry, "value": value, "at": now, "source": source})
        self._portal.tables.insert(table, made)

    def _tell_values(self, one: ObjectType, record: int, values: Values, source: str) -> None:
        names = {prop.column: prop.name for prop in one.stored}
        for column, value in values.items():
            if column in names and value is not None:
                change = {"propertyName": names[column], "propertyValue": value}
                self._portal.events.tell(one, record, "propertyChange", change, source)

    def _refuse_known(self, one: ObjectType, values: Values, record: int | None) -> None:
        """Refuse a value that only one record may have and another has.

        Raises:
            ApiError: there is one.
        """
        for prop in one.stored:
            value = values.get(prop.column)
            if not prop.unique or not value:
                continue
            if one.name == "contacts" and prop.name == "email":
                self._refuse_blocked(value)
            found = self.holder(one, prop.column, value)
            if found is None or found == record:
                continue
            if one.name == "contacts" and prop.name == "email":
                message = f"Contact already exists. Existing ID: {found}"
                raise ApiError(409, "CONFLICT", message)
            hub, code = self._portal.facts.hub_id, "CONFLICTING_UNIQUE_VALUE"
            message = f"{prop.name} must be unique, but {value} is the value of {found}"
            raise wrong_values(hub, [(message, code, prop.name)])

    def holder(self, one: ObjectType, column: str, value: str) -> int | None:
        """Return the living record that has a value which only one may have."""
        more = ""
        if one.name == "contacts" and column == "email":
            more = " OR list_contains(string_split(lower(hs_additional_emails), ';'), lower(?))"
        found = self._portal.tables.value(
            f'SELECT min(_id) FROM "{one.table}" WHERE NOT _archived AND (lower("{column}") = lower(?){more})',
            [value, value] if more else [value],
        )
        return None if found is None else int(found)

    def _refuse_blocked(self, email: str) -> None:
        if self._portal.tables.value(
            "SELECT count(*) FROM blocked WHERE email = ?", [email.lower()]
        ):
            raise invalid(
                f"Contact {email} was deleted permanently and cannot be created again",
                sub_category="GDPR_BLACKLISTED_EMAIL",
            )
