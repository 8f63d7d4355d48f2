"""HubSpot's confirmation that records missing from its lists are archived.

'Not found' confirms nothing: it is the response for hidden records and for those deleted for good.
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


class _Response(msgspec.Struct):
    results: list[_Record]


def archived(api: Api, obj: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those ids that are archived; none of pipelines, for which HubSpot does not report it."""
    if obj == OWNERS:
        return frozenset(owner for owner in ids if _is_archived_owner(api, owner))
    if obj in SNAPSHOTS:
        return frozenset()
    confirmed: set[str] = set()
    for start in range(0, len(ids), _BATCH):
        records = _records(api, obj, ids[start : start + _BATCH])
        confirmed.update(record.id for record in records if record.archived)
    return frozenset(confirmed.intersection(ids))


def _is_archived_owner(api: Api, owner_id: str) -> bool:
    try:
        owner = api.typed(api.at.owners(owner_id), _Record, _WHAT, archived="true")
    except Rejected:
        return False
    return owner.id == owner_id and owner.archived


def _records(api: Api, obj: str, ids: Sequence[str]) -> list[_Record]:
    body = {"inputs": [{"id": record_id} for record_id in ids], "properties": []}

    def read(content: bytes) -> list[_Record]:
        return decoded(content, _Response, owner=api.connection.name, what=_WHAT).results

    return api.batch_read(obj, body, read, archived=True)
