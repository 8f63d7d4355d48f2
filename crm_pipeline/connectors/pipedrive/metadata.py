"""Asks for the metadata of an object's fields, from v2 or, where that is not permitted, from v1."""

from collections.abc import Mapping
from typing import Any

from crm_pipeline.connectors.api import as_mapping
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError

_V1 = Operation("fields", cost=20)
_V2 = Operation("fields", cost=10)
_PAGE = "500"

Entries = list[Mapping[str, Any]]


def described(api: Api, item: Item) -> Entries:
    """Return the entries of an object's metadata; none for objects that have no metadata.

    Raises:
        NotPermitted: the login may read none of them.
        ProtocolError: the answer is not what Pipedrive documents.
    """
    refusal: NotPermitted | None = None
    for path in item.fields:
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
    place = {"limit": _PAGE} if is_v2 else {}
    found: Entries = []
    seen: set[str] = set()
    while True:
        answer = as_mapping(
            api.ask(path, _V2 if is_v2 else _V1, **place), f"{api.connection.name}: fields"
        )
        listed = answer.get("data")
        if not isinstance(listed, list) or not listed:
            raise _broken(api, path, "no fields")
        found += [entry for entry in listed if isinstance(entry, dict)]
        following = _next(answer, is_v2=is_v2)
        if following is None:
            return found
        if following in seen:
            raise _broken(api, path, "the same page twice")
        seen.add(following)
        place = {"limit": _PAGE, "cursor": following} if is_v2 else {"start": following}


def _next(answer: Mapping[str, Any], *, is_v2: bool) -> str | None:
    additional = answer.get("additional_data")
    if not isinstance(additional, dict):
        return None
    if is_v2:
        return additional.get("next_cursor") or None
    paging = additional.get("pagination") or additional
    if not paging.get("more_items_in_collection"):
        return None
    return str(paging["next_start"])


def _broken(api: Api, path: str, what: str) -> ProtocolError:
    return ProtocolError(
        f"{api.connection.name}: {path} answered with {what}.",
        cure="Run again; if it persists, report it to the vendor with the time of the run.",
    )
