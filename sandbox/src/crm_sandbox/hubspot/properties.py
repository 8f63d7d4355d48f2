"""Definitions of properties: listed whole, made, changed, archived and brought back.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import answered, encoded, flag_of, inputs_of, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType, Property

TYPES = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_MOST_UNIQUE = 10
SENSITIVITIES = ("non_sensitive", "sensitive", "highly_sensitive")


class PropertyHandler:
    """Answers about properties of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._groups: dict[str, dict[str, str]] = {}

    def handle(self, request: Request, one: ObjectType, parts: tuple[str, ...]) -> Response:
        """Answer for the properties of one object type."""
        if parts[:1] == ("groups",):
            return self._group(request, one, parts[1:])
        if parts[:1] == ("batch",) and len(parts) == 2:
            return self._batch(request, one, parts[1])
        if not parts:
            return self._all(request, one)
        if request.method == "GET":
            return answered(self.shown(self._asked(request, one, parts[0])))
        if request.method == "PATCH":
            return answered(
                self.shown(self._change(one, parts[0], json_of(request, bodies.Definition)))
            )
        if request.method == "DELETE":
            self._archive(one, parts[0])
            return Response(204)
        raise unsupported_method()

    def legacy(self, request: Request, one: ObjectType, parts: tuple[str, ...]) -> Response:
        """Answer the second version of this API, of which old clients still read the definitions."""
        if parts[:1] != ("properties",) or request.method != "GET":
            raise not_found()
        if len(parts) == 1:
            return answered([self._legacy_shown(prop) for prop in one.visible])
        if parts[1] != "named" or len(parts) != 3:
            raise not_found()
        return answered(self._legacy_shown(self._asked(request, one, parts[2])))

    def _legacy_shown(self, prop: Property) -> dict[str, Any]:
        """Return a definition as versions 1 and 2 did: no archive, and stamps in milliseconds."""
        kept = (
            *("name", "label", "description", "groupName", "type", "fieldType", "displayOrder"),
            *("formField", "hidden", "calculated", "externalOptions", "hubspotDefined"),
        )
        made, rights = self.shown(prop), self.shown(prop)["modificationMetadata"]
        at = prop.since_ms or self._portal.since_ms
        more = {"readOnly": False, "doubleData": 0.0}
        return {key: made[key] for key in kept} | {
            "options": [option | more for option in made["options"]],
            "readOnlyValue": rights["readOnlyValue"],
            "readOnlyDefinition": rights["readOnlyDefinition"],
            "mutableDefinitionNotDeletable": False,
            "favorited": False,
            "favoritedOrder": -1,
            "displayMode": "current_value",
            "deleted": False,
            "createdAt": at,
            "updatedAt": at,
            "createdUserId": None,
            "updatedUserId": None,
        }

    def shown(self, prop: Property) -> dict[str, Any]:
        """Return a definition as the API does."""
        at = iso_of(prop.since_ms or self._portal.since_ms)
        read_only = prop.calculated or prop.read_only or prop.is_virtual
        made: dict[str, Any] = {
            "name": prop.name,
            "label": prop.label,
            "type": prop.type,
            "fieldType": prop.field_type,
            "description": "",
            "groupName": prop.group,
            "options": _shown_options(prop),
            "displayOrder": -1,
            "calculated": prop.calculated,
            "externalOptions": False,
            "hasUniqueValue": prop.unique,
            "hidden": False,
            "hubspotDefined": not prop.custom,
            "formField": not read_only,
            "archived": prop.archived,
            "createdAt": at,
            "updatedAt": at,
            "dataSensitivity": prop.sensitivity,
            "modificationMetadata": {
                "archivable": prop.custom,
                "readOnlyDefinition": not prop.custom,
                "readOnlyOptions": not prop.custom,
                "readOnlyValue": read_only,
            },
        }
        if prop.archived:
            made["archivedAt"] = iso_of(prop.archived_ms)
        if prop.name == "hubspot_owner_id":
            made["referencedObjectType"] = "OWNER"
        return made | dict(prop.more)

    def add(self, one: ObjectType, made: Property) -> None:
        """Add a property with its column, or bring an archived one back."""
        with self._portal.tables.writing() as cursor:
            cursor.execute(
                f'ALTER TABLE "{one.table}" ADD COLUMN IF NOT EXISTS "{made.column}" VARCHAR'
            )
            self._portal.catalog.put(one.with_property(made, made.name))

    def _all(self, request: Request, one: ObjectType) -> Response:
        if request.method == "POST":
            return answered(self.shown(self._create(one, json_of(request, bodies.Definition))), 201)
        if request.method != "GET":
            raise unsupported_method()
        archived = flag_of(request.query, "archived")
        sensitivity = request.query.get("dataSensitivity", "non_sensitive")
        if sensitivity not in SENSITIVITIES:
            raise invalid(f"Invalid dataSensitivity: {sensitivity}")

        def make() -> bytes:
            listed = [
                self.shown(prop)
                for prop in one.properties.values()
                if prop.archived == archived and not prop.hides and prop.sensitivity == sensitivity
            ]
            return encoded({"results": listed})

        return Response(
            200, self._portal.kept(("properties", one.name, archived, sensitivity), make)
        )

    def _asked(self, request: Request, one: ObjectType, name: str) -> Property:
        prop = one.properties.get(name)
        if prop is None or prop.hides or prop.archived != flag_of(request.query, "archived"):
            raise _unknown(name)
        return prop

    def _create(self, one: ObjectType, body: Mapping[str, Any]) -> Property:
        needed = ("name", "label", "type", "fieldType", "groupName")
        if lacking := [key for key in needed if not body.get(key)]:
            raise invalid(f"Some required fields were not set: {lacking}")
        name, kind = name_of(body), type_of(body)
        old = one.properties.get(name)
        if old is not None and not old.archived:
            raise ApiError(
                409,
                "OBJECT_ALREADY_EXISTS",
                f"A property named '{name}' already exists.",
                sub_category="Properties.PROPERTY_WITH_NAME_EXISTS",
            )
        is_unique = bool(body.get("hasUniqueValue"))
        if (
            is_unique
            and sum(p.unique and p.custom for p in one.properties.values()) >= _MOST_UNIQUE
        ):
            raise invalid(f"at most {_MOST_UNIQUE} unique properties are allowed")
        made = Property(
            name,
            kind,
            field_type=str(body["fieldType"]),
            label=str(body["label"]),
            group=str(body["groupName"]),
            options=options_of(body.get("options") or ()),
            column=old.column if old else name,
            unique=is_unique,
            custom=True,
            since_ms=self._portal.now_ms(),
            more=_more(body),
        )
        self.add(one, made)
        return made

    def _change(self, one: ObjectType, name: str, body: Mapping[str, Any]) -> Property:
        prop = one.properties.get(name)
        if prop is None or prop.archived or prop.hides:
            raise _unknown(name)
        values: dict[str, Any] = {"more": {**prop.more, **_more(body)}}
        for key, attribute in (
            ("label", "label"),
            ("groupName", "group"),
            ("type", "type"),
            ("fieldType", "field_type"),
        ):
            if body.get(key):
                values[attribute] = str(body[key])
        if "options" in body:
            # The list takes the place of the former one: what is not in it is gone.
            values["options"] = options_of(body["options"] or ())
        changed = prop.changed(**values)
        self._portal.catalog.put(one.with_property(changed, name))
        self._portal.tables.bump()
        return changed

    def _archive(self, one: ObjectType, name: str) -> None:
        prop = one.properties.get(name)
        if prop is None or prop.hides:
            raise _unknown(name)
        if not prop.custom or name in self._portal.in_use:
            raise invalid(
                f"Property '{name}' is in use and cannot be deleted",
                sub_category="PropertyValidationError.CANNOT_DELETE_PROPERTY_IN_USE",
            )
        gone = prop.changed(archived=True, archived_ms=self._portal.now_ms())
        self._portal.catalog.put(one.with_property(gone, name))
        self._portal.tables.bump()

    def _batch(self, request: Request, one: ObjectType, action: str) -> Response:
        if request.method != "POST":
            raise unsupported_method()
        body = json_of(request, bodies.DefinitionBatch)
        inputs = inputs_of(body, 100)
        if action == "archive":
            for entry in inputs:
                self._archive(self._portal.catalog.known(one.name), str(entry.get("name")))
            return Response(204)
        results, errors = [], []
        for entry in inputs:
            current = self._portal.catalog.known(one.name)
            try:
                if action == "create":
                    results.append(self.shown(self._create(current, entry)))
                elif action == "read":
                    prop = current.properties.get(str(entry.get("name")))
                    if prop is None or prop.hides or prop.archived != bool(body.get("archived")):
                        raise _unknown(str(entry.get("name")))
                    results.append(self.shown(prop))
                else:
                    raise not_found()
            except ApiError as refusal:
                errors.append(refusal.entry())
        return self._envelope(results, errors, 201 if action == "create" else 200)

    def _envelope(self, results: list[Any], errors: list[Any], status: int) -> Response:
        now = iso_of(self._portal.now_ms())
        made: dict[str, Any] = {
            "status": "COMPLETE",
            "results": results,
            "startedAt": now,
            "completedAt": now,
        }
        if errors:
            made |= {"numErrors": len(errors), "errors": errors}
            status = self._portal.settings.partial_status
        return answered(made, status)

    def _group(self, request: Request, one: ObjectType, parts: tuple[str, ...]) -> Response:
        own = self._groups.setdefault(one.name, {})
        names = {prop.group: f"{one.label} information" for prop in one.properties.values()} | own
        shown = {
            name: {"name": name, "label": label, "displayOrder": -1, "archived": False}
            for name, label in names.items()
        }
        if request.method == "GET":
            if not parts:
                return answered({"results": list(shown.values())})
            if parts[0] not in shown:
                raise not_found(f"Property group '{parts[0]}' does not exist")
            return answered(shown[parts[0]])
        if request.method in {"POST", "PATCH"}:
            body = json_of(request, bodies.Definition)
            name = parts[0] if parts else str(body.get("name") or "")
            if not name:
                raise invalid("Some required fields were not set: [name]")
            own[name] = str(body.get("label") or name)
            made = {"name": name, "label": own[name], "displayOrder": -1, "archived": False}
            return answered(made, 201 if request.method == "POST" else 200)
        raise unsupported_method()


