"""What the columns of stages across connections, and of published tables, are made of, as data.

An origin is a column of a table that the stage reads: of a normalized table of any connection, or of a table of an
earlier stage. Columns that are the same as in the normalized table are not listed here: they are published as they are.
"""

from collections.abc import Mapping

from crm_pipeline.model.lineage import Origin, Origins
from crm_pipeline.model.stages import STAGES
from crm_pipeline.model.tables import DERIVED, TABLES
from crm_pipeline.model.verified_tables import CONTACT_POINTS, EMAIL_VERDICTS, PHONE_VERDICTS


def _origins(names: str) -> tuple[Origin, ...]:
    """Return the origins of `table.column` texts."""
    return tuple(Origin(*name.split(".")) for name in names.split())


EMAIL_COLUMNS = _origins("contacts.emails leads.emails users.email")
"""The columns with e-mail addresses of records."""
PHONE_COLUMNS = _origins(
    "contacts.phones contacts.fax leads.phones leads.fax companies.phone companies.fax users.phone users.mobile_phone"
)
"""The columns with telephone numbers of records."""
_REGION = _origins("contacts.country leads.country companies.country")
_KEYS = _origins("contacts.contact_key leads.lead_key companies.company_key users.user_key")
_POINTS = (*EMAIL_COLUMNS, *PHONE_COLUMNS)
_OF_ADDRESS = (
    "value address email_normalized email_ascii domain verdict reasons suggestion position"
)
_OF_NUMBER = "value number phone_e164 extension phone_type phone_country verdict reasons position"

OF_STAGES: Mapping[str, Origins] = {
    EMAIL_VERDICTS.name: dict.fromkeys(_OF_ADDRESS.split(), EMAIL_COLUMNS),
    PHONE_VERDICTS.name: {
        **dict.fromkeys(_OF_NUMBER.split(), (*PHONE_COLUMNS, *_REGION)),
        "value": PHONE_COLUMNS,
        "number": PHONE_COLUMNS,
        "region": _REGION,
    },
    CONTACT_POINTS.name: {
        "record_key": _KEYS,
        "value": _POINTS,
        "label": _POINTS,
        "is_primary": _POINTS,
        "position": _POINTS,
        "region": _REGION,
        **dict.fromkeys(("normalized", "verdict", "reasons"), (*_POINTS, *_REGION)),
        "suggestion": EMAIL_COLUMNS,
    },
    "enrichment_wanted": {
        **{
            name: _origins(f"contacts.{name} leads.{name}")
            for name in ("full_name", "first_name", "last_name", "modified_at")
        },
        "email": _origins("email_verdicts.email_ascii"),
        "verdict": _origins("contact_points.verdict"),
        "company_name": _origins("leads.company_name companies.name"),
        "company_domain": _origins("companies.domain"),
        "open_deals": _origins("deals.is_closed stages.is_closed"),
        "open_amount": _origins("deals.amount deals.currency"),
        "records": _origins("contacts.contact_key leads.lead_key"),
    },
}
"""By table; facts that were bought come from their provider, and have no origins."""

_LABEL = _origins("stages.label")
FINISHED: Mapping[str, Origins] = {
    "deals": {
        "stage_label": _LABEL,
        "is_closed": _origins("stages.is_closed"),
        "is_won": _origins("stages.is_won"),
        "closed_at": _origins("stages.is_closed deals.stage_changed_at"),
        "amount_main": _origins("deals.amount deals.currency deals.close_date exchange_rates.rate"),
        "rate_on": _origins("exchange_rates.starts_on"),
    },
    "deal_stage_history": {
        "stage_label": _LABEL,
        "pipeline_source_id": _origins("stages.pipeline_source_id deals.pipeline_source_id"),
        "pipeline_key": _origins("stages.pipeline_key deals.pipeline_key"),
    },
    "products": {
        "price": _origins("product_prices.price"),
        "currency": _origins("product_prices.currency"),
    },
    "leads": {"status_label": _LABEL},
    "tickets": {"status_label": _LABEL},
}
"""What columns that are completed when they are published take from beside their own: see `stages.published.finished`."""
_ADDED = {
    "email_verdict": _origins("contact_points.verdict"),
    "email_normalized": _origins("contact_points.normalized"),
    "phone_verdict": _origins("contact_points.verdict"),
    "phone_e164": _origins("contact_points.normalized"),
}


def completed_from(table: str) -> dict[str, tuple[Origin, ...]]:
    """Return what columns of a published table take from other tables, beside the normalized ones of the same name."""
    model = TABLES.get(table)
    if model is None or table in DERIVED:
        return {}
    found = {
        column.name: (Origin(column.lookup.table, column.lookup.value),)
        for column in model.columns
        if column.lookup is not None
    }
    for column, origins in FINISHED.get(table, {}).items():
        found[column] = (*found.get(column, ()), *origins)
    added = [
        column.name
        for stage in STAGES
        for group in stage.adds.get(table, {}).values()
        for column in group
    ]
    return found | {name: _ADDED[name] for name in added}
