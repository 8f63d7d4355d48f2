"""The cost of a Salesforce object while nothing changes, in calls."""

from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.settings import ObjectSettings

# The org's clock, the list of objects, the describe, a count before and one after the read, a page.
_READ = 6


def of(obj: ObjectSettings, snapshots: frozenset[str]) -> Upkeep:
    """Return the cost of a probe, and of a read that finds nothing new.

    Args:
        obj: the object.
        snapshots: the objects that are read whole unless connections.yaml says otherwise.
    """
    return Upkeep(0 if is_read_whole(obj, snapshots) else 1, _READ)
