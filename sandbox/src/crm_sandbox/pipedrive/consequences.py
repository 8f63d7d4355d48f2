"""What a change entails: names put together, stages that imply pipelines, moments of winning."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.schema import Entity

# What a new record has, by column, whatever its object.
_ALWAYS: dict[str, Any] = {
    "is_deleted": False,
    "visible_to": 3,
    "is_linkable": True,
    "active_flag": True,
    "activated": True,
    "is_enabled": True,
    **dict.fromkeys(("is_archived", "was_seen", "busy", "done", "is_admin"), False),
    **dict.fromkeys(("tax", "discount"), 0.0),
    "discount_type": "percentage",
    "tax_method": "none",
    "billing_frequency": "one-time",
    **dict.fromkeys(("due_time", "duration", "public_description", "comments"), ""),
    "marketing_status": "no_consent",
    "doi_status": 1,
    "is_deal_probability_enabled": True,
    "is_deal_rot_enabled": False,
}
_USERS = ("owner_id", "creator_user_id", "creator_id", "user_id", "last_update_user_id")
_LISTS = ("label_ids", "emails", "phones", "im", "participants", "prices")


def defaults(
    company: CompanyData, entity: Entity, user: int, source: str, moment: datetime
) -> dict[str, Any]:
    """Return what a new record has before anybody says otherwise."""
    known = _ALWAYS | dict.fromkeys(_USERS, user) | {name: [] for name in _LISTS}
    known |= {"add_time": moment, "update_time": moment}
    known["origin"] = "API" if source == "api" else "ManuallyCreated"
    known["source_name"] = "API" if source == "api" else "Manually created"
    known |= {one.name: False for one in entity.columns if one.name.startswith("pinned_to")}
    if entity.name == "deals":
        known |= {"value": 0.0, "currency": "EUR", "status": "open", "stage_change_time": moment}
    if entity.name == "activities":
        known["type"] = company.plan.activity_types[0]
    if entity.name == "leads":
        known |= {"currency": "EUR", "cc_email": f"sandbox-{company.name}@pipedrivemail.com"}
    if entity.name in {"pipelines", "stages"}:
        sql = f'SELECT coalesce(max("order_nr"), 0) + 1 FROM "{entity.name}"'
        known |= {"order_nr": int(company.tables.value(sql)), "deal_probability": 100}
    stored = {one.name for one in entity.stored}
    return {key: value for key, value in known.items() if key in stored}


def entailed(
    company: CompanyData,
    entity: Entity,
    before: dict[str, Any] | None,
    values: dict[str, Any],
    moment: datetime,
) -> dict[str, Any]:
    """Return what follows from new values.

    Args:
        company: holds the record.
        entity: its object.
        before: the record as it is; None for a new one.
        values: what is set.
        moment: when.
    """
    rules = {"persons": _person, "deals": _deal, "activities": _activity, "products": _product}
    rule = rules.get(entity.name)
    return rule(company, before or {}, values, moment) if rule else {}


def _person(
    _: CompanyData, before: dict[str, Any], values: dict[str, Any], __: datetime
) -> dict[str, Any]:
    if "name" in values and not {"first_name", "last_name"} & values.keys():
        first, _space, last = (values["name"] or "").strip().partition(" ")
        return {"first_name": first or None, "last_name": last or None}
    if {"first_name", "last_name"} & values.keys():
        parts = [values.get(key, before.get(key)) for key in ("first_name", "last_name")]
        return {"name": " ".join(part for part in parts if part)}
    return {}


def _deal(
    company: CompanyData, before: dict[str, Any], values: dict[str, Any], moment: datetime
) -> dict[str, Any]:
    made = _place(company, before, values)
    stage = made.get("stage_id", values.get("stage_id"))
    if stage is not None and before and stage != before["stage_id"]:
        made["stage_change_time"] = moment
    status = values.get("status")
    if status is not None and status != before.get("status"):
        made |= dict.fromkeys(("won_time", "lost_time", "close_time"))
        if status in {"won", "lost"}:
            made |= {f"{status}_time": moment, "close_time": moment}
        for key in ("won_time", "lost_time", "close_time"):
            if values.get(key) is not None:
                made[key] = values[key]
    made |= _local_days(company, {**values, **made})
    if "is_archived" in values and values["is_archived"] != before.get("is_archived", False):
        made["archive_time"] = moment if values["is_archived"] else None
    return made


def _local_days(company: CompanyData, values: dict[str, Any]) -> dict[str, Any]:
    """Return the days, in the company's zone, of the moments among new values."""
    zone = ZoneInfo(company.plan.time_zone)
    return {
        f"local_{what}_date": moment and moment.replace(tzinfo=UTC).astimezone(zone).date()
        for what in ("won", "lost", "close")
        if f"{what}_time" in values
        for moment in (values[f"{what}_time"],)
    }


def _place(company: CompanyData, before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return stage and pipeline: the stage decides, and a pipeline alone means its first stage."""
    tables = company.tables
    stage, pipeline = values.get("stage_id"), values.get("pipeline_id")
    if stage is not None:
        sql = "SELECT pipeline_id FROM stages WHERE id = ?"
        return {"pipeline_id": tables.value(sql, [stage])}
    if pipeline is not None and pipeline != before.get("pipeline_id"):
        sql = "SELECT arg_min(id, order_nr) FROM stages WHERE pipeline_id = ? AND NOT is_deleted"
        return {"stage_id": tables.value(sql, [pipeline])}
    if not before:
        sql = "SELECT arg_min(id, (pipeline_id, order_nr)) FROM stages WHERE NOT is_deleted"
        first = tables.value(sql)
        sql = "SELECT pipeline_id FROM stages WHERE id = ?"
        return {"stage_id": first, "pipeline_id": tables.value(sql, [first])}
    return {}


def _activity(
    _: CompanyData, before: dict[str, Any], values: dict[str, Any], moment: datetime
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "done" in values and values["done"] != before.get("done", False):
        made["marked_as_done_time"] = moment if values["done"] else None
    if "participants" in values:
        people = values["participants"] or []
        first = [one["person_id"] for one in people if one["primary"]] or [None]
        made["person_id"] = first[0]
    elif values.get("person_id") is not None:
        made["participants"] = [{"person_id": values["person_id"], "primary": True}]
    if not before and not values.get("subject"):
        made["subject"] = str(values.get("type", "")).capitalize()
    return made


def _product(
    _: CompanyData, __: dict[str, Any], values: dict[str, Any], ___: datetime
) -> dict[str, Any]:
    if "prices" not in values or "id" not in values:
        return {}
    return {"prices": [{**one, "product_id": values["id"]} for one in values["prices"] or []]}
