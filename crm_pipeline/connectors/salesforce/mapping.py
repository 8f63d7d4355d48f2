"""The mapping of Salesforce's fields to the columns of the common model, as data.

Fields without a mapping are kept in `custom`. The first three characters of an id (key prefix) name its object, which
decides where a field that can reference several objects points to.
"""

from dataclasses import replace

from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap, points_to, same

_USER = (("005", "User"),)
_RECORD = (
    FieldMap("Id", "source_id"),
    FieldMap("IsDeleted", "is_deleted"),
    FieldMap("CreatedDate", "created_at"),
    FieldMap("SystemModstamp", "modified_at"),
)
# An owner can also be a queue (prefix 00G): the id stays, without a reference to a user.
_OWNED = (*_RECORD, FieldMap("OwnerId", "owner_source_id", _USER))
_MADE = FieldMap("CreatedById", "created_by_source_id", _USER)
_CURRENCY = FieldMap("CurrencyIsoCode", "currency")
_PIPELINE = {
    "pipeline_source_id": "default",
    "pipeline_key": "{connection}:Pipeline:default",
}
_PEOPLE = (("003", "Contact"), ("00Q", "Lead"))
_RECORDS = (
    ("001", "Account"),
    ("006", "Opportunity"),
    ("500", "Case"),
    ("701", "Campaign"),
    ("01t", "Product2"),
)


def _page(obj: str) -> str:
    """Return the path of a record's page in Lightning Experience."""
    return f"/lightning/r/{obj}/{{id}}/view"


def _address(prefix: str) -> tuple[FieldMap, ...]:
    return same(
        f"{prefix}Street=street {prefix}City=city {prefix}State=state "
        f"{prefix}PostalCode=postal_code {prefix}Country=country"
    )


_PERSON = (
    *same(
        "Salutation=salutation FirstName=first_name LastName=last_name Name=full_name "
        "Title=title Email=email Phone=phone MobilePhone=mobile_phone Fax=fax "
        "LeadSource=source HasOptedOutOfEmail=email_opt_out DoNotCall=do_not_call "
        "EmailBouncedDate=email_bounced_at EmailBouncedReason=email_bounced_reason "
        "LastActivityDate=last_activity_on"
    ),
    # Either field is enough; both are empty where no email bounced.
    FieldMap(
        "EmailBouncedDate",
        "email_bounced",
        fallback=("EmailBouncedReason",),
        otherwise="true",
        empty="false",
    ),
    _MADE,
)

_ACCOUNT = ObjectMap(
    "Account",
    "companies",
    (
        *_OWNED,
        *same(
            "Name=name Website=website Phone=phone Fax=fax Industry=industry "
            "Type=company_type Rating=rating NumberOfEmployees=employees "
            "AnnualRevenue=annual_revenue AccountNumber=account_number AccountSource=source "
            "Description=description LastActivityDate=last_activity_on"
        ),
        _CURRENCY,
        points_to("ParentId", "parent_source_id", "Account"),
        points_to("MasterRecordId", "merged_into", "Account"),
        *_address("Billing"),
        _MADE,
    ),
    page=_page("Account"),
)

_CONTACT = ObjectMap(
    "Contact",
    "contacts",
    (
        *_OWNED,
        *_PERSON,
        *same(
            "Department=department HomePhone=home_phone OtherPhone=other_phone "
            "AssistantPhone=assistant_phone Birthdate=birth_date"
        ),
        points_to("AccountId", "company_source_id", "Account"),
        points_to("ReportsToId", "reports_to_source_id", "Contact"),
        points_to("MasterRecordId", "merged_into", "Contact"),
        *_address("Mailing"),
    ),
    page=_page("Contact"),
)

_LEAD = ObjectMap(
    "Lead",
    "leads",
    (
        *_OWNED,
        *_PERSON,
        *same(
            "Company=company_name Website=website Industry=industry Status=status "
            "Rating=rating NumberOfEmployees=employees AnnualRevenue=annual_revenue "
            "IsConverted=is_converted ConvertedDate=converted_on"
        ),
        _CURRENCY,
        points_to("ConvertedAccountId", "converted_company_source_id", "Account"),
        points_to("ConvertedContactId", "converted_contact_source_id", "Contact"),
        points_to("ConvertedOpportunityId", "converted_deal_source_id", "Opportunity"),
        points_to("MasterRecordId", "merged_into", "Lead"),
        *_address(""),
    ),
    page=_page("Lead"),
)

_OPPORTUNITY = ObjectMap(
    "Opportunity",
    "deals",
    (
        *_OWNED,
        *same(
            "Name=name StageName=stage Amount=amount ExpectedRevenue=expected_revenue "
            "Probability=probability TotalOpportunityQuantity=quantity CloseDate=close_date "
            "IsClosed=is_closed IsWon=is_won ForecastCategoryName=forecast_category "
            "Type=deal_type LeadSource=source NextStep=next_step Description=description "
            "LastStageChangeDate=stage_changed_at LastActivityDate=last_activity_on"
        ),
        _CURRENCY,
        points_to("AccountId", "company_source_id", "Account"),
        points_to("ContactId", "primary_contact_source_id", "Contact"),
        points_to("CampaignId", "campaign_source_id", "Campaign"),
        # The last change of stage of a closed deal is the one that closed it.
        FieldMap("LastStageChangeDate", "closed_at", when=("IsClosed", "true")),
        _MADE,
    ),
    _PIPELINE,
    page=_page("Opportunity"),
)

