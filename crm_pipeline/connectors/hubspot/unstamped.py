"""The values of HubSpot's records that move no modification time: associations and calculated properties.

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Sequence

from crm_pipeline.connectors.hubspot import associations
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.catalog import SNAPSHOTS, linked_to
from crm_pipeline.connectors.unstamped import (
    PresentValues,
    UnstampedFields,
    UnstampedList,
    computed_names,
    table_of,
)
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings

# Properties and sensitive ones, the counts before and after.
_ROUND = 6
# Beside the names of properties a search has filters and an order.
_SEARCH_CHARACTERS = 500
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


def computed(api: Api, obj: ObjectSettings, schema: Schema | None) -> UnstampedFields | None:
    """Return the calculated properties of an object; None where it has none, or is read whole."""
    if is_read_whole(obj, SNAPSHOTS) or not (names := computed_names(obj, schema)):
        return None
    characters = sum(len(name) + 3 for name in names) + _SEARCH_CHARACTERS
    # Properties that do not fit into a search are read by the ids that it finds.
    fits = characters <= api.meter.limit("search_characters")
    page = api.meter.limit("list_records")
    return UnstampedFields(names, page_records=page, page_cost=1 if fits else 2, round_cost=_ROUND)


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
