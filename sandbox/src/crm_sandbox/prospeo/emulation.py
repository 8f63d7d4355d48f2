"""The Prospeo emulation: key, limits and routing; and its Python methods for tests."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.prospeo.credentials import API_KEY
from crm_sandbox.prospeo.credits import Credits
from crm_sandbox.prospeo.directory import Directory
from crm_sandbox.prospeo.enriching import Enriching, records_of
from crm_sandbox.prospeo.errors import ApiError
from crm_sandbox.prospeo.limits import Limits
from crm_sandbox.prospeo.searching import Searching
from crm_sandbox.registry import Premises

Row = dict[str, Any]
ACTIONS = ("set_limits", "set_credits", "set_account", "fail", "set_old_api")
_OLD = frozenset({"/email-finder", "/email-verifier", "/mobile-finder"})
_ACCOUNT = "/account-information"
# A search that finds nobody and a person whom nobody knows are answers; other refusals do not count.
_MISSES = frozenset({"NO_MATCH", "NO_RESULTS"})


class ProspeoSandbox:
    """The emulated account: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock = premises.clock
        self._world = premises.world
        self.credits = Credits(premises.clock)
        self.limits = Limits(premises.clock)
        self._lock = threading.RLock()
        self._failures: list[tuple[str, int]] = []
        self._old_status = 404
        self._admin = AdminApi(
            self,
            ACTIONS,
            objects=lambda _: ("people", "companies", "credits"),
            looks={"credits": lambda _: self.information(), "limits": lambda _: self.set_limits()},
            accounts=False,
        )

    @cached_property
    def directory(self) -> Directory:
        """Whom the vendor knows."""
        return Directory(self._world)

    @cached_property
    def enriching(self) -> Enriching:
        """The handler of enrichments."""
        return Enriching(self.directory, self.credits)

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        with self._lock:
            self.credits.renew()
            try:
                return self._answered(request)
            except ApiError as problem:
                return problem.response()

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/prospeo`."""
        with self._lock:
            return self._admin.handle(request)

    def close(self) -> None:
        """Nothing is open."""

    def _answered(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if path in _OLD:
            body = {"error": True, "message": "DEPRECATED", "details": "see /enrich-person"}
            return json_response(body, self._old_status)
        routes: dict[str, tuple[str, Callable[[Row], Row]]] = {
            "/enrich-person": ("enrich", self.enriching.person),
            "/bulk-enrich-person": ("enrich", self.enriching.people),
            "/enrich-company": ("enrich", self.enriching.company),
            "/bulk-enrich-company": ("enrich", self.enriching.companies),
            "/search-person": (
                "search",
                Searching(self.directory, self.credits).people,
            ),
        }
        methods = {_ACCOUNT: ("GET", "POST")} | dict.fromkeys(routes, ("POST",))
        if path not in methods:
            raise ApiError("NOT_FOUND", status=404)
        if request.method not in methods[path]:
            raise ApiError("METHOD_NOT_ALLOWED", status=405)
        if request.header("x-key") != API_KEY:
            raise ApiError("INVALID_API_KEY")
        if path == _ACCOUNT:
            return json_response({"error": False, "response": self.information()})
        if self._failures:
            raise ApiError(self._failures[0][0], status=self._failures.pop(0)[1])
        return self._metered(request, path, *routes[path])

    def _metered(
        self, request: Request, path: str, name: str, handler: Callable[[Row], Row]
    ) -> Response:
        try:
            body = request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ApiError("INVALID_REQUEST")
        records = len(records_of(body)) if path.startswith("/bulk-") else 1
        code = ""
        if not self.limits.admits(name, records):
            response = ApiError("RATE_LIMITED").response()
            code = "RATE_LIMITED"
        else:
            try:
                self.credits.require_any()
                response = json_response(handler(body))
            except ApiError as problem:
                code, response = problem.code, problem.response()
        if not code or code in _MISSES:
            self.limits.count(name, records)
        for header in self.limits.headers(name):
            response = response.with_header(*header)
        return response

    def information(self) -> Row:
        """Return what `/account-information` says."""
        renewal = self.credits.renewal()
        return {
            "current_plan": self.limits.plan.upper(),
            "current_team_members": 1,
            "remaining_credits": self.credits.remaining,
            "used_credits": self.credits.used,
            "next_quota_renewal_days": (renewal - self.clock.now()).days + 1,
            "next_quota_renewal_date": renewal.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        }

    def set_limits(
        self,
        *,
        plan: str | None = None,
        bulk_counts_in_second: bool | None = None,
        **classes: list[int],
    ) -> Row:
        """Take the limits of a plan, or of a class as `[second, minute, day]`; return them.

        Raises:
            ValueError: a name is unknown.
        """
        if plan is not None:
            self.limits.set_plan(plan)
        if bulk_counts_in_second is not None:
            self.limits.bulk_counts_in_second = bulk_counts_in_second
        for name, figures in classes.items():
            if name not in self.limits.classes:
                raise ValueError(f"unknown class '{name}'; known: enrich, search")
            self.limits.set_class(name, *figures)
        return {
            name: [windows.second.calls, windows.minute.calls, windows.day.calls]
            for name, windows in self.limits.classes.items()
        }

    def set_credits(
        self,
        *,
        remaining: int | None = None,
        monthly: int | None = None,
        renews_on: int | None = None,
    ) -> Row:
        """Change what is left, what a month begins with, or the day on which it begins; return the account."""
        if remaining is not None:
            self.credits.remaining = remaining
        if monthly is not None:
            self.credits.monthly = monthly
        if renews_on is not None:
            self.credits.renews_on = renews_on
        return self.information()

    def set_account(self, **values: Any) -> None:
        """Change `free_days` (None for ever) and `masks_email`.

        Raises:
            ValueError: a name is unknown.
        """
        if unknown := set(values) - {"free_days", "masks_email"}:
            raise ValueError(f"unknown setting {sorted(unknown)}; known: free_days, masks_email")
        if "free_days" in values:
            self.credits.free_days = values["free_days"]
        if "masks_email" in values:
            self.enriching.masks_email = bool(values["masks_email"])

    def fail(self, *, code: str = "INTERNAL_ERROR", times: int = 1, status: int = 0) -> None:
        """Refuse the next calls with a code; nothing is charged."""
        self._failures += [(code, status)] * times

    def set_old_api(self, *, status: int) -> None:
        """Choose the status with which the addresses of the old API say that they are gone."""
        self._old_status = status

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Count people, companies or entries of the ledger of credits; none of them is ever deleted or dated."""
        del include_deleted, since, until
        return len(self._rows(name))

    def rows(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Return people and companies as the vendor knows them, or the ledger of credits."""
        del include_deleted, since, until
        return self._rows(name)[:limit]

    def identities(self, name: str) -> list[Row]:
        """Return the true person behind each id.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        if name != "people":
            raise ValueError(f"'{name}' holds no people; known: people")
        return [
            {"id": one["id"], "person": one["person"]} for one in self.directory.people.values()
        ]

    def edit(self, name: str, record: str, *, stamp: Any = None, **fields: Any) -> None:
        """Change what the vendor knows of a person or a company.

        Raises:
            KeyError: there is no such record.
            ValueError: there is no such object or field.
        """
        del stamp
        table = {"people": self.directory.people, "companies": self.directory.companies}
        if name not in table:
            raise ValueError(f"'{name}' cannot be changed; known: {', '.join(table)}")
        row = table[name][record]
        if unknown := set(fields) - set(row):
            raise ValueError(f"unknown field {sorted(unknown)}; known: {', '.join(sorted(row))}")
        row.update(fields)

    def create(self, name: str, **_: Any) -> str:
        """Refuse: the vendor's people are those of the world.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"nothing is added to {name}; Prospeo knows the people of the world")

    def formula_change(self, name: str, record: str, **fields: Any) -> None:
        """Change a record; there are no times of change here."""
        self.edit(name, record, **fields)

    def _rows(self, name: str) -> list[Row]:
        tables: dict[str, Iterable[Row]] = {
            "people": self.directory.people.values(),
            "companies": self.directory.companies.values(),
            "credits": self.credits.ledger,
        }
        if name not in tables:
            raise ValueError(f"unknown object '{name}'; known: {', '.join(tables)}")
        return list(tables[name])
