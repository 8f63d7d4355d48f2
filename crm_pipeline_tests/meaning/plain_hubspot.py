"""Plain rows of what a HubSpot portal answers."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from crm_pipeline_tests.meaning.plain import (
    Record,
    Source,
    in_main,
    linked,
    moment,
    money,
    name_of,
    points,
    with_fax,
    yes,
)
from crm_pipeline_tests.meaning.rows import Row

_KINDS = {
    "calls": "call",
    "emails": "email",
    "meetings": "meeting",
    "notes": "note",
    "tasks": "task",
}
_STARTS = {"calls": "hs_timestamp", "emails": "hs_timestamp", "meetings": "hs_meeting_start_time"}
_STATUS = {
    "calls": "hs_call_status",
    "emails": "hs_email_status",
    "meetings": "hs_meeting_outcome",
    "tasks": "hs_task_status",
}
_DIRECTIONS = {"EMAIL": "outbound", "INCOMING_EMAIL": "inbound"}
_PERCENT = 100


def make(source: Source) -> None:
    """Add all rows."""
    key, add = source.key, source.add
    _pipelines(source)
    for is_active, owners in ((True, source.of("owners")), (False, source.gone("owners"))):
        add("users", (_user(source, owner, is_active=is_active) for owner in owners))
    add(
        "companies",
        (
            {
                "company_key": key("companies", r["id"]),
                "name": r["properties"]["name"],
                "country": r["properties"]["country"],
                "phones": points(("main", r["properties"]["phone"])),
            }
            for r in source.of("companies")
        ),
    )
    add("contacts", (_contact(source, r) for r in source.of("contacts")))
    add("contacts_deleted", (_contact(source, r) for r in source.gone("contacts")))
    add("leads", (_lead(source, r) for r in source.of("leads")))
    companies = _first(source.of("deals/companies"))
    add("deals", (_deal(source, r, companies.get(r["id"])) for r in source.of("deals")))
    for record in source.of("deals"):
        add("deal_stage_history", _history(source, record))
    add("deal_contacts", linked(_people(source)))
    for obj in _KINDS:
        _activities(source, obj)


def _pipelines(source: Source) -> None:
    for pipeline in source.of("deal_pipelines"):
        key = source.key("pipelines", pipeline["id"])
        source.add(
            "pipelines", [{"pipeline_key": key, "label": pipeline["label"], "for_table": "deals"}]
        )
        source.add(
            "stages",
            (
                {
                    "stage_key": source.key("stages", stage["id"]),
                    "pipeline_key": key,
                    "name": stage["id"],
                    "label": stage["label"],
                    "position": stage["displayOrder"],
                    "probability": float(stage["metadata"]["probability"]) * _PERCENT,
                    "is_closed": stage["metadata"]["isClosed"] == "true",
                }
                for stage in pipeline["stages"]
            ),
        )


def _user(source: Source, owner: Record, *, is_active: bool) -> Row:
    return {
        "user_key": source.key("users", owner["id"]),
        "full_name": name_of(owner["firstName"], owner["lastName"]),
        "email": owner["email"],
        "emails": points(("main", owner["email"])),
        "is_active": is_active,
    }


def _any(values: Iterable[Any]) -> bool | None:
    """Return whether any of several properties is set to something other than no; None where none is set."""
    said = [str(value) for value in values if value not in (None, "")]
    return any(value.lower() not in {"false", "0"} for value in said) if said else None


def _contact(source: Source, record: Record) -> Row:
    properties = record["properties"]
    others = [
        part.strip() for part in (properties.get("hs_additional_emails") or "").split(";") if part
    ]
    outs = (value for name, value in properties.items() if name.startswith("hs_email_optout"))
    bounces = (
        properties.get("hs_email_bounce"),
        properties.get("hs_email_hard_bounce_reason_enum"),
    )
    return {
        "contact_key": source.key("contacts", record["id"]),
        "full_name": name_of(properties["firstname"], properties["lastname"]),
        "title": properties["jobtitle"] or None,
        "email": properties["email"] or next(iter(others), None),
        "emails": _emails(properties["email"], others),
        "phones": with_fax(
            points(("main", properties["phone"]), ("mobile", properties["mobilephone"])),
            properties["fax"],
        ),
        "country": properties["country"],
        "source": properties["hs_analytics_source"],
        "modified_at": moment(record["updatedAt"]),
        "email_opt_out": _any(outs),
        "email_bounced": _any(bounces) or False,
        "is_quarantined": yes(properties["hs_email_quarantined"]),
        "lawful_basis": properties["hs_legal_basis"] or None,
        "company_key": source.key("companies", properties["associatedcompanyid"]),
    }


def _emails(main: str | None, others: Iterable[str]) -> list[Row]:
    """Return the main address and the others; without a main one the first of them is that."""
    return points(("main", main), *(("other", other) for other in others if other != main))


def _lead(source: Source, record: Record) -> Row:
    return {
        "lead_key": source.key("leads", record["id"]),
        "name": record["properties"]["hs_lead_name"],
        "contact_key": source.key("contacts", record["properties"]["hs_primary_contact_id"]),
        "source": record["properties"]["hs_lead_source"] or None,
        "created_at": moment(record["createdAt"]),
    }


def _first(links: Iterable[Record]) -> dict[str, str]:
    """Return the primary one of the records that each record is linked to, else the first."""
    first: dict[str, str] = {}
    for link in links:
        if link["label"] == "Primary":
            first[link["from"]] = link["to"]
        first.setdefault(link["from"], link["to"])
    return first


def _deal(source: Source, record: Record, company: str | None) -> Row:
    properties = record["properties"]
    amount, currency = money(properties["amount"]), properties["deal_currency_code"] or None
    main: Decimal | None = money(properties["amount_in_home_currency"])
    closing = moment(properties["closedate"])
    probability = properties["hs_deal_stage_probability"]
    return {
        "deal_key": source.key("deals", record["id"]),
        "name": properties["dealname"],
        "owner_key": source.key("users", properties["hubspot_owner_id"]),
        "owner_source_id": properties["hubspot_owner_id"] or None,
        "company_key": source.key("companies", company),
        "pipeline_key": source.key("pipelines", properties["pipeline"]),
        "stage": properties["dealstage"],
        "amount": amount,
        "currency": currency,
        "amount_main": in_main(source, amount, currency) if main is None else main,
        "probability": float(probability) * _PERCENT if probability else None,
        "close_date": closing and source.account.day(closing),
        "is_closed": yes(properties["hs_is_closed"]),
        "is_won": yes(properties["hs_is_closed_won"]),
        "lost_reason": properties["closed_lost_reason"],
        "source": properties["hs_analytics_source"] or None,
        "created_at": moment(record["createdAt"]),
        "stage_changed_at": moment(properties["hs_v2_date_entered_current_stage"]),
    }


def _history(source: Source, record: Record) -> Iterable[Row]:
    pipelines = {stage["name"]: stage["pipeline_key"] for stage in source.rows.of("stages")}
    for change in record.get("propertiesWithHistory", {}).get("dealstage", ()):
        yield {
            "source_id": change["timestamp"],
            "deal_key": source.key("deals", record["id"]),
            "pipeline_key": pipelines.get(change["value"]),
            "stage": change["value"],
            "changed_at": moment(change["timestamp"]),
        }


def _is_over(properties: Row) -> bool | None:
    """Say whether nothing is left to do; None where the status does not say."""
    if "hs_task_status" in properties:
        return bool(properties["hs_task_status"] == "COMPLETED")
    named = ("hs_meeting_outcome", "hs_call_status", "hs_email_status")
    said = next((properties[name] for name in named if properties.get(name)), "")
    if said in {
        "COMPLETED",
        "CANCELED",
        "NO_SHOW",
        "NO_ANSWER",
        "BUSY",
        "SENT",
        "BOUNCED",
        "FAILED",
    }:
        return True
    return False if said == "SCHEDULED" else None


def _people(source: Source) -> list[tuple[str | None, str | None, str | None, bool]]:
    links = source.of("deals/contacts")
    key, first = source.key, _first(links)
    return [
        (key("deals", r["from"]), key("contacts", r["to"]), r["label"], first[r["from"]] == r["to"])
        for r in links
    ]


def _activities(source: Source, obj: str) -> None:
    linked_to: dict[str, dict[str, list[str | None]]] = {"deals": {}, "leads": {}, "contacts": {}}
    for table, links in linked_to.items():
        for link in source.of(f"{obj}/{table}"):
            others = links.setdefault(link["from"], [])
            if (other := source.key(table, link["to"])) not in others:
                others.append(other)
    for record in source.of(obj):
        properties = record["properties"]
        is_task, status = obj == "tasks", properties.get(_STATUS.get(obj, ""))
        done = status == "COMPLETED"
        row = {
            "activity_key": source.key(obj, record["id"]),
            "activity_type": _KINDS[obj],
            "is_closed": _is_over(properties),
            "completed_at": moment(properties["hs_task_completion_date"])
            if is_task and done
            else None,
            "starts_at": moment(properties.get(_STARTS.get(obj, ""))),
            "created_at": moment(record["createdAt"]),
            "status": status,
            "call_direction": properties.get("hs_call_direction"),
            "email_direction": _DIRECTIONS.get(properties.get("hs_email_direction") or ""),
            **{table: links.get(record["id"]) for table, links in linked_to.items()},
        }
        source.add("activities", [row])
