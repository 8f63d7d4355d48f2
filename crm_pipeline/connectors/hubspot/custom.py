"""The custom object types of an account.

Source: https://developers.hubspot.com/docs/api-reference/crm-schemas-v3/guide
"""

from crm_pipeline.connectors.base import ObjectInfo
from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.hubspot.api import Api

# HubSpot may list its standard types, too.
_STANDARD = "0-"


def objects(api: Api) -> tuple[ObjectInfo, ...]:
    """Return the custom types by their fully qualified names, which addresses and exports share.

    Raises:
        NotPermitted: this login may not list them.
    """
    return tuple(
        ObjectInfo(
            name=kind["fullyQualifiedName"],
            label=(kind.get("labels") or {}).get("plural")
            or kind.get("name")
            or kind["fullyQualifiedName"],
            custom=True,
            queryable=not kind.get("archived"),
        )
        for kind in metadata.kinds(api)
        if not (kind.get("objectTypeId") or "").startswith(_STANDARD)
    )
