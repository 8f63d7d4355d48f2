"""Outbound messages: sent on order, and sent again until they are acknowledged or too old."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crm_sandbox.kernel.repeating import Repeating
from crm_sandbox.salesforce import credentials
from crm_sandbox.salesforce.ids import full_id, make_id
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.outbound_message import Header, Receiver, message_xml
from crm_sandbox.salesforce.schema import Field, SObject
from crm_sandbox.salesforce.sessions import SessionStore

HORIZON = timedelta(hours=24)
_FIRST_WAIT = timedelta(seconds=15)
_LONGEST_WAIT = timedelta(hours=2)
_PER_MESSAGE = 100
_GLANCE_S = 0.5


@dataclass
class Notification:
    """One record's news on its way."""

    id: str
    record: str
    due: datetime
    attempts: int = 0
    state: str = "pending"


@dataclass
class OutboundOrder:
    """Records to send news of, and how.

    Attributes:
        duplicates: how often a message is sent once more although it was acknowledged.
        shuffle: whether the notifications leave in another order than that of the records.
    """

    receiver: Receiver
    sobject: SObject
    fields: list[Field]
    header: Header
    made_at: datetime
    duplicates: int
    shuffle: bool
    notifications: list[Notification] = field(default_factory=list)


class OutboundHandler:
    """Send messages and remember what became of them.

    Args:
        org: holds the records.
        sessions: where the session that a message may carry comes from.
    """

    def __init__(self, org: Org, sessions: SessionStore) -> None:
        self._org = org
        self._sessions = sessions
        self._lock = threading.RLock()
        self._orders: list[OutboundOrder] = []
        self._made = 0
        self._background = Repeating("outbound messages", _GLANCE_S, self.deliver)

    def send(
        self,
        url: str,
        name: str,
        records: Sequence[str],
        fields: Sequence[str] = (),
        *,
        duplicates: int = 0,
        shuffle: bool = True,
        foreign: bool = False,
        with_session: bool = False,
        ca_file: str | None = None,
    ) -> dict[str, int]:
        """Order messages and try to deliver them at once; what fails is tried again later.

        Args:
            url: the receiver, on this machine.
            name: the object.
            records: its records' ids.
            fields: what is sent beside the id.
            duplicates: how often an acknowledged message comes once more.
            shuffle: whether notifications leave in another order.
            foreign: whether the message claims to be from another organization.
            with_session: whether it carries a session id.
            ca_file: for https, who signed the receiver's certificate.

        Returns:
            How many notifications are pending, acknowledged and expired.

        Raises:
            ValueError: the address is not local, or a field is unknown.
        """
        sobject, now = self._org.known(name), self._org.clock.now()
        receiver, chosen = Receiver(url, ca_file), _chosen(sobject, fields)
        header = self._header(foreign=foreign, with_session=with_session)
        order = OutboundOrder(receiver, sobject, chosen, header, now, duplicates, shuffle)
        self._queue(order, records)
        self._background.begin()
        return self.deliver()

    def deliver(self) -> dict[str, int]:
        """Send everything that is due by the sandbox's clock, and count the states."""
        with self._lock:
            for order in self._orders:
                self._deliver(order)
            return dict(Counter(one["state"] for one in self.listed()))

    def listed(self) -> list[dict[str, Any]]:
        """Return every notification with its state."""
        with self._lock:
            return [
                {
                    "id": one.id,
                    "record": one.record,
                    "attempts": one.attempts,
                    "state": one.state,
                }
                for order in self._orders
                for one in order.notifications
            ]

    def close(self) -> None:
        """Send nothing any more."""
        self._background.close()

    def _queue(self, order: OutboundOrder, records: Sequence[str]) -> None:
        with self._lock:
            first = self._made + 1
            self._made += len(records)
            order.notifications = [
                Notification(make_id("04l", number), full_id(record), order.made_at)
                for number, record in enumerate(records, first)
            ]
            self._orders.append(order)

    def _deliver(self, order: OutboundOrder) -> None:
        now = self._org.clock.now()
        pending = [one for one in order.notifications if one.state == "pending"]
        if now - order.made_at > HORIZON:
            for one in pending:
                one.state = "expired"
            return
        due = [one for one in pending if one.due <= now]
        if order.shuffle:
            random.Random(len(due)).shuffle(due)  # noqa: S311 - an order, not a secret
        for start in range(0, len(due), _PER_MESSAGE):
            self._post(order, due[start : start + _PER_MESSAGE], now)

    def _post(self, order: OutboundOrder, due: list[Notification], now: datetime) -> None:
        state = self._state_of(order, [one.record for one in due])
        notified = [(one.id, {"Id": one.record} | state.get(one.record, {})) for one in due]
        body = message_xml(order.header, order.sobject.name, notified)
        acknowledged = order.receiver.post(body)
        for one in due:
            one.attempts += 1
            wait = min(_FIRST_WAIT * 2 ** min(one.attempts - 1, 20), _LONGEST_WAIT)
            one.due = now + wait
            one.state = "acknowledged" if acknowledged else "pending"
        for _ in range(order.duplicates if acknowledged else 0):
            order.receiver.post(body)

    def _state_of(self, order: OutboundOrder, records: list[str]) -> dict[str, dict[str, Any]]:
        """Return the records as they are now, which may not be how they were when it was ordered."""
        if not order.fields:
            return {}
        columns = ", ".join(_written(one) for one in order.fields)
        sql = (
            f'SELECT "Id", {columns} FROM "{order.sobject.name}" '
            'WHERE "Id" IN (SELECT unnest(?::VARCHAR[]))'
        )
        names = [one.name for one in order.fields]
        rows = self._org.cursor().execute(sql, [records]).fetchall()
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}

    def _header(self, *, foreign: bool, with_session: bool) -> Header:
        own = self._org.organization_id
        base = f"https://{credentials.MY_DOMAIN}/services/Soap"
        return Header(
            organization=make_id("00D", 1) if foreign else own,
            action=make_id("04k", 1),
            session=self._sessions.issue().token if with_session else None,
            enterprise_url=f"{base}/c/66.0/{own}",
            partner_url=f"{base}/u/66.0/{own}",
        )


def _chosen(sobject: SObject, names: Sequence[str]) -> list[Field]:
    chosen = []
    for name in names:
        one = sobject.find(name)
        if one is None or one.is_compound:
            raise ValueError(f"unknown field '{name}' of {sobject.name}")
        chosen.append(one)
    return chosen


def _written(one: Field) -> str:
    column = f'"{one.stored}"'
    if one.type == "datetime":
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.000Z')"
    return f"{column}::VARCHAR" if one.type == "date" else column
