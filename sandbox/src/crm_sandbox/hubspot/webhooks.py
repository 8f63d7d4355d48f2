"""The webhooks of the app: its subscriptions, and how events are sent to it.

Deliveries are arrays of at most 100 events; what fails is tried again ten times within a day, at
random moments and cut anew.
Source: https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide
"""

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_sandbox.clock import SandboxClock
from crm_sandbox.hubspot.credentials import APP_ID, CLIENT_SECRET
from crm_sandbox.hubspot.instants import ms_of
from crm_sandbox.hubspot.paging import encoded
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.signatures import signed_headers
from crm_sandbox.hubspot.subscriptions import Subscription, SubscriptionStore
from crm_sandbox.kernel.receivers import post
from crm_sandbox.kernel.repeating import Repeating

TIMEOUT_S = 5.0
MOST_EVENTS, MOST_RETRIES = 100, 10
_DAY_MS = 86_400_000
_STALE_MS = 300_001
_GLANCE_S = 0.2


@dataclass
class Letter:
    """One event for one subscription on its way."""

    event: dict[str, Any]
    due_ms: int
    attempts: int = 0
    state: str = "pending"


@dataclass
class Manner:
    """How deliveries are made.

    Attributes:
        duplicates: how often a delivery comes once more although it arrived.
        shuffle: whether events leave in another order than that in which they happened.
        most: events in one delivery.
        stale: whether deliveries carry a time stamp that is too old.
        tampered: whether the body is another one than what was signed.
        timeout_s: how long an answer may take.
        ca_file: for https, who signed the receiver's certificate.
        paused: whether nothing is sent until the admin asks for it.
    """

    duplicates: int = 0
    shuffle: bool = False
    most: int = MOST_EVENTS
    stale: bool = False
    tampered: bool = False
    timeout_s: float = TIMEOUT_S
    ca_file: str | None = None
    paused: bool = False


class WebhookSender:
    """Sends the app what happens in the portals.

    Args:
        clock: the sandbox's.
        subscriptions: which events the app wants.
    """

    def __init__(self, clock: SandboxClock, subscriptions: SubscriptionStore) -> None:
        self.manner = Manner()
        self._clock = clock
        self._subscriptions = subscriptions
        self._lock = threading.RLock()
        self._letters: list[Letter] = []
        self._made = 0
        # Seeded, so that the same orders give the same deliveries.
        self._chance = random.Random(7)  # noqa: S311 - an order, not a secret
        self._background = Repeating("hubspot webhooks", _GLANCE_S, self._deliver_unasked)

    def attach(self, portal: Portal) -> None:
        """Listen to what happens in a portal."""
        portal.events.listen(lambda event: self._take(portal, event))

    def set(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Change how deliveries are made.

        Raises:
            ValueError: there is no such switch.
        """
        known = set(vars(self.manner))
        if unknown := set(values) - known:
            raise ValueError(f"unknown manner {sorted(unknown)}; known: {', '.join(sorted(known))}")
        for name, value in values.items():
            setattr(self.manner, name, value)
        return dict(vars(self.manner))

    def deliver(self) -> dict[str, int]:
        """Send everything that is due by the sandbox's clock, and count the states."""
        with self._lock:
            now = ms_of(self._clock.now())
            due = [one for one in self._letters if one.state == "pending" and one.due_ms <= now]
            if self.manner.shuffle:
                self._chance.shuffle(due)
            for start in range(0, len(due), self.manner.most):
                self._send(due[start : start + self.manner.most], now)
            return dict(Counter(one.state for one in self._letters))

    def listed(self) -> list[dict[str, Any]]:
        """Return every event with what became of it."""
        with self._lock:
            return [
                {**one.event, "attempts": one.attempts, "state": one.state, "due": one.due_ms}
                for one in self._letters
            ]

    def close(self) -> None:
        """Send nothing any more."""
        self._background.close()

    def _take(self, portal: Portal, event: dict[str, Any]) -> None:
        for one in self._subscriptions.meant(portal, event):
            with self._lock:
                self._made += 1
                letter = Letter(self._written(portal, event, one), event["occurredAt"])
                self._letters.append(letter)
            self._background.begin()

    def _written(self, portal: Portal, event: dict[str, Any], one: Subscription) -> dict[str, Any]:
        hidden = {"object", "kind"}
        made = {
            "eventId": self._made,
            "subscriptionId": one.id,
            "portalId": portal.facts.hub_id,
            "appId": APP_ID,
            "subscriptionType": one.event_type,
            "attemptNumber": 0,
            **{key: value for key, value in event.items() if key not in hidden},
        }
        if one.event_type.startswith("object."):
            made["objectTypeId"] = portal.catalog.known(event["object"]).id
        if event["kind"] == "associationChange":
            del made["objectId"]
        return made

    def _send(self, letters: list[Letter], now: int) -> None:
        target = self._subscriptions.target_url
        body = encoded([{**one.event, "attemptNumber": one.attempts} for one in letters])
        stamp = str(now - (_STALE_MS if self.manner.stale else 0))
        headers = signed_headers(CLIENT_SECRET, target, body, stamp)
        if self.manner.tampered:
            body = body.replace(b'"eventId":', b'"eventId":9')
        arrived = False
        for _ in range(1 + self.manner.duplicates):
            reply = post(
                target,
                body,
                headers,
                timeout_s=self.manner.timeout_s,
                ca_file=self.manner.ca_file,
            )
            arrived = reply is not None and reply.is_success
            if not arrived:
                break
        for one in letters:
            one.attempts += 1
            one.state = "delivered" if arrived else "pending"
            if not arrived and one.attempts > MOST_RETRIES:
                one.state = "dropped"
            # Ten retries within a day, at random moments: each waits for at most a tenth of it.
            one.due_ms = now + self._chance.randint(1_000, _DAY_MS // MOST_RETRIES)

    def _deliver_unasked(self) -> None:
        if not self.manner.paused:
            self.deliver()
