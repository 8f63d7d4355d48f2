"""Change what a portal's object types look like, as its administrators do."""

from collections.abc import Callable
from typing import Any

from crm_sandbox.hubspot.api import PortalApi
from crm_sandbox.hubspot.changes import text_of
from crm_sandbox.hubspot.properties import SENSITIVITIES
from crm_sandbox.hubspot.schema import ObjectType, Property


class SchemaChanges:
    """Every way to change what a portal's object types look like."""

    api: Callable[[str], PortalApi]

    def rename_field(self, name: str, field: str, new_name: str, *, account: str = "main") -> None:
        """Let a property go and another one come that has its values."""
        api, one, prop = self._field(name, field, account)
        if new_name in one.properties:
            raise ValueError(f"{one.name} already has a property '{new_name}'")
        renamed = prop.changed(name=new_name, since_ms=api.portal.now_ms())
        self._put(api, one.with_property(renamed, field))

    def retype_field(self, name: str, field: str, new_type: str, *, account: str = "main") -> None:
        """Give a property another type; values that do not fit become null."""
        api, one, prop = self._field(name, field, account)
        casts = {"number": "DOUBLE", "date": "DATE", "datetime": "TIMESTAMP", "bool": "BOOLEAN"}
        if new_type in casts and not prop.is_virtual:
            with api.portal.tables.writing() as cursor:
                cursor.execute(
                    f'UPDATE "{one.table}" SET "{prop.column}" = NULL '
                    f'WHERE TRY_CAST("{prop.column}" AS {casts[new_type]}) IS NULL'
                )
        plain = Property(prop.name, new_type)
        changed = prop.changed(type=new_type, field_type=plain.field_type, options=plain.options)
        self._put(api, one.with_property(changed, field))

    def relabel_field(self, name: str, field: str, label: str, *, account: str = "main") -> None:
        """Give a property another label, which is what users call renaming."""
        api, one, prop = self._field(name, field, account)
        self._put(api, one.with_property(prop.changed(label=label), field))

    def hide_field(
        self, name: str, field: str, *, hidden: bool = True, account: str = "main"
    ) -> None:
        """Take a property away from the token, or give it back."""
        api, one, prop = self._field(name, field, account)
        self._put(api, one.with_property(prop.changed(hides=hidden), field))

    def add_field(
        self,
        name: str,
        field: str,
        kind: str = "string",
        value: Any = None,
        *,
        sensitivity: str = "non_sensitive",
        account: str = "main",
    ) -> None:
        """Add a property that has one value in every record."""
        if sensitivity not in SENSITIVITIES:
            raise ValueError(
                f"unknown sensitivity '{sensitivity}'; known: {', '.join(SENSITIVITIES)}"
            )
        api = self.api(account)
        one = api.portal.catalog.known(name)
        if field in one.properties:
            raise ValueError(f"{one.name} already has a property '{field}'")
        group = f"{one.singular}information"
        made = Property(
            field,
            kind,
            group=group,
            custom=True,
            since_ms=api.portal.now_ms(),
            sensitivity=sensitivity,
        )
        with api.portal.tables.writing() as cursor:
            api.properties.add(one, made)
            cursor.execute(f'UPDATE "{one.table}" SET "{field}" = ?', [text_of(value)])
        api.index.forget(one)

    def hide_object(self, name: str, *, hidden: bool = True, account: str = "main") -> None:
        """Take the scopes of an object type away from every token, or give them back."""
        api = self.api(account)
        one = api.portal.catalog.known(name)
        self._put(api, ObjectType(**(vars(one) | {"hidden": hidden})))

    def fields(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return name, label and type of each visible property."""
        one = self.api(account).portal.catalog.known(name)
        return [{"name": p.name, "label": p.label, "type": p.type} for p in one.visible]

    def _field(self, name: str, field: str, account: str) -> tuple[PortalApi, ObjectType, Property]:
        api = self.api(account)
        one = api.portal.catalog.known(name)
        if field not in one.properties:
            raise ValueError(f"unknown property '{field}' of {one.name}")
        return api, one, one.properties[field]

    def _put(self, api: PortalApi, one: ObjectType) -> None:
        api.portal.catalog.put(one)
        api.portal.tables.bump()
