"""Deals and their products."""

from crm_sandbox.pipedrive.objects.columns import (
    HISTORY,
    MERGED_INTO,
    OWNER,
    VISIBLE_TO,
    activities_of,
    counted,
    person_card,
    picked,
    v1_stamps,
)
from crm_sandbox.pipedrive.schema import INSTANT_V1, Column, Entity

_LABELS = ((51, "Renewal"), (52, "Upsell"), (53, "Strategic"))
_REASONS = ("Price", "No budget", "Chose a competitor", "No answer", "Termin verpasst")
# The marketing channels that the company has set up.
CHANNELS = ((52, "Web visitors"), (53, "Trade fair"), (54, "Empfehlung"))
_LOCAL = "timezone($zone, timezone('UTC', closed_at::TIMESTAMP))::DATE"
_DEAL_SORTS = ("id", "update_time", "add_time")

DEALS = Entity(
    "deals",
    "deal",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("title", "varchar", "title", "Title", writable=True),
        Column(
            "creator_user_id",
            "user",
            "CASE WHEN r2 % 3 = 0 THEN $admin ELSE owner_id END",
            "Creator",
        ),
        OWNER,
        Column("person_id", "people", "person_id", "Contact person", writable=True),
        Column("org_id", "org", "org_id", "Organization", writable=True),
        Column("stage_id", "stage", "stage_id", "Stage", writable=True),
        Column("pipeline_id", "int", "pipeline_id", "Pipeline", writable=True),
        Column("value", "money", "amount::DOUBLE", "Value", writable=True),
        Column("currency", "varchar", "currency", "Currency", writable=True),
        *HISTORY,
        MERGED_INTO,
        Column("stage_change_time", "instant", "stage_changed", "Last stage change"),
        Column("status", "status", "status", "Status", writable=True),
        Column(
            "is_archived", "boolean", "archived_at IS NOT NULL", "Archive status", writable=True
        ),
        Column("archive_time", "instant", "archived_at", writable=True),
        Column(
            "probability",
            "int",
            "CASE WHEN r3 % 6 = 0 THEN probability END",
            "Probability",
            writable=True,
        ),
        Column(
            "lost_reason",
            "varchar",
            f"CASE WHEN status = 'lost' THEN {picked(_REASONS, 'r4')} END",
            "Lost reason",
            writable=True,
        ),
        VISIBLE_TO,
        Column("close_time", "instant", "closed_at", "Deal closed on", writable=True),
        Column(
            "won_time",
            "instant",
            "CASE WHEN status = 'won' THEN closed_at END",
            "Won time",
            writable=True,
        ),
        Column(
            "lost_time",
            "instant",
            "CASE WHEN status = 'lost' THEN closed_at END",
            "Lost time",
            writable=True,
        ),
        # Days of the company's zone, where those above are moments.
        Column("local_won_date", "date", f"CASE WHEN status = 'won' THEN {_LOCAL} END"),
        Column("local_lost_date", "date", f"CASE WHEN status = 'lost' THEN {_LOCAL} END"),
        Column("local_close_date", "date", _LOCAL),
        Column(
            "expected_close_date", "date", "close_at::DATE", "Expected close date", writable=True
        ),
        Column(
            "label_ids",
            "labels",
            "CASE WHEN r2 % 4 = 0 THEN [51 + r2 % 3] ELSE [] END",
            "Labels",
            writable=True,
            options=_LABELS,
        ),
        Column(
            "origin", "varchar", picked(("ManuallyCreated", "API", "Import"), "r5"), "Source origin"
        ),
        Column("origin_id", "varchar", "NULL", "Source origin ID"),
        Column(
            "channel",
            "enum",
            "CASE WHEN r6 % 4 > 0 THEN 51 + r6 % 4 END",
            "Source channel",
            options=CHANNELS,
        ),
        Column("channel_id", "varchar", "NULL", "Source channel ID"),
        Column("source_lead_id", "uuid", "NULL", "Source lead"),
        Column("arr", "double", "NULL", "ARR"),
        Column("mrr", "double", "NULL", "MRR"),
        Column("acv", "double", "NULL", "ACV"),
        *activities_of("deal_id"),
        Column(
            "first_won_time",
            "instant",
            computed="strftime(r.won_time, '%Y-%m-%dT%H:%M:%SZ')",
            shown="asked",
        ),
        counted("products_count", "SELECT count(*) FROM deal_products q WHERE q.deal_id = r.id"),
        counted("files_count"),
        counted(
            "notes_count", "SELECT count(*) FROM notes n WHERE n.deal_id = r.id AND n.active_flag"
        ),
        counted("followers_count"),
        counted("email_messages_count"),
        # Whether the contact counts is not documented; in the vendor's example it does.
        counted(
            "participants_count",
            "SELECT count(DISTINCT person) FROM (SELECT q.person_id AS person FROM participants q "
            "WHERE q.deal_id = r.id UNION ALL SELECT r.person_id) WHERE person IS NOT NULL",
        ),
        Column("last_incoming_mail_time", "instant", computed="NULL::VARCHAR", shown="asked"),
        Column("last_outgoing_mail_time", "instant", computed="NULL::VARCHAR", shown="asked"),
        Column("smart_bcc_email", "varchar", computed="NULL::VARCHAR", shown="asked"),
    ),
    fields_path="dealFields",
    filters={key: key for key in ("owner_id", "person_id", "org_id", "pipeline_id", "stage_id")},
    sorts=_DEAL_SORTS,
    asks=("status",),
    missing="Deal not found",
    v1=(
        ("id", "r.id"),
        ("creator_user_id", person_card("u")),
        ("user_id", person_card("u")),
        (
            "person_id",
            (
                "CASE WHEN p.id IS NOT NULL THEN {'active_flag': NOT p.is_deleted, 'name': p.name, "
                "'email': p.emails, 'phone': p.phones, 'owner_id': p.owner_id, 'value': p.id} END"
            ),
        ),
        (
            "org_id",
            (
                "CASE WHEN o.id IS NOT NULL THEN {'name': o.name, 'people_count': 0, "
                "'owner_id': o.owner_id, 'address': o.address.value, 'active_flag': NOT o.is_deleted, "
                "'cc_email': NULL::VARCHAR, 'value': o.id} END"
            ),
        ),
        *((key, f"r.{key}") for key in ("stage_id", "title", "value", "currency")),
        *v1_stamps(),
        ("stage_change_time", INSTANT_V1.format("r.stage_change_time")),
        ("active", "r.status = 'open' AND NOT r.is_deleted"),
        ("deleted", "r.is_deleted"),
        *((key, f"r.{key}") for key in ("is_archived", "status", "probability", "lost_reason")),
        ("visible_to", "r.visible_to::VARCHAR"),
        ("pipeline_id", "r.pipeline_id"),
        *((key, INSTANT_V1.format(f"r.{key}")) for key in ("close_time", "won_time", "lost_time")),
        ("expected_close_date", "r.expected_close_date"),
        ("label", "array_to_string(r.label_ids, ',')"),
        ("person_name", "p.name"),
        ("org_name", "o.name"),
        ("owner_name", "u.name"),
        ("formatted_value", "r.currency || ' ' || r.value"),
        ("weighted_value", "r.value * coalesce(r.probability, 100) / 100"),
        ("weighted_value_currency", "r.currency"),
        ("origin", "r.origin"),
    ),
    v1_from=(
        "LEFT JOIN users u ON u.id = r.owner_id LEFT JOIN organizations o ON o.id = r.org_id "
        "LEFT JOIN persons p ON p.id = r.person_id"
    ),
)