_OPPORTUNITY_HISTORY = ObjectMap(
    "OpportunityHistory",
    "deal_stage_history",
    (
        *_RECORD,
        *same(
            "StageName=stage Amount=amount ExpectedRevenue=expected_revenue "
            "Probability=probability CloseDate=close_date ForecastCategory=forecast_category "
            "CreatedDate=changed_at"
        ),
        _CURRENCY,
        points_to("OpportunityId", "deal_source_id", "Opportunity"),
        FieldMap("CreatedById", "changed_by_source_id", _USER),
    ),
    _PIPELINE,
)

_LINE_ITEM = ObjectMap(
    "OpportunityLineItem",
    "deal_line_items",
    (
        *_RECORD,
        *same(
            "Name=name ProductCode=product_code Quantity=quantity UnitPrice=unit_price "
            "ListPrice=list_price Discount=discount TotalPrice=total_price "
            "ServiceDate=service_date SortOrder=position Description=description"
        ),
        _CURRENCY,
        points_to("OpportunityId", "deal_source_id", "Opportunity"),
        points_to("Product2Id", "product_source_id", "Product2"),
    ),
)

_CONTACT_ROLE = ObjectMap(
    "OpportunityContactRole",
    "associations",
    (
        *_RECORD,
        *same("Role=role IsPrimary=is_primary"),
        points_to("OpportunityId", "from_source_id", "Opportunity"),
        points_to("ContactId", "to_source_id", "Contact"),
    ),
    {"from_table": "deals", "to_table": "contacts"},
)

_PRODUCT = ObjectMap(
    "Product2",
    "products",
    (
        *_RECORD,
        *same(
            "Name=name ProductCode=product_code StockKeepingUnit=sku Family=family "
            "QuantityUnitOfMeasure=unit IsActive=is_active Description=description"
        ),
        _CURRENCY,
    ),
)

_PRICE = ObjectMap(
    "PricebookEntry",
    "product_prices",
    (
        *_RECORD,
        *same(
            "Pricebook2Id=price_book_source_id Pricebook2.Name=price_book "
            "Pricebook2.IsStandard=is_standard UnitPrice=price IsActive=is_active"
        ),
        _CURRENCY,
        points_to("Product2Id", "product_source_id", "Product2"),
    ),
)

_CAMPAIGN = ObjectMap(
    "Campaign",
    "campaigns",
    (
        *_OWNED,
        *same(
            "Name=name Type=campaign_type Status=status IsActive=is_active "
            "StartDate=starts_on EndDate=ends_on BudgetedCost=budgeted_cost "
            "ActualCost=actual_cost ExpectedRevenue=expected_revenue "
            "ExpectedResponse=expected_response NumberSent=number_sent "
            "Description=description"
        ),
        _CURRENCY,
        points_to("ParentId", "parent_source_id", "Campaign"),
    ),
    page=_page("Campaign"),
)

_CAMPAIGN_MEMBER = ObjectMap(
    "CampaignMember",
    "campaign_members",
    (
        *_RECORD,
        *same("Status=status HasResponded=has_responded FirstRespondedDate=first_responded_on"),
        points_to("CampaignId", "campaign_source_id", "Campaign"),
        points_to("ContactId", "contact_source_id", "Contact"),
        points_to("LeadId", "lead_source_id", "Lead"),
    ),
)

_CASE = ObjectMap(
    "Case",
    "tickets",
    (
        *_OWNED,
        *same(
            "CaseNumber=number Subject=subject Description=description Status=status "
            "Priority=priority Origin=origin Type=ticket_type Reason=reason "
            "IsClosed=is_closed IsEscalated=is_escalated ClosedDate=closed_at"
        ),
        points_to("AccountId", "company_source_id", "Account"),
        points_to("ContactId", "contact_source_id", "Contact"),
        points_to("ParentId", "parent_source_id", "Case"),
        points_to("MasterRecordId", "merged_into", "Case"),
        _MADE,
    ),
    page=_page("Case"),
)

_ABOUT = (
    *_OWNED,
    *same("Subject=subject Description=body"),
    FieldMap("WhoId", "who_source_id", _PEOPLE),
    FieldMap("WhoId", "contact_source_id", (("", "Contact"),), only="003"),
    FieldMap("WhoId", "lead_source_id", (("", "Lead"),), only="00Q"),
    FieldMap("WhatId", "what_source_id", _RECORDS),
    FieldMap("WhatId", "deal_source_id", (("", "Opportunity"),), only="006"),
    FieldMap("WhatId", "ticket_source_id", (("", "Case"),), only="500"),
    FieldMap("WhatId", "campaign_source_id", (("", "Campaign"),), only="701"),
    points_to("AccountId", "company_source_id", "Account"),
    _MADE,
)

