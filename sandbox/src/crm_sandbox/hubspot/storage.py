"""Names and columns of a portal's tables: one for each object type, its history, each pair of types.

Every table is in the order of ids, so that a page touches little of it.
"""

from collections.abc import Sequence

from crm_sandbox.hubspot.schema import ObjectType

FIRST_ID = 12_000_000_001
STEP = 7
SYSTEM = {
    "_id": "BIGINT",
    "_created": "BIGINT",
    "_updated": "BIGINT",
    "_archived": "BOOLEAN",
    "_archived_at": "BIGINT",
}
HISTORY = {
    "id": "BIGINT",
    "property": "VARCHAR",
    "value": "VARCHAR",
    "at": "BIGINT",
    "source": "VARCHAR",
    "source_id": "VARCHAR",
    "user_id": "BIGINT",
}
LINK = {"from_id": "BIGINT", "to_id": "BIGINT", "type_id": "INTEGER"}
LISTS, MEMBERS = "lists", "list members"
LIST = {
    "list_id": "BIGINT",
    "name": "VARCHAR",
    "object": "VARCHAR",
    "processing": "VARCHAR",
    "created": "BIGINT",
    "updated": "BIGINT",
    "added": "BIGINT",
    "removed": "BIGINT",
}
MEMBER = {"list_id": "BIGINT", "record_id": "BIGINT", "at": "BIGINT"}
# What an old id leads to after a merge, and ids that no API shows any more.
MERGED = {"object": "VARCHAR", "old_id": "BIGINT", "new_id": "BIGINT", "at": "BIGINT"}


def history_of(name: str) -> str:
    """Return the table with the earlier values of an object type."""
    return f"history:{name}"


def links_of(from_type: str, to_type: str) -> str:
    """Return the table with the links between two object types in one direction."""
    return f"link:{from_type}:{to_type}"


def create(name: str, columns: dict[str, str]) -> str:
    """Return SQL that makes an empty table."""
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    return f'CREATE TABLE IF NOT EXISTS "{name}" ({listed})'


def create_object(one: ObjectType) -> str:
    """Return SQL that makes the empty table of an object type."""
    return create(one.table, SYSTEM | {p.column: "VARCHAR" for p in one.stored})


def columns_of(properties: Sequence[str]) -> str:
    """Return names as quoted columns."""
    return ", ".join(f'"{name}"' for name in properties)
