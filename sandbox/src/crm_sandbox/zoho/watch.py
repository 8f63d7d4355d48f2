"""Notifications: channels over HTTP, and what is sent to them.

https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html
"""

import threading
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.centres import api_host
from crm_sandbox.zoho.channels import Channel, Reader, Refused
from crm_sandbox.zoho.deliveries import DeliveryLog
from crm_sandbox.zoho.errors import ZohoError, invalid_data, missing_param, wrong_method
from crm_sandbox.zoho.listing import page_of
from crm_sandbox.zoho.notices import Notice, NoticeQueue
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.paging import info_of
from crm_sandbox.zoho.records import RecordHandler
from crm_sandbox.zoho.store import Change

_PER_PAGE = 200
_SUBSCRIBED = "Successfully subscribed for actions-watch of the given module"
_UNSUBSCRIBED = "Successfully un-subscribed from actions-watch of the given module"


@dataclass
class WatchSettings:
    """What sources differ about: the version in `resource_uri`, where production samples have v2."""

    uri_version: str = "v2"


class WatchHandler:
    """Answers `actions/watch`, and notices what happens to records.

    Args:
        org: holds the records.
        records: reads their values.
        mailman: takes notices out.
    """

    def __init__(self, org: Org, records: RecordHandler, mailman: DeliveryLog) -> None:
        self._org = org
        self._records = records
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self.settings = WatchSettings()
        self.queue = NoticeQueue(mailman, self._document)

    def answer(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            ZohoError: the request as a whole is refused.
        """
        if request.method == "GET":
            return self._listed(request)
        if request.method == "DELETE":
            return self._ended(request)
        if request.method not in {"POST", "PUT", "PATCH"}:
            raise wrong_method()
        entries = _entries(request)
        shown = [self._set(request.method, one, place) for place, one in enumerate(entries)]
        failed = sum(one["status"] == "error" for one in shown)
        status = 201 if request.method == "POST" else 200
        if failed:
            status = 400 if failed == len(shown) else 207
        return json_response({"watch": shown}, status)

    def notice(self, change: Change) -> None:
        """Tell every channel that watches a change; one that has ended stays silent."""
        now = self._org.clock.now()
        present = now.astimezone(UTC).replace(tzinfo=None)
        with self._lock:
            channels = list(self._channels.values())
        for one in channels:
            table = change.module.stored
            if one.until <= present or not one.wants(table, change.operation):
                continue
            ids = [
                number
                for number in change.ids
                if change.operation != "update" or one.cares(table, change.fields[number])
            ]
            if ids:
                self.queue.add(Notice(one, change, int(now.timestamp() * 1000), ids))

    def close(self) -> None:
        """Send nothing any more."""
        self.queue.close()

    def _set(self, method: str, entry: Any, place: int) -> dict[str, Any]:
        path = f"$.watch[{place}]"
        reader = Reader(self._org.find, self._org.clock.stamp())
        number = str(entry.get("channel_id", "")) if isinstance(entry, dict) else ""
        with self._lock:
            old = self._channels.get(number)
            if method != "POST" and old is None and number:
                where = {"api_name": "channel_id", "json_path": f"{path}.channel_id"}
                return Refused("NOT_SUBSCRIBED", "the channel is not subscribed", where).shown
            try:
                made = reader.read(entry, path, old if method == "PATCH" else None)
                if old is not None and method == "PATCH" and entry.get("_delete_events"):
                    left = tuple(one for one in old.events if one not in made.events)
                    made = replace(made, events=left)
            except Refused as refusal:
                return refusal.shown
            self._channels[made.id] = made
        return {
            "code": "SUCCESS",
            "details": {"events": self._events(made)},
            "message": _SUBSCRIBED,
            "status": "success",
        }

    def _events(self, one: Channel) -> list[dict[str, str]]:
        until = str(self._org.tables.value("SELECT zoho_moment(?::TIMESTAMP)", [one.until]))
        tables = dict.fromkeys(table for table, _ in one.events)
        return [
            {"channel_expiry": until, **self._resource(table), "channel_id": one.id}
            for table in tables
        ]

    def _resource(self, table: str) -> dict[str, str]:
        name = self._org.behind(table).name
        host = f"https://{api_host(self._org.account.centre)}"
        return {
            "resource_uri": f"{host}/crm/{self.settings.uri_version}/{name}",
            "resource_id": self._org.ids.setting("module", table),
            "resource_name": name,
        }

    def _listed(self, request: Request) -> Response:
        query = request.query
        page = page_of(query)
        now = self._org.clock.stamp()
        with self._lock:
            living = [one for one in self._channels.values() if one.until > now]
        shown = [
            event | self._rest(one, event["resource_name"])
            for one in living
            if query.get("channel_id", one.id) == one.id
            for event in self._events(one)
            if query.get("module", event["resource_name"]) == event["resource_name"]
        ]
        first = (page - 1) * _PER_PAGE
        fetched = shown[first : first + _PER_PAGE + 1]
        if not fetched:
            return Response(204)
        info = info_of(page, _PER_PAGE, fetched)
        return json_response({"watch": fetched[:_PER_PAGE], "info": info})

    def _rest(self, one: Channel, name: str) -> dict[str, Any]:
        table = self._org.known(name).stored
        return {
            "notify_url": one.url,
            "token": one.token,
            "events": [f"{name}.{event}" for watched, event in one.events if watched == table],
            "notify_on_related_action": one.with_related,
            "return_affected_field_values": one.with_values,
            "notification_condition": list(one.conditions) or None,
            "fields": None,
        }

    def _ended(self, request: Request) -> Response:
        ids = [one for one in request.query.joined("channel_ids").split(",") if one]
        if not ids:
            raise missing_param("channel_ids")
        shown = []
        for number in ids:
            with self._lock:
                old = self._channels.pop(number, None)
            if old is None:
                where = {"api_name": "channel_ids", "json_path": "$.channel_ids"}
                shown.append(Refused("NOT_SUBSCRIBED", "not subscribed", where).shown)
                continue
            for table in dict.fromkeys(table for table, _ in old.events):
                details = {**self._resource(table), "channel_id": number}
                del details["resource_name"]
                shown.append(
                    {
                        "code": "SUCCESS",
                        "details": details,
                        "message": _UNSUBSCRIBED,
                        "status": "success",
                    }
                )
        failed = sum(one["status"] == "error" for one in shown)
        status = 200 if not failed else 400 if failed == len(shown) else 207
        return json_response({"watch": shown}, status)

    def _document(self, notice: Notice) -> dict[str, Any]:
        module, channel = notice.change.module, notice.channel
        document: dict[str, Any] = {
            "server_time": notice.server_time,
            "query_params": {},
            "module": module.name,
            "resource_uri": self._resource(module.stored)["resource_uri"],
            "ids": [str(number) for number in notice.ids],
            "affected_fields": [],
            "operation": notice.change.operation,
            "channel_id": channel.id,
            "token": channel.token,
        }
        if channel.with_values and notice.change.operation != "delete":
            names = {one.stored: one.name for one in module.fields}
            changed = {
                str(number): [names[c] for c in columns if c in names]
                for number, columns in notice.change.fields.items()
                if number in notice.ids
            }
            document["affected_fields"] = [{number: names_} for number, names_ in changed.items()]
            document["affected_values"] = self._values(notice, changed)
        return document

    def _values(self, notice: Notice, changed: dict[str, list[str]]) -> list[dict[str, Any]]:
        # Whoever writes holds the lock until the change can be read.
        with self._org.tables.lock:
            found = {
                str(number): self._records.shown(notice.change.module, number) or {}
                for number in notice.ids
            }
        return [
            {
                "record_id": number,
                "values": {name: shown[name] for name in changed.get(number, ()) if name in shown},
            }
            for number, shown in found.items()
        ]


def _entries(request: Request) -> list[Any]:
    try:
        body = request.json()
    except ValueError as problem:
        raise invalid_data("body", expected_data_type="jsonobject") from problem
    if isinstance(body, dict) and "watch" not in body and "channel_id" in body:
        return [body]
    entries = body.get("watch") if isinstance(body, dict) else None
    place = {"api_name": "watch", "json_path": "$.watch"}
    if entries is None:
        raise ZohoError(400, "MANDATORY_NOT_FOUND", "required field not found", place)
    if not isinstance(entries, list) or not entries:
        raise invalid_data("invalid data", expected_data_type="jsonarray", **place)
    return entries
