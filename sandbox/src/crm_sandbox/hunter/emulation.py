"""The Hunter emulation: one address is verified with each call, some of them take several."""

import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any

from crm_sandbox.ceilings import Rolling
from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.registry import Premises
from crm_sandbox.true_people import Mailbox, Mailboxes

Row = dict[str, Any]
ACTIONS = ("set_account", "restrict")
_SETTINGS = ("verifications", "pending", "accept_all_percent")
# https://hunter.io/api-documentation/v2 : of the verifier.
_PER_SECOND, _PER_MINUTE = 10, 300


class HunterSandbox:
    """The emulated account: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world.
        key: of the account.

    Attributes:
        verifications: how many may still be made this month.
        pending: how many calls for an address are answered 202 before it is verified.
        accept_all_percent: how many of a hundred domains accept every address.
        ledger: the verifications that were charged, in order.
        now: the clock of the rolling windows, in seconds.
        windows: the limits of calls.
    """

    def __init__(self, premises: Premises, key: str) -> None:
        self._world = premises.world
        self._key = key
        self._lock = threading.RLock()
        self.verifications = 1_000
        self.pending = 0
        self.accept_all_percent = 10
        self.ledger: list[Row] = []
        self.now: Callable[[], float] = time.monotonic
        self._restricted: set[str] = set()
        self._asked: Counter[str] = Counter()
        self.windows = [
            Rolling(_PER_SECOND, 1.0, self._seconds),
            Rolling(_PER_MINUTE, 60.0, self._seconds),
        ]
        self._admin = AdminApi(
            self, ACTIONS, objects=lambda _: ("verifications",), looks={}, accounts=False
        )

    @cached_property
    def mailboxes(self) -> Mailboxes:
        """What is true of addresses."""
        return Mailboxes(self._world)

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        if request.path.rstrip("/") != "/v2/email-verifier":
            return _refused(404, "not_found", "The requested resource does not exist.")
        if request.method != "GET":
            return _refused(405, "method_not_allowed", "Use GET.")
        scheme, _, token = request.header("authorization").partition(" ")
        keys = (request.query.get("api_key", ""), request.header("x-api-key"))
        if self._key not in (*keys, token if scheme.lower() == "bearer" else ""):
            return _refused(401, "authentication_failed", "No valid API key was provided.")
        with self._lock:
            return self._verified(request.query.get("email", ""))

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/hunter`."""
        with self._lock:
            return self._admin.handle(request)

    def close(self) -> None:
        """Nothing is open."""

    def _seconds(self) -> float:
        return self.now()

    def _verified(self, email: str) -> Response:
        if any(not window.remaining for window in self.windows):
            return _refused(403, "too_many_requests", "You have reached the rate limit.")
        for window in self.windows:
            window.take()
        if not email:
            return _refused(400, "wrong_params", "The email parameter is missing.")
        if email.lower() in self._restricted:
            details = "The person asked us not to process their data."
            return _refused(451, "claimed_email", details)
        if not self.verifications:
            return _refused(429, "too_many_requests", "You have reached your usage limit.")
        self._asked[email] += 1
        if self._asked[email] <= self.pending:
            return json_response({"data": {"status": None, "email": email}}, 202)
        self.verifications -= 1
        self._asked[email] = 0
        data = self._judged(email)
        self.ledger.append({"email": email, "status": data["status"], "cost": 1})
        return json_response({"data": data, "meta": {"params": {"email": email}}})

    def _judged(self, email: str) -> Row:
        box = self.mailboxes.find(email)
        domain = email.rpartition("@")[2].lower()
        accepts_all = (
            box.has_servers
            and not (box.is_free or box.is_disposable)
            and zlib.crc32(domain.encode()) % 100 < self.accept_all_percent
        )
        status = _status(box, accepts_all=accepts_all)
        deliverable = box.exists and not accepts_all
        return {
            "status": status,
            "result": {"valid": "deliverable", "invalid": "undeliverable"}.get(status, "risky"),
            "_deprecation_notice": "Using result is deprecated, use status instead",
            "score": {"valid": 96, "invalid": 0}.get(status, 55),
            "email": email,
            "regexp": box.is_address,
            "gibberish": False,
            "disposable": box.is_disposable,
            "webmail": box.is_free,
            "mx_records": box.has_servers,
            "smtp_server": box.has_servers,
            "smtp_check": deliverable or accepts_all,
            "accept_all": accepts_all,
            "block": False,
            "sources": [],
        }

    def set_account(self, **values: int) -> None:
        """Change `verifications`, `pending` or `accept_all_percent`.

        Raises:
            ValueError: a name is unknown.
        """
        if unknown := set(values) - set(_SETTINGS):
            raise ValueError(f"unknown setting {sorted(unknown)}; known: {', '.join(_SETTINGS)}")
        for name, value in values.items():
            setattr(self, name, value)

    def restrict(self, *, email: str) -> None:
        """Answer 451 for an address from now on: its owner asked for no processing."""
        self._restricted.add(email.lower())

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Count the verifications that were charged."""
        del include_deleted, since, until
        return len(self.rows(name))

    def rows(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Return the verifications that were charged.

        Raises:
            ValueError: there is no such object.
        """
        del include_deleted, since, until
        if name != "verifications":
            raise ValueError(f"unknown object '{name}'; known: verifications")
        return self.ledger[:limit]

    def identities(self, name: str) -> list[Row]:
        """Refuse: verifications hold no people.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"'{name}' holds no people")

    def edit(self, name: str, record: str, **_: Any) -> None:
        """Refuse: verifications are not changed.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"'{name}' {record} cannot be changed")

    def create(self, name: str, **_: Any) -> str:
        """Refuse: verifications are made by the API.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"nothing is added to {name}")

    def formula_change(self, name: str, record: str, **_: Any) -> None:
        """Refuse, as `edit` does."""
        self.edit(name, record)


def _status(box: Mailbox, *, accepts_all: bool) -> str:
    if box.is_disposable:
        return "disposable"
    if not (box.is_address and box.has_servers):
        return "invalid"
    if accepts_all:
        return "accept_all"
    if not box.exists:
        return "invalid"
    return "webmail" if box.is_free else "valid"


def _refused(status: int, name: str, details: str) -> Response:
    return json_response({"errors": [{"id": name, "code": status, "details": details}]}, status)
