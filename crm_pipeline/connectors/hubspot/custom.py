"""The types of records that an account made itself.

Source: https://developers.hubspot.com/docs/api-reference/crm-schemas-v3/guide
"""

from crm_pipeline.connectors.base import ObjectInfo
from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.hubspot.api import Api

# HubSpot's own types may be listed among them.
_OWN = "0-"


def objects(api: Api) -> tuple[ObjectInfo, ...]:
    """Return them by their full names, which are the same in addresses and in exports.

    Raises:
        NotPermitted: this login may not list them.
    """
    return tuple(
        ObjectInfo(
            name=one["fullyQualifiedName"],
            label=(one.get("labels") or {}).get("plural")
            or one.get("name")
            or one["fullyQualifiedName"],
            custom=True,
            queryable=not one.get("archived"),
        )
        for one in metadata.kinds(api)
        if not (one.get("objectTypeId") or "").startswith(_OWN)
    )
