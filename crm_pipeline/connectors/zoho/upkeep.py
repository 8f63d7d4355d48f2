"""The cost of reading a Zoho module without changes, in credits."""

from crm_pipeline.connectors.unstamped import UnstampedFields
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.connectors.zoho import members, setup
from crm_pipeline.settings import ObjectSettings

# The org with its edition, requested before anything else.
ORG = 1
# Modules, fields, a count before and after, a page of records, a page of deleted records.
_WINDOW = 6
# A list of some fields: the same without deleted records, the test of the query, and the first and last id.
_FIELDS = ORG + 8
_QUERY = 3
SETUP = {
    setup.USERS: 2,  # active and deleted ones
    setup.PIPELINES: 2,  # layouts, and the pipelines of one layout
    setup.CURRENCIES: 1,
    # The number of campaigns or deals and a page of them. Their lists are known only to a read.
    **dict.fromkeys(members.LINKS, 2),
}


def of(obj: ObjectSettings, snapshots: frozenset[str]) -> Upkeep:
    """Return the cost of a probe for changes, and of a read without changes.

    Args:
        obj: the module.
        snapshots: the modules that are read completely unless configured otherwise.
    """
    if obj.name in SETUP:
        return Upkeep(0, ORG + SETUP[obj.name])
    return Upkeep(0 if is_read_whole(obj, snapshots) else 1, ORG + _WINDOW)


def of_fields(names: tuple[str, ...], page_records: int) -> UnstampedFields:
    """Return what reading some fields of all records costs at most, by queries of so many records."""
    return UnstampedFields(names, page_records, page_cost=_QUERY, round_cost=_FIELDS)
