"""What a Salesforce object costs where nothing changes, in calls."""

from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.settings import ObjectSettings

# The org's clock, the list of objects, the description, a count before and one after, a page.
_READ = 6


def of(obj: ObjectSettings, snapshots: frozenset[str]) -> Upkeep:
    """Return what a count with the newest stamp costs, and a read that finds nothing new.

    Args:
        obj: the object.
        snapshots: the objects that are read whole unless the user says something else.
    """
    is_snapshot = obj.name in snapshots if obj.snapshot is None else obj.snapshot
    return Upkeep(0 if is_snapshot else 1, _READ)
