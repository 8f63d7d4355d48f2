"""Change what an org's modules look like, as its administrators do."""

from dataclasses import replace
from typing import Any

from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Field, Module, label_of
from crm_sandbox.zoho.values import stored_value


class SchemaChanges:
    """Every way to change the set-up of the orgs."""

    def org(self, account: str) -> Org:
        """Return the org of an account."""
        raise NotImplementedError

    def rename_field(self, name: str, field: str, new_name: str, *, account: str = "main") -> None:
        """Give a field another API name; its values stay."""
        module, one = self._field(name, field, account)
        if any(other.name.lower() == new_name.lower() for other in module.fields):
            raise ValueError(f"{module.name} already has a field '{new_name}'")
        renamed = one.changed(name=new_name, label=label_of(new_name))
        self.org(account).change_field(module, renamed)

    def relabel_field(self, name: str, field: str, label: str, *, account: str = "main") -> None:
        """Give a field another label, which is what users call renaming; the API name stays."""
        module, one = self._field(name, field, account)
        self.org(account).change_field(module, one.changed(label=label))

    def retype_field(self, name: str, field: str, new_type: str, *, account: str = "main") -> None:
        """Give a field another type; values that do not fit become null."""
        module, one = self._field(name, field, account)
        changed = one.changed(type=new_type, length=one.length or 255, target="", values=())
        tables = self.org(account).tables
        with tables.writing() as cursor:
            cursor.execute(
                f'ALTER TABLE "{module.stored}" ALTER "{one.stored}" TYPE {changed.column_type} '
                f'USING TRY_CAST("{one.stored}" AS {changed.column_type})'
            )
        self.org(account).change_field(module, changed)

    def hide_field(
        self, name: str, field: str, *, hidden: bool = True, account: str = "main"
    ) -> None:
        """Take a field away from the integration user, or give it back."""
        module, one = self._field(name, field, account)
        self.org(account).change_field(module, one.changed(hidden=hidden))

    def restrict_field(
        self, name: str, field: str, *, restricted: bool = True, account: str = "main"
    ) -> None:
        """Let the API answer null for a field, as the privacy setting does, or end that."""
        module, one = self._field(name, field, account)
        self.org(account).change_field(module, one.changed(restricted=restricted))

    def add_choice(self, name: str, field: str, value: str, *, account: str = "main") -> None:
        """Add a value to a picklist."""
        module, one = self._field(name, field, account)
        self.org(account).change_field(module, one.changed(values=(*one.values, value)))

    def add_field(
        self,
        name: str,
        field: str,
        kind: str = "text",
        value: Any = None,
        *,
        account: str = "main",
    ) -> None:
        """Add a custom field that has one value in every row."""
        org = self.org(account)
        module = org.known(name)
        if any(one.name.lower() == field.lower() for one in module.fields):
            raise ValueError(f"{module.name} already has a field '{field}'")
        made = Field(field, kind, label=label_of(field), length=255, custom=True)
        with org.tables.writing() as cursor:
            cursor.execute(f'ALTER TABLE "{module.stored}" ADD COLUMN "{field}" {made.column_type}')
            cursor.execute(
                f'UPDATE "{module.stored}" SET "{field}" = ?', [stored_value(made, value)]
            )
        org.replace(replace(module, fields=(*module.fields, made)))

    def hide_object(self, name: str, *, hidden: bool = True, account: str = "main") -> None:
        """Take a module away from the integration user, or give it back."""
        org = self.org(account)
        org.hide(org.known(name), hidden=hidden)

    def _field(self, name: str, field: str, account: str) -> tuple[Module, Field]:
        module = self.org(account).known(name)
        for one in module.fields:
            if one.name.lower() == field.lower():
                return module, one
        raise ValueError(f"unknown field '{field}' of {module.name}")
