"""The cost of a HubSpot object while nothing changes, in calls.

The length of the list of archived records, and the number of members of lists, are known only after a read. One page is assumed; a longer list is read less
often (see `archive`).
"""

from crm_pipeline.connectors.hubspot import snapshots
from crm_pipeline.connectors.hubspot.catalog import SNAPSHOTS, type_of
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.settings import ObjectSettings

# The account's details, which are read first.
DETAILS = 1
# Properties, a count before and one after the read, a page of results, one of archived records.
_WINDOW = 5
_SENSITIVE = 2


def of(obj: ObjectSettings) -> Upkeep:
    """Return the cost of a probe, and of a read that finds nothing new."""
    if obj.name in SNAPSHOTS:
        return Upkeep(0, DETAILS + snapshots.calls(obj.name))
    read = DETAILS + _WINDOW + _SENSITIVE * type_of(obj.name).holds_sensitive
    return Upkeep(0 if is_read_whole(obj, SNAPSHOTS) else 1, read)