_CALL_DIRECTIONS = (("Inbound", "inbound"), ("Outbound", "outbound"), ("Internal", "internal"))
_TASK = ObjectMap(
    "Task",
    "activities",
    (
        *_ABOUT,
        FieldMap(
            "TaskSubtype",
            "activity_type",
            values=(("Call", "call"), ("Email", "email"), ("ListEmail", "email")),
            otherwise="task",
        ),
        *same(
            "ActivityDate=due_on Status=status Priority=priority IsClosed=is_closed "
            "CompletedDateTime=completed_at CallDurationInSeconds=call_seconds "
            "CallDisposition=call_result"
        ),
        FieldMap("CallType", "call_direction", values=_CALL_DIRECTIONS),
    ),
    {"activity_type": "task"},
    page=_page("Task"),
)

_TIMED = ("IsAllDayEvent", "false")
_EVENT = ObjectMap(
    "Event",
    "activities",
    (
        *_ABOUT,
        *same(
            "StartDateTime=starts_at EndDateTime=ends_at IsAllDayEvent=is_all_day "
            "DurationInMinutes=duration_minutes Location=location"
        ),
        # The day of an all-day event is in ActivityDate and is the same in all time zones; the day of any other
        # event is the day of its instant.
        FieldMap("ActivityDateTime", "due_on", when=_TIMED, fallback=("ActivityDate",)),
        FieldMap("ActivityDateTime", "due_at", when=_TIMED),
    ),
    {"activity_type": "meeting"},
    page=_page("Event"),
)

_USERS = ObjectMap(
    "User",
    "users",
    (
        *_RECORD,
        *same(
            "FirstName=first_name LastName=last_name Name=full_name Username=username "
            "Email=email Phone=phone MobilePhone=mobile_phone Title=title "
            "Department=department UserType=user_type IsActive=is_active "
            "TimeZoneSidKey=time_zone UserRoleId=role_source_id UserRole.Name=role "
            "LastLoginDate=last_login_at"
        ),
        FieldMap("ManagerId", "manager_source_id", _USER),
    ),
)

_STAGE = ObjectMap(
    "OpportunityStage",
    "stages",
    (
        *_RECORD,
        *same(
            "ApiName=name MasterLabel=label SortOrder=position DefaultProbability=probability "
            "IsClosed=is_closed IsWon=is_won IsActive=is_active "
            "ForecastCategoryName=forecast_category Description=description"
        ),
    ),
    _PIPELINE,
)

# Salesforce has no pipeline record: the stages of an org form one pipeline.
_PIPELINES = ObjectMap(
    "OpportunityStage",
    "pipelines",
    (),
    {
        "object": "Pipeline",
        "source_id": "default",
        "name": "default",
        "label": "Sales pipeline",
        "for_table": "deals",
        "is_default": "true",
    },
    single_row=True,
)

# The labels of leads' statuses. Salesforce has no pipelines of leads; this one is ours, and leads do not name it.
_LEAD_STATUS = ObjectMap(
    "LeadStatus",
    "stages",
    (*_RECORD, *same("ApiName=name MasterLabel=label SortOrder=position")),
    {"pipeline_source_id": "leads", "pipeline_key": "{connection}:Pipeline:leads"},
)
_LEAD_PIPELINE = replace(
    _PIPELINES,
    object="LeadStatus",
    constants={
        **_PIPELINES.constants,
        "source_id": "leads",
        "name": "leads",
        "label": "Lead statuses",
        "for_table": "leads",
    },
)

_CURRENCY_TYPE = ObjectMap(
    "CurrencyType",
    "exchange_rates",
    (
        *_RECORD,
        *same("IsoCode=currency ConversionRate=rate IsCorporate=is_main"),
    ),
)

_DATED_RATE = ObjectMap(
    "DatedConversionRate",
    "exchange_rates",
    (
        *_RECORD,
        *same("IsoCode=currency ConversionRate=rate StartDate=starts_on NextStartDate=ends_on"),
    ),
)

_OBJECTS = (
    _ACCOUNT,
    _CONTACT,
    _LEAD,
    _OPPORTUNITY,
    _OPPORTUNITY_HISTORY,
    _LINE_ITEM,
    _CONTACT_ROLE,
    _PRODUCT,
    _PRICE,
    _CAMPAIGN,
    _CAMPAIGN_MEMBER,
    _CASE,
    _TASK,
    _EVENT,
    _USERS,
    _STAGE,
    _PIPELINES,
    _LEAD_STATUS,
    _LEAD_PIPELINE,
    _CURRENCY_TYPE,
    _DATED_RATE,
    ObjectMap(ANY_OBJECT, "", _OWNED),
)

# API names are case-insensitive: an admin may change the spelling of a field.
MAPPING: tuple[ObjectMap, ...] = tuple(replace(mapped, ignores_case=True) for mapped in _OBJECTS)
