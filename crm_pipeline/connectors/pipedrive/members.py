"""Users with the names of their role and teams, which stand in lists of their own.

An app needs the scope `admin` for roles; teams exist in some plans only. What the login may not read stays
unknown. Sources: https://developers.pipedrive.com/docs/api/v1/Roles and
https://developers.pipedrive.com/docs/api/v1/LegacyTeams
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import structlog

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import ROLES, TEAMS, Listing
from crm_pipeline.connectors.pipedrive.keys import additional
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError, Rejected

T = TypeVar("T")
_log = structlog.get_logger("crm_pipeline.pipedrive")


class _Role(msgspec.Struct):
    id: int | str
    name: str | None = None


class _Team(msgspec.Struct):
    id: int | str
    name: str | None = None
    users: list[int | str] | None = None
    active_flag: bool | int | None = True
    deleted_flag: bool | int | None = False


class _Roles(msgspec.Struct):
    data: list[_Role] | None
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


class _Teams(msgspec.Struct):
    data: list[_Team] | None


class _User(msgspec.Struct):
    id: int | str
    role_id: int | str | None = None


class Members:
    """Puts names into records of users.

    Args:
        lister: of the users.
    """

    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        self._roles = self._permitted(ROLES, self._asked_roles)
        self._teams = self._permitted(TEAMS, self._asked_teams)

    def named(self, page: Page) -> Page:
        """Return a page whose users have `role_name` and `teams`, as far as these are known."""
        batches = page.batches
        page.batches = lambda: (self._batch(rows) for rows in batches())
        return page

    def _batch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        texts = [self._text(text) for text in rows.column("record").to_pylist()]
        place = rows.schema.get_field_index("record")
        return rows.set_column(place, "record", pa.array(texts, pa.string()))

    def _text(self, text: str) -> str:
        """Return the text of a user with more keys at its end; what came stays as it came."""
        user = msgspec.json.decode(text, type=_User)
        more: dict[str, Any] = {}
        if self._roles is not None:
            more["role_name"] = self._roles.get(str(user.role_id))
        if self._teams is not None:
            more["teams"] = self._teams.get(str(user.id), [])
        if not more:
            return text
        return f"{text.rstrip()[:-1]},{msgspec.json.encode(more).decode()[1:]}"

    def _asked_roles(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        start: int | None = 0
        while start is not None:
            answer = self._ask(ROLES, _Roles, start=str(start))
            found |= {str(role.id): role.name for role in answer.data or ()}
            before, start = start, additional(answer.additional_data, self._lister.owner).start
            if start is not None and start <= before:
                raise ProtocolError(
                    f"{self._lister.owner}: the list of roles named the same page twice.",
                    cure="Run again; if it persists, report it to the vendor with the time of the run.",
                )
        return found

    def _asked_teams(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for team in self._ask(TEAMS, _Teams).data or ():
            if team.active_flag and not team.deleted_flag:
                for user in team.users or ():
                    found.setdefault(str(user), []).append({"id": team.id, "name": team.name})
        return found

    def _permitted(self, listing: Listing, asked: Callable[[], T]) -> T | None:
        """Return what is asked for; None where this company, or this login, has no such list."""
        try:
            return asked()
        except (NotPermitted, Rejected) as error:
            _log.info(
                "users have no names of it",
                connection=self._lister.api.connection.name,
                list=listing.name,
                reason=error.message,
            )
            return None

    def _ask(self, listing: Listing, kind: type[T], **params: str) -> T:
        operation = Operation(f"list {listing.name}", cost=listing.cost)
        what = f"the list of {listing.name}"
        return self._lister.api.typed(listing.path, kind, what, operation, **params)


def with_names(lister: Lister, pages: Iterator[Page]) -> Iterator[Page]:
    """Yield pages of users with the names in them."""
    members: Members | None = None
    for page in pages:
        if members is None:
            before = lister.api.usage.calls
            members = Members(lister)
            page.calls += lister.api.usage.calls - before
        yield members.named(page)
