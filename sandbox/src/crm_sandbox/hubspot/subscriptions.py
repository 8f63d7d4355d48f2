"""Webhook settings and subscriptions of the app, and the API for them."""

import threading
from dataclasses import dataclass, replace
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.credentials import APP_ID, DEVELOPER_KEY
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import answered, inputs_of, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.kernel.receivers import is_local

MOST = 1_000
_KINDS = ("creation", "deletion", "propertyChange", "merge", "restore", "associationChange")
_NAMES = ("contact", "company", "deal", "ticket", "line_item", "product", "object")
EVENT_TYPES = {
    *(
        f"{name}.{kind}"
        for name in _NAMES
        for kind in _KINDS
        if (name, kind) != ("product", _KINDS[-1])
    ),
    "contact.privacyDeletion",
}


@dataclass(frozen=True)
class Subscription:
    """One kind of events."""

    id: int
    event_type: str
    property_name: str
    object_type: str
    active: bool
    made_ms: int

    def shown(self) -> dict[str, Any]:
        """Return it as the API does."""
        made: dict[str, Any] = {
            "id": str(self.id),
            "eventType": self.event_type,
            "active": self.active,
            "createdAt": iso_of(self.made_ms),
            "updatedAt": iso_of(self.made_ms),
        }
        if self.property_name:
            made["propertyName"] = self.property_name
        if self.object_type:
            made["objectTypeId"] = self.object_type
        return made


class SubscriptionStore:
    """The app's settings and subscriptions.

    Args:
        now_ms: the present.
    """

    def __init__(self, now_ms: Any) -> None:
        self.target_url = ""
        self.throttling = {"maxConcurrentRequests": 10}
        self._now_ms = now_ms
        self._lock = threading.RLock()
        self._kept: dict[int, Subscription] = {}
        self._next = 3_100_001
        self._since_ms = 0

    def meant(self, portal: Portal, event: dict[str, Any]) -> list[Subscription]:
        """Return the active subscriptions that an event is for."""
        if not self.target_url:
            return []
        one = portal.catalog.known(event["object"])
        with self._lock:
            return [
                sub
                for sub in self._kept.values()
                if sub.active
                and sub.event_type in {f"{one.singular}.{event['kind']}", f"object.{event['kind']}"}
                and sub.object_type in {"", one.id}
                and sub.property_name in {"", event.get("propertyName", "")}
            ]

    def subscribe(
        self,
        event_type: str,
        *,
        property_name: str = "",
        object_type: str = "",
        active: bool = False,
    ) -> Subscription:
        """Add a subscription; it sleeps until it is made active.

        Raises:
            ApiError: there is no such event, or there are too many subscriptions.
        """
        if event_type not in EVENT_TYPES:
            raise invalid(f"Invalid input JSON: '{event_type}' is not an event type")
        if event_type.startswith("object.") and not object_type:
            raise invalid("object.* subscriptions need an objectTypeId")
        if event_type.endswith(".propertyChange") and not property_name:
            raise invalid("propertyChange subscriptions need a propertyName")
        with self._lock:
            if len(self._kept) >= MOST:
                raise invalid(f"at most {MOST} subscriptions are allowed")
            number = self._next
            self._next += 1
            made = Subscription(
                number, event_type, property_name, object_type, active, self._now_ms()
            )
            self._kept[number] = made
            return made

    def handle(self, request: Request, parts: tuple[str, ...], *, is_app: bool) -> Response:
        """Answer for the settings and the subscriptions of the app.

        Args:
            request: the request.
            parts: what follows the version.
            is_app: whether it carries a token of the app itself; a developer key does as well.
        """
        if not is_app and request.query.get("hapikey") != DEVELOPER_KEY:
            message = "This API needs the developer account's key or a token of the app."
            raise ApiError(401, "INVALID_AUTHENTICATION", message)
        if not parts or parts[0] != str(APP_ID) or len(parts) < 2:
            raise not_found("Unable to find the app")
        if parts[1] == "settings":
            return self._settings(request)
        if parts[1] == "subscriptions":
            return self._subscriptions(request, parts[2:])
        raise not_found()

    def _settings(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.target_url = ""
            return Response(204)
        if request.method == "PUT":
            body = json_of(request, bodies.Subscription)
            url = body.get("targetUrl") or ""
            if not is_local(url):
                # The vendor wants https; the sandbox reaches this machine only.
                raise invalid("targetUrl must be an address on this machine")
            self.target_url = url
            self.throttling = dict(body.get("throttling") or self.throttling)
            self._since_ms = self._since_ms or self._now_ms()
        elif request.method != "GET":
            raise unsupported_method()
        if not self.target_url:
            raise not_found("The app has no webhook settings")
        at = iso_of(self._since_ms)
        shown = {"targetUrl": self.target_url, "throttling": self.throttling}
        return answered({**shown, "createdAt": at, "updatedAt": at})

    def _subscriptions(self, request: Request, parts: tuple[str, ...]) -> Response:
        if parts == ("batch", "update") and request.method == "POST":
            changed = [
                self._activate(entry)
                for entry in inputs_of(json_of(request, bodies.SubscriptionBatch), MOST)
            ]
            at = iso_of(self._now_ms())
            shown = [one.shown() for one in changed]
            return answered(
                {"status": "COMPLETE", "results": shown, "startedAt": at, "completedAt": at}
            )
        if parts:
            return self._one(request, parts[0])
        if request.method == "GET":
            return answered({"results": [one.shown() for one in self._kept.values()]})
        if request.method != "POST":
            raise unsupported_method()
        body = json_of(request, bodies.Subscription)
        made = self.subscribe(
            str(body.get("eventType", "")),
            property_name=str(body.get("propertyName") or ""),
            object_type=str(body.get("objectTypeId") or ""),
            active=bool(body.get("active", False)),
        )
        return answered(made.shown(), 201)

    def _one(self, request: Request, named: str) -> Response:
        found = self._kept.get(int(named)) if is_number(named) else None
        if found is None:
            raise not_found(f"Unable to find subscription {named}")
        if request.method == "DELETE":
            with self._lock:
                del self._kept[found.id]
            return Response(204)
        if request.method == "PATCH":
            found = self._activate({**json_of(request, bodies.Subscription), "id": found.id})
        elif request.method != "GET":
            raise unsupported_method()
        return answered(found.shown())

    def _activate(self, entry: dict[str, Any]) -> Subscription:
        named = str(entry.get("id") or 0)
        number = int(named) if is_number(named) else 0
        with self._lock:
            found = self._kept.get(number)
            if found is None:
                raise not_found(f"Unable to find subscription {named}")
            self._kept[number] = replace(
                found, active=found.active if entry.get("active") is None else entry["active"]
            )
            return self._kept[number]
