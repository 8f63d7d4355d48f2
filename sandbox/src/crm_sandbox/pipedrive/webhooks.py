"""Webhooks of a company: which events each gets, when a delivery is sent again, when a webhook ends.

Source: https://pipedrive.readme.io/docs/guide-for-webhooks-v2
"""

import base64
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crm_sandbox.kernel.receivers import post
from crm_sandbox.kernel.repeating import Repeating
from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.store import News, Store
from crm_sandbox.pipedrive.webhook_body import body_of, meta

MOST_OF_USER = 40
OBJECTS = (
    *("activity", "deal", "deal_product", "lead", "note", "organization", "person", "pipeline"),
    *("product", "stage", "user", "*"),
)
ACTIONS = ("create", "change", "delete", "*")
_WAITS = tuple(timedelta(seconds=seconds) for seconds in (3, 30, 150))
_FAILURES = 10
_BAN = timedelta(minutes=30)
_GIVEN_UP = timedelta(days=3)
_GLANCE_S = 0.2


@dataclass
class Webhook:
    """One subscription.

    Attributes:
        user: the user whose permissions decide what is sent.
        failures: first attempts that failed, since one succeeded.
        banned_until: nothing is queued before that; what happens meanwhile is lost.
        succeeded_at: when a delivery last arrived, or the webhook was made.
    """

    id: int
    owner: int
    user: int
    url: str
    action: str
    object: str
    name: str
    made_at: datetime
    succeeded_at: datetime
    login: tuple[str, str] | None = None
    version: str = "2.0"
    type: str = "general"
    failures: int = 0
    banned_until: datetime | None = None
    delivered_at: datetime | None = None
    status: int | None = None

    def wants(self, news: News) -> bool:
        """Say whether it is subscribed to a change."""
        return self.action in {"*", news.action} and self.object in {"*", news.entity.singular}


@dataclass
class Delivery:
    """One message on its way."""

    webhook: Webhook
    body: dict[str, Any]
    due: datetime
    attempt: int = 1
    state: str = "pending"


@dataclass
class Manner:
    """How deliveries are made, as a test orders it.

    Attributes:
        duplicates: how often an accepted message comes once more.
        shuffle: whether messages leave in another order.
        timeout_s: how long a receiver may take.
        ca_file: for https, who signed the receiver's certificate.
    """

    duplicates: int = 0
    shuffle: bool = False
    timeout_s: float = 10.0
    ca_file: str | None = None


class Webhooks:
    """The webhooks of one company and their deliveries.

    Args:
        company: the company.
        store: tells of changes.
    """

    def __init__(self, company: CompanyData, store: Store) -> None:
        self._company = company
        self._store = store
        # Whoever waits for a receiver keeps nobody from queueing.
        self._lock = threading.RLock()
        self._sending = threading.RLock()
        self._webhooks: dict[int, Webhook] = {}
        self._deliveries: list[Delivery] = []
        self.manner = Manner()
        self.lost = 0
        self._background = Repeating("pipedrive webhooks", _GLANCE_S, self.deliver)

    def listed(self) -> list[Webhook]:
        """Return the webhooks that live."""
        with self._lock:
            return list(self._webhooks.values())

    def add(self, webhook: Webhook) -> None:
        """Take up a webhook, and listen from now on."""
        with self._lock:
            self._webhooks[webhook.id] = webhook
            if self.hear not in self._store.listeners:
                self._store.listeners.append(self.hear)
            self._background.begin()

    def remove(self, number: int) -> bool:
        """End a webhook; say whether there was one."""
        with self._lock:
            return self._webhooks.pop(number, None) is not None

    def hear(self, news: News) -> None:
        """Queue a message for every webhook that wants it."""
        company, now = self._company, self._company.clock.now()
        with self._lock:
            wanting = [one for one in self._webhooks.values() if one.wants(news)]
            if not wanting:
                return
            permitted = self._permitted(news)
            body = body_of(company, news)
            for webhook in wanting:
                if webhook.user not in permitted:
                    continue
                if webhook.banned_until is not None and now < webhook.banned_until:
                    self.lost += 1
                    continue
                own = {"type": webhook.type, "webhook_id": str(webhook.id)}
                own["webhook_owner_id"] = str(webhook.owner)
                whole = body | {"meta": meta(company, news, permitted) | own}
                self._deliveries.append(Delivery(webhook, whole, now))

    def deliver(self) -> dict[str, int]:
        """Send everything that is due by the sandbox's clock, and count the states."""
        with self._sending:
            now = self._company.clock.now()
            with self._lock:
                due = [one for one in self._deliveries if one.state == "pending" and one.due <= now]
            if self.manner.shuffle:
                random.Random(len(due)).shuffle(due)  # noqa: S311 - an order, not a secret
            for one in due:
                self._send(one, now)
            with self._lock:
                self._give_up(now)
                return dict(Counter(one.state for one in self._deliveries))

    def deliveries(self) -> list[dict[str, Any]]:
        """Return every message with its state."""
        with self._lock:
            return [
                {
                    "webhook": one.webhook.id,
                    "id": one.body["meta"]["id"],
                    "action": one.body["meta"]["action"],
                    "entity": one.body["meta"]["entity"],
                    "attempt": one.attempt,
                    "state": one.state,
                }
                for one in self._deliveries
            ]

    def shown(self) -> dict[str, Any]:
        """Return every message, and how many were lost during bans."""
        return {"deliveries": self.deliveries(), "lost": self.lost}

    def close(self) -> None:
        """Send nothing any more."""
        self._background.close()

    def _permitted(self, news: News) -> list[int]:
        """Return the users who may see a record."""
        users = [row["id"] for row in self._company.tables.rows("SELECT id FROM users ORDER BY id")]
        record = news.after or news.before or {}
        if int(record.get("visible_to") or 3) >= 3:
            return users
        seeing = {self._company.admin, record.get("owner_id")}
        return [user for user in users if user in seeing]

    def _send(self, one: Delivery, now: datetime) -> None:
        webhook, manner = one.webhook, self.manner
        if webhook.id not in self._webhooks:
            one.state = "dropped"
            return
        body = one.body | {"meta": one.body["meta"] | {"attempt": one.attempt}}
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        for _ in range(1 + manner.duplicates):
            reply = post(
                webhook.url,
                text,
                _headers(webhook.login),
                timeout_s=manner.timeout_s,
                ca_file=manner.ca_file,
            )
        webhook.status, webhook.delivered_at = reply.status if reply else None, now
        if reply is not None and reply.is_success:
            one.state, webhook.failures, webhook.succeeded_at = "delivered", 0, now
            return
        if one.attempt == 1:
            self._count_failure(webhook, now)
        if one.attempt > len(_WAITS):
            one.state = "failed"
            return
        one.due = now + _WAITS[one.attempt - 1]
        one.attempt += 1

    def _count_failure(self, webhook: Webhook, now: datetime) -> None:
        webhook.failures += 1
        if webhook.failures >= _FAILURES:
            webhook.failures, webhook.banned_until = 0, now + _BAN

    def _give_up(self, now: datetime) -> None:
        for webhook in list(self._webhooks.values()):
            tried = webhook.delivered_at is not None
            if tried and now - webhook.succeeded_at >= _GIVEN_UP and webhook.status != 200:
                del self._webhooks[webhook.id]


def _headers(login: tuple[str, str] | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "Pipedrive Webhooks"}
    if login is not None:
        token = base64.b64encode(":".join(login).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    return headers
