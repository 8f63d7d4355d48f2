"""Adds the names of roles and teams to records of users; they come from lists of their own.

An app needs the scope `admin` for roles; only some plans have teams. Names that the login may not read stay
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


class MemberNames:
    """Adds names of roles and teams to records of users.

    Args:
        lister: of the users.
    """

    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        self._roles = self._if_permitted(ROLES, self._read_roles)
        self._teams = self._if_permitted(TEAMS, self._read_teams)

    def added(self, page: Page) -> Page:
        """Return a page whose users have `role_name` and `teams`, where the login may read these."""
        batches = page.batches
        page.batches = lambda: (self._batch(rows) for rows in batches())
        return page

    def _batch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        texts = [self._text(text) for text in rows.column("record").to_pylist()]
        column = rows.schema.get_field_index("record")
        return rows.set_column(column, "record", pa.array(texts, pa.string()))

    def _text(self, text: str) -> str:
        """Return the text of a user with more keys at its end; the received text stays unchanged."""
        user = msgspec.json.decode(text, type=_User)
        more: dict[str, Any] = {}
        if self._roles is not None:
            more["role_name"] = self._roles.get(str(user.role_id))
        if self._teams is not None:
            more["teams"] = self._teams.get(str(user.id), [])
        if not more:
            return text
        return f"{text.rstrip()[:-1]},{msgspec.json.encode(more).decode()[1:]}"

    def _read_roles(self) -> dict[str, str | None]:
        names: dict[str, str | None] = {}
        start: int | None = 0
        while start is not None:
            response = self._fetch(ROLES, _Roles, start=str(start))
            names |= {str(role.id): role.name for role in response.data or ()}
            before, start = start, additional(response.additional_data, self._lister.owner).start
            if start is not None and start <= before:
                raise ProtocolError(
                    f"{self._lister.owner}: the list of roles named the same page twice.",
                    cure="Run again; if it persists, report it to the vendor with the time of the run.",
                )
        return names

    def _read_teams(self) -> dict[str, list[dict[str, Any]]]:
        teams: dict[str, list[dict[str, Any]]] = {}
        for team in self._fetch(TEAMS, _Teams).data or ():
            if team.active_flag and not team.deleted_flag:
                for user in team.users or ():
                    teams.setdefault(str(user), []).append({"id": team.id, "name": team.name})
        return teams

    def _if_permitted(self, listing: Listing, read: Callable[[], T]) -> T | None:
        """Return what a function reads; None where the company or the login has no such list."""
        try:
            return read()
        except (NotPermitted, Rejected) as error:
            _log.info(
                "users have no names of it",
                connection=self._lister.api.connection.name,
                list=listing.name,
                reason=error.message,
            )
            return None

    def _fetch(self, listing: Listing, kind: type[T], **params: str) -> T:
        operation = Operation(f"list {listing.name}", cost=listing.cost)
        what = f"the list of {listing.name}"
        return self._lister.api.typed(listing.path, kind, what, operation, **params)


def with_names(lister: Lister, pages: Iterator[Page]) -> Iterator[Page]:
    """Yield pages of users with the names of roles and teams."""
    names: MemberNames | None = None
    for page in pages:
        if names is None:
            before = lister.api.usage.calls
            names = MemberNames(lister)
            page.calls += lister.api.usage.calls - before
        yield names.added(page)
