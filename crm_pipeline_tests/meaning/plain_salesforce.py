"""Plain rows of what a Salesforce org answers."""

from decimal import ROUND_HALF_UP, Decimal

from crm_pipeline_tests.meaning.plain import (
    Record,
    Source,
    day,
    linked,
    moment,
    money,
    points,
    with_fax,
)
from crm_pipeline_tests.meaning.rows import Row

_KINDS = {"Call": "call", "Email": "email", "ListEmail": "email"}
_PIPELINE = "one"
_MILLIONTH = Decimal("0.000001")


def make(source: Source) -> None:
    """Add all rows."""
    key, add = source.key, source.add
    add("pipelines", [{"pipeline_key": _PIPELINE, "label": "Sales pipeline", "for_table": "deals"}])
    add("stages", map(_stage, source.of("OpportunityStage")))
    add(
        "users",
        (
            {
                "user_key": key("users", r["Id"]),
                "full_name": r["Name"],
                "is_active": r["IsActive"],
                "emails": points(("main", r["Email"])),
                "phones": points(("main", r["Phone"]), ("mobile", r["MobilePhone"])),
            }
            for r in source.of("User")
        ),
    )
    add(
        "companies",
        (
            {
                "company_key": key("companies", r["Id"]),
                "name": r["Name"],
                "country": r["BillingCountry"],
                "phones": with_fax(points(("main", r["Phone"])), r["Fax"]),
            }
            for r in source.of("Account")
        ),
    )
    add("contacts", (_contact(source, r) for r in source.of("Contact")))
    add("contacts_deleted", (_contact(source, r) for r in source.gone("Contact")))
    add("leads", (_lead(source, r) for r in source.of("Lead")))
    add("leads_deleted", (_lead(source, r) for r in source.gone("Lead")))
    rates = _rates(source)
    add("deals", (_deal(source, r, rates) for r in source.of("Opportunity")))
    add("deal_stage_history", (_change(source, r) for r in source.of("OpportunityHistory")))
    add("deal_contacts", linked(_people(source)))
    for obj in ("Task", "Event"):
        add("activities", (_activity(source, r) for r in source.of(obj)))
    _campaigns(source)


def _stage(record: Record) -> Row:
    return {
        "stage_key": record["Id"],
        "pipeline_key": _PIPELINE,
        "name": record["ApiName"],
        "label": record["MasterLabel"],
        "position": record["SortOrder"],
        "probability": record["DefaultProbability"],
        "is_closed": record["IsClosed"],
    }


def _bounced(record: Record) -> bool:
    return bool(record.get("EmailBouncedDate") or record.get("EmailBouncedReason"))


def _contact(source: Source, record: Record) -> Row:
    return {
        "contact_key": source.key("contacts", record["Id"]),
        "full_name": record["Name"],
        "title": record["Title"],
        "source": record["LeadSource"],
        "country": record["MailingCountry"],
        "modified_at": moment(record["SystemModstamp"]),
        "email": record["Email"],
        "emails": points(("main", record["Email"])),
        "phones": with_fax(
            points(
                ("main", record["Phone"]),
                ("mobile", record["MobilePhone"]),
                ("home", record["HomePhone"]),
                ("other", record["OtherPhone"]),
                ("assistant", record["AssistantPhone"]),
            ),
            record["Fax"],
        ),
        "email_opt_out": record["HasOptedOutOfEmail"],
        "email_bounced": _bounced(record),
        "company_key": source.key("companies", record["AccountId"]),
    }


def _lead(source: Source, record: Record) -> Row:
    return {
        "lead_key": source.key("leads", record["Id"]),
        "full_name": record["Name"],
        "company_key": source.key("companies", record["ConvertedAccountId"]),
        "country": record["Country"],
        "modified_at": moment(record["SystemModstamp"]),
        "emails": points(("main", record["Email"])),
        "phones": with_fax(
            points(("main", record["Phone"]), ("mobile", record["MobilePhone"])), record["Fax"]
        ),
        "source": record["LeadSource"],
        "created_at": moment(record["CreatedDate"]),
        "is_converted": record["IsConverted"],
        "converted_on": day(record["ConvertedDate"]),
        "converted_contact_key": source.key("contacts", record["ConvertedContactId"]),
        "email": record["Email"],
        "email_opt_out": record["HasOptedOutOfEmail"],
        "email_bounced": _bounced(record),
    }


def _rates(source: Source) -> list[tuple[str, str, str, Decimal]]:
    """Return `(currency, first day, day after the last, rate)`, dated rates first."""
    dated, plain = (
        list(source.of(obj)) if obj in source.objects else []
        for obj in ("DatedConversionRate", "CurrencyType")
    )
    return [
        *(
            (r["IsoCode"], r["StartDate"], r["NextStartDate"], Decimal(str(r["ConversionRate"])))
            for r in dated
        ),
        *((r["IsoCode"], "", "9999", Decimal(str(r["ConversionRate"]))) for r in plain),
    ]


