"""Owners and pipelines, short lists that are read whole; lists and their members are in `lists`.

Sources: https://developers.hubspot.com/docs/api-reference/crm-owners-v3/guide,
https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.hubspot import lists, responses
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.catalog import LIST_MEMBERS, LISTS, OF_LISTS, OWNERS, PIPELINES
from crm_pipeline.connectors.hubspot.responses import RecordsResponse
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.model.schema import Schema
from crm_pipeline.wire.paging import Link, walk

_CURSOR_FIELD = "hs_lastmodifieddate"  # absent in these records, which have `updatedAt` instead

# Archived owners have a list of their own; archived pipelines are not listed at all.
_LISTS: Mapping[str, Sequence[Mapping[str, str]]] = {
    OWNERS: ({"limit": "100", "archived": "false"}, {"limit": "100", "archived": "true"}),
    **{name: ({},) for name in PIPELINES},
}

# A search finds the lists; each list that has members takes at least one call more.
_LEAST = {LISTS: 1, LIST_MEMBERS: 2}


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Yield the pages of owners, archived ones included, of pipelines with their stages, of lists or of members."""
    if plan.object in OF_LISTS:
        yield from lists.pages(api, plan)
        return
    owner = f"{api.connection.name}.{plan.object}"
    for params in _LISTS[plan.object]:
        asked_at = api.now()
        for response in listed(api, plan.object, **params):
            records = response.records
            if not records.seen:
                continue
            batch = batch_of(
                ids=records.ids,
                modified_at=records.instants,
                texts=records.texts,
                owner=owner,
            )
            yield Page(
                shape="json",
                route=plan.route,
                batches=lambda batch=batch: iter([batch]),  # type: ignore[misc]
                extracted_at=asked_at,
                expected=len(records),
                calls=1,
                rejected=records.rejected,
                part="archived" if params.get("archived") == "true" else "live",
            )


def calls(name: str) -> int:
    """Return the minimum number of calls of an object."""
    return _LEAST.get(name) or len(_LISTS[name])


def listed(api: Api, name: str, **params: str) -> Iterator[RecordsResponse]:
    """Yield the responses of a list; that of pipelines has one page."""
    owner = f"{api.connection.name}.{name}"
    path = api.at.owners() if name == OWNERS else api.at.pipelines(PIPELINES[name])

    def fetch(after: str) -> RecordsResponse:
        cursor = {"after": after} if after else {}
        return api.ask(
            path,
            lambda body: responses.read(body, _CURSOR_FIELD, owner, numeric=False),
            METADATA,
            **params,
            **cursor,
        )

    link = Link[RecordsResponse]("", lambda response: response.after or None)
    yield from walk(link, fetch, owner=owner)


def first(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the first records of the list, with a value for each field of the schema."""
    if schema.object in OF_LISTS:
        return lists.first(api, schema, rows)
    records: list[dict[str, Any]] = []
    for response in listed(api, schema.object, **_LISTS[schema.object][0]):
        texts = response.records.texts
        records += (msgspec.json.decode(text, type=dict[str, Any]) for text in texts)
        if len(records) >= rows:
            break
    return [{name: record.get(name) for name in schema.names} for record in records[:rows]]
