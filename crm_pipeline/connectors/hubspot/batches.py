"""Records by their ids, 100 at a time, with all their properties however many those are.

What an answer leaves out without a word is read again, and is then an error: a failed input must not look
like a record that is gone. Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Sequence

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.responses import NOT_FOUND, Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.kernel.errors import Unavailable

_ATTEMPTS = 2


def size_of(api: Api, selection: Selection) -> int:
    """Return how many ids one call takes."""
    return api.meter.limit("history_records" if selection.history else "batch_records")


def read(
    api: Api, selection: Selection, ids: Sequence[str], *, archived: bool = False
) -> tuple[Records, int]:
    """Return records by id, and how many calls it took; those that are gone are missing.

    Raises:
        Unavailable: some could be had neither at first nor again.
    """
    found, calls, size = Records(), 0, size_of(api, selection)
    for start in range(0, len(ids), size):
        left = ids[start : start + size]
        for _ in range(_ATTEMPTS):
            records, left = _once(api, selection, left, archived=archived)
            found.add(records)
            calls += 1
            if not left:
                break
        if left:
            raise Unavailable(
                f"{api.connection.name}.{selection.name}: HubSpot left {len(left)} of {size} records out of "
                "an answer, and did so again.",
                cure="Nothing of this window was kept. Run again later; if it persists, report it to HubSpot "
                "with the time of the run.",
            )
    return found.ordered(), calls


def _once(
    api: Api, selection: Selection, ids: Sequence[str], *, archived: bool
) -> tuple[Records, list[str]]:
    """Return what was found, and the ids of which nothing was said."""
    body = {
        "inputs": [{"id": one} for one in ids],
        "properties": selection.properties,
        "propertiesWithHistory": selection.history,
    }
    owner = f"{api.connection.name}.{selection.name}"
    answer = api.batch_read(
        selection.name,
        body,
        lambda content: responses.read(content, selection.stamp, owner),
        archived=archived,
    )
    asked = set(ids)
    wanted = [one in asked for one in answer.records.ids]
    gone = {
        one
        for complaint in answer.complaints
        if complaint.category == NOT_FOUND
        for one in complaint.ids
    }
    set_aside = {one.source_id for one in answer.records.rejected} & asked
    nameless = len(answer.records.rejected) - len(set_aside)
    silent = asked.difference(answer.records.ids, gone, set_aside)
    if len(silent) <= wanted.count(False) + nameless:
        # A merge in between: the vendor showed the record that the id leads to now, which has an own stamp.
        # Or a record that cannot be read, not even its id.
        silent = set()
    kept = answer.records if all(wanted) else answer.records.only(wanted)
    return kept, sorted(silent)
