"""The cost of reading a Pipedrive object without changes, in tokens."""

from crm_pipeline.connectors.pipedrive.catalog import ITEMS, SNAPSHOTS, Item
from crm_pipeline.connectors.unstamped import UnstampedFields
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.settings import ObjectSettings

# The call for the token's user, which also returns the company's clock.
_ME = 2
_FIELDS_V1, _FIELDS_V2 = 20, 10


def of(obj: ObjectSettings) -> Upkeep:
    """Return the cost of a probe for changes, and of a read without changes."""
    item = ITEMS.get(obj.name)
    if item is None:  # the read reports the unknown object
        return Upkeep(0, 0)
    lists, probe = item.listings, item.listings[0].cost
    if item.paging in {"deals", "per_deal"}:
        # The lists of live deals say which deals have any.
        lists = tuple(listing for listing in ITEMS["deals"].listings if not listing.deleted)
        probe = lists[0].cost
    read = _ME + _fields(item) + sum(listing.cost for listing in (*lists, *item.lookups))
    return Upkeep(0 if is_read_whole(obj, SNAPSHOTS) else probe, read)


def of_fields(item: Item, names: tuple[str, ...], page_records: int) -> UnstampedFields:
    """Return what reading some fields of all records costs: lists of whole records, as they cannot leave out any."""
    live = [listing.cost for listing in item.listings if not listing.deleted]
    page, others = max(live), sum(listing.cost for listing in item.lookups)
    # Each list has a page that is not full, and parallel ranges have some more.
    round_cost = _ME + _fields(item) + others + sum(live) + 3 * page
    return UnstampedFields(names, page_records, page, round_cost)


def _fields(item: Item) -> int:
    if not item.metadata_paths:
        return 0
    return _FIELDS_V2 if item.metadata_paths[0].startswith("/api/v2/") else _FIELDS_V1
