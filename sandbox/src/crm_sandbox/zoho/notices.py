"""Notices of changes on their way to the owners of channels.

What the vendor sends has no signature, no id of its own, no order, and is never sent again; an admin can
hold notices back and let them go several at once, twice, in another order, or with a wrong token.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.zoho.channels import Channel
from crm_sandbox.zoho.deliveries import DeliveryLog
from crm_sandbox.zoho.store import Change

_WRONG = "wrong-token"


@dataclass
class Notice:
    """News of some records of one module, for one channel."""

    channel: Channel
    change: Change
    server_time: int
    ids: list[int] = field(default_factory=list)


Render = Callable[[Notice], dict[str, Any]]


class NoticeQueue:
    """Notices that wait, and the thread that takes them out.

    Args:
        mailman: delivers.
        render: makes the document of a notice, when it is sent.
    """

    def __init__(self, mailman: DeliveryLog, render: Render) -> None:
        self._mailman = mailman
        self._render = render
        self._wake = threading.Condition()
        self._waiting: list[Notice] = []
        self._is_held = False
        self._is_closed = False
        self._courier: threading.Thread | None = None

    def add(self, notice: Notice) -> None:
        """Queue a notice."""
        with self._wake:
            self._waiting.append(notice)
            if self._courier is None:
                self._courier = threading.Thread(target=self._carry, daemon=True, name="zoho watch")
                self._courier.start()
            self._wake.notify_all()

    def hold(self, *, on: bool) -> None:
        """Keep notices back, or let them go."""
        with self._wake:
            self._is_held = on
            self._wake.notify_all()

    def release(self, *, combine: bool, shuffle: bool, duplicates: int, wrong_token: bool) -> int:
        """Send what waits at once, and return how many calls that made."""
        with self._wake:
            waiting, self._waiting = self._waiting, []
        notices = _combined(waiting) if combine else waiting
        notices = [one for one in notices for _ in range(1 + duplicates)]
        if shuffle:
            random.Random(len(notices)).shuffle(notices)  # noqa: S311 - an order, not a secret
        for one in notices:
            document = self._render(one)
            if wrong_token:
                document["token"] = _WRONG
            self._mailman.send(one.channel.url, document)
        return len(notices)

    def close(self) -> None:
        """Send nothing any more."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()
        if self._courier is not None:
            self._courier.join(timeout=15)

    def _carry(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._has_work)
                if self._is_closed:
                    return
                notice = self._waiting.pop(0)
            self._mailman.send(notice.channel.url, self._render(notice))

    def _has_work(self) -> bool:
        return self._is_closed or (bool(self._waiting) and not self._is_held)


def _combined(notices: list[Notice]) -> list[Notice]:
    """Put the news of one kind for one channel into one notice."""
    together: dict[Any, Notice] = {}
    for one in notices:
        key = (one.channel.id, one.change.module.stored, one.change.operation)
        first = together.setdefault(
            key, Notice(one.channel, one.change, one.server_time, list[int]())
        )
        first.ids += [number for number in one.ids if number not in first.ids]
    return list(together.values())
