"""All operations, and the match of a request to one."""

import re
from functools import cache

from crm_sandbox.operations import Operation, OperationTable, listed
from crm_sandbox.pipedrive import (
    collections_v1,
    conversions,
    field_writes,
    following,
    history,
    line_items,
    merges,
    metadata,
    reads,
    reads_v1,
    recents,
    search,
    setup,
    webhook_api,
    writes,
    writes_v1,
)
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.route import Route

ROUTES: tuple[Route, ...] = tuple(
    route
    for module in (
        reads,
        metadata,
        reads_v1,
        setup,
        history,
        recents,
        search,
        writes,
        webhook_api,
        writes_v1,
        line_items,
        following,
        merges,
        field_writes,
        conversions,
        collections_v1,
    )
    for route in module.ROUTES
)


def _plain(path: str) -> str:
    return re.sub(r"^/api/v1/", "/v1/", path.rstrip("/"))


OPERATIONS = OperationTable(
    [
        *(Operation(one.template, one.method) for one in ROUTES),
        *listed("GET /oauth/authorize\nPOST /oauth/token\nPOST /oauth/revoke"),
    ],
    _plain,
)


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the operation of a request and what its path holds.

    Raises:
        ApiError: 404 for an unknown path, 405 for a method that it does not have.
    """
    plain = _plain(path)
    is_path = False
    for pattern, route in _compiled():
        match = pattern.fullmatch(plain)
        if match is None:
            continue
        is_path = True
        if route.method == method:
            return route, match.groupdict()
    if is_path:
        raise ApiError(405, "Method not allowed")
    raise ApiError(404, "Unknown method .")


@cache
def _compiled() -> list[tuple[re.Pattern[str], Route]]:
    # A fixed word goes before a name in braces at the same place.
    ordered = sorted(ROUTES, key=lambda one: one.template.count("{"))
    return [(one.pattern, one) for one in ordered]
