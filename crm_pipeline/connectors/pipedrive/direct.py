"""Single questions to a company: any list or record by its path, one record. For people and scripts.

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


class _Answer(msgspec.Struct):
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
    """Yield the records of a path, page after page; a single record yields itself.

    Raises:
        Rejected: it is no path of the API, or the vendor refuses it.
        ProtocolError: the vendor named a page twice.
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
        answer = api.typed(parts.path, _Answer, "the answer to a query", operation, **params)
        yield from _records(answer.data)
        following = _following(keys.additional(answer.additional_data, api.connection.name))
        if following is None:
            return
        name, place = following
        if place in seen:
            raise ProtocolError(
                f"{api.connection.name}: the vendor named the same page twice; reading on would never "
                "end.",
                cure="What was read so far is not the answer; run the query again.",
            )
        seen.add(place)
        params[name] = place


def get(api: Api, item: Item, record: str, *, by: str | None) -> dict[str, Any]:
    """Return one record by id, or by the exact value of a field that the vendor searches in.

    Raises:
        Rejected: there is no such record, or there are several.
    """
    owner = f"{api.connection.name}.{item.name}"
    if by is not None and by != "id":
        record = _found(api, item, record, by)
    if not item.record:
        raise Rejected(f"{owner}: single records of it cannot be asked for.", cure=_EXAMPLE)
    operation = _GET if item.record.startswith("/api/v2/") else _GET_V1
    path = f"{item.record}/{quote(record, safe='')}"
    found = api.typed(path, _Single, "a record", operation).data
    if not found:
        raise Rejected(f"{owner}: there is no such record.", code="not_found")
    return found


def newest(lister: Lister, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant, at most a page, and the newest stamp."""
    if lister.item.paging == "per_deal":
        lister = per_deal.deals_of(lister)
    listing = lister.item.listings[0]
    page = lister.ask(listing, _latest(lister, lister.api.page_records, since))
    is_after = [
        stamp for stamp in page.batch.column("_modified_at").to_pylist() if stamp and stamp >= since
    ]
    return len(is_after), max(is_after, default=None)


def preview(lister: Lister, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the newest records, as values by field."""
    listing = lister.item.listings[0]
    if lister.item.paging == "deals":
        found = itertools.islice(_landed(line_items.pages(lister)), rows)
        return [{f.name: _at(record, f.keys) for f in schema.fields} for record in found]
    if lister.item.paging == "per_deal":
        deals = per_deal.deals_of(lister)
        page = deals.ask(deals.item.listings[0], _latest(deals, rows, None))
        told = per_deal.some(lister, page)
        return [{f.name: _at(record, f.keys) for f in schema.fields} for record in told]
    records = lister.api.typed(
        listing.path,
        _Answer,
        "a list",
        Operation(f"list {lister.item.name}", cost=listing.cost),
        **listing.params,
        **_latest(lister, rows, None),
    ).data
    return [
        {field.name: _at(record, field.keys) for field in schema.fields}
        for record in itertools.islice(_records(records), rows)
    ]


def _latest(lister: Lister, rows: int, since: datetime | None) -> dict[str, str]:
    """Return the parameters of the newest records of an object's first list."""
    item = lister.item
    if item.paging == "whole":
        return {}
    asked = {"limit": str(rows)}
    if since is not None:
        asked["updated_since"] = second(since.replace(microsecond=0))
        if item.name == "deals":
            # Deletions are news as well; archived deals would need a second call.
            asked["status"] = "open,won,lost,deleted"
    if item.paging == "offset":
        return {**asked, "sort": "update_time DESC", "start": "0"}
    return {**asked, "sort_by": "update_time", "sort_direction": "desc"}


def _landed(pages: Iterator[Page]) -> Iterator[dict[str, Any]]:
    for page in pages:
        for batch in page.batches():
            for text in batch.column("record").to_pylist():
                yield msgspec.json.decode(text, type=dict[str, Any])


def _found(api: Api, item: Item, value: str, by: str) -> str:
    """Return the id of the one record that has a value in a searched field."""
    owner = f"{api.connection.name}.{item.name}"
    if by not in item.search:
        known = ", ".join(("id", *item.search))
        raise Rejected(
            f"{owner}: records are not found by '{by}'.", cure=f"Pipedrive finds them by: {known}."
        )
    params = {"term": value, "fields": by, "exact_match": "true", "limit": "2"}
    found = api.typed(f"{item.record}/search", _Search, "the answer to a search", _SEARCH, **params)
    ids = [str(hit.item.id) for hit in found.data.items] if found.data else []
    if len(ids) != 1:
        what = "no record" if not ids else "more than one record"
        raise Rejected(f"{owner}: {what} has this value in '{by}'.", code="not_found")
    return ids[0]


def _operation(path: str) -> Operation:
    """Return the cost of a path, the dearer of what it may be where the path does not tell."""
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


def _following(told: keys.Additional) -> tuple[str, str] | None:
    if told.next_cursor:
        return "cursor", told.next_cursor
    return None if told.start is None else ("start", str(told.start))


def _at(record: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record
