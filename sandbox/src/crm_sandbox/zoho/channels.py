"""Channels of notifications: what they watch, until when, and their owners.

https://www.zoho.com/crm/developer/docs/api/v8/notifications/enable.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crm_sandbox.http import is_number
from crm_sandbox.shapes import misfit
from crm_sandbox.zoho import bodies
from crm_sandbox.zoho.conditions import moment_of
from crm_sandbox.zoho.deliveries import is_address
from crm_sandbox.zoho.schema import Module

LONGEST = timedelta(weeks=1)
DEFAULT = timedelta(hours=1)
MOST_TOKEN = 50
MOST_FIELDS = 10
OPERATIONS = {"create": "insert", "edit": "update", "delete": "delete"}


@dataclass(frozen=True)
class Channel:
    """One channel.

    Attributes:
        events: pairs of a table and an operation: `create`, `edit`, `delete` or `all`.
        until: naive UTC.
        fields: stored columns of which one (or, with `every`, each) has to change, by table.
    """

    id: str
    url: str
    token: str | None
    events: tuple[tuple[str, str], ...]
    until: datetime
    with_values: bool = False
    with_related: bool = False
    conditions: tuple[Any, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    every: bool = False

    def wants(self, table: str, operation: str) -> bool:
        """Say whether an operation (`insert`, `update`, `delete`) on a table is watched."""
        return any(
            one == table and (event == "all" or OPERATIONS[event] == operation)
            for one, event in self.events
        )

    def cares(self, table: str, changed: tuple[str, ...]) -> bool:
        """Say whether a change of some columns satisfies the channel's condition."""
        watched = self.fields.get(table)
        if not watched:
            return True
        hits = [name in changed for name in watched]
        return all(hits) if self.every else any(hits)


class Refused(Exception):
    """Why an entry of a request is refused."""

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.shown = {"code": code, "details": details, "message": message, "status": "error"}


@dataclass(frozen=True)
class Reader:
    """Reads channels from requests.

    Attributes:
        find: a module by its API name.
        now: the present, naive UTC.
    """

    find: Callable[[str], Module | None]
    now: datetime

    def read(self, entry: Any, path: str, old: Channel | None = None) -> Channel:
        """Return the channel that an entry describes; what it leaves out stays as in the old one.

        Raises:
            Refused: it cannot be read.
        """
        if not isinstance(entry, dict):
            raise _invalid("watch", path, expected_data_type="jsonobject")
        wrong = misfit(entry, bodies.Channel)
        if wrong is not None:
            raise _invalid(wrong.name or "watch", path, expected_data_type=wrong.reason)
        number = entry.get("channel_id")
        if number in (None, ""):
            raise _missing("channel_id", path)
        if not is_number(str(number)):
            raise _invalid("channel_id", path, expected_data_type="bigint")
        url = entry.get("notify_url", old.url if old else None)
        if url is None:
            raise _missing("notify_url", path)
        if not is_address(url):
            raise _invalid("notify_url", path, expected_data_type="url")
        token = entry.get("token", old.token if old else None)
        if token is not None and len(str(token)) > MOST_TOKEN:
            raise _invalid("token", path, maximum_length=MOST_TOKEN)
        conditions = tuple(entry.get("notification_condition") or (old.conditions if old else ()))
        fields, every = self._conditions(conditions, path)
        return Channel(
            str(number),
            url,
            token,
            self._events(entry, path, old),
            self._until(entry, path, old),
            bool(entry.get("return_affected_field_values", old.with_values if old else False)),
            bool(entry.get("notify_on_related_action", old.with_related if old else False)),
            conditions,
            fields,
            every,
        )

    def _events(
        self, entry: Mapping[str, Any], path: str, old: Channel | None
    ) -> tuple[tuple[str, str], ...]:
        if "events" not in entry and old is not None:
            return old.events
        events = entry.get("events")
        if events is None:
            raise _missing("events", path)
        if not isinstance(events, list) or not events:
            raise _invalid("events", path, expected_data_type="jsonarray")
        found = []
        for place, text in enumerate(events):
            name, _, event = str(text).rpartition(".")
            module = self.find(name)
            if module is None or event not in {*OPERATIONS, "all"}:
                raise _invalid(f"events[{place}]", path, expected_data_type="string")
            found.append((module.stored, event))
        return tuple(found)

    def _until(self, entry: Mapping[str, Any], path: str, old: Channel | None) -> datetime:
        asked = entry.get("channel_expiry")
        if asked is None:
            return old.until if old else self.now + DEFAULT
        try:
            moment = moment_of(str(asked)).replace(microsecond=0)
        except ValueError as problem:
            raise _invalid("channel_expiry", path, expected_data_type="datetime") from problem
        if moment <= self.now:
            raise _invalid("channel_expiry", path, expected_data_type="datetime")
        # What is too far away becomes an hour, without a word.
        return moment if moment - self.now <= LONGEST else self.now + DEFAULT

    def _conditions(
        self, conditions: tuple[Any, ...], path: str
    ) -> tuple[dict[str, tuple[str, ...]], bool]:
        fields: dict[str, tuple[str, ...]] = {}
        every = False
        for one in conditions:
            module = self.find(str((one.get("module") or {}).get("api_name", "")))
            chosen = one.get("field_selection") or {}
            group = chosen.get("group") or [chosen]
            if module is None or one.get("type") != "field_selection":
                raise _invalid("notification_condition", path, expected_data_type="jsonarray")
            if len(group) > MOST_FIELDS:
                where = {"api_name": "notification_condition", "json_path": path}
                raise Refused("LIMIT_REACHED", "too many fields", where)
            names = [str((entry.get("field") or entry).get("api_name", "")) for entry in group]
            known = [module.find(name) for name in names]
            if None in known:
                raise _invalid("field_selection", path, expected_data_type="jsonobject")
            fields[module.stored] = tuple(field.stored for field in known if field is not None)
            every = every or chosen.get("group_operator") == "and"
        return fields, every


def _invalid(name: str, path: str, **details: Any) -> Refused:
    where = {"api_name": name.partition("[")[0], "json_path": f"{path}.{name}"}
    return Refused("INVALID_DATA", "invalid data", {**details, **where})


def _missing(name: str, path: str) -> Refused:
    where = {"api_name": name, "json_path": f"{path}.{name}"}
    return Refused("MANDATORY_NOT_FOUND", "required field not found", where)
