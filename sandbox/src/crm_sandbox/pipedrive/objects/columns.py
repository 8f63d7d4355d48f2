"""Columns that several objects have, and SQL that several columns are made with."""

from crm_sandbox.pipedrive.schema import INSTANT_V1, Column

ADDED = Column("add_time", "instant", "created")
# Some very old records were never stamped: https://github.com/airbytehq/airbyte/pull/59676
UPDATED = Column("update_time", "instant", "touched", "Update time")
IS_DELETED = Column("is_deleted", "boolean", "deleted", "Deleted")
DELETED_AT = Column("deleted_at", "instant", "CASE WHEN deleted THEN touched END", shown="never")
MERGED_INTO = Column("merged_into", "ref", "nullif(merged_into, -1)", shown="never")
OWNER = Column("owner_id", "user", "owner_id", "Owner", writable=True)
VISIBLE_TO = Column(
    "visible_to",
    "visible_to",
    "CASE WHEN r1 % 10 = 0 THEN 1 ELSE 3 END",
    "Visible to",
    writable=True,
    options=((1, "Item owner"), (3, "All users"), (5, "Visibility group"), (7, "Entire company")),
)
HISTORY = (ADDED, UPDATED, IS_DELETED, DELETED_AT)


def counted(name: str, sql: str = "0") -> Column:
    """Return a number that is shown when asked for."""
    return Column(name, "int", computed=f"({sql})", shown="asked")


def deals_where(condition: str) -> str:
    """Return SQL that counts living deals."""
    return f"SELECT count(*) FROM deals d WHERE NOT d.is_deleted AND {condition}"


def activities_of(column: str) -> tuple[Column, ...]:
    """Return the counters of a record's activities, and the nearest ones."""
    of = f"FROM activities a WHERE NOT a.is_deleted AND a.{column} = r.id"
    return (
        counted("next_activity_id", f"SELECT arg_min(a.id, a.due_date) {of} AND NOT a.done"),
        counted("last_activity_id", f"SELECT arg_max(a.id, a.due_date) {of} AND a.done"),
        counted("activities_count", f"SELECT count(*) {of}"),
        counted("done_activities_count", f"SELECT count(*) {of} AND a.done"),
        counted("undone_activities_count", f"SELECT count(*) {of} AND NOT a.done"),
    )


def outcomes_of(column: str, notes: str) -> tuple[Column, ...]:
    """Return what a party's deals came to, and the other counters that a request can ask for."""
    of = f"d.{column} = r.id AND d.status"
    return (
        counted("won_deals_count", deals_where(f"{of} = 'won'")),
        counted("lost_deals_count", deals_where(f"{of} = 'lost'")),
        counted("related_won_deals_count"),
        counted("related_lost_deals_count"),
        counted(
            "notes_count", f"SELECT count(*) FROM notes n WHERE n.{notes} = r.id AND n.active_flag"
        ),
        counted("followers_count"),
        Column("smart_bcc_email", "varchar", computed="NULL::VARCHAR", shown="asked"),
    )


def picked(values: tuple[str, ...], noise: str) -> str:
    """Return SQL that picks one of some values by a noise column."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}][1 + {noise} % {len(values)}]"


def person_card(alias: str, name: str = "name") -> str:
    """Return SQL for the object that v1 puts in place of a user's id."""
    return (
        f"CASE WHEN {alias}.id IS NOT NULL THEN {{'id': {alias}.id, 'name': {alias}.{name}, "
        f"'email': {alias}.email, 'has_pic': 0, 'pic_hash': NULL::VARCHAR, "
        f"'active_flag': {alias}.active_flag, 'value': {alias}.id}} END"
    )


def v1_stamps() -> tuple[tuple[str, str], ...]:
    """Return the stamps as v1 writes them."""
    return (
        ("add_time", INSTANT_V1.format("r.add_time")),
        ("update_time", INSTANT_V1.format("r.update_time")),
    )
