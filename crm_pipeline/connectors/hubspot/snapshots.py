"""Owners and pipelines: short lists that are read whole.

Sources: https://developers.hubspot.com/docs/api-reference/crm-owners-v3/guide,
https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.catalog import OWNERS, PIPELINES
from crm_pipeline.connectors.hubspot.responses import Answer
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.model.schema import Schema
from crm_pipeline.wire.paging import Link, walk

_STAMP = "hs_lastmodifieddate"  # these have none; what they say of their last change is `updatedAt`

# Owners who left are listed apart; pipelines that were archived are not listed at all.
_WHICH: Mapping[str, Sequence[Mapping[str, str]]] = {
    OWNERS: ({"limit": "100", "archived": "false"}, {"limit": "100", "archived": "true"}),
    **{name: ({},) for name in PIPELINES},
}


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Read owners, those who left too, or pipelines with their stages."""
    owner = f"{api.connection.name}.{plan.object}"
    for which in _WHICH[plan.object]:
        asked_at = api.now()
        for answer in answers(api, plan.object, **which):
            records = answer.records
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
                part="archived" if which.get("archived") == "true" else "live",
            )


def calls(name: str) -> int:
    """Return how many calls an object takes at least."""
    return len(_WHICH[name])


def answers(api: Api, name: str, **which: str) -> Iterator[Answer]:
    """Yield the pages of the list of an object; pipelines come on one."""
    owner = f"{api.connection.name}.{name}"
    path = api.at.owners() if name == OWNERS else api.at.pipelines(PIPELINES[name])

    def fetch(after: str) -> Answer:
        place = {"after": after} if after else {}
        return api.ask(
            path,
            lambda body: responses.read(body, _STAMP, owner, numeric=False),
            METADATA,
            **which,
            **place,
        )

    link = Link[Answer]("", lambda answer: answer.after or None)
    yield from walk(link, fetch, owner=owner)


def first(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the first records of the list, with a value for each field of the schema."""
    found: list[dict[str, Any]] = []
    for answer in answers(api, schema.object, **_WHICH[schema.object][0]):
        found += (msgspec.json.decode(text, type=dict[str, Any]) for text in answer.records.texts)
        if len(found) >= rows:
            break
    return [{name: one.get(name) for name in schema.names} for one in found[:rows]]
