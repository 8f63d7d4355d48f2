"""The associations of records, read for 1,000 records at a time and added to each.

A record gets the additional key `associations`: a flat list of `{"to_object", "to_id", "category", "type_id",
"label"}`, with an element for each label. Source:
https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Iterable, Sequence

import msgspec
import structlog

from crm_pipeline.connectors.description import decoded_leniently
from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.keys import InputError, Paging
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
    # A number in responses, a text in the documentation.
    toObjectId: int | str  # noqa: N815 - the vendor's name
    associationTypes: list[_Kind]  # noqa: N815 - the vendor's name


class _From(msgspec.Struct):
    id: str


class _Result(msgspec.Struct):
    # The vendor's name `from` is a keyword of Python.
    origin: _From = msgspec.field(name="from")
    to: list[_To] = msgspec.field(default_factory=list)
    paging: Paging | None = None


class _Response(msgspec.Struct):
    results: list[_Result]
    numErrors: int | None = None  # noqa: N815 - the vendor's name
    errors: list[InputError] | None = None


class Link(msgspec.Struct):
    """An association as it is added to a record."""

    to_object: str
    to_id: str
    category: str | None
    type_id: int | None
    label: str | None


def add(api: Api, name: str, others: Sequence[str], records: Records) -> int:
    """Add the associations with some objects to records, and return the number of calls.

    Raises:
        Unavailable: the vendor has no response for some records.
    """
    links: dict[str, list[Link]] = {record_id: [] for record_id in records.ids}
    calls = sum(_read(api, name, other, links) for other in others) if records.ids else 0
    records.texts = [
        _with(text, links[record_id])
        for record_id, text in zip(records.ids, records.texts, strict=True)
    ]
    return calls


def read(
    api: Api, name: str, others: Sequence[str], ids: Sequence[str]
) -> tuple[dict[str, list[Link]], set[str]]:
    """Return the associations of records with some objects, by the ids of the records.

    The ids beside them are those of records without associations with some object, which the vendor has not reported
    as such: it documents an error for each record that has none.

    Raises:
        Unavailable: the vendor has no response for some records.
    """
    links: dict[str, list[Link]] = {record_id: [] for record_id in ids}
    silent: set[str] = set()
    for other in others if links else ():
        _read(api, name, other, links, silent)
    return links, silent


def _with(text: bytes | memoryview, links: list[Link]) -> bytes:
    """Return a record with the key `associations` before its closing brace."""
    whole = bytes(text).rstrip()
    return b"".join((whole[:-1], b',"associations":', encoded(links), b"}"))


def _read(
    api: Api,
    name: str,
    other: str,
    links: dict[str, list[Link]],
    silent: set[str] | None = None,
) -> int:
    if (name, other) in api.unlinked:
        return 0
    size, calls = api.meter.limit("association_records"), 0
    pending: list[dict[str, str]] = [{"id": record_id} for record_id in links]
    seen: set[tuple[str, str]] = set()
    while pending:
        inputs, pending = pending[:size], pending[size:]
        response = _requested(api, name, other, inputs)
        calls += 1
        if silent is not None and (name, other) not in api.unlinked:
            silent |= _silent(inputs, response)
        for result in response.results:
            listed = links.get(result.origin.id)
            if listed is not None:
                listed += _links(other, result.to)
            if result.paging is not None and result.paging.after:
                cursor = (result.origin.id, result.paging.after)
                _refuse_repeat(api, name, cursor, seen)
                pending.append({"id": cursor[0], "after": cursor[1]})
    return calls


def _silent(inputs: list[dict[str, str]], response: _Response) -> set[str]:
    """Return the ids that a response neither has nor reports; reports are counted, as their form is not documented."""
    absent = {given["id"] for given in inputs} - {each.origin.id for each in response.results}
    reported = max(response.numErrors or 0, len(response.errors or ()))
    return absent if reported < len(absent) else set()


def _requested(api: Api, name: str, other: str, inputs: list[dict[str, str]]) -> _Response:
    owner = f"{api.connection.name}.{name}"

    def read(body: bytes) -> _Response:
        return decoded_leniently(body, _Response, owner=owner, what="an answer with associations")

    try:
        response = api.associated(name, other, {"inputs": inputs}, read)
    except Rejected as refusal:
        # The response for objects that cannot be associated is not documented, so the kinds are requested.
        if refusal.status not in _NO_PAIR or _is_pair(api, name, other):
            raise
        api.unlinked.add((name, other))
        return _Response([])
    # A record without associations is reported like a failed one, with the category NOT_FOUND.
    failed = [error for error in response.errors or () if error.category != NOT_FOUND]
    if failed:
        raise Unavailable(
            f"{owner}: HubSpot returned no associations with {other} for some records "
            f"({failed[0].category}).",
            cure="Nothing of this window was kept; run again later.",
        )
    return response


def _is_pair(api: Api, name: str, other: str) -> bool:
    """Return whether there is a kind of association between two objects; False where the account lacks one."""
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


def _links(other: str, targets: Iterable[_To]) -> list[Link]:
    return [
        Link(other, str(target.toObjectId), kind.category, kind.typeId, kind.label)
        for target in targets
        for kind in target.associationTypes
    ]


def _refuse_repeat(
    api: Api, name: str, cursor: tuple[str, str], seen: set[tuple[str, str]]
) -> None:
    if cursor in seen:
        raise ProtocolError(
            f"{api.connection.name}.{name}: HubSpot named the same page of associations twice; reading on "
            "would never end.",
            cure="Run again; if it persists, report it to HubSpot with the time of the run.",
        )
    seen.add(cursor)
