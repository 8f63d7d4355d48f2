"""What was bought, as analysts read it: the view `crm.contacts_enriched`, and the table `ops.enrichment`.

The view's SQL runs in the DuckDB that opens the file: it uses only what DuckDB 1.2 has.
"""

import pyarrow as pa

from crm_pipeline.model.enriched_tables import BOUGHT_ONLY, TAKEN
from crm_pipeline.model.names import literal
from crm_pipeline.model.tables import CONTACTS_ENRICHED
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.tables.engine import Engine

_ABOUT = {
    "title": "Job title",
    "department": "Department",
    "email": "E-mail address",
    "mobile_phone": "Mobile phone",
    "city": "City",
    "state": "State or region",
    "country": "Country",
}
_FACTS = ", ".join(
    f"max(value) FILTER (WHERE field = {literal(field)}) AS {field}"
    for field in dict.fromkeys((*TAKEN.values(), *BOUGHT_ONLY))
)


def _taken(column: str, field: str) -> str:
    """Return SQL for a column and where its value is from; what the CRM says is never overwritten."""
    of_crm = f"nullif(trim(c.{column}), '')"
    if column == "email":
        of_crm = f"CASE WHEN c.email_verdict IS DISTINCT FROM 'undeliverable' THEN {of_crm} END"
    bought = f"p.{'bought_' if column == field else ''}{field}"
    return (
        f"coalesce({of_crm}, {bought}) AS {column}, "
        f"CASE WHEN {of_crm} IS NOT NULL THEN 'crm' WHEN {bought} IS NOT NULL THEN p.provider END AS {column}_from"
    )


_BOUGHT = ", ".join(
    f"{field} AS bought_{field}" if field in TAKEN else field
    for field in dict.fromkeys((*TAKEN.values(), *BOUGHT_ONLY))
)
_SQL = f"""
WITH bought AS (
    SELECT asked_for, provider, bought_at, records, field, value
    FROM crm.enrichments
    WHERE kind = 'person' AND status = 'match' AND field IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY asked_for, field ORDER BY bought_at DESC, provider) = 1
),
persons AS (
    SELECT asked_for, {_BOUGHT}, provider, bought_at
    FROM (
        SELECT asked_for, {_FACTS}, arg_max(provider, bought_at) AS provider, max(bought_at) AS bought_at
        FROM bought GROUP BY asked_for
    )
),
matches AS (
    SELECT c.contact_key, p.asked_for, p.bought_at
    FROM crm.contacts AS c JOIN persons AS p ON p.asked_for = 'email:' || lower(c.email_normalized)
    UNION
    SELECT r.record_key, r.asked_for, r.bought_at
    FROM (SELECT DISTINCT asked_for, bought_at, unnest(records) AS record_key FROM bought) AS r
),
chosen AS (
    SELECT contact_key, asked_for FROM matches
    QUALIFY row_number() OVER (PARTITION BY contact_key ORDER BY bought_at DESC, asked_for) = 1
)
SELECT c.contact_key, c.connection, c.full_name, c.company_key,
    {", ".join(_taken(column, field) for column, field in TAKEN.items())},
    {", ".join(f"p.{name}" for name in BOUGHT_ONLY)}, p.bought_at
FROM crm.contacts AS c
LEFT JOIN chosen USING (contact_key)
LEFT JOIN persons AS p USING (asked_for)
"""
_COLUMNS = {
    "contact_key": "Joins contacts.",
    "connection": "Name of the connection that the record came through.",
    "full_name": "Full name, as the CRM has it.",
    "company_key": "Joins companies.",
    **{
        name: text
        for column, about in _ABOUT.items()
        for name, text in (
            (column, f"{about}: of the CRM, or bought where the CRM has none."),
            (
                f"{column}_from",
                f"Where {column} is from: crm, or the provider. NULL: there is none.",
            ),
        )
    },
    **{name: f"{about} Bought." for name, about in BOUGHT_ONLY.items()},
    "bought_at": "When the facts were bought (UTC). NULL: nothing was bought.",
}
CONTACTS_ENRICHED_VIEW = View(
    schema="crm",
    name=CONTACTS_ENRICHED,
    comment=(
        "Contacts with gaps filled by facts that were bought, one row per live contact. Beside each such column stands "
        "where its value is from; a value of the CRM is never replaced, except an address that is undeliverable."
    ),
    columns=(),
    sql=_SQL,
    more=_COLUMNS,
)

_PURCHASES = """
SELECT provider, kind, date_trunc('day', bought_at AT TIME ZONE 'UTC')::DATE, status, count(*),
    sum(cost)::BIGINT, count(*) FILTER (WHERE is_free)
FROM {schema}.enrichments WHERE position = 1 GROUP BY ALL ORDER BY ALL
"""


def purchases(engine: Engine, schema: str) -> OpsTable:
    """Return the table of purchases by day, provider and outcome."""
    columns = {
        "provider": (pa.string(), "Name of the provider in connections.yaml."),
        "kind": (pa.string(), "person or company."),
        "day": (pa.date32(), "Day of the answers (UTC)."),
        "status": (pa.string(), "match, no_match, invalid_input, masked or restricted."),
        "purchases": (pa.int64(), "How many were asked about."),
        "credits": (pa.int64(), "What they cost."),
        "free": (pa.int64(), "How many had been bought before and cost nothing."),
    }
    rows = engine.rows(_PURCHASES.format(schema=schema))
    return OpsTable("enrichment", "Purchases by day, provider and outcome.", columns, rows)