DEAL_PRODUCTS = Entity(
    "deal_products",
    "deal_product",
    (
        Column("id", "int", "i + 1"),
        Column("deal_id", "ref", "deal_id"),
        Column("product_id", "ref", "product_id", writable=True),
        Column("product_variation_id", "ref", "NULL", writable=True),
        Column("name", "varchar", "name"),
        Column("order_nr", "int", "position"),
        Column("quantity", "double", "quantity::DOUBLE", writable=True),
        Column("item_price", "double", "round(total / quantity, 2)", writable=True),
        Column("discount", "double", "0.0", writable=True),
        Column("discount_type", "choice", "'percentage'", writable=True),
        Column("tax", "double", "0.0", writable=True),
        Column("tax_method", "choice", "'none'", writable=True),
        Column("sum", "double", "total::DOUBLE"),
        Column("currency", "varchar", "currency"),
        Column(
            "comments",
            "text",
            "CASE WHEN r1 % 9 = 0 THEN 'As discussed' ELSE '' END",
            writable=True,
        ),
        Column("is_enabled", "boolean", "true", writable=True),
        Column("billing_frequency", "choice", "'one-time'", writable=True),
        Column("billing_frequency_cycles", "int", "NULL", writable=True),
        Column("billing_start_date", "date", "NULL", writable=True),
        Column("add_time", "instant", "created"),
        Column("update_time", "instant", "touched"),
    ),
    sorts=("id", "deal_id", "add_time", "update_time", "order_nr"),
    period=(),
    created=201,
)
