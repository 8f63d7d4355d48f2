"""The route of an operation: address, price, scopes and handler.

Costs and scopes: https://developers.pipedrive.com/docs/api/v1 (every operation names its own).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.http import Parameters, Request, Response, json_response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.sight import Sight


@dataclass(frozen=True)
class Call:
    """One request of one caller.

    Attributes:
        parts: the values of the route's names in the path.
    """

    request: Request
    sight: Sight
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def company(self) -> Company:
        """Whose records."""
        return self.sight.company

    @property
    def query(self) -> Parameters:
        """The parameters; of a plain one that came twice the last counts (not confirmed)."""
        return self.request.query

    def document(self) -> Any:
        """Return the JSON of the body.

        Raises:
            ApiError: 400 for what is none.
        """
        try:
            return self.request.json()
        except ValueError as problem:
            raise ApiError(400, "Invalid JSON in request body") from problem

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the body.

        Raises:
            ApiError: 400 for anything else.
        """
        found = self.document()
        if not isinstance(found, dict):
            raise ApiError(400, "Request body must be an object")
        return found

    def kept(self, make: Callable[[], bytes]) -> Response:
        """Answer with a body that is made once for as long as nothing changes."""
        request, company = self.request, self.company
        eyes = 0 if self.sight.sees_all else self.sight.user
        key = (request.path, request.query_text, eyes, company.purged_before())
        return Response(200, company.answers.get(key, company.tables.revision, make))


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    """One operation.

    Attributes:
        template: the path below the host, names in braces.
        cost: in tokens of the day.
        scopes: any of them lets an app in; empty for every app.
        is_retired: whether it went out of support with the old v1.
        is_search: whether it counts against the ceiling of searches.
    """

    method: str
    template: str
    cost: int
    scopes: tuple[str, ...]
    handler: Handler
    is_retired: bool = False
    is_search: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """The template as a regular expression."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template))


def reading(*groups: str) -> tuple[str, ...]:
    """Return the scopes that let one read any of these groups."""
    return tuple(f"{group}:{right}" for group in groups for right in ("read", "full"))


def writing(*groups: str) -> tuple[str, ...]:
    """Return the scopes that let one write any of these groups."""
    return tuple(f"{group}:full" for group in groups)


def ok(data: Any, status: int = 200, **more: Any) -> Response:
    """Answer success with data."""
    return json_response({"success": True, "data": data, **more}, status)


def parsed(text: str) -> Any:
    """Return a rendered record as Python values."""
    return json.loads(text)
