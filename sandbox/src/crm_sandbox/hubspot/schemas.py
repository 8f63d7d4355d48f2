"""Definitions of object types: those that a portal made itself are listed, all can be asked for."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import answered, flag_of, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.properties import PropertyHandler, name_of, options_of, type_of
from crm_sandbox.hubspot.schema import ObjectType, Property, system_properties
from crm_sandbox.hubspot.storage import HISTORY, create, create_object, history_of

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


class SchemaHandler:
    """Answers about object types of one portal.

    Args:
        portal: the portal.
        properties: shows their properties.
    """

    def __init__(self, portal: Portal, properties: PropertyHandler) -> None:
        self._portal = portal
        self._properties = properties
        self._made = 0

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer for the list, or for one object type."""
        if not parts:
            if request.method == "POST":
                return answered(self._create(json_of(request, bodies.Schema)), 201)
            archived = flag_of(request.query, "archived")
            own = [self.shown(one) for one in self._portal.catalog.types if one.custom]
            return answered({"results": [] if archived else own})
        one = self._portal.catalog.named(parts[0])
        if one is None:
            raise not_found(f"Unable to find object type {parts[0]}")
        if parts[1:] == ("associations",) and request.method == "POST":
            return self._associate(one, json_of(request, bodies.Schema))
        if len(parts) > 1:
            raise not_found()
        if request.method == "GET":
            return answered(self.shown(one))
        if request.method == "PATCH":
            changed = replace(one, **_changes(json_of(request, bodies.Schema)))
            self._portal.catalog.put(changed)
            self._portal.tables.bump()
            return answered(self._basics(changed))
        if request.method == "DELETE":
            self._delete(one)
            return Response(204)
        raise unsupported_method()

    def shown(self, one: ObjectType) -> dict[str, Any]:
        """Return an object type as the API does."""
        at = iso_of(self._portal.since_ms)
        kinds = [
            {
                "id": str(kind.id),
                "fromObjectTypeId": one.id,
                "toObjectTypeId": self._portal.catalog.known(name).id,
                "name": kind.name or f"{one.singular}_to_{name}",
                "cardinality": "ONE_TO_MANY",
                "inverseCardinality": "ONE_TO_MANY",
                "hasUserEnforcedMaxToObjectIds": False,
                "hasUserEnforcedMaxFromObjectIds": False,
                "maxToObjectIds": 10_000,
                "maxFromObjectIds": 10_000,
                "createdAt": at,
                "updatedAt": at,
            }
            for name in self._portal.link_types.targets(one.name)
            for kind in self._portal.link_types.between(one.name, name)
        ]
        listed = [self._properties.shown(prop) for prop in one.visible]
        return self._basics(one) | {"associations": kinds, "properties": listed}

    def _basics(self, one: ObjectType) -> dict[str, Any]:
        at = iso_of(self._portal.since_ms)
        made: dict[str, Any] = {
            "id": one.id.partition("-")[2],
            "objectTypeId": one.id,
            "name": one.singular if one.custom else one.singular.upper(),
            "labels": {"singular": one.label, "plural": one.plural},
            "fullyQualifiedName": one.full_name or one.singular.upper(),
            "primaryDisplayProperty": one.primary,
            "secondaryDisplayProperties": [],
            "requiredProperties": list(one.required),
            "searchableProperties": list(one.searched),
            "archived": False,
            "createdAt": at,
            "updatedAt": at,
            "allowsSensitiveProperties": False,
        }
        return made

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = str(body.get("name", "")).lower()
        labels = body.get("labels") or {}
        if not _NAME.fullmatch(name):
            raise invalid("Some required fields were not set or are wrong: [name, labels]")
        if self._portal.catalog.named(name) is not None:
            raise ApiError(409, "OBJECT_ALREADY_EXISTS", f"Object type {name} already exists")
        self._made += 1
        own = [self._property(entry) for entry in body.get("properties") or ()]
        listed = {p.name: p for p in (*system_properties("hs_lastmodifieddate"), *own)}
        one = ObjectType(
            id=f"2-{self._portal.facts.hub_id % 1000 * 1000 + self._made}",
            name=name,
            singular=name,
            scope="crm.objects.custom",
            properties=listed,
            defaults=("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
            searched=tuple(body.get("searchableProperties") or ()),
            required=tuple(body.get("requiredProperties") or ()),
            primary=str(body.get("primaryDisplayProperty") or ""),
            label=str(labels.get("singular") or name),
            custom=True,
            full_name=f"p{self._portal.facts.hub_id}_{name}",
        )
        with self._portal.tables.writing() as cursor:
            cursor.execute(create_object(one))
            cursor.execute(create(history_of(one.name), HISTORY))
            self._portal.catalog.put(one)
        return self.shown(one)

    def _property(self, entry: Mapping[str, Any]) -> Property:
        return Property(
            name_of(entry),
            type_of(entry, "string"),
            field_type=str(entry.get("fieldType") or "text"),
            label=str(entry.get("label") or ""),
            options=options_of(entry.get("options") or ()),
            unique=bool(entry.get("hasUniqueValue", False)),
            custom=True,
        )

    def _associate(self, one: ObjectType, body: Mapping[str, Any]) -> Response:
        other = self._portal.catalog.asked(str(body.get("toObjectTypeId", "")))
        name = str(body.get("name") or f"{one.singular}_to_{other.singular}")
        made, _ = self._portal.link_types.add(one.name, other.name, None, None, name)
        self._portal.link_tables(one.name, other.name)
        shown = {
            "id": str(made.id),
            "fromObjectTypeId": one.id,
            "toObjectTypeId": other.id,
            "name": name,
            "createdAt": iso_of(self._portal.now_ms()),
            "updatedAt": iso_of(self._portal.now_ms()),
        }
        return answered(shown, 201)

    def _delete(self, one: ObjectType) -> None:
        if not one.custom:
            raise invalid("Object types that HubSpot defined cannot be deleted")
        if self._portal.tables.value(f'SELECT count(*) FROM "{one.table}" WHERE NOT _archived'):
            raise invalid("Object types with records cannot be deleted")
        self._portal.catalog.remove(one)
        self._portal.tables.bump()


def _changes(body: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, attribute in (
        ("requiredProperties", "required"),
        ("searchableProperties", "searched"),
    ):
        if key in body:
            made[attribute] = tuple(body[key] or ())
    if body.get("primaryDisplayProperty"):
        made["primary"] = str(body["primaryDisplayProperty"])
    return made
