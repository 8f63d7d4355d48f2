"""The view `crm.contactable`: one row for each address that may be written to, over all CRMs.

Whoever opted out in one CRM did so in all of them, and stays so if the record is deleted. Some CRMs say of a deleted
record nothing but its id: what it said last is in its history. The view's SQL runs in the DuckDB that opens the file:
it uses only what DuckDB 1.2 has.
"""

from collections.abc import Collection

from crm_pipeline.model.tables import CONTACTABLE, DELETED_SUFFIX
from crm_pipeline.stages.published.history import STORED_SUFFIX
from crm_pipeline.stages.published.views import View
from crm_pipeline.verification.address_sql import addresses_in

_PERSON = """
    connection, first_name, last_name, full_name, company_key, country, lawful_basis, modified_at, email,
    email_normalized, email_verdict, email_opt_out, email_bounced"""
_PERSONS = {"contacts": "contact_key", "leads": "lead_key"}
_SAID = "email, emails, email_opt_out"
_REFUSES = "email_opt_out OR email_bounced"
# Records that are deleted have no verdicts, so their texts are taken apart here. An address too many only is not written to.
_REFUSED = addresses_in("value")
_SQL = """
WITH everybody AS (
    SELECT 'contacts' AS table_name, contact_key AS record_key, true AS is_candidate, {person}
    FROM crm.contacts
    UNION ALL
    SELECT 'leads', lead_key, is_converted IS NOT TRUE AND contact_key IS NULL, {person}
    FROM crm.leads
),
refusing AS ({refusing}),
refused_texts AS (
    SELECT email AS value FROM refusing
    UNION ALL
    SELECT point.value FROM (SELECT unnest(emails) AS point FROM refusing WHERE email_opt_out)
),
refused AS (
    SELECT unnest({refused}) AS address FROM refused_texts
    UNION
    SELECT lower(v.email_normalized)
    FROM refused_texts AS r
    JOIN crm.email_verdicts AS v ON v.value = r.value
    WHERE v.email_normalized IS NOT NULL
),
ranked AS (
    SELECT record_key, lower(email_normalized) AS address,
        count(*) OVER same_address AS records,
        bool_or(email_opt_out = false) OVER same_address AS is_known,
        bool_or(email_verdict = 'undeliverable') OVER same_address AS is_undeliverable,
        row_number() OVER (
            PARTITION BY lower(email_normalized)
            ORDER BY is_candidate DESC, table_name, modified_at DESC NULLS LAST, record_key
        ) AS place
    FROM everybody
    WHERE email_normalized IS NOT NULL
    WINDOW same_address AS (PARTITION BY lower(email_normalized))
)
SELECT r.address AS email, e.record_key, e.table_name, e.connection, e.first_name, e.last_name, e.full_name,
    e.company_key, e.country, e.email_verdict AS verdict, v.reasons, e.lawful_basis,
    coalesce(r.is_known, false) AS is_opt_out_known, r.records
FROM ranked AS r
JOIN everybody AS e ON e.record_key = r.record_key AND e.is_candidate
LEFT JOIN crm.email_verdicts AS v ON v.value = e.email AND v."position" = 1
WHERE r.place = 1 AND e.email_verdict IS NOT NULL AND r.is_undeliverable IS NOT TRUE
    AND NOT EXISTS (SELECT 1 FROM refused AS f WHERE f.address = r.address)
    AND NOT EXISTS (
        SELECT 1 FROM refused AS f WHERE f.address = lower(split_part(r.address, '@', 1) || '@' || v.domain)
    )
"""
_COLUMNS = {
    "email": "The address in its normal form and lower case; no other row has it.",
    "record_key": "Key of the record that the row is taken from: a contact before a lead, then the one that changed last.",
    "table_name": "contacts or leads: the table of the record.",
    "connection": "Name of the connection that the record came through.",
    "first_name": "First name.",
    "last_name": "Last name.",
    "full_name": "Full name.",
    "company_key": "Joins companies.",
    "country": "Country, as the CRM writes it.",
    "verdict": "What the address is good for: risky, unknown or deliverable, see email_verdicts.",
    "reasons": "Why, at least one word: see docs/analysts.md for what they mean.",
    "lawful_basis": "Legal ground for processing the person's data, of this record. NULL is unknown.",
    "is_opt_out_known": (
        "Whether a live record with the address says that the person did not opt out. False: no CRM says anything."
    ),
    "records": "Number of live contacts and leads with this main address, in all CRMs.",
}
_ABOUT = (
    "Whom one may write to: one row per e-mail address of live contacts, and of live leads that are persons and "
    "not converted. Left out are addresses that are undeliverable or not judged yet, with which a person opted "
    "out in any CRM (further addresses and deleted records count), or to which an e-mail bounced. It is no proof "
    "of consent: see lawful_basis."
)


def contactable_view(with_history: Collection[str]) -> View:
    """Return the view.

    Args:
        with_history: the tables of schema `crm` that have their versions in `crm_history`.
    """
    refusing = [
        f"SELECT {_SAID} FROM crm.{table}{suffix} WHERE {_REFUSES}"
        for table in _PERSONS
        for suffix in ("", DELETED_SUFFIX)
    ]
    refusing += [_last_refused(table) for table in _PERSONS if table in with_history]
    sql = _SQL.format(person=_PERSON, refusing=" UNION ALL ".join(refusing), refused=_REFUSED)
    return View("crm", CONTACTABLE, _ABOUT, (), sql, _COLUMNS)


def _last_refused(table: str) -> str:
    """Return SQL for the last live versions that refuse, of deleted records of which the CRM says nothing any more."""
    key = _PERSONS[table]
    return (
        f"SELECT {_SAID} FROM (SELECT v.*, row_number() OVER (PARTITION BY v.{key} ORDER BY v.valid_from DESC) AS place "
        f"FROM crm_history.{table}{STORED_SUFFIX} AS v JOIN crm.{table}{DELETED_SUFFIX} AS d ON d.{key} = v.{key} "
        f"WHERE v.is_deleted IS NOT TRUE AND d.email IS NULL AND d.email_opt_out IS NULL) WHERE place = 1 AND ({_REFUSES})"
    )
