"""Confirms deletions: whether records that are missing from Pipedrive's lists are marked as deleted.

For 30 days a deleted record can be requested by its id and has a mark. After that the response is 'not
found', as for a record that this user may not see.
"""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item
from crm_pipeline.kernel.errors import Rejected

_V1, _V2 = Operation("get", cost=2), Operation("get", cost=1)


class _Record(msgspec.Struct):
    id: int | str
    is_deleted: bool | int | None = False
    active_flag: bool | int | None = True


class _Response(msgspec.Struct):
    data: _Record | None = None


def deleted(api: Api, item: Item, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that are deleted; stop at the first one that is not."""
    if not item.record_path or not item.deleted_key:
        return frozenset()
    confirmed: set[str] = set()
    for record_id in ids:
        record = _record(api, item, record_id)
        if record is None or str(record.id) != record_id or not _is_deleted(record, item):
            break  # all have to be deleted, so the others need no call
        confirmed.add(record_id)
    return frozenset(confirmed)


def _is_deleted(record: _Record, item: Item) -> bool:
    return not record.active_flag if item.deleted_key == "active_flag" else bool(record.is_deleted)


def _record(api: Api, item: Item, record_id: str) -> _Record | None:
    operation = _V2 if item.record_path.startswith("/api/v2/") else _V1
    try:
        path = f"{item.record_path}/{quote(record_id, safe='')}"
        what = f"an answer about one of {item.name}"
        return api.decoded("GET", path, operation, _Response, what).data
    except Rejected:
        return None
