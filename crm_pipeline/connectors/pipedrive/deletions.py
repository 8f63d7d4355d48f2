"""What Pipedrive says of records that its lists do not show any more: deleted, in so many words, or nothing.

For 30 days a deleted record answers to its id and says that it is one; afterwards it is 'not found', as is
one that this user may not see.
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


class _Answer(msgspec.Struct):
    data: _Record | None = None


def deleted(api: Api, item: Item, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that are deleted, asked one by one until one is not."""
    if not item.record or not item.ended_by:
        return frozenset()
    found: set[str] = set()
    for one in ids:
        record = _record(api, item, one)
        if record is None or str(record.id) != one or not _is_ended(record, item):
            break  # all have to be: the others need not be asked about
        found.add(one)
    return frozenset(found)


def _is_ended(record: _Record, item: Item) -> bool:
    return not record.active_flag if item.ended_by == "active_flag" else bool(record.is_deleted)


def _record(api: Api, item: Item, record: str) -> _Record | None:
    operation = _V2 if item.record.startswith("/api/v2/") else _V1
    try:
        path, what = (
            f"{item.record}/{quote(record, safe='')}",
            f"an answer about one of {item.name}",
        )
        return api.decoded("GET", path, operation, _Answer, what).data
    except Rejected:
        return None
