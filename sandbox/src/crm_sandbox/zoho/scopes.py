"""The scopes of tokens: https://www.zoho.com/crm/developer/docs/api/v8/scopes.html."""

from collections.abc import Iterable

from crm_sandbox.zoho.errors import ZohoError

ALL_SCOPES = (
    "ZohoCRM.modules.ALL",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.coql.READ",
    "ZohoCRM.bulk.ALL",
    "ZohoCRM.notifications.ALL",
    "ZohoCRM.org.ALL",
    "ZohoCRM.users.ALL",
    "ZohoCRM.files.CREATE",
    "ZohoCRM.composite_requests.CUSTOM",
)
_OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "PATCH": "UPDATE"}


def operation(method: str) -> str:
    """Return the operation that a method stands for in scopes."""
    return _OPERATIONS.get(method, "DELETE")


def covers(granted: str, needed: str) -> bool:
    """Say whether one granted scope covers a needed one, in any case of letters."""
    has, wants = granted.lower().split("."), needed.lower().split(".")
    if has[-1] == "all":
        return wants[: len(has) - 1] == has[:-1]
    if len(has) == 3 and has[1] == "modules" and len(wants) == 4:
        # One operation on every module.
        return has[:2] == wants[:2] and has[2] == wants[3]
    return has == wants


def demand(granted: Iterable[str], *needed: str) -> None:
    """Check that every needed scope is covered.

    Raises:
        ZohoError: `OAUTH_SCOPE_MISMATCH`.
    """
    have = list(granted)
    for one in needed:
        if not any(covers(scope, one) for scope in have):
            raise ZohoError(
                401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL", {}
            )
