"""What the published file shows of the facts that `truth_*.py` derives, as an analyst's queries find it.

Names are found by joining as docs/analysts.md says; a key is shown without its connection.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from crm_pipeline_tests.meaning.facts import Row, Table


class File(Protocol):
    """A published file."""

    def query(self, sql: str, *, zone: str = "UTC") -> list[dict[str, Any]]: ...


_PEOPLE = """
LEFT JOIN crm.users o ON o.user_key = r.owner_key
LEFT JOIN crm.users c ON c.user_key = r.created_by_key
"""
_KEY = "r.object || ':' || r.source_id AS key"
_OWNED = "o.full_name AS owner, c.full_name AS created_by"


def _cut(key: str) -> str:
    return f"substr({key}, length(r.connection) + 2)"


_BINNED = " UNION ALL ".join(
    f"SELECT {key} FROM crm.{table}_deleted"
    for table, key in (
        ("contacts", "contact_key"),
        ("leads", "lead_key"),
        ("companies", "company_key"),
        ("deals", "deal_key"),
        ("tickets", "ticket_key"),
        ("campaigns", "campaign_key"),
    )
)


def _linked(key: str) -> str:
    # Zoho's lists leave out links to what is in the recycle bin, its bulk files do not.
    is_binned = f"starts_with(r.connection, 'zoho') AND {key} IN ({_BINNED})"
    return f"CASE WHEN NOT ({is_binned}) THEN {_cut(key)} END"


_ROWS: Mapping[str, str] = {
    "deals": f"""
        SELECT {_KEY}, {_OWNED}, r.* EXCLUDE (pipeline_key), r.stage_label AS stage, p.label AS pipeline,
            k.name AS company
        FROM crm.deals r {_PEOPLE}
        LEFT JOIN crm.pipelines p ON p.pipeline_key = r.pipeline_key
        LEFT JOIN crm.companies k ON k.company_key = r.company_key
    """,
    "activities": f"""
        SELECT {_KEY}, {_OWNED}, r.*, r.activity_type AS kind, r.due_on AS day, r.is_closed AS done,
            {_linked("r.who_key")} AS who, {_linked("r.what_key")} AS what, {_linked("r.deal_key")} AS deal
        FROM crm.activities r {_PEOPLE}
    """,
    "contacts": f"""
        SELECT {_KEY}, {_OWNED}, r.*, k.name AS company
        FROM crm.contacts r {_PEOPLE} LEFT JOIN crm.companies k ON k.company_key = r.company_key
    """,
    "leads": f"""
        SELECT {_KEY}, {_OWNED}, r.* EXCLUDE (status), coalesce(r.status_label, r.status) AS status,
            p.label AS pipeline, {_cut("r.contact_key")} AS contact,
            {_cut("r.converted_contact_key")} AS converted_contact
        FROM crm.leads r {_PEOPLE} LEFT JOIN crm.pipelines p ON p.pipeline_key = r.pipeline_key
    """,
    "users": f"SELECT {_KEY}, r.* REPLACE (list_sort(r.teams) AS teams) FROM crm.users r",
    "products": f"SELECT {_KEY}, r.* FROM crm.products r",
    "exchange_rates": f"SELECT {_KEY}, r.* FROM crm.exchange_rates r",
    "deal_activity": f"""
        SELECT {_cut("r.deal_key")} AS key, min(r.due_on) AS first_on, max(r.due_on) AS last_on,
            count(*) AS activities
        FROM crm.activities r WHERE r.deal_key IS NOT NULL AND r.due_on IS NOT NULL
            AND r.connection = '{{connection}}'
            AND (NOT starts_with(r.connection, 'zoho') OR r.deal_key IN (SELECT deal_key FROM crm.deals))
        GROUP BY r.connection, r.deal_key
    """,
    "stage_stays": f"""
        SELECT {_cut("r.deal_key")} || '#' || row_number() OVER (
                PARTITION BY r.deal_key ORDER BY entered_at, left_at NULLS LAST) AS key, r.*
        FROM (
            SELECT DISTINCT connection, deal_key, stage_label AS stage, entered_at, left_at
            FROM crm.deal_stage_history WHERE deal_key IN (SELECT deal_key FROM crm.deals)
        ) r
    """,
    "connections": "SELECT r.connection AS key, r.time_zone, r.currency FROM ops.connections r",
    "merges": f"""
        SELECT {_cut("r.old_key")} AS key, {_cut("r.new_key")} AS new FROM crm.merges r
    """,
}
_BRIDGES = {
    "deal_contacts": ("deals", "contacts", "deal", "contact"),
    "deal_companies": ("deals", "companies", "deal", "company"),
    "contact_companies": ("contacts", "companies", "contact", "company"),
}
_LIVE = ("companies", "contacts", "leads", "deals", "tickets", "products", "activities")


def shown(file: File, connection: str, table: str, expected: Table, *, zone: str = "UTC") -> Table:
    """Return the rows of a table of facts; a key that is there twice is shown with its number.

    Args:
        file: where they are.
        connection: whose.
        table: by its name in `truth_*.py`.
        expected: says for which moments stages are asked.
        zone: of the session.
    """
    if table in {"merges", "connections"} and not _has(file, table):
        return {}
    if table == "stage_on_day":
        return _on_days(file, connection, {key.partition("@")[2] for key in expected}, zone)
    if table == "gone":
        union = " UNION ALL ".join(
            f"SELECT connection, object || ':' || source_id AS key, true AS is_live FROM crm.{name}"
            for name in _LIVE
        )
        return _keyed(file.query(f"FROM ({union}) WHERE connection = '{connection}'", zone=zone))
    sql = _bridge(file, table) if table in _BRIDGES else _ROWS[table]
    if "{connection}" in sql:
        sql = sql.format(connection=connection)
    else:
        sql = f"{sql} WHERE r.connection = '{connection}'"
    return _keyed(file.query(sql, zone=zone))


def _has(file: File, table: str) -> bool:
    return bool(file.query(f"SELECT 1 FROM information_schema.tables WHERE table_name = '{table}'"))


def _bridge(file: File, table: str) -> str:
    """Read the bridge; a file without it has the links in `associations`, one row a label."""
    one, other, left, right = _BRIDGES[table]
    if _has(file, table):
        pair = f"{_cut(f'r.{left}_key')} || '|' || {_cut(f'r.{right}_key')} AS key"
        return f"SELECT {pair}, list_sort(r.roles) AS roles, r.is_primary FROM crm.{table} r"
    return f"""
        SELECT {_cut("r.from_key")} || '|' || {_cut("r.to_key")} AS key, list_sort(r.roles) AS roles,
            r.is_primary
        FROM (
            SELECT connection, from_key, to_key, bool_or(is_primary) AS is_primary,
                coalesce(list(DISTINCT role) FILTER (WHERE role IS NOT NULL), []) AS roles
            FROM crm.associations WHERE from_table = '{one}' AND to_table = '{other}' GROUP BY ALL
        ) r
    """


def _on_days(file: File, connection: str, ends: Iterable[str], zone: str) -> Table:
    """Return the stages of deals at some moments, by the stays in the file."""
    found: Table = {}
    for end in sorted(ends):
        sql = f"""
            SELECT {_cut("r.deal_key")} || '@{end}' AS key, r.stage_label AS stage
            FROM (SELECT DISTINCT connection, deal_key, stage_label, entered_at, left_at
                FROM crm.deal_stage_history WHERE deal_key IN (SELECT deal_key FROM crm.deals)) r
            WHERE r.connection = '{connection}' AND r.entered_at < '{end}'::TIMESTAMPTZ
                AND (r.left_at IS NULL OR r.left_at >= '{end}'::TIMESTAMPTZ)
        """
        found |= _keyed(file.query(sql, zone=zone))
    return found


def _keyed(rows: list[Row]) -> Table:
    found: Table = {}
    for row in rows:
        key = str(row["key"])
        again = 2
        while key in found:
            key, again = f"{row['key']} (again, {again})", again + 1
        found[key] = row
    return found


def plain(value: Any) -> Any:
    """Return a value in the form in which expected and shown values are compared."""
    match value:
        case "" | None:
            return None
        case bool():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case int() | float() | Decimal():
            return format(round(Decimal(str(value)), 6).normalize(), "f")
        case list() | tuple():
            return [plain(one) for one in value] or None
        case _:
            return str(value)
