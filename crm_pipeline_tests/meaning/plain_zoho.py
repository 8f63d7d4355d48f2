"""Plain rows of what a Zoho org answers."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from crm_pipeline_tests.meaning.plain import (
    Record,
    Source,
    day,
    in_main,
    linked,
    moment,
    money,
    points,
    with_fax,
)
from crm_pipeline_tests.meaning.rows import Row

_CLOSED = {"Open": False, "Closed Won": True, "Closed Lost": True}
_SIX = Decimal("0.000001")


def make(source: Source) -> None:
    """Add all rows."""
    key, add = source.key, source.add
    _pipelines(source)
    add(
        "users",
        (
            {
                "user_key": key("users", r["id"]),
                "full_name": r["full_name"],
                "is_active": r["status"] == "active",
                "emails": points(("main", r["email"])),
                "phones": points(("main", r["phone"]), ("mobile", r["mobile"])),
            }
            for r in source.of("Users")
        ),
    )
    add(
        "companies",
        (
            {
                "company_key": key("companies", r["id"]),
                "name": r["Account_Name"],
                "country": r["Billing_Country"],
                "phones": with_fax(points(("main", r["Phone"])), r["Fax"]),
            }
            for r in source.of("Accounts")
        ),
    )
    add("contacts", (_contact(source, r) for r in source.of("Contacts")))
    add("leads", (_lead(source, r) for r in source.of("Leads")))
    add("deals", (_deal(source, r) for r in source.of("Deals")))
    _history(source)
    add("deal_contacts", linked(_people(source)))
    for obj in ("Tasks", "Events", "Calls", "Notes"):
        add("activities", (_activity(source, obj, r) for r in source.of(obj)))
    _campaigns(source)


def _id(record: Record, name: str) -> str | None:
    value = record.get(name)
    return value["id"] if isinstance(value, dict) else value


def _pipelines(source: Source) -> None:
    for pipeline in source.of("Pipelines"):
        key = source.key("pipelines", pipeline["actual_value"])
        source.add(
            "pipelines",
            [{"pipeline_key": key, "label": pipeline["display_value"], "for_table": "deals"}],
        )
        source.add(
            "stages",
            (
                {
                    "stage_key": f"{key}:{stage['actual_value']}",
                    "pipeline_key": key,
                    "name": stage["actual_value"],
                    "label": stage["display_value"],
                    "position": stage["sequence_number"],
                    "is_closed": _CLOSED[stage["forecast_type"]],
                    "is_won": stage["forecast_type"] == "Closed Won",
                }
                for stage in pipeline["maps"]
            ),
        )


def _opted_out(record: Record) -> bool | None:
    """Return whether a person opted out of e-mail; consent is given by channel."""
    basis = record.get("Data_Processing_Basis_Details") or {}
    asked = basis.get("Contact_Through_Email")
    out: bool | None = record.get("Email_Opt_Out")
    if basis.get("Data_Processing_Basis") != "Consent - Obtained" or asked is None:
        return out
    return bool(out) or asked is False


def _contact(source: Source, record: Record) -> Row:
    basis = record.get("Data_Processing_Basis_Details") or {}
    return {
        "contact_key": source.key("contacts", record["id"]),
        "full_name": record["Full_Name"],
        "title": record.get("Title"),
        **_reached(record),
        "country": record["Mailing_Country"],
        "phones": with_fax(
            points(
                ("main", record["Phone"]),
                ("mobile", record["Mobile"]),
                ("home", record["Home_Phone"]),
                ("other", record["Other_Phone"]),
                ("assistant", record["Asst_Phone"]),
            ),
            record["Fax"],
        ),
        "email_opt_out": _opted_out(record),
        "lawful_basis": basis.get("Data_Processing_Basis"),
        "company_key": source.key("companies", _id(record, "Account_Name")),
    }


def _reached(record: Record) -> Row:
    """Return the addresses of a person; the second one is the main one where there is no other."""
    main, second = record["Email"], record["Secondary_Email"]
    listed = points(("main", main), ("other", None if second == main else second))
    return {
        "email": listed[0]["value"] if listed else None,
        "emails": listed,
        "source": record["Lead_Source"],
        "modified_at": moment(record["Modified_Time"]),
    }


def _lead(source: Source, record: Record) -> Row:
    converted = moment(record.get("Converted_Date_Time"))
    return {
        "lead_key": source.key("leads", record["id"]),
        **_reached(record),
        "full_name": record["Full_Name"],
        "company_key": source.key("companies", _id(record, "Converted_Account")),
        "country": record["Country"],
        "phones": with_fax(
            points(("main", record["Phone"]), ("mobile", record["Mobile"])), record["Fax"]
        ),
        "created_at": moment(record["Created_Time"]),
        "is_converted": record.get("Converted__s"),
        "converted_on": converted and source.account.day(converted),
        "converted_contact_key": source.key("contacts", _id(record, "Converted_Contact")),
        "email_opt_out": _opted_out(record),
        "lawful_basis": (record.get("Data_Processing_Basis_Details") or {}).get(
            "Data_Processing_Basis"
        ),
    }


def _deal(source: Source, record: Record) -> Row:
    amount, currency = money(record.get("Amount")), record.get("Currency")
    rate = money(record.get("Exchange_Rate"))
    if rate and amount is not None:
        main = amount if rate == 1 else (amount / rate).quantize(_SIX, ROUND_HALF_UP)
    else:
        main = in_main(source, amount, currency)
    pipeline = source.key("pipelines", record.get("Pipeline"))
    stage = source.rows.by("stages", "pipeline_key", "name").get((pipeline, record["Stage"]), {})
    owner = _id(record, "Owner")
    return {
        "deal_key": source.key("deals", record["id"]),
        "name": record["Deal_Name"],
        "owner_key": source.key("users", owner),
        "owner_source_id": owner,
        "company_key": source.key("companies", _id(record, "Account_Name")),
        "pipeline_key": pipeline,
        "stage": record["Stage"],
        "amount": amount,
        "currency": currency,
        "amount_main": main,
        "probability": record.get("Probability"),
        "close_date": day(record.get("Closing_Date")),
        "is_closed": stage.get("is_closed"),
        "is_won": stage.get("is_won"),
        "lost_reason": record.get("Reason_For_Loss__s"),
        "source": record.get("Lead_Source"),
        "campaign_key": source.key("campaigns", _id(record, "Campaign_Source")),
        "created_at": moment(record["Created_Time"]),
        "stage_changed_at": moment(record.get("Stage_Modified_Time")),
    }


def _history(source: Source) -> None:
    """Add the stays; a row's time is that of entering its stage, and a stage of one pipeline gives the pipeline."""
    pipelines: dict[str, set[str]] = {}
    for stage in source.rows.of("stages"):
        if stage["connection"] == source.account.connection:
            pipelines.setdefault(stage["name"], set()).add(stage["pipeline_key"])
    deals = source.rows.by("deals", "deal_key")
    for record in source.of("Deals/Stage_History"):
        key = source.key("deals", record["of"])
        among = pipelines.get(record["Stage"], set())
        own = deals[key]["pipeline_key"]
        row = {
            "source_id": record["id"],
            "deal_key": key,
            "pipeline_key": next(iter(among)) if len(among) == 1 else own,
            "stage": record["Stage"],
            "amount": money(record.get("Amount")),
            "currency": record.get("Currency"),
            "changed_at": moment(record["Modified_Time"]),
        }
        source.add("deal_stage_history", [row])


