"""SQL that makes the values of properties out of staged columns, and how definitions are put together."""

from collections.abc import Iterable, Sequence
from typing import Any

from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.instants import iso_sql
from crm_sandbox.hubspot.schema import ObjectType, Property, system_properties

Options = tuple[tuple[str, str], ...]
DAY_MS = 86_400_000


def quote(text: str) -> str:
    """Return a SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def pick(column: str, values: Sequence[str | None]) -> str:
    """Return SQL that picks one of some texts by a random number."""
    listed = ", ".join("NULL" if one is None else quote(one) for one in values)
    return f"([{listed}])[({column} % {len(values)} + 1)::INTEGER]"


def choose(column: str, options: Options, *, empty: int = 0) -> str:
    """Return SQL that picks the value of an option; so many more draws leave it empty."""
    return pick(column, [value for value, _ in options] + [None] * empty)


def rarely(column: str, one_in: int, value: str) -> str:
    """Return SQL that gives a value to one row in so many."""
    return f"CASE WHEN {column} % {one_in} = 0 THEN {value} END"


def money(column: str) -> str:
    """Return SQL that writes an amount without needless digits, as the vendor does."""
    return f"regexp_replace(({column})::VARCHAR, '\\.0$', '')"


def day(column: str, shift: str = "0") -> str:
    """Return SQL that writes the day of a column of milliseconds, shifted by days."""
    return f"strftime(epoch_ms({column} + ({shift})::BIGINT * {DAY_MS}), '%Y-%m-%d')"


def instant(column: str) -> str:
    """Return SQL that writes a column of milliseconds."""
    return iso_sql(column)


def options(*pairs: str) -> Options:
    """Return options from `value=Label` texts."""
    split = [pair.partition("=") for pair in pairs]
    return tuple((value, label or value) for value, _, label in split)


def own(portal: PortalFacts, main: str, second: str) -> str:
    """Return the internal name that a portal gave to a property of its own."""
    return main if portal.name == "main" else second


def made(name: str, type_: str, sql: str, **more: Any) -> Property:
    """Return a property that the portal made itself."""
    return Property(name, type_, sql, custom=True, **more)


def object_type(
    id_: str,
    name: str,
    singular: str,
    properties: Iterable[Property],
    defaults: str,
    **more: Any,
) -> ObjectType:
    """Return an object type; its properties get the group that carries its name."""
    modified = more.get("modified", "hs_lastmodifieddate")
    group = f"{singular}information"
    listed = [*system_properties(modified), *properties]
    named = {one.name: one if one.group else one.changed(group=group) for one in listed}
    searched = tuple(more.pop("searched", "").split())
    return ObjectType(
        id_,
        name,
        singular,
        properties=named,
        defaults=tuple(defaults.split()),
        searched=searched,
        label=more.pop("label", "") or singular.replace("_", " ").capitalize(),
        **more,
    )


OWNER = Property("hubspot_owner_id", "enumeration", "owner_id", more={"externalOptions": True})
CREATED_BY = Property("hs_created_by_user_id", "number", "user_id", read_only=True)
UPDATED_BY = Property("hs_updated_by_user_id", "number", "user_id", read_only=True)
MERGED = Property("hs_merged_object_ids", "enumeration", "merged_ids", "checkbox", read_only=True)
SOURCE = Property("hs_object_source", "string", pick("r1", ["CRM_UI", "IMPORT", "INTEGRATION"]))
EVERYWHERE = (OWNER, CREATED_BY, UPDATED_BY, MERGED, SOURCE)
