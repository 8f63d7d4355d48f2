"""What a Pipedrive object costs where nothing changes, in tokens."""

from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Item
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.settings import ObjectSettings

# Whose token it is, asked for the company's clock.
_ME = 2
_FIELDS_V1, _FIELDS_V2 = 20, 10


def of(obj: ObjectSettings) -> Upkeep:
    """Return what a page of the newest records costs, and a read that finds nothing new."""
    item = ITEMS.get(obj.name)
    if item is None:  # the read that it stops says so
        return Upkeep(0, 0)
    lists, asked = item.listings, item.listings[0].cost
    if item.paging in {"deals", "per_deal"}:
        # Which deals have any is seen from the lists of living deals.
        lists = tuple(each for each in ITEMS["deals"].listings if not each.deleted)
        asked = lists[0].cost
    is_snapshot = item.is_setup if obj.snapshot is None else obj.snapshot
    read = _ME + _fields(item) + sum(each.cost for each in (*lists, *item.beside))
    return Upkeep(0 if is_snapshot else asked, read)


def _fields(item: Item) -> int:
    if not item.fields:
        return 0
    return _FIELDS_V2 if item.fields[0].startswith("/api/v2/") else _FIELDS_V1
