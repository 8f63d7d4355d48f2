"""The people of a deal beside its main contact: 10 tokens a deal that has any.

Deals say how many they have (`participants_count`). Whether the main contact is counted is not documented,
so that every deal that counts one is asked about. Of a participant only who it is and since when is kept:
the answer repeats the whole person.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealParticipants)
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.keys import Additional, KeyFields, behind
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.rejects import Reject

_COUNT = "participants_count"
_RECORD = ("id", "add_time", "update_time", "person_id")


class _Card(msgspec.Struct):
    """A record that v1 puts in place of its id."""

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
    KeyFields, _Participant, list_name="data", id_name="id", id_of=lambda one: str(one.id)
)


class Participants:
    """Implements `per_deal.Maker`."""

    what = "the participants"
    optional: tuple[str, ...] = (_COUNT,)
    kept: tuple[str, ...] = (*_RECORD, _COUNT)
    listing: Listing | None = None

    def __init__(self, lister: Lister) -> None:
        self._lister = lister

    def is_asked(self, deal: dict[str, Any]) -> bool:
        """Return whether a deal has participants, or may have some as it does not say."""
        count: int | None = deal[_COUNT]
        return count != 0

    def made(self, deal: dict[str, Any]) -> dict[str, Any] | Reject:
        """Return a deal with its participants; without any, so that those of before go."""
        listed: list[dict[str, Any]] = []
        for people in self._asked(str(deal["id"])) if self.is_asked(deal) else ():
            if isinstance(people, Reject):
                return Reject(f"{people.reason}, among participants", people.raw, str(deal["id"]))
            listed += [_shown(one, deal["person_id"]) for one in people if one.active_flag]
        return {**{key: deal[key] for key in _RECORD}, "participants": listed}

    def _asked(self, deal: str) -> Iterator[list[_Participant] | Reject]:
        """Yield the answers with the participants of a deal; a Reject for one with a defective entry.

        Raises:
            ProtocolError: an answer says that the next one begins where it began.
        """
        [listing] = self._lister.item.listings
        operation = Operation(f"list {self._lister.item.name}", cost=listing.cost)
        path = listing.path.format(id=quote(deal, safe=""))
        start, size = 0, str(self._lister.api.page_records)
        while True:
            params = {"start": str(start), "limit": size}
            people, told = self._lister.api.ask(path, self._read, operation, **params)
            yield people
            if told.start is None:
                return
            if told.start <= start:
                raise ProtocolError(
                    f"{self._lister.owner}: the vendor named the same page twice; reading on would never "
                    "end.",
                    cure="Run again; if it persists, report it to the vendor with the time of the run.",
                )
            start = told.start

    def _read(self, body: bytes) -> tuple[list[_Participant] | Reject, Additional]:
        owner, [listing] = self._lister.owner, self._lister.item.listings
        page = _READER.read(body, owner=owner, what="an answer with the participants of a deal")
        told = behind(page, listing, owner)
        return (page.rejected[0] if page.rejected else page.keys), told


def _shown(one: _Participant, main: int | str | None) -> dict[str, Any]:
    added_by = None if one.added_by_user_id is None else _id_of(one.added_by_user_id)
    return {
        "id": one.id,
        "person_id": one.person,
        "is_main": str(one.person) == str(main),
        "add_time": one.add_time,
        "added_by_user_id": added_by,
    }


def _id_of(value: _Card | int | str) -> int | str:
    return value.value if isinstance(value, _Card) else value
