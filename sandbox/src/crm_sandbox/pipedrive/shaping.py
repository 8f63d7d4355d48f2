"""Changes of what a company's objects look like: custom fields and their options.

Used by the API and behind its back. A key stays when a name changes, and a field that goes takes its
values along.
"""

from collections.abc import Sequence
from dataclasses import replace

from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.custom_fields import TYPES, CustomField, Option
from crm_sandbox.pipedrive.schema import Entity


def field_of(company: Company, entity: Entity, key: str) -> CustomField:
    """Return a custom field by key or name.

    Raises:
        ValueError: there is none.
    """
    one = company.field(entity.name, key)
    if one is None:
        known = ", ".join(field.name for field in company.custom.get(entity.name, []))
        raise ValueError(f"'{key}' is no custom field of {entity.name}; known: {known}")
    return one


def _tables(entity: Entity) -> tuple[str, ...]:
    """Return the tables that carry an object's custom fields: leads inherit those of deals."""
    return ("deals", "leads") if entity.name == "deals" else (entity.name,)


def add_field(
    company: Company, entity: Entity, name: str, kind: str, labels: Sequence[str] = ()
) -> CustomField:
    """Add a custom field, empty in every record.

    Raises:
        ValueError: the type is unknown, or the object has no custom fields.
    """
    if kind not in TYPES:
        raise ValueError(f"unknown type '{kind}'; known: {', '.join(TYPES)}")
    if entity.name not in company.custom:
        raise ValueError(f"{entity.name} have no custom fields")
    with company.tables.writing() as cursor:
        one = company.add_custom(entity.name, name, kind, tuple(labels))
        for table in _tables(entity):
            cursor.execute(f'ALTER TABLE "{table}" ADD COLUMN "{one.code}" {one.column}')
    return one


def remove_field(company: Company, entity: Entity, key: str) -> CustomField:
    """Remove a custom field with all its values."""
    one = field_of(company, entity, key)
    with company.tables.writing() as cursor:
        for table in _tables(entity):
            cursor.execute(f'ALTER TABLE "{table}" DROP COLUMN "{one.code}"')
        company.custom[entity.name].remove(one)
    return one


def rename_field(company: Company, entity: Entity, key: str, name: str) -> CustomField:
    """Give a custom field another name; its key stays."""
    one = field_of(company, entity, key)
    with company.tables.writing():
        one.name, one.updated = name, company.clock.stamp()
    return one


def retype_field(company: Company, entity: Entity, key: str, kind: str) -> CustomField:
    """Give a field another type under the same key; values that do not fit become null.

    The vendor does not offer this; a field that is removed and made anew comes close.

    Raises:
        ValueError: the type is unknown or structured.
    """
    one = field_of(company, entity, key)
    plain = {name for name, column in TYPES.items() if "STRUCT" not in column and "[" not in column}
    if kind not in plain or one.type not in plain:
        raise ValueError(f"only plain types can be changed: {', '.join(sorted(plain))}")
    with company.tables.writing() as cursor:
        for table in _tables(entity):
            cursor.execute(
                f'ALTER TABLE "{table}" ALTER COLUMN "{one.code}" TYPE {TYPES[kind]} '
                f'USING TRY_CAST("{one.code}" AS {TYPES[kind]})'
            )
        one.type, one.updated = kind, company.clock.stamp()
    return one


def add_options(company: Company, one: CustomField, labels: Sequence[str]) -> list[Option]:
    """Add options with numbers of their own."""
    with company.tables.writing():
        made = company.options(tuple(labels))
        one.options, one.updated = [*one.options, *made], company.clock.stamp()
    return made


def rename_options(company: Company, one: CustomField, labels: dict[int, str]) -> list[Option]:
    """Give options other labels; their numbers stay.

    Raises:
        KeyError: there is no such option.
    """
    known = {option.id: option for option in one.options}
    if missing := set(labels) - set(known):
        raise KeyError(f"'{one.name}' has no option {min(missing)}")
    with company.tables.writing():
        one.options = [replace(o, label=labels.get(o.id, o.label)) for o in one.options]
        one.updated = company.clock.stamp()
    return [option for option in one.options if option.id in labels]


def remove_options(
    company: Company, entity: Entity, one: CustomField, ids: Sequence[int]
) -> list[Option]:
    """Remove options; records lose them without being touched.

    Raises:
        KeyError: there is no such option.
    """
    going = [option for option in one.options if option.id in set(ids)]
    if len(going) != len(set(ids)):
        raise KeyError(f"'{one.name}' does not have all of these options")
    with company.tables.writing() as cursor:
        one.options = [option for option in one.options if option not in going]
        one.gone = [*one.gone, *going]
        one.updated = company.clock.stamp()
        column, numbers = f'"{one.code}"', [option.id for option in going]
        for table in _tables(entity):
            if one.type == "set":
                left = f"list_filter({column}, lambda one: NOT list_contains(?::INTEGER[], one))"
                sql = f'UPDATE "{table}" SET {column} = CASE WHEN len({left}) > 0 THEN {left} END'
                cursor.execute(sql, [numbers, numbers])
            else:
                gone = f"list_contains(?::INTEGER[], {column})"
                cursor.execute(f'UPDATE "{table}" SET {column} = NULL WHERE {gone}', [numbers])
    return going
