"""What HubSpot says of records that its lists do not show any more: archived, in so many words, or nothing.

A record that this login may not see and one that is gone for good are both 'not found'.
"""

from collections.abc import Sequence

import msgspec

from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.catalog import OWNERS, SNAPSHOTS
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.wire.decoding import decoded

_BATCH = 100
_WHAT = "an answer about archived records"


class _Record(msgspec.Struct):
    id: str
    archived: bool = False


class _Answer(msgspec.Struct):
    results: list[_Record]


def archived(api: Api, obj: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that are archived; none of pipelines, of which HubSpot does not say it."""
    if obj == OWNERS:
        return frozenset(one for one in ids if _is_archived_owner(api, one))
    if obj in SNAPSHOTS:
        return frozenset()
    found: set[str] = set()
    for start in range(0, len(ids), _BATCH):
        records = _records(api, obj, ids[start : start + _BATCH])
        found.update(one.id for one in records if one.archived)
    return frozenset(found.intersection(ids))


def _is_archived_owner(api: Api, record: str) -> bool:
    try:
        found = api.typed(api.at.owners(record), _Record, _WHAT, archived="true")
    except Rejected:
        return False
    return found.id == record and found.archived


def _records(api: Api, obj: str, ids: Sequence[str]) -> list[_Record]:
    body = {"inputs": [{"id": one} for one in ids], "properties": []}

    def read(answer: bytes) -> list[_Record]:
        return decoded(answer, _Answer, owner=api.connection.name, what=_WHAT).results

    return api.batch_read(obj, body, read, archived=True)