def _people(source: Source) -> Iterable[tuple[str | None, str | None, str | None, bool]]:
    key = source.key
    for record in source.of("Deals"):
        yield key("deals", record["id"]), key("contacts", _id(record, "Contact_Name")), None, True
    if "ContactRoles" in source.objects:
        for record in source.of("Deals/Contact_Roles"):
            role: Any = record["Contact_Role"]
            name = role["name"] if isinstance(role, dict) else role
            yield key("deals", record["of"]), key("contacts", record["id"]), name, False


_KINDS = {"Tasks": "task", "Events": "meeting", "Calls": "call", "Notes": "note"}
_STARTS = {"Events": "Start_DateTime", "Calls": "Call_Start_Time"}


def _activity(source: Source, obj: str, record: Record) -> Row:
    about = _id(record, "Parent_Id" if obj == "Notes" else "What_Id")
    module = record.get("$se_module")
    return {
        "activity_key": source.key(obj, record["id"]),
        "activity_type": _KINDS[obj],
        "is_closed": record["Status"] == "Completed" if obj == "Tasks" else None,
        "status": record.get("Status"),
        "call_direction": record.get("Call_Type"),
        "completed_at": moment(record.get("Closed_Time")),
        "starts_at": moment(record.get(_STARTS.get(obj, ""))),
        "created_at": moment(record["Created_Time"]),
        "deals": [source.key("deals", about)] if about and module == "Deals" else [],
        "leads": [source.key("leads", about)] if about and module == "Leads" else [],
    }


def _campaigns(source: Source) -> None:
    source.add(
        "campaigns",
        (
            {
                "campaign_key": source.key("campaigns", r["id"]),
                "name": r["Campaign_Name"],
                "actual_cost": money(r.get("Actual_Cost")),
                "currency": r.get("Currency"),
            }
            for r in source.of("Campaigns")
        ),
    )
    source.add(
        "campaigns_deleted",
        (
            {"campaign_key": source.key("campaigns", r["id"]), "name": r["display_name"]}
            for r in source.gone("Campaigns")
        ),
    )
