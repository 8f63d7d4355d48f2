"""What a Zoho module costs where nothing changes, in credits."""

from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.zoho import members, setup
from crm_pipeline.settings import ObjectSettings

# What the org tells of its edition, before anything else.
ORG = 1
# Modules, fields, a count before and one after, a page of records, one of deleted ones.
_WINDOW = 6
SETUP = {
    setup.USERS: 2,  # those that are there, and those that were
    setup.PIPELINES: 2,  # layouts, and the pipelines of one
    setup.CURRENCIES: 1,
    # The number of campaigns or deals and a page of them. What each costs beside, only a read can tell.
    **dict.fromkeys(members.LINKS, 2),
}


def of(obj: ObjectSettings, snapshots: frozenset[str]) -> Upkeep:
    """Return what a query for the newest record costs, and a read that finds nothing new.

    Args:
        obj: the module.
        snapshots: the modules that are read whole unless the user says something else.
    """
    if obj.name in SETUP:
        return Upkeep(0, ORG + SETUP[obj.name])
    is_snapshot = obj.name in snapshots if obj.snapshot is None else obj.snapshot
    return Upkeep(0 if is_snapshot else 1, ORG + _WINDOW)
