"""Reads the metadata of an object's fields, from v2 or, where that is not permitted, from v1."""

from typing import TypedDict

import msgspec

from crm_pipeline.connectors.description import entries
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive import keys
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted, ProtocolError

_V1 = Operation("fields", cost=20)
_V2 = Operation("fields", cost=10)
_PAGE = "500"


class Option(TypedDict, total=False):
    """One value of a field with options."""

    id: int | str | None
    label: str | int | None


class Entry(TypedDict, total=False):
    """One field, with the keys of v2 or of v1."""

    field_code: str | None
    key: str | None
    field_name: str | None
    name: str | None
    field_type: str | None
    options: list[Option] | None
    is_custom_field: bool | int | None
    is_optional_response_field: bool | int | None


Entries = list[Entry]


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw]
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


def field_entries(api: Api, item: Item) -> Entries:
    """Return the metadata of an object's fields; empty for objects without metadata.

    Raises:
        NotPermitted: the login may read neither version.
        MalformedResponse: the response is not what Pipedrive documents.
    """
    refusal: NotPermitted | None = None
    for path in item.metadata_paths:
        try:
            return _all(api, path)
        except NotPermitted as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    return []


def _all(api: Api, path: str) -> Entries:
    is_v2 = path.startswith("/api/v2/")
    # Some lists of v1 take no parameters at all.
    params = {"limit": _PAGE} if is_v2 else {}
    collected: Entries = []
    seen: set[str] = set()
    while True:
        page, following = api.ask(
            path, lambda body: _read(api, path, body), _V2 if is_v2 else _V1, **params
        )
        collected += page
        if following is None:
            return collected
        if following in seen:
            raise _broken(api, path, "the same page twice")
        seen.add(following)
        params = {"limit": _PAGE, "cursor": following} if is_v2 else {"start": following}


def _read(api: Api, path: str, body: bytes) -> tuple[Entries, str | None]:
    """Return the fields of a response, and the cursor or offset of the next page.

    Raises:
        MalformedResponse: the response is defective, or names no fields.
    """
    owner = f"{api.connection.name}: fields"
    listed = entries(body, _Envelope, Entry, list_name="data", owner=owner, what=f"{path}")
    named = [entry for entry in listed.rows if entry.get("field_code") or entry.get("key")]
    if not named:
        raise MalformedResponse(f"{owner}: {path} answered with no fields.")
    following = keys.additional(listed.envelope.additional_data, owner)
    if path.startswith("/api/v2/"):
        return named, following.next_cursor or None
    if following.has_more and following.start is None:
        raise MalformedResponse(f"{owner}: {path} names more fields and not where they are.")
    return named, None if following.start is None else str(following.start)


def _broken(api: Api, path: str, defect: str) -> ProtocolError:
    return ProtocolError(
        f"{api.connection.name}: {path} answered with {defect}.",
        cure="Run again; if it persists, report it to the vendor with the time of the run.",
    )
