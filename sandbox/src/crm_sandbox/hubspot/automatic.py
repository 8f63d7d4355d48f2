"""Values that a portal computes when a record is written."""

import uuid
from collections.abc import Mapping

from crm_sandbox.hubspot.currencies import rate
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType

Row = Mapping[str, str | None]


def computed(
    portal: Portal, one: ObjectType, whole: Row, written: Row, at_ms: int
) -> dict[str, str | None]:
    """Return computed values that follow from what was written.

    Args:
        portal: holds the record.
        one: its object type.
        whole: all values by column, with the written ones.
        written: only the written ones.
        at_ms: when it is written.
    """
    made: dict[str, str | None] = {}
    if one.name == "contacts":
        if "email" in written:
            made["hs_email_domain"] = (whole.get("email") or "").partition("@")[2] or None
        if {"email", "firstname", "lastname"} & set(written):
            names = [whole.get("firstname"), whole.get("lastname")]
            full = " ".join(name for name in names if name)
            made["hs_full_name_or_email"] = full or whole.get("email")
    elif one.name == "quotes" and whole.get("hs_public_url_key") is None:
        made["hs_public_url_key"] = uuid.uuid4().hex
    elif one.stage and {one.stage, "amount", "deal_currency_code"} & set(written):
        made |= _of_stage(portal, one, whole, written, at_ms)
    return {name: value for name, value in made.items() if name in one.properties}


def _of_stage(
    portal: Portal, one: ObjectType, whole: Row, written: Row, at_ms: int
) -> dict[str, str | None]:
    found = portal.pipelines.stage(one.name, whole.get(one.stage) or "")
    if found is None:
        return {}
    _, stage = found
    made: dict[str, str | None] = {"hs_is_closed": str(stage.is_closed).lower()}
    if one.name == "deals":
        if one.stage in written:
            made["hs_v2_date_entered_current_stage"] = iso_of(at_ms)
        amount, own = whole.get("amount"), portal.facts.currency
        made |= {
            "hs_is_closed_won": str(stage.is_won).lower(),
            "hs_deal_stage_probability": str(stage.probability),
            "amount_in_home_currency": _times(amount, rate(whole.get("deal_currency_code"), own)),
            "hs_projected_amount": _times(amount, stage.probability),
        }
    return made


def _times(amount: str | None, factor: float) -> str | None:
    try:
        return f"{float(amount) * factor:.12g}" if amount else None
    except ValueError:
        # The admin may have given the property another type, so that its values are any text.
        return None