def _shown_options(prop: Property) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "value": value,
            "displayOrder": number,
            "hidden": False,
            "description": "",
        }
        for number, (value, label) in enumerate(prop.options)
    ]


def _unknown(name: str) -> ApiError:
    return not_found(f"Property '{name}' does not exist", context={"propertyName": [name]})


def name_of(body: Mapping[str, Any]) -> str:
    """Return the internal name that a definition gives.

    Raises:
        ApiError: it is none.
    """
    name = str(body.get("name")).lower()
    if not _NAME.fullmatch(name):
        raise invalid(f"The name '{name}' is not valid", sub_category="Properties.INVALID_NAME")
    return name


def type_of(body: Mapping[str, Any], default: str = "") -> str:
    """Return the type that a definition gives.

    Raises:
        ApiError: there is none of this name.
    """
    kind = str(body.get("type") or default)
    if kind not in TYPES:
        raise invalid(f"Invalid input JSON: '{kind}' is not a type; known: {list(TYPES)}")
    return kind


def options_of(options: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return the choices that a definition gives, as values and labels.

    Raises:
        ApiError: one lacks a part, or two have the same value.
    """
    if not all(one.get("label") and one.get("value") is not None for one in options):
        raise invalid("every option needs a label and a value")
    values = [str(one["value"]) for one in options]
    if len(set(values)) != len(values):
        raise invalid(
            "option values must be unique", sub_category="Properties.DUPLICATE_OPTION_VALUE"
        )
    return tuple((str(one["value"]), str(one["label"])) for one in options)


def _more(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("description", "displayOrder", "hidden", "formField", "externalOptions")
    return {key: body[key] for key in kept if body.get(key) is not None}
