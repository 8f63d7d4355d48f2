"""Single requests for people and scripts: a query by path, one record, a preview, a probe for changes.

Pipedrive has no query language: a query is the path and the parameters of a GET.
"""

import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive import keys, line_items, per_deal
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item
from crm_pipeline.connectors.pipedrive.lister import Lister, second
from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.model.schema import Schema

_PATH = re.compile(r"/(api/v[12]|v1)/[A-Za-z0-9/_-]+")
_SEARCH = Operation("search", cost=20, kind="search")
_GET = Operation("get", cost=1)
_GET_V1 = Operation("get", cost=2)
Record = dict[str, Any]
_EXAMPLE = "Write it like /api/v2/deals?status=won&sort_by=update_time or /v1/users."


class _Response(msgspec.Struct):
    data: Record | list[Any] | None
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


class _Single(msgspec.Struct):
    data: Record | None


class _Item(msgspec.Struct):
    id: int | str


class _Hit(msgspec.Struct):
    item: _Item


class _Hits(msgspec.Struct):
    items: list[_Hit]


class _Search(msgspec.Struct):
    data: _Hits | None


def query(api: Api, text: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a path, page after page, or a single record.

    Raises:
        Rejected: the text is no path of the API, or the vendor refuses it.
        ProtocolError: the vendor names the same next page again.
    """
    parts = urlsplit(text.strip())
    if parts.scheme or parts.netloc or not _PATH.fullmatch(parts.path):
        raise Rejected(
            f"{api.connection.name}: Pipedrive has no query language, and this is no path of its API.",
            cure=_EXAMPLE,
        )
    params = dict(parse_qsl(parts.query, keep_blank_values=True))
    operation = _operation(parts.path)
    seen: set[str] = set()
    while True:
        response = api.typed(parts.path, _Response, "the answer to a query", operation, **params)
        yield from _records(response.data)
        next_page = _next_page(keys.additional(response.additional_data, api.connection.name))
        if next_page is None:
            return
        name, value = next_page
        if value in seen:
            raise ProtocolError(
                f"{api.connection.name}: the vendor named the same page twice; reading on would never "
                "end.",
                cure="What was read so far is not the answer; run the query again.",
            )
        seen.add(value)
        params[name] = value


def get(api: Api, item: Item, record: str, *, by: str | None) -> dict[str, Any]:
    """Return one record by id, or by the exact value of a field that the vendor can search.

    Raises:
        Rejected: there is no such record, or there are several.
    """
    owner = f"{api.connection.name}.{item.name}"
    if by is not None and by != "id":
        record = _searched_id(api, item, record, by)
    if not item.record_path:
        raise Rejected(f"{owner}: single records of it cannot be requested.", cure=_EXAMPLE)
    operation = _GET if item.record_path.startswith("/api/v2/") else _GET_V1
    path = f"{item.record_path}/{quote(record, safe='')}"
    data = api.typed(path, _Single, "a record", operation).data
    if not data:
        raise Rejected(f"{owner}: there is no such record.", code="not_found")
    return data


def probe_changes(lister: Lister, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant (at most a page), and the last change."""
    if lister.item.paging == "per_deal":
        lister = per_deal.deals_of(lister)
    listing = lister.item.listings[0]
    page = lister.fetch(listing, _newest_params(lister, lister.api.page_records, since))
    changes = [at for at in page.batch.column("_modified_at").to_pylist() if at and at >= since]
    return len(changes), max(changes, default=None)


def preview(lister: Lister, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the newest records, as values by field."""
    listing = lister.item.listings[0]
    if lister.item.paging == "deals":
        items = itertools.islice(_records_of(line_items.pages(lister)), rows)
        return [{f.name: _value(record, f.keys) for f in schema.fields} for record in items]
    if lister.item.paging == "per_deal":
        deals = per_deal.deals_of(lister)
        page = deals.fetch(deals.item.listings[0], _newest_params(deals, rows, None))
        built = per_deal.records(lister, page)
        return [{f.name: _value(record, f.keys) for f in schema.fields} for record in built]
    data = lister.api.typed(
        listing.path,
        _Response,
        "a list",
        Operation(f"list {lister.item.name}", cost=listing.cost),
        **listing.params,
        **_newest_params(lister, rows, None),
    ).data
    return [
        {field.name: _value(record, field.keys) for field in schema.fields}
        for record in itertools.islice(_records(data), rows)
    ]


def _newest_params(lister: Lister, rows: int, since: datetime | None) -> dict[str, str]:
    """Return the parameters of the newest records of an object's first list."""
    item = lister.item
    if item.paging == "whole":
        return {}
    params = {"limit": str(rows)}
    if since is not None:
        params["updated_since"] = second(since.replace(microsecond=0))
        if item.name == "deals":
            # Deletions are changes too; archived deals would need a second call.
            params["status"] = "open,won,lost,deleted"
    if item.paging == "offset":
        return {**params, "sort": "update_time DESC", "start": "0"}
    return {**params, "sort_by": "update_time", "sort_direction": "desc"}


def _records_of(pages: Iterator[Page]) -> Iterator[dict[str, Any]]:
    for page in pages:
        for batch in page.batches():
            for text in batch.column("record").to_pylist():
                yield msgspec.json.decode(text, type=dict[str, Any])


def _searched_id(api: Api, item: Item, value: str, by: str) -> str:
    """Return the id of the only record with a value in a search field."""
    owner = f"{api.connection.name}.{item.name}"
    if by not in item.search_fields:
        fields = ", ".join(("id", *item.search_fields))
        raise Rejected(
            f"{owner}: records are not found by '{by}'.", cure=f"Pipedrive finds them by: {fields}."
        )
    params = {"term": value, "fields": by, "exact_match": "true", "limit": "2"}
    what = "the answer to a search"
    hits = api.typed(f"{item.record_path}/search", _Search, what, _SEARCH, **params).data
    ids = [str(hit.item.id) for hit in hits.items] if hits else []
    if len(ids) != 1:
        count = "no record" if not ids else "more than one record"
        raise Rejected(f"{owner}: {count} has this value in '{by}'.", code="not_found")
    return ids[0]


def _operation(path: str) -> Operation:
    """Return the operation of a path; the more expensive one where the path is ambiguous."""
    words = re.sub(r"^/(api/)?v[12]/", "", path).split("/")
    is_v2 = path.startswith("/api/v2/")
    if words[-1].lower().endswith("search"):
        return Operation("search", cost=20 if is_v2 else 40, kind="search")
    if words[-1] in {"flow", "archived", "summary"}:
        return Operation("query", cost=20 if is_v2 else 40)
    if len(words) == 2:
        return _GET if is_v2 else _GET_V1
    return Operation("query", cost=10 if is_v2 else 20)


def _records(data: Record | list[Any] | None) -> Iterator[Record]:
    if isinstance(data, dict) and isinstance(data.get("items"), list):
        data = data["items"]
    if isinstance(data, dict):
        yield data
        return
    for record in data or ():
        yield record if isinstance(record, dict) else {"value": record}


def _next_page(additional: keys.Additional) -> tuple[str, str] | None:
    """Return the name and value of the parameter for the next page; None at the end."""
    if additional.next_cursor:
        return "cursor", additional.next_cursor
    return None if additional.start is None else ("start", str(additional.start))


def _value(record: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record
