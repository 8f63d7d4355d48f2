"""Every table of the common model by name, and the tables of custom objects."""

import re
from collections.abc import Iterable, Mapping

from crm_pipeline.model.engagement_tables import (
    ACTIVITIES,
    ASSOCIATIONS,
    CAMPAIGN_MEMBERS,
    CAMPAIGNS,
    TICKETS,
)
from crm_pipeline.model.people_tables import COMPANIES, CONTACTS, LEADS, USERS
from crm_pipeline.model.sales_tables import (
    DEAL_LINE_ITEMS,
    DEAL_STAGE_HISTORY,
    DEALS,
    EXCHANGE_RATES,
    PIPELINES,
    PRODUCTS,
    STAGES,
)
from crm_pipeline.model.schema import Field
from crm_pipeline.model.table import INSTANT, MONEY, TAIL, Column, Table

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        CONTACTS,
        COMPANIES,
        DEALS,
        DEAL_STAGE_HISTORY,
        DEAL_LINE_ITEMS,
        PRODUCTS,
        LEADS,
        ACTIVITIES,
        CAMPAIGNS,
        CAMPAIGN_MEMBERS,
        TICKETS,
        USERS,
        PIPELINES,
        STAGES,
        ASSOCIATIONS,
        EXCHANGE_RATES,
    )
}
DELETED_SUFFIX = "_deleted"
_COLUMN_TYPES = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "decimal": MONEY,
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": INSTANT,
}


def normalized_name(connection: str, table: str) -> str:
    """Return the name under which the store keeps a normalized table of a connection."""
    return f"normalized/{connection}/{table}"


def snake(api_name: str) -> str:
    """Return a vendor's name in lower snake case: `Invoice_Line__c` -> `invoice_line`."""
    name = re.sub(r"__[a-z]{1,4}$", "", api_name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    return f"_{name}" if not name or name[0].isdigit() else name


def custom_table_name(obj: str, objects: Iterable[str] = ()) -> str:
    """Return the table of an object that no mapping knows.

    The plain name yields to a common table and to another object with the same plain name.
    """
    plain = snake(obj)
    others = {snake(other) for other in objects if other != obj}
    reserved = set(TABLES) | {f"{name}{DELETED_SUFFIX}" for name in TABLES}
    is_taken = plain in reserved or plain.endswith(DELETED_SUFFIX) or plain in others
    if not is_taken:
        return plain
    marked = "_".join(part for part in re.split(r"[^A-Za-z0-9]+", obj.lower()) if part)
    return f"{marked}_object" if marked in reserved or marked == plain else marked


def view_name(obj: str, objects: Iterable[str] = ()) -> str:
    """Return the name of the view that shows an object field by field."""
    plain = snake(obj)
    if plain not in {snake(other) for other in objects if other != obj}:
        return plain
    return "_".join(part for part in re.split(r"[^A-Za-z0-9]+", obj.lower()) if part)


def custom_table(name: str, label: str, fields: Mapping[str, Field]) -> Table:
    """Return the table of a custom object: one typed column per entry of `fields`.

    `fields` says which field feeds a column; references get a key column as well.
    """
    body: list[Column] = []
    for column, field in fields.items():
        body.append(Column(column, column_type(field), f"{field.label} ({field.name})."))
        if column.endswith("_source_id"):
            key = f"{column.removesuffix('_source_id')}_key"
            body.append(Column(key, "VARCHAR", f"Our key of {field.label} ({field.name})."))
    described = f"{label}, a custom object: one row per record."
    return Table(name, name, described, tuple(body), is_common=False)


def custom_columns(
    table: str, fields: Iterable[Field], names: Mapping[str, str] | None = None
) -> dict[str, Field]:
    """Name a column for each field of a custom object; names that clash keep their API spelling.

    `names` holds the columns that somebody asked for, by field.
    """
    asked = names or {}
    taken = {"connection", "object", "source_id", f"{table}_key", *(c.name for c in TAIL)}
    named: dict[str, Field] = {}
    for field in sorted(fields, key=lambda field: field.name not in asked):
        plain = snake(field.name)
        marked = re.sub(r"[^a-z0-9]+", "_", field.name.lower()).strip("_")
        choices = [plain, marked, *(f"{plain}_{n}" for n in range(2, 1000))]
        if len(field.reference_to) == 1:
            choices = [f"{choice.removesuffix('_id')}_source_id" for choice in choices]
        wanted = [asked[field.name]] if field.name in asked else []
        name = next(choice for choice in [*wanted, *choices] if choice not in taken)
        taken |= {name, f"{name.removesuffix('_source_id')}_key"}
        named[name] = field
    return named


def column_type(field: Field) -> str:
    """Return the DuckDB type that values of a source field are cast to."""
    if field.common_type == "decimal" and field.scale > 6:
        return f"DECIMAL(38,{min(field.scale, 18)})"
    return _COLUMN_TYPES.get(field.common_type, "VARCHAR")
