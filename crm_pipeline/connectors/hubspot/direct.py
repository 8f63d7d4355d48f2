"""Single questions to an account: any search, one record, the newest ones. For people and scripts.

HubSpot has no query language. A query is the body of a search as JSON text, with one key more: `object`.
Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crm_pipeline.connectors.api import as_mapping
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.catalog import OWNERS, PIPELINES, SNAPSHOTS
from crm_pipeline.connectors.hubspot.describe import properties_of, stamp_field
from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.model.schema import Schema

_EXAMPLE = (
    '{"object": "contacts", "filterGroups": [{"filters": [{"propertyName": "lastname", "operator": "EQ", '
    '"value": "Park"}]}], "properties": ["email"]}'
)


def query(api: Api, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a search, with their properties side by side.

    Raises:
        Rejected: it is no search, the vendor refuses it, or it finds more than a search shows.
    """
    if include_deleted:
        raise Rejected(
            f"{api.connection.name}: a search never finds archived records.",
            cure="Leave the flag out; archived records are in the landed data.",
        )
    body = _body(api, text)
    name, most = body.pop("object"), api.meter.ceiling("search_results")
    body.setdefault("limit", api.meter.ceiling("search_records"))
    seen: set[str] = set()
    while True:
        page = as_mapping(api.search(name, body), api.connection.name)
        for record in page.get("results") or ():
            yield plain(record)
        after = str(((page.get("paging") or {}).get("next") or {}).get("after") or "")
        if not after:
            return
        if after in seen:
            raise ProtocolError(f"{api.connection.name}: HubSpot named the same page twice.")
        if after.isdigit() and int(after) >= most:
            raise Rejected(
                f"{api.connection.name}: the search finds {page.get('total', 0):,} records, and HubSpot "
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
    if name in SNAPSHOTS:
        path = (
            api.at.owners(record) if name == OWNERS else api.at.pipelines(PIPELINES[name], record)
        )
        return dict(as_mapping(api.ask(path), api.connection.name))
    key = {"idProperty": by} if by else {}
    properties = properties_of(schema)
    listed = ",".join(properties)
    if len(listed) < api.meter.ceiling("uri_characters") // 2:
        response = api.ask(api.at.objects(name, record), METADATA, properties=listed, **key)
        return plain(as_mapping(response, api.connection.name))
    body = {"inputs": [{"id": record}], "properties": properties, **key}
    answer = as_mapping(api.batch_read(name, body, archived=False), api.connection.name)
    for one in answer.get("results") or ():
        return plain(one)
    raise Rejected(
        f"{api.connection.name}: there is no record of {name} with this {by or 'id'}.",
        status=404,
        code="OBJECT_NOT_FOUND",
    )


def newest(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the records that changed last, with a value for each field of the schema."""
    stamp = stamp_field(schema)
    body = {
        "filterGroups": [],
        "sorts": [{"propertyName": stamp, "direction": "DESCENDING"}] if stamp else [],
        "properties": [stamp] if stamp else [],
        "limit": min(rows, api.meter.ceiling("search_records")),
    }
    found = as_mapping(api.search(schema.object, body), api.connection.name)
    ids = [str(one["id"]) for one in found.get("results") or ()][
        : api.meter.ceiling("batch_records")
    ]
    if not ids:
        return []
    wanted = {"inputs": [{"id": one} for one in ids], "properties": properties_of(schema)}
    answer = as_mapping(api.batch_read(schema.object, wanted, archived=False), api.connection.name)
    by_id = {str(one["id"]): plain(one) for one in answer.get("results") or ()}
    return [{name: by_id[one].get(name) for name in schema.names} for one in ids if one in by_id]


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its properties beside its other keys."""
    rest = {key: value for key, value in record.items() if key != "properties"}
    return {**rest, **(record.get("properties") or {})}


def _body(api: Api, text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("object"), str):
        raise Rejected(
            f"{api.connection.name}: this is no search of HubSpot's.",
            cure=f"Write it as JSON with the key 'object', like {_EXAMPLE}.",
        )
    return body
