"""The admin API that all vendors share: actions by name, and views of the records behind the API."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

from crm_sandbox.http import Request, Response, json_response

Action = Callable[..., Any]
Look = Callable[..., Any]
"""A view of an account, or of one object where its address ends in `/<object>`."""


class Observed(Protocol):
    """The methods that all emulations have; their parameters differ a little."""

    @property
    def count(self) -> Callable[..., int]:
        """Counts the records of an object."""
        ...

    @property
    def rows(self) -> Callable[..., list[dict[str, Any]]]:
        """Returns the records of an object."""
        ...

    @property
    def identities(self) -> Callable[..., list[dict[str, Any]]]:
        """Returns who the people of an object really are."""
        ...

    @property
    def edit(self) -> Callable[..., None]:
        """Changes a record."""
        ...

    @property
    def create(self) -> Callable[..., str]:
        """Makes a record and returns its id."""
        ...

    @property
    def formula_change(self) -> Callable[..., None]:
        """Changes a record, and leaves its time of change."""
        ...


class AdminApi:
    """Handles the admin requests for one vendor.

    Args:
        observed: the emulation.
        actions: the emulation's methods that a POST may call, beside `edit`, `create` and
            `formula_change`; a pair is a name and the path of a method, such as `outbound.send`.
        objects: names the objects of an account.
        looks: views for GET by address, beside counts, rows, identities and objects.
        value: turns a stored value into one that JSON knows.
        noun: what the vendor calls an object.
        accounts: whether there are several.
    """

    def __init__(
        self,
        observed: Observed,
        actions: Sequence[str | tuple[str, str]],
        *,
        objects: Callable[[str], Iterable[str]],
        looks: Mapping[str, Look],
        value: Callable[[Any], Any] = lambda value: value,
        noun: str = "object",
        accounts: bool = True,
    ) -> None:
        self._observed = observed
        pairs = [(action, action) if isinstance(action, str) else action for action in actions]
        self._paths = dict(pairs)
        self._value = value
        self._accounts = accounts
        self._objects = objects
        of_one = f"/<{noun}>"
        self._looks: dict[str, Callable[[str, str, Mapping[str, str]], Any]] = {
            f"count{of_one}": self._count,
            f"rows{of_one}": self._rows,
            f"identities{of_one}": self._identities,
            "objects": self._counts,
        }
        for address, look in looks.items():
            self._looks[address.replace("/<object>", of_one)] = _plain(look)
        self._of_one = of_one

    def handle(self, request: Request) -> Response:
        """Answer one admin request; POST bodies are JSON objects with the arguments.

        Args:
            request: below the vendor's admin address.

        Raises:
            KeyError: a record is missing.
            ValueError: an argument is missing or wrong.
        """
        parts = [part for part in request.path.split("/") if part]
        if request.method == "GET":
            return json_response(self._view(parts, request.query))
        actions = self._actions()
        if len(parts) != 1 or parts[0] not in actions:
            raise ValueError(
                f"unknown admin action '{'/'.join(parts)}'; known: {', '.join(actions)}"
            )
        arguments = request.json() or {}
        if not isinstance(arguments, dict):
            raise TypeError("the body must be a JSON object with the arguments")
        try:
            result = actions[parts[0]](**arguments)
        except TypeError as problem:
            raise ValueError(f"{parts[0]}: {problem}") from problem
        return json_response({"ok": True, "result": result})

    def _actions(self) -> dict[str, Action]:
        plain = {name: attrgetter(path)(self._observed) for name, path in self._paths.items()}
        return plain | {
            "edit": self._edit,
            "create": self._create,
            "formula_change": self._formula_change,
        }

    # Values are an object of their own, so that a field's name cannot clash with an argument.

    def _edit(
        self, name: str, record: Any, fields: Mapping[str, Any], stamp: Any = None, **account: str
    ) -> None:
        self._observed.edit(name, record, stamp=stamp, **self._own(account), **fields)

    def _create(
        self, name: str, fields: Mapping[str, Any], stamp: Any = None, **account: str
    ) -> Any:
        return self._observed.create(name, stamp=stamp, **self._own(account), **fields)

    def _formula_change(
        self, name: str, record: Any, fields: Mapping[str, Any], **account: str
    ) -> None:
        self._observed.formula_change(name, record, **self._own(account), **fields)

    def _own(self, account: Mapping[str, str]) -> dict[str, str]:
        if unknown := set(account) - ({"account"} if self._accounts else set()):
            raise TypeError(f"got an unexpected keyword argument '{min(unknown)}'")
        return dict(account)

    def _view(self, parts: list[str], query: Mapping[str, str]) -> Any:
        address, name = "/".join(parts), ""
        if len(parts) == 2:
            address, name = parts[0] + self._of_one, parts[1]
        if address not in self._looks:
            raise ValueError(f"known: {', '.join(self._looks)}")
        return self._looks[address](name, query.get("account", "main"), query)

    def _named(self, account: str) -> dict[str, str]:
        return {"account": account} if self._accounts else {}

    def _count(self, name: str, account: str, query: Mapping[str, str]) -> dict[str, Any]:
        number = self._observed.count(name, **_filters(query), **self._named(account))
        return {"object": name, "count": number}

    def _rows(self, name: str, account: str, query: Mapping[str, str]) -> dict[str, Any]:
        limit = int(query["limit"]) if "limit" in query else None
        rows = self._observed.rows(name, limit=limit, **_filters(query), **self._named(account))
        return {"rows": [{key: self._value(value) for key, value in row.items()} for row in rows]}

    def _identities(self, name: str, account: str, _: Mapping[str, str]) -> dict[str, Any]:
        return {"identities": self._observed.identities(name, **self._named(account))}

    def _counts(self, _: str, account: str, __: Mapping[str, str]) -> dict[str, int]:
        own = self._named(account)
        return {name: self._observed.count(name, **own) for name in self._objects(account)}


def _plain(look: Look) -> Callable[[str, str, Mapping[str, str]], Any]:
    def seen(name: str, account: str, _: Mapping[str, str]) -> Any:
        return look(account, name) if name else look(account)

    return seen


def _filters(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the filters of a view: `include_deleted`, and `since` and `until` where given."""
    filters: dict[str, Any] = {
        "include_deleted": query.get("include_deleted", "").lower() in {"1", "true"}
    }
    for key in ("since", "until"):
        if key in query:
            filters[key] = datetime.fromisoformat(query[key])
    return filters
