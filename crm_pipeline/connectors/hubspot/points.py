"""Reads records by their ids: batch reads of 100, live records first, then archived ones among the rest.

A merge gives the winner a new id, and both old ids lead to it, but only a request for the single record follows them. So
a few ids that are in neither are requested singly; of more, nobody asks whether they were merged. Sources:
https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide,
https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome
from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.hubspot import associations, batches
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS
from crm_pipeline.connectors.hubspot.responses import Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.point_pages import NOT_FOUND, outcomes_of, point_page
from crm_pipeline.kernel.errors import Rejected

MOST_SINGLES = 10
"""So many ids of a page are requested singly, a call each, to see whether they were merged."""
_UNASKED = f"{NOT_FOUND}; of more than {MOST_SINGLES} such ids nobody asks whether they were merged"
_SILENT = "the vendor left it out of two answers without a reason"


class _Single(msgspec.Struct):
    id: str


@dataclass
class _Found:
    """What batch reads have: records, and the ids that they refused or do not have."""

    records: Records = field(default_factory=Records)
    missing: list[str] = field(default_factory=list)
    refused: dict[str, Outcome] = field(default_factory=dict)


def marks(ids: Sequence[str], *, owner: str, asked_at: datetime) -> Page:
    """Return a page with marks of archived records, without the time when they were archived."""
    texts = [msgspec.json.encode({"id": one, "properties": {}, "archived": True}) for one in ids]
    batch = batch_of(ids=ids, modified_at=[None] * len(ids), texts=texts, deleted=True, owner=owner)
    return point_page(batch, {}, asked_at=asked_at)


class PointReader:
    """Reads records of one object.

    Args:
        api: of the account.
        selection: the properties to read, and the objects that associations are read to.
    """

    def __init__(self, api: Api, selection: Selection) -> None:
        self._api = api
        self._selection = selection
        self._owner = f"{api.connection.name}.{selection.name}"

    def pages(self, asked: AskedIds) -> Iterator[Page]:
        """Yield the records, a thousand ids a page; see `Account.read`."""
        for ids in asked.chunks(BATCH_RECORDS):
            asked_at, before = self._api.now(), self._api.usage.calls
            live = self._read(ids)
            archived = self._read(live.missing, archived=True)
            merged, absent = self._followed(archived.missing)
            winners = self._read(sorted(set(merged.values()).difference(live.records.ids)))
            live.records.add(winners.records)
            if self._selection.others:
                associations.add(
                    self._api, self._selection.name, self._selection.others, live.records
                )
            live.records.add(archived.records)
            batch = self._batch(live.records)
            outcomes = {
                **outcomes_of(batch, live.records.rejected),
                **{
                    old: Outcome("merged", f"the vendor says that it is now {new}", into=new)
                    for old, new in merged.items()
                },
                **live.refused,
                **archived.refused,
                **absent,
            }
            yield point_page(
                batch,
                asked.named(outcomes),
                asked_at=asked_at,
                calls=self._api.usage.calls - before,
                rejected=live.records.rejected,
            )

    def _read(self, ids: Sequence[str], *, archived: bool = False) -> _Found:
        """Return what batches of ids have."""
        found, size = _Found(), batches.size_of(self._api, self._selection)
        for start in range(0, len(ids), size):
            chunk = left = list(ids[start : start + size])
            failed: dict[str, str] = {}
            records = Records()
            for _ in range(batches.ATTEMPTS):
                response = batches.once(self._api, self._selection, left, archived=archived)
                records.add(response.records)
                failed |= response.failed
                left = response.silent
                if not left:
                    break
            found.refused |= {
                one: Outcome("refused", f"the vendor's error for it is {failed[one]}")
                if failed.get(one)
                else Outcome("refused", _SILENT)
                for one in left
            }
            known = {*records.ids, *(row.source_id for row in records.rejected), *left}
            found.missing += [one for one in chunk if one not in known]
            found.records.add(records)
        return found

    def _followed(self, ids: Sequence[str]) -> tuple[dict[str, str], dict[str, Outcome]]:
        """Return the new ids of records that were merged, and the outcomes of all others."""
        if len(ids) > MOST_SINGLES:
            return {}, dict.fromkeys(ids, Outcome("not_found", _UNASKED))
        merged: dict[str, str] = {}
        absent: dict[str, Outcome] = {}
        for one in ids:
            new = self._single(one)
            if new is None:
                absent[one] = Outcome("not_found", NOT_FOUND)
            elif new == one:
                absent[one] = Outcome("refused", "the vendor shows it singly, and not in a batch")
            else:
                merged[one] = new
        return merged, absent

    def _single(self, record: str) -> str | None:
        """Return the id that a request for a single record leads to; None where there is no record."""
        path, what = self._api.at.objects(self._selection.name, record), "a record"
        try:
            return self._api.typed(path, _Single, what, METADATA).id
        except Rejected as refusal:
            if refusal.status != 404:
                raise
            return None

    def _batch(self, records: Records) -> pa.RecordBatch:
        return batch_of(
            ids=records.ids,
            modified_at=records.instants,
            texts=records.texts,
            deleted=records.archived,
            owner=self._owner,
        )
