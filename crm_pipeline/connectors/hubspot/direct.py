"""Ad-hoc reads of an account: any search, one record, the most recent ones. For people and scripts.

HubSpot has no query language. A query is the body of a search as JSON text, with the additional key `object`.
Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crm_pipeline.connectors.hubspot import lists
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.catalog import (
    LIST_MEMBERS,
    LISTS,
    OWNERS,
    PIPELINES,
    SNAPSHOTS,
)
from crm_pipeline.connectors.hubspot.describe import cursor_field, properties_of
from crm_pipeline.connectors.hubspot.keys import Paging
from crm_pipeline.connectors.point_pages import not_by_id
from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.wire.decoding import decoded

Record = dict[str, Any]
_EXAMPLE = (
    '{"object": "contacts", "filterGroups": [{"filters": [{"propertyName": "lastname", "operator": "EQ", '
    '"value": "Park"}]}], "properties": ["email"]}'
)


class _Response(msgspec.Struct):
    results: list[Record]
    total: int | None = None
    paging: Paging | None = None


class _Identified(msgspec.Struct):
    id: str


class _Checked(msgspec.Struct):
    results: list[_Identified]


def query(api: Api, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a search, with their properties at the top level.

    Raises:
        Rejected: the text is no search, the vendor refuses it, or it has more results than HubSpot returns.
    """
    if include_deleted:
        raise Rejected(
            f"{api.connection.name}: a search never returns archived records.",
            cure="Leave the flag out; archived records are in the landed data.",
        )
    body = _body(api, text)
    name, most = body.pop("object"), api.meter.limit("search_results")
    body.setdefault("limit", api.meter.limit("search_records"))
    seen: set[str] = set()
    while True:
        page = api.search(name, body, lambda content: _response_page(api, content))
        for record in page.results:
            yield plain(record)
        after = page.paging.after if page.paging else ""
        if not after:
            return
        if after in seen:
            raise ProtocolError(f"{api.connection.name}: HubSpot named the same page twice.")
        if after.isdigit() and int(after) >= most:
            raise Rejected(
                f"{api.connection.name}: the search finds {page.total or 0:,} records, and HubSpot "
                f"shows {most:,} of them.",
                cure="Add filters, such as a range of hs_object_id or of the last change.",
            )
        seen.add(after)
        body["after"] = after


def get(api: Api, schema: Schema, record: str, by: str | None) -> dict[str, Any]:
    """Return one record with all its properties, by id or by the value of a unique property.

    Raises:
        Rejected: there is no such record.
    """
    name = schema.object
    if name == LISTS:
        return lists.single(api, record)
    if name == LIST_MEMBERS:
        raise not_by_id(
            f"{api.connection.name}.{name}",
            "a member is a line of its list",
            "Ask the published table list_members for it.",
        )
    if name in SNAPSHOTS:
        path = (
            api.at.owners(record) if name == OWNERS else api.at.pipelines(PIPELINES[name], record)
        )
        return api.ask(path, lambda content: _record(api, content))
    key = {"idProperty": by} if by else {}
    properties = properties_of(schema)
    listed = ",".join(properties)
    if len(listed) < api.meter.limit("uri_characters") // 2:
        path = api.at.objects(name, record)
        return plain(
            api.ask(path, lambda content: _record(api, content), METADATA, properties=listed, **key)
        )
    body = {"inputs": [{"id": record}], "properties": properties, **key}
    for found in _batch(api, name, body):
        return plain(found)
    raise Rejected(
        f"{api.connection.name}: there is no record of {name} with this {by or 'id'}.",
        status=404,
        code="OBJECT_NOT_FOUND",
    )


def recent(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the records that changed last, with a value for each field of the schema."""
    modified = cursor_field(schema)
    body = {
        "filterGroups": [],
        "sorts": [{"propertyName": modified, "direction": "DESCENDING"}] if modified else [],
        "properties": [modified] if modified else [],
        "limit": min(rows, api.meter.limit("search_records")),
    }
    records = api.search(schema.object, body, lambda content: _response_page(api, content)).results
    ids = [record["id"] for record in records][: api.meter.limit("batch_records")]
    if not ids:
        return []
    wanted = {
        "inputs": [{"id": record_id} for record_id in ids],
        "properties": properties_of(schema),
    }
    rows_by_id = {record["id"]: plain(record) for record in _batch(api, schema.object, wanted)}
    found = (rows_by_id[record_id] for record_id in ids if record_id in rows_by_id)
    return [{name: row.get(name) for name in schema.names} for row in found]


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its properties at the top level."""
    properties = record.get("properties")
    if not isinstance(properties, Mapping):
        return dict(record)
    return {**{key: value for key, value in record.items() if key != "properties"}, **properties}


def _batch(api: Api, name: str, body: Mapping[str, Any]) -> list[Record]:
    return api.batch_read(
        name, body, lambda content: _response_page(api, content), archived=False
    ).results


def _response_page(api: Api, content: bytes) -> _Response:
    owner, what = api.connection.name, "an answer with records"
    decoded(content, _Checked, owner=owner, what=what)
    return decoded(content, _Response, owner=owner, what=what)


def _record(api: Api, content: bytes) -> Record:
    owner, what = api.connection.name, "a record"
    decoded(content, _Identified, owner=owner, what=what)
    return decoded(content, Record, owner=owner, what=what)


def _body(api: Api, text: str) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        body = {}
    if not isinstance(body.get("object"), str):
        raise Rejected(
            f"{api.connection.name}: this is not a search of HubSpot.",
            cure=f"Write it as JSON with the key 'object', like {_EXAMPLE}.",
        )
    return body
