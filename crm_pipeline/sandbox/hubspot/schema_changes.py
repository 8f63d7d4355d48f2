"""Change what a portal's objects look like, as its administrators do."""

from dataclasses import replace
from typing import Any

from crm_pipeline.sandbox.hubspot.api import PortalApi
from crm_pipeline.sandbox.hubspot.schema import ObjectType, Property


class SchemaChanges:
    """Every way to change the properties and object types of the portals."""

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for a portal."""
        raise NotImplementedError

    def rename_field(self, name: str, field: str, new_name: str, *, account: str = "main") -> None:
        """Put a property of another internal name in the place of one; its values stay."""
        one, prop = self._field(name, field, account)
        if new_name in one.properties:
            raise ValueError(f"{one.name} already has a property '{new_name}'")
        label = new_name.replace("_", " ").capitalize()
        self._put(one, prop.changed(name=new_name, label=label), account, instead_of=field)

    def relabel_field(self, name: str, field: str, label: str, *, account: str = "main") -> None:
        """Give a property another label, which is what users call renaming."""
        one, prop = self._field(name, field, account)
        self._put(one, prop.changed(label=label), account)

    def retype_field(self, name: str, field: str, new_type: str, *, account: str = "main") -> None:
        """Give a property another type; the texts stay as they are."""
        one, prop = self._field(name, field, account)
        self._put(one, prop.changed(type=new_type, field_type="", options=()), account)

    def hide_field(
        self, name: str, field: str, *, hidden: bool = True, account: str = "main"
    ) -> None:
        """Take a property away from the token, or give it back."""
        one, prop = self._field(name, field, account)
        self._put(one, prop.changed(hides=hidden), account)

    def add_field(
        self,
        name: str,
        field: str,
        kind: str = "string",
        value: Any = None,
        *,
        account: str = "main",
    ) -> None:
        """Add a property that has one value in every record."""
        api = self.api(account)
        one = api.portal.catalog.known(name)
        if field in one.properties:
            raise ValueError(f"{one.name} already has a property '{field}'")
        with api.portal.tables.writing() as cursor:
            cursor.execute(f'ALTER TABLE "{one.table}" ADD COLUMN "{field}" VARCHAR')
            cursor.execute(f'UPDATE "{one.table}" SET "{field}" = ?', [value])
        self._put(one, Property(field, kind, custom=True), account)

    def hide_object(self, name: str, *, hidden: bool = True, account: str = "main") -> None:
        """Take an object type away from the token, or give it back."""
        portal = self.api(account).portal
        portal.catalog.put(replace(portal.catalog.known(name), hidden=hidden))
        portal.tables.bump()

    def fields(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return name, label and type of each visible property."""
        one = self.api(account).portal.catalog.known(name)
        return [{"name": p.name, "label": p.label, "type": p.type} for p in one.visible]

    def _field(self, name: str, field: str, account: str) -> tuple[ObjectType, Property]:
        one = self.api(account).portal.catalog.known(name)
        prop = one.properties.get(field)
        if prop is None:
            raise ValueError(f"unknown property '{field}' of {one.name}")
        return one, prop

    def _put(self, one: ObjectType, prop: Property, account: str, *, instead_of: str = "") -> None:
        portal = self.api(account).portal
        portal.catalog.put(one.with_property(prop, instead_of))
        portal.tables.bump()
