"""Single requests for people and scripts: a COQL query, one record, the newest records."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.zoho import coql, describe, field_backfill, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.model.schema import Schema

_PAGE = 2_000
_MOST_RECORDS = 100_000


def query(api: Api, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a query; a query without a LIMIT is read page by page.

    Raises:
        Rejected: the org refuses the query, it has more records than the vendor returns, or deleted records
            are requested, which queries never return.
    """
    if include_deleted:
        raise Rejected(
            f"{api.connection.name}: queries of Zoho never show deleted records.",
            cure="Leave deleted records out; `refresh` lands them.",
        )
    if coql.is_limited(text):
        yield from api.select(text, meter.coql(_PAGE), api.listed("data", dict[str, Any]))
        return
    for offset in range(0, _MOST_RECORDS, _PAGE):
        reader = api.paged("data", dict[str, Any])
        page = api.select(f"{text} limit {offset},{_PAGE}", meter.coql(_PAGE), reader)
        yield from page.entries
        if not page.has_more:
            return
    raise Rejected(
        f"{api.connection.name}: this query has more than {_MOST_RECORDS:,} records, and the vendor shows no "
        "further ones.",
        cure="Narrow it, as by `id > <the last id>` with `order by id`.",
    )


def get(api: Api, obj: str, record: str, by: str | None) -> dict[str, Any]:
    """Return one record with all its fields, by id or by an external field.

    Raises:
        Rejected: there is no such record.
    """
    headers = {"X-EXTERNAL": f"{obj}.{by}"} if by else {}
    reader = api.listed("data", dict[str, Any])
    records = api.ask(f"/{obj}/{quote(record, safe='')}", meter.ONE, reader, headers=headers)
    if not records:
        raise Rejected(
            f"{api.connection.name}: no {obj} with {by or 'id'} '{record}'.",
            cure="It may have been deleted; other fields than the id have to be external ones.",
        )
    return records[0]


def newest_records(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the newest records of a module with all the fields that lists contain."""
    first, *rest = field_backfill.chunked(schema.names, api.limit("list_fields"))
    params = {"fields": ",".join(first), "per_page": str(min(rows, 200)), "page": "1"}
    if describe.cursor_field(schema):
        params |= {"sort_by": describe.MODIFIED, "sort_order": "desc"}
    if describe.CONVERTED in schema.by_name:
        params["converted"] = "both"
    reader = responses.page_reader(f"{api.connection.name}.{schema.object}")
    page = api.ask(f"/{schema.object}", meter.SORTED, reader, params)
    missing = [name for names in rest for name in names if name not in first]
    # A page with records that changed in between stays without the other fields: it is only a preview.
    whole = field_backfill.FieldBackfill(api, schema, missing).filled(page) or page
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in whole.texts]
