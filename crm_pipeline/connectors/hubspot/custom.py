"""The types of records that an account made itself.

Source: https://developers.hubspot.com/docs/api-reference/crm-schemas-v3/guide
"""

from crm_pipeline.connectors.api import as_mapping
from crm_pipeline.connectors.base import ObjectInfo
from crm_pipeline.connectors.hubspot.api import Api

# HubSpot's own types may be listed among them.
_OWN = "0-"


def objects(api: Api) -> tuple[ObjectInfo, ...]:
    """Return them by their full names, which are the same in addresses and in exports.

    Raises:
        NotPermitted: this login may not list them.
    """
    answer = as_mapping(api.ask(api.at.schemas), api.connection.name)
    return tuple(
        ObjectInfo(
            name=str(one["fullyQualifiedName"]),
            label=str((one.get("labels") or {}).get("plural") or one["name"]),
            custom=True,
            queryable=not one.get("archived"),
        )
        for one in answer.get("results") or ()
        if not str(one.get("objectTypeId", "")).startswith(_OWN)
    )
