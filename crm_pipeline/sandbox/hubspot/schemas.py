"""The definitions of a portal's own object types.

Source: https://developers.hubspot.com/docs/api-reference/crm-custom-objects/guide
"""

from typing import Any

from crm_pipeline.sandbox.http import Request, Response
from crm_pipeline.sandbox.hubspot.errors import not_found, unsupported_method
from crm_pipeline.sandbox.hubspot.instants import iso_of
from crm_pipeline.sandbox.hubspot.paging import answered
from crm_pipeline.sandbox.hubspot.portal import Portal
from crm_pipeline.sandbox.hubspot.properties import PropertyDesk
from crm_pipeline.sandbox.hubspot.schema import ObjectType


class SchemaDesk:
    """Answers about custom object types of one portal.

    Args:
        portal: whose.
        properties: shows definitions of properties.
    """

    def __init__(self, portal: Portal, properties: PropertyDesk) -> None:
        self._portal = portal
        self._properties = properties

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer the list, or one of them by any of its names."""
        if request.method != "GET":
            raise unsupported_method()
        own = [one for one in self._portal.catalog.types if one.custom and not one.hidden]
        if not parts:
            archived = request.query.get("archived", "false").lower() == "true"
            return answered({"results": [] if archived else [self._shown(one) for one in own]})
        found = self._portal.catalog.named(parts[0])
        if found is None or found not in own:
            raise not_found(f"Unable to find object type {parts[0]}")
        return answered(self._shown(found))

    def _shown(self, one: ObjectType) -> dict[str, Any]:
        since = iso_of(self._portal.since_ms)
        label = one.label or one.name.capitalize()
        return {
            "id": one.id.removeprefix("2-"),
            "objectTypeId": one.id,
            "fullyQualifiedName": one.full_name,
            "name": one.singular,
            "labels": {"singular": one.singular.capitalize(), "plural": label},
            "primaryDisplayProperty": one.primary,
            "secondaryDisplayProperties": [],
            "searchableProperties": list(one.searched),
            "requiredProperties": list(one.required),
            "properties": [self._properties.shown(prop) for prop in one.visible],
            "associations": [
                {
                    "id": str(kind.id),
                    "fromObjectTypeId": one.id,
                    "toObjectTypeId": self._portal.catalog.known(name).id,
                    "name": f"{one.singular}_to_{name}",
                    "cardinality": "ONE_TO_MANY",
                    "inverseCardinality": "ONE_TO_MANY",
                }
                for name in self._portal.link_types.targets(one.name)
                for kind in self._portal.link_types.between(one.name, name)
            ],
            "archived": False,
            "createdAt": since,
            "updatedAt": since,
            "createdByUserId": self._portal.facts.user_id,
            "updatedByUserId": self._portal.facts.user_id,
            "allowsSensitiveProperties": False,
        }
