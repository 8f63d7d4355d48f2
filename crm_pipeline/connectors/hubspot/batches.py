"""Batch reads of records by id, 100 at a time, with all their properties.

A record that a response leaves out without a reason is requested again, and is an error if it is left out again: a
failed input must not look like a deleted record. Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.responses import NOT_FOUND, Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.kernel.errors import Unavailable

ATTEMPTS = 2
"""So often an id is requested that a response leaves out without a reason."""


@dataclass(frozen=True)
class BatchResponse:
    """The content of one batch.

    Attributes:
        records: those that were asked for.
        silent: ids that the response does not mention, or reports with another error than 'not found'.
        failed: the category of that error, by id.
    """

    records: Records
    silent: list[str]
    failed: Mapping[str, str]


def size_of(api: Api, selection: Selection) -> int:
    """Return the maximum number of ids of a call."""
    return api.meter.limit("history_records" if selection.history else "batch_records")


def read(
    api: Api, selection: Selection, ids: Sequence[str], *, archived: bool = False
) -> tuple[Records, int]:
    """Return records in the order of ids, without those that no longer exist, and the number of calls.

    Raises:
        Unavailable: the vendor left some out twice.
    """
    total, calls, size = Records(), 0, size_of(api, selection)
    for start in range(0, len(ids), size):
        left = ids[start : start + size]
        for _ in range(ATTEMPTS):
            response = once(api, selection, left, archived=archived)
            total.add(response.records)
            left = response.silent
            calls += 1
            if not left:
                break
        if left:
            raise Unavailable(
                f"{api.connection.name}.{selection.name}: HubSpot left {len(left)} of {size} records out of "
                "a response, and did so again.",
                cure="Nothing of this window was kept. Run again later; if it persists, report it to HubSpot "
                "with the time of the run.",
            )
    return total.ordered(), calls


def once(api: Api, selection: Selection, ids: Sequence[str], *, archived: bool) -> BatchResponse:
    """Return the content of one call."""
    body = {
        "inputs": [{"id": record_id} for record_id in ids],
        "properties": selection.properties,
        "propertiesWithHistory": selection.history,
    }
    owner = f"{api.connection.name}.{selection.name}"
    response = api.batch_read(
        selection.name,
        body,
        lambda content: responses.read(content, selection.cursor_field, owner),
        archived=archived,
    )
    asked = set(ids)
    wanted = [record_id in asked for record_id in response.records.ids]
    gone = {
        record_id
        for error in response.errors
        if error.category == NOT_FOUND
        for record_id in error.ids
    }
    set_aside = {row.source_id for row in response.records.rejected} & asked
    nameless = len(response.records.rejected) - len(set_aside)
    silent = asked.difference(response.records.ids, gone, set_aside)
    if len(silent) <= wanted.count(False) + nameless:
        # After a merge the vendor returns the merged record, which has another id and modification time.
        # Or the id of a record cannot be read.
        silent = set()
    kept = response.records if all(wanted) else response.records.only(wanted)
    failed = {
        record_id: error.category
        for error in response.errors
        if error.category != NOT_FOUND
        for record_id in error.ids
    }
    return BatchResponse(kept, sorted(silent), failed)