def _converted(
    source: Source, record: Record, rates: list[tuple[str, str, str, Decimal]]
) -> tuple[Decimal | None, str | None]:
    """Return an amount in the main currency, and the first day of the rate."""
    amount, currency = money(record["Amount"]), record.get("CurrencyIsoCode")
    if currency in (None, "", source.account.currency):
        return amount, None
    for code, begins, ends, rate in rates:
        if code == currency and begins <= record["CloseDate"] < ends:
            worth = None if amount is None else (amount / rate).quantize(_MILLIONTH, ROUND_HALF_UP)
            return worth, begins or None
    return None, None


def _deal(source: Source, record: Record, rates: list[tuple[str, str, str, Decimal]]) -> Row:
    amount, currency = money(record["Amount"]), record.get("CurrencyIsoCode")
    amount_main, rate_on = _converted(source, record, rates)
    owner = record["OwnerId"]
    return {
        "deal_key": source.key("deals", record["Id"]),
        "name": record["Name"],
        "owner_key": source.key("users", owner) if owner.startswith("005") else None,
        "owner_source_id": owner,
        "company_key": source.key("companies", record["AccountId"]),
        "pipeline_key": _PIPELINE,
        "stage": record["StageName"],
        "amount": amount,
        "currency": currency,
        "amount_main": amount_main,
        "rate_on": day(rate_on),
        "probability": record["Probability"],
        "close_date": day(record["CloseDate"]),
        "is_closed": record["IsClosed"],
        "is_won": record["IsWon"],
        "lost_reason": source.own("Opportunity", "lost_reason", record),
        "source": record["LeadSource"],
        "campaign_key": source.key("campaigns", record.get("CampaignId")),
        "created_at": moment(record["CreatedDate"]),
        "stage_changed_at": moment(record.get("LastStageChangeDate")),
    }


def _change(source: Source, record: Record) -> Row:
    return {
        "source_id": record["Id"],
        "deal_key": source.key("deals", record["OpportunityId"]),
        "pipeline_key": _PIPELINE,
        "stage": record["StageName"],
        "amount": money(record["Amount"]),
        "currency": record.get("CurrencyIsoCode"),
        "changed_at": moment(record["CreatedDate"]),
    }


def _people(source: Source) -> list[tuple[str | None, str | None, str | None, bool]]:
    key = source.key
    roles = [
        (
            key("deals", r["OpportunityId"]),
            key("contacts", r["ContactId"]),
            r["Role"],
            bool(r["IsPrimary"]),
        )
        for r in source.of("OpportunityContactRole")
    ]
    main = [
        (key("deals", r["Id"]), key("contacts", r.get("ContactId")), None, True)
        for r in source.of("Opportunity")
    ]
    return [*roles, *main]


def _activity(source: Source, record: Record) -> Row:
    who, what = record.get("WhoId") or "", record.get("WhatId") or ""
    is_event = "StartDateTime" in record
    return {
        "activity_key": record["Id"],
        "activity_type": "meeting" if is_event else _KINDS.get(record["TaskSubtype"], "task"),
        "is_closed": record.get("IsClosed"),
        "status": record.get("Status"),
        "call_direction": record.get("CallType"),
        "completed_at": moment(record.get("CompletedDateTime")),
        "starts_at": moment(record.get("StartDateTime")),
        "created_at": moment(record["CreatedDate"]),
        "deals": [source.key("deals", what)] if what.startswith("006") else [],
        "leads": [source.key("leads", who)] if who.startswith("00Q") else [],
    }


def _campaigns(source: Source) -> None:
    for table, records in (
        ("campaigns", source.of("Campaign")),
        ("campaigns_deleted", source.gone("Campaign")),
    ):
        source.add(
            table,
            (
                {
                    "campaign_key": source.key("campaigns", r["Id"]),
                    "name": r["Name"],
                    "actual_cost": money(r["ActualCost"]),
                    "currency": r.get("CurrencyIsoCode"),
                }
                for r in records
            ),
        )
    source.add(
        "campaign_members",
        (
            {
                "campaign_key": source.key("campaigns", r["CampaignId"]),
                "contact_key": source.key("contacts", r["ContactId"]),
                "lead_key": source.key("leads", r["LeadId"]),
                "has_responded": r["HasResponded"],
                "first_responded_on": day(r["FirstRespondedDate"]),
            }
            for r in source.of("CampaignMember")
        ),
    )
