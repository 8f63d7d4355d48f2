"""Columns that the vendors fill, or the file, and that are not there yet: passed over until they are.

The one place to strike them out. A test fails for each entry that the file answers rightly already.
"""

from collections.abc import Iterable, Iterator, Mapping

_HUBSPOT = ("hubspot_demo", "hubspot_partner")
_BY_TABLE: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("salesforce_demo",): {
        "deals": "amount_main closed_at created_by lost_reason",
        "activities": "created_by day",
        "deal_activity": "first_on last_on",
        "contacts": "created_by email_bounced",
        "leads": "created_by email_bounced",
        "products": "price",
        "merges": "(rows)",
        "deal_contacts": "(rows)",
    },
    ("salesforce_demo", *_HUBSPOT, "pipedrive_demo", "zoho_demo", "zoho_other"): {
        "connections": "(rows)"
    },
    _HUBSPOT: {
        "deals": "amount_main close_date closed_at created_by last_activity_at lost_reason owner",
        "activities": "created_by day email_direction owner",
        "deal_activity": "first_on last_on",
        "contacts": "created_by email email_bounced email_opt_out full_name last_activity_at "
        "last_activity_on lifecycle_stage owner",
        "leads": "created_by owner pipeline status",
        "users": "(rows) full_name teams",
        "contact_companies": "(rows)",
        "products": "price",
        "merges": "(rows)",
    },
    ("hubspot_demo",): {"deals": "last_activity_on"},
    ("pipedrive_demo",): {
        "deals": "amount_main close_date closed_at created_by is_archived lost_reason",
        "stage_stays": "(rows)",
        "stage_on_day": "(rows)",
        "activities": "created_by day ends_at starts_at",
        "leads": "amount created_by currency is_archived",
        "products": "currency price",
        "deal_contacts": "(rows)",
    },
    ("zoho_demo", "zoho_other"): {
        "deals": "amount_main closed_at created_by is_closed is_won last_activity_at lost_reason",
        "stage_stays": "entered_at left_at",
        "stage_on_day": "(rows) stage",
        "activities": "created_by",
        "contacts": "created_by last_activity_at",
        "leads": "converted_at created_by last_activity_at",
        "users": "role",
        "products": "price",
        "deal_contacts": "(rows)",
    },
}


def _listed() -> Iterator[tuple[str, str, str]]:
    for connections, tables in _BY_TABLE.items():
        for connection in connections:
            for table, columns in tables.items():
                yield from ((connection, table, column) for column in columns.split())


PENDING: frozenset[tuple[str, str, str]] = frozenset(_listed())


def pending(connection: str, table: str) -> Iterable[str]:
    """Return the columns of a table that are passed over."""
    return {column for one, other, column in PENDING if (one, other) == (connection, table)}
