"""Participants of deals besides the main contact: 10 tokens for each deal that has any.

Deals have a count (`participants_count`). Whether it includes the main contact is not documented, so every
deal with a count of one or more is requested. The response repeats the whole person; only the person's id
and the time and author of the entry are kept.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealParticipants)
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.keys import Additional, KeyFields, next_page_of
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.rejects import Reject

_COUNT = "participants_count"
_RECORD = ("id", "add_time", "update_time", "person_id")


class _Card(msgspec.Struct):
    """A record that v1 sends instead of its id."""

    value: int | str


class _Participant(msgspec.Struct):
    id: int | str
    person_id: _Card | int | str
    add_time: str | None = None
    active_flag: bool | int | None = True
    added_by_user_id: _Card | int | str | None = None

    @property
    def person(self) -> int | str:
        """The id of the person."""
        return _id_of(self.person_id)


_READER = RecordReader(
    KeyFields,
    _Participant,
    list_name="data",
    id_name="id",
    id_of=lambda participant: str(participant.id),
)


class Participants:
    """Implements `per_deal.RecordBuilder`."""

    what = "the participants"
    optional: tuple[str, ...] = (_COUNT,)
    deal_fields: tuple[str, ...] = (*_RECORD, _COUNT)
    lookup: Listing | None = None

    def __init__(self, lister: Lister) -> None:
        self._lister = lister

    def needs_call(self, deal: dict[str, Any]) -> bool:
        """Return whether a deal has participants, or has no count."""
        count: int | None = deal[_COUNT]
        return count != 0

    def record(self, deal: dict[str, Any]) -> dict[str, Any] | Reject:
        """Return a deal with its participants; an empty list replaces earlier participants."""
        entries: list[dict[str, Any]] = []
        for page in self._pages(str(deal["id"])) if self.needs_call(deal) else ():
            if isinstance(page, Reject):
                return Reject(f"{page.reason}, among participants", page.raw, str(deal["id"]))
            main = deal["person_id"]
            entries += [
                _entry(participant, main) for participant in page if participant.active_flag
            ]
        return {**{key: deal[key] for key in _RECORD}, "participants": entries}

    def _pages(self, deal: str) -> Iterator[list[_Participant] | Reject]:
        """Yield the pages of a deal's participants; a Reject instead of a page with a defective entry.

        Raises:
            ProtocolError: the next page does not start after this one.
        """
        [listing] = self._lister.item.listings
        operation = Operation(f"list {self._lister.item.name}", cost=listing.cost)
        path = listing.path.format(id=quote(deal, safe=""))
        start, size = 0, str(self._lister.api.page_records)
        while True:
            params = {"start": str(start), "limit": size}
            page, following = self._lister.api.ask(path, self._read, operation, **params)
            yield page
            if following.start is None:
                return
            if following.start <= start:
                raise ProtocolError(
                    f"{self._lister.owner}: the vendor named the same page twice; reading on would never "
                    "end.",
                    cure="Run again; if it persists, report it to the vendor with the time of the run.",
                )
            start = following.start

    def _read(self, body: bytes) -> tuple[list[_Participant] | Reject, Additional]:
        owner, [listing] = self._lister.owner, self._lister.item.listings
        page = _READER.read(body, owner=owner, what="an answer with the participants of a deal")
        following = next_page_of(page, listing, owner)
        return (page.rejected[0] if page.rejected else page.keys), following


def _entry(participant: _Participant, main: int | str | None) -> dict[str, Any]:
    user = participant.added_by_user_id
    added_by = None if user is None else _id_of(user)
    return {
        "id": participant.id,
        "person_id": participant.person,
        "is_main": str(participant.person) == str(main),
        "add_time": participant.add_time,
        "added_by_user_id": added_by,
    }


def _id_of(value: _Card | int | str) -> int | str:
    return value.value if isinstance(value, _Card) else value
