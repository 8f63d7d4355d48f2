"""How assets are told apart: groups, kinds, tags and owners.

A group is the path of its assets' keys without the last part: `hubspot_demo/raw`, `crm/published`. Dagster shows
a path as boxes within boxes, so the graph begins with one box for each account and one, `crm`, for what is made of
all of them.
"""

from collections.abc import Mapping

import dagster as dg

from crm_pipeline.orchestration.names import CONNECTION_TAG, CRM
from crm_pipeline.settings import Connection

SOURCE = CRM
"""The stage of the objects in the CRMs themselves."""
RAW, NORMALIZED, PUBLISHED = "raw", "normalized", "published"
STAGE_TAG = "crm/stage"
VENDOR_TAG = "crm/vendor"


def group_of(key: dg.AssetKey) -> str:
    """Return the group of an asset."""
    return "/".join(key.path[:-1])


def tags_of_connection(connection: Connection, stage: str) -> Mapping[str, str]:
    """Return the tags of an asset of a connection: ours, and those in connections.yaml."""
    ours = {STAGE_TAG: stage, CONNECTION_TAG: connection.name, VENDOR_TAG: connection.vendor}
    return {**connection.tags, **ours}


def tags_of_stage(stage: str) -> Mapping[str, str]:
    """Return the tags of an asset of a stage across connections."""
    return {STAGE_TAG: stage}
