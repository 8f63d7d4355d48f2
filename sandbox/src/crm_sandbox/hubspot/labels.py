"""The labels that links can have: shown, made, renamed and dropped."""

from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.association_types import HUBSPOT, LinkType
from crm_sandbox.hubspot.errors import invalid, not_found, unsupported_method
from crm_sandbox.hubspot.paging import answered, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType


class LabelHandler:
    """Answers about the kinds of links of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def types(self, names: dict[int, str]) -> Response:
        """Answer the kinds of links as the older API lists them."""
        return answered({"results": [{"id": str(k), "name": name} for k, name in names.items()]})

    def handle(
        self, request: Request, one: ObjectType, other: ObjectType, parts: tuple[str, ...]
    ) -> Response:
        """Answer for the labels between two object types; `parts` follow `/labels`."""
        if request.method == "GET":
            kinds = self._portal.link_types.between(one.name, other.name)
            return answered({"results": [_shown(kind) for kind in kinds]})
        if request.method == "POST":
            return self._create(request, one, other)
        if request.method == "PUT":
            body = json_of(request, bodies.Label)
            kind = self._own(one, other, body.get("associationTypeId"))
            self._portal.link_types.rename(kind, str(body.get("label", "")))
            self._portal.tables.bump()
            return Response(204)
        if request.method == "DELETE" and parts and is_number(parts[0]):
            self._portal.link_types.drop(self._own(one, other, int(parts[0])))
            self._portal.tables.bump()
            return Response(204)
        raise unsupported_method()

    def _create(self, request: Request, one: ObjectType, other: ObjectType) -> Response:
        body = json_of(request, bodies.Label)
        label, name = body.get("label"), body.get("name")
        if not label or not name:
            raise invalid("Some required fields were not set: [label, name]")
        inverse = body.get("inverseLabel")
        made = self._portal.link_types.add(one.name, other.name, str(label), inverse, str(name))
        self._portal.link_tables(one.name, other.name)
        self._portal.tables.bump()
        return answered({"results": [_shown(kind) for kind in made]})

    def _own(self, one: ObjectType, other: ObjectType, number: Any) -> LinkType:
        found = None
        if isinstance(number, int):
            found = self._portal.link_types.find(one.name, other.name, number)
        if found is None:
            raise not_found(f"No association type {number} between {one.id} and {other.id}")
        if found.category == HUBSPOT:
            raise invalid("Association types that HubSpot defined cannot be changed")
        return found


def _shown(kind: LinkType) -> dict[str, Any]:
    return {"category": kind.category, "typeId": kind.id, "label": kind.label}
