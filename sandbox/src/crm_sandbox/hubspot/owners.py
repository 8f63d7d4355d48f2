"""The people that records belong to."""

from collections.abc import Mapping
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot.errors import ApiError, not_found
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import Page, after_of, limit_of

OWNER_COUNT = 25
_FIRST_ID = 70_000_101
_GIVEN = ("Ada", "Grace", "Linus", "Zoë", "Renée", "Søren", "Mia", "Omar", "Yuki", "Igor")
_FAMILY = ("Park", "Okafor", "Lindqvist", "Haddad", "Novák", "Silva", "Meyer", "Rossi", "Kim")


def owner_ids() -> list[int]:
    """Return the ids of a portal's owners."""
    return [_FIRST_ID + 13 * number for number in range(OWNER_COUNT)]


class OwnerHandler:
    """Answers about owners.

    Args:
        first_user: the user id of the first owner.
        since_ms: when the portal began.
    """

    def __init__(self, first_user: int, since_ms: int) -> None:
        self._owners: dict[str, dict[str, Any]] = {}
        for number, owner in enumerate(owner_ids()):
            made = iso_of(since_ms + number * 86_400_000)
            is_archived = number % 6 == 5
            user = first_user + number
            self._owners[str(owner)] = {
                "id": str(owner),
                "email": f"user{number}@sandbox.example",
                "type": "QUEUE" if number == OWNER_COUNT - 1 else "PERSON",
                "firstName": _GIVEN[number % len(_GIVEN)],
                "lastName": _FAMILY[number % len(_FAMILY)],
                "userId": None if is_archived else user,
                "userIdIncludingInactive": user,
                "createdAt": made,
                "updatedAt": made,
                "archived": is_archived,
                "teams": [
                    {"id": str(300 + number % 3), "name": f"Team {number % 3}", "primary": True}
                ],
            }

    @property
    def listed(self) -> list[dict[str, Any]]:
        """Every owner, archived ones too."""
        return [dict(one) for one in self._owners.values()]

    def change(self, owner: str, values: Mapping[str, Any]) -> None:
        """Change an owner for the admin.

        Raises:
            KeyError: there is none.
        """
        if owner not in self._owners:
            raise KeyError(f"no owner has the id '{owner}'")
        self._owners[owner] |= values

    def handle(self, request: Request, parts: tuple[str, ...], page: Page) -> Response:
        """Answer the list or one owner."""
        if request.method != "GET":
            raise ApiError(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed")
        query = request.query
        archived = query.get("archived", "false").lower() == "true"
        if parts:
            return self._one(parts[0], query.get("idProperty", "id"), page, archived=archived)
        limit = limit_of(query, default=100, most=500)
        email = query.get("email", "").lower()
        found = [
            one
            for one in self._owners.values()
            if one["archived"] == archived and (not email or one["email"].lower() == email)
        ]
        after = after_of(query)
        rest = [one for one in found if int(one["id"]) >= after]
        following = rest[limit]["id"] if len(rest) > limit else None
        return page.of([_shown(one) for one in rest[:limit]], following)

    def _one(self, owner: str, by: str, page: Page, *, archived: bool) -> Response:
        for one in self._owners.values():
            known = one["userIdIncludingInactive"] if by == "userId" else one["id"]
            if str(known) == owner and one["archived"] == archived:
                return page.single(_shown(one))
        raise not_found(f"Unable to find owner with id {owner}")


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an owner as the API shows it: an archived one has lost its user."""
    return {key: value for key, value in one.items() if value is not None}
