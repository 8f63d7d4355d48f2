"""Every table of the common model by name, and the tables of custom objects."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import chain, count

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.engagement_tables import (
    ACTIVITIES,
    ASSOCIATIONS,
    CAMPAIGN_MEMBERS,
    CAMPAIGNS,
    LIST_MEMBERS,
    LISTS,
    MERGES,
    TICKETS,
)
from crm_pipeline.model.names import Taken, shown
from crm_pipeline.model.people_tables import COMPANIES, CONTACTS, LEADS, USERS
from crm_pipeline.model.sales_tables import (
    DEAL_LINE_ITEMS,
    DEAL_STAGE_HISTORY,
    DEALS,
    EXCHANGE_RATES,
    PIPELINES,
    PRODUCT_PRICES,
    PRODUCTS,
    STAGES,
)
from crm_pipeline.model.schema import Field
from crm_pipeline.model.stages import STAGE_TABLES
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
        PRODUCT_PRICES,
        LEADS,
        ACTIVITIES,
        CAMPAIGNS,
        CAMPAIGN_MEMBERS,
        LISTS,
        LIST_MEMBERS,
        TICKETS,
        USERS,
        PIPELINES,
        STAGES,
        ASSOCIATIONS,
        MERGES,
        EXCHANGE_RATES,
    )
}
DELETED_SUFFIX = "_deleted"
DERIVED: Mapping[str, tuple[str, ...]] = {
    "deal_contacts": ("deals", "contacts", "associations", "merges"),
    "deal_companies": ("deals", "companies", "associations", "merges"),
    "contact_companies": ("contacts", "companies", "associations", "merges"),
    "activity_contacts": ("activities", "contacts", "associations", "merges"),
    # Records of any object may be merged.
    "merges": tuple(name for name in TABLES if name != "merges"),
}
"""Tables of schema crm that are derived from others when they are published, each with its sources."""
CONTACTABLE = "contactable"
CONTACTS_ENRICHED = "contacts_enriched"
"""The view of schema crm that lists whom one may write to."""
NOT_OF_OBJECTS = frozenset({*DERIVED, *STAGE_TABLES, CONTACTABLE, CONTACTS_ENRICHED})
"""Names in schema crm beside those of the common model that no table of an object may have."""
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


# Definitions and builds ask for the same few hundred names again and again.
@lru_cache(maxsize=16_384)
def snake(api_name: str) -> str:
    """Return a vendor's name in lower snake case: `Invoice_Line__c` -> `invoice_line`."""
    name = re.sub(r"__[a-z]{1,4}$", "", api_name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    return f"_{name}" if not name or name[0].isdigit() else name


def custom_table_name(obj: str, objects: Iterable[str] = ()) -> str:
    """Return the name of the table of an object without a mapping.

    A name that a common table or another object would have as well gets a mark.
    """
    return _distinct(obj, tuple(objects), _table_name)


def view_name(obj: str, objects: Iterable[str] = ()) -> str:
    """Return the name of the view that shows an object field by field."""
    return _distinct(obj, tuple(objects), _view_name)


def _table_name(obj: str, others: Iterable[str]) -> str:
    plain = snake(obj)
    reserved = _reserved()
    is_taken = plain in reserved or plain.endswith(DELETED_SUFFIX) or plain in map(snake, others)
    if not is_taken:
        return plain
    marked = _marked(obj)
    return f"{marked}_object" if marked in reserved or marked == plain else marked


@cache
def _reserved() -> frozenset[str]:
    """Return the names that no table of an object may have."""
    return frozenset({*TABLES, *NOT_OF_OBJECTS} | {f"{name}{DELETED_SUFFIX}" for name in TABLES})


def _view_name(obj: str, others: Iterable[str]) -> str:
    plain = snake(obj)
    return _marked(obj) if plain in map(snake, others) else plain


def _marked(name: str) -> str:
    return "_".join(part for part in re.split(r"[^a-z0-9]+", name.lower()) if part) or "_"


@lru_cache(maxsize=4_096)
def _distinct(obj: str, objects: tuple[str, ...], name: Callable[[str, Iterable[str]], str]) -> str:
    """Return an object's name, followed by a mark where another object would get the same name."""
    all_objects = list(dict.fromkeys((*objects, obj)))

    def named(this: str) -> str:
        return name(this, [other for other in all_objects if other != this])

    plain = named(obj)
    is_shared = any(named(other) == plain for other in all_objects if other != obj)
    return f"{plain}_{fingerprint(obj)[:6]}" if is_shared else plain


def custom_table(name: str, label: str, fields: Mapping[str, Field]) -> Table:
    """Return the table of a custom object: one typed column per entry of `fields`.

    Args:
        name: the name of the table.
        label: the label of the object.
        fields: the field of each column; references get a key column as well.
    """
    body: list[Column] = []
    for column, field in fields.items():
        about = f"{shown(field.label)} ({shown(field.name)}).{_name_note(column, field, fields)}"
        body.append(Column(column, column_type(field), about))
        if column.endswith("_source_id"):
            body.append(Column(_key_of(column), "VARCHAR", f"Our key of {about}"))
    description = f"{shown(label)}, a custom object: one row per record."
    return Table(name, name, description, tuple(body), is_common=False)


def _name_note(column: str, field: Field, fields: Mapping[str, Field]) -> str:
    """Return a note on why a column does not have its field's name; "" where it has."""
    wanted = first_column(field)
    owner = fields.get(wanted)
    if owner is None or owner is field or column == wanted:
        return ""
    return f" Not called {wanted}, which is the column of {shown(owner.name)}."


def custom_columns(
    table: str,
    fields: Iterable[Field],
    names: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> dict[str, Field]:
    """Return the field of each column of a custom object; names that clash keep their API spelling.

    Args:
        table: the object's table.
        fields: the fields, in the order in which they were first seen.
        names: the columns that the mapping asks for, by field.
        owners: the field that each column, in lower case, belongs or belonged to: no other field gets it.
    """
    asked = {field: shown(column) for field, column in (names or {}).items()}
    ours = ("connection", "object", "source_id", f"{table}_key", *(c.name for c in TAIL))
    taken = Taken(ours, owners)
    named: dict[str, Field] = {}
    for field in sorted(fields, key=lambda field: field.name not in asked):
        wanted = asked.get(field.name)
        choices = _column_names(field)
        name = (
            wanted
            if wanted and not any(made in taken for made in _with_key(wanted))
            else next(c for c in choices if _are_free(_with_key(c), field.name, taken))
        )
        taken.add(name, _key_of(name))
        named[name] = field
    return named


def first_column(field: Field) -> str:
    """Return the name of a custom object's field as a column, if no other field has it."""
    return next(_column_names(field))


def _column_names(field: Field) -> Iterator[str]:
    plain = snake(field.name)
    numbered = (f"{plain}_{number}" for number in count(2))
    suffix = "_source_id" if len(field.reference_to) == 1 else ""
    for name in chain((plain, _marked(field.name)), numbered):
        yield f"{name.removesuffix('_id')}{suffix}" if suffix else name


def _with_key(column: str) -> tuple[str, ...]:
    """Return a column, with its key column if it has references."""
    return (column, _key_of(column)) if column.endswith("_source_id") else (column,)


def _are_free(columns: Iterable[str], owner: str, taken: Taken) -> bool:
    return all(taken.is_free(column, owner) for column in columns)


def owned(columns: Mapping[str, Field]) -> dict[str, str]:
    """Return the field of each column of a custom object, by the column's name in lower case."""
    return {
        name.lower(): field.name for column, field in columns.items() for name in _with_key(column)
    }


def _key_of(column: str) -> str:
    return f"{column.removesuffix('_source_id')}_key"


def column_type(field: Field) -> str:
    """Return the DuckDB type that values of a source field are cast to; ids are always text."""
    if field.is_id or field.reference_to:
        return "VARCHAR"
    if field.common_type == "decimal" and field.scale > 6:
        return f"DECIMAL(38,{min(field.scale, 18)})"
    return _COLUMN_TYPES.get(field.common_type, "VARCHAR")
