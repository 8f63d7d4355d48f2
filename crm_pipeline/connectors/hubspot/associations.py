"""What records are associated with, read for 1,000 of them at a time and added to each.

A record gets the key `associations`, ours: a flat list of `{"to_object", "to_id", "category", "type_id",
"label"}`, with an element for each label. Source:
https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Iterable, Sequence

import msgspec
import structlog

from crm_pipeline.connectors.description import decoded_leniently
from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.keys import Complaint, Paging
from crm_pipeline.connectors.hubspot.responses import NOT_FOUND, Records
from crm_pipeline.connectors.hubspot.selection import encoded
from crm_pipeline.kernel.errors import ProtocolError, Rejected, Unavailable

_log = structlog.get_logger(__name__)
_NO_PAIR = frozenset({400, 404})


class _Kind(msgspec.Struct):
    category: str | None = None
    typeId: int | None = None  # noqa: N815 - the vendor's name
    label: str | None = None


class _To(msgspec.Struct):
    # A number in answers, text in the description.
    toObjectId: int | str  # noqa: N815 - the vendor's name
    associationTypes: list[_Kind]  # noqa: N815 - the vendor's name


class _From(msgspec.Struct):
    id: str


class _Result(msgspec.Struct):
    # The vendor's name is a word of Python.
    origin: _From = msgspec.field(name="from")
    to: list[_To] = msgspec.field(default_factory=list)
    paging: Paging | None = None


class _Answer(msgspec.Struct):
    results: list[_Result]
    numErrors: int | None = None  # noqa: N815 - the vendor's name
    errors: list[Complaint] | None = None


class Link(msgspec.Struct):
    """One association as it is added to a record."""

    to_object: str
    to_id: str
    category: str | None
    type_id: int | None
    label: str | None


def add(api: Api, name: str, others: Sequence[str], records: Records) -> int:
    """Add the associations with some objects to records; return how many calls it took.

    Raises:
        Unavailable: the vendor could not say it for some records.
    """
    links: dict[str, list[Link]] = {one: [] for one in records.ids}
    calls = sum(_read(api, name, other, links) for other in others) if records.ids else 0
    records.texts = [
        _with(text, links[one]) for one, text in zip(records.ids, records.texts, strict=True)
    ]
    return calls


def _with(text: bytes | memoryview, links: list[Link]) -> bytes:
    """Put the key in front of the brace that ends a record."""
    whole = bytes(text).rstrip()
    return b"".join((whole[:-1], b',"associations":', encoded(links), b"}"))


def _read(api: Api, name: str, other: str, links: dict[str, list[Link]]) -> int:
    if (name, other) in api.unlinked:
        return 0
    size, calls = api.meter.limit("association_records"), 0
    waiting: list[dict[str, str]] = [{"id": one} for one in links]
    seen: set[tuple[str, str]] = set()
    while waiting:
        asked, waiting = waiting[:size], waiting[size:]
        answer = _asked(api, name, other, asked)
        calls += 1
        for result in answer.results:
            known = links.get(result.origin.id)
            if known is not None:
                known += _links(other, result.to)
            if result.paging is not None and result.paging.after:
                place = (result.origin.id, result.paging.after)
                _refuse_repeat(api, name, place, seen)
                waiting.append({"id": place[0], "after": place[1]})
    return calls


def _asked(api: Api, name: str, other: str, inputs: list[dict[str, str]]) -> _Answer:
    owner = f"{api.connection.name}.{name}"

    def read(body: bytes) -> _Answer:
        return decoded_leniently(body, _Answer, owner=owner, what="an answer with associations")

    try:
        answer = api.associated(name, other, {"inputs": inputs}, read)
    except Rejected as refusal:
        # What is said of objects that cannot be associated at all is not documented: ask for the kinds.
        if refusal.status not in _NO_PAIR or _is_pair(api, name, other):
            raise
        api.unlinked.add((name, other))
        return _Answer([])
    # A record without any is reported like one that failed; only the category tells.
    failed = [one for one in answer.errors or () if one.category != NOT_FOUND]
    if failed:
        raise Unavailable(
            f"{owner}: HubSpot could not tell the associations with {other} for some records "
            f"({failed[0].category}).",
            cure="Nothing of this window was kept; run again later.",
        )
    return answer


def _is_pair(api: Api, name: str, other: str) -> bool:
    """Say whether there is a kind of association between two objects; none with what the account lacks."""
    try:
        return metadata.is_listed(api, name, other)
    except Rejected as refusal:
        if refusal.status not in _NO_PAIR:
            raise
        _log.warning(
            "associations are left out",
            connection=api.connection.name,
            object=name,
            other=other,
            reason="the account does not know one of the two",
        )
        return False


def _links(other: str, found: Iterable[_To]) -> list[Link]:
    return [
        Link(other, str(one.toObjectId), kind.category, kind.typeId, kind.label)
        for one in found
        for kind in one.associationTypes
    ]


def _refuse_repeat(api: Api, name: str, place: tuple[str, str], seen: set[tuple[str, str]]) -> None:
    if place in seen:
        raise ProtocolError(
            f"{api.connection.name}.{name}: HubSpot named the same page of associations twice; reading on "
            "would never end.",
            cure="Run again; if it persists, report it to HubSpot with the time of the run.",
        )
    seen.add(place)
