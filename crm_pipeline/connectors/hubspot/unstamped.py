"""The values of HubSpot's records that move no modification time: associations.

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Sequence

from crm_pipeline.connectors.hubspot import associations
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.catalog import linked_to
from crm_pipeline.connectors.unstamped import PresentValues, UnstampedList, table_of

_PARTS = ("to_id", "category", "type_id", "label")


def of(api: Api, name: str) -> UnstampedList | None:
    """Return the associations of an object with the configured ones; None where it has none."""
    others = linked_to(name, (obj.name for obj in api.connection.objects))
    if not others:
        return None
    # Both ends of an association have it. Each is read: labels and landed records of the two may differ.
    asked = tuple(other for other in others if (name, other) not in api.unlinked)
    return UnstampedList(
        what="associations",
        key="associations",
        name="to_object",
        parts=_PARTS,
        names=others,
        batch_records=api.meter.limit("association_records"),
        batch_cost=len(asked),
    )


def read(api: Api, name: str, ids: Sequence[str]) -> PresentValues:
    """Return the present associations of records.

    Raises:
        Unavailable: the vendor has no response for some records.
    """
    values = of(api, name)
    assert values is not None
    links, silent = associations.read(api, name, values.names, ids)
    rows = table_of(
        values,
        (
            (
                record_id,
                link.to_object,
                link.to_id,
                link.category,
                None if link.type_id is None else str(link.type_id),
                link.label,
            )
            for record_id, listed in links.items()
            for link in listed
        ),
    )
    return PresentValues(rows, frozenset(silent))
