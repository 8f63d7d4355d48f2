"""Which Zoho CRM field feeds which column of the common model, as tables of data.

Sources are API names of fields. A look-up is an object with an id in JSON and the bare id in a bulk CSV;
its field is that id, `(<name>, "id")` by path. Pipelines are those of the layouts' settings: their
`_source_id` is `actual_value`, because that is what deals carry.

Source: https://www.zoho.com/crm/developer/docs/api/v8/ (modules, fields and pipelines of a new org).
"""

from crm_pipeline.model.mapping import (
    ANY_OBJECT,
    RECORD_ID,
    FieldMap,
    ObjectMap,
    Points,
    points_to,
    same,
)

_RECORD = same("id=source_id Created_Time=created_at Modified_Time=modified_at")
_OWNED = (*_RECORD, points_to("Owner", "owner_source_id", "Users"))
_CURRENCY = FieldMap("Currency", "currency")
_BASIS = "Data_Processing_Basis_Details.Data_Processing_Basis"

_PERSON = (
    *_OWNED,
    *same(
        "Salutation=salutation First_Name=first_name Last_Name=last_name Full_Name=full_name "
        "Email=email Phone=phone Mobile=mobile_phone Fax=fax Lead_Source=source "
        "Email_Opt_Out=email_opt_out Do_Not_Call=do_not_call "
        "Last_Activity_Time=last_activity_on"
    ),
    FieldMap(_BASIS, "lawful_basis"),
    FieldMap("Secondary_Email", "emails", points=Points(label="other", separator=";")),
)

_CONTACT = ObjectMap(
    "Contacts",
    "contacts",
    (
        *_PERSON,
        *same(
            "Title=title Department=department Home_Phone=home_phone Other_Phone=other_phone "
            "Asst_Phone=assistant_phone Date_of_Birth=birth_date Mailing_Street=street "
            "Mailing_City=city Mailing_State=state Mailing_Zip=postal_code "
            "Mailing_Country=country"
        ),
        points_to("Account_Name", "company_source_id", "Accounts"),
        points_to("Reporting_To", "reports_to_source_id", "Contacts"),
    ),
)

_ACCOUNT = ObjectMap(
    "Accounts",
    "companies",
    (
        *_OWNED,
        *same(
            "Account_Name=name Website=website Phone=phone Fax=fax Industry=industry "
            "Account_Type=company_type Rating=rating Employees=employees "
            "Annual_Revenue=annual_revenue Account_Number=account_number Billing_Street=street "
            "Billing_City=city Billing_State=state Billing_Code=postal_code "
            "Billing_Country=country Description=description "
            "Last_Activity_Time=last_activity_on"
        ),
        _CURRENCY,
        points_to("Parent_Account", "parent_source_id", "Accounts"),
    ),
)

_LEAD = ObjectMap(
    "Leads",
    "leads",
    (
        *_PERSON,
        *same(
            "Designation=title Company=company_name Website=website Industry=industry "
            "Lead_Status=status Rating=rating No_of_Employees=employees "
            "Annual_Revenue=annual_revenue Converted__s=is_converted "
            "Converted_Date_Time=converted_on Street=street City=city State=state "
            "Zip_Code=postal_code Country=country"
        ),
        _CURRENCY,
        points_to("Converted_Account", "converted_company_source_id", "Accounts"),
        points_to("Converted_Contact", "converted_contact_source_id", "Contacts"),
        points_to("Converted_Deal", "converted_deal_source_id", "Deals"),
    ),
)

_OPEN_STAGES = (
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Identify Decision Makers",
    "Proposal/Price Quote",
    "Negotiation/Review",
)
_LOST_STAGES = ("Closed Lost", "Closed-Lost to Competition", "Closed Lost to Competition")


def _of_stage(column: str, won: str, lost: str) -> FieldMap:
    """Tell the state of a deal from the names of a new org's stages; of others it is not known.

    Own stages say so in `stages`, which join by pipeline and name.
    """
    values = dict.fromkeys(_OPEN_STAGES, "false")
    values |= {"Closed Won": won} | dict.fromkeys(_LOST_STAGES, lost)
    return FieldMap("Stage", column, values=tuple(values.items()))


_DEAL = ObjectMap(
    "Deals",
    "deals",
    (
        *_OWNED,
        *same(
            "Deal_Name=name Stage=stage Amount=amount Expected_Revenue=expected_revenue "
            "Probability=probability Closing_Date=close_date Type=deal_type Lead_Source=source "
            "Next_Step=next_step Description=description Stage_Modified_Time=stage_changed_at "
            "Last_Activity_Time=last_activity_on"
        ),
        _CURRENCY,
        _of_stage("is_closed", "true", "true"),
        _of_stage("is_won", "true", "false"),
        points_to("Account_Name", "company_source_id", "Accounts"),
        points_to("Contact_Name", "primary_contact_source_id", "Contacts"),
        points_to("Campaign_Source", "campaign_source_id", "Campaigns"),
        points_to("Pipeline", "pipeline_source_id", "Pipelines"),
    ),
)

_STAGE_HISTORY = ObjectMap(
    "DealHistory",
    "deal_stage_history",
    (
        *same(
            "id=source_id Stage=stage Amount=amount Expected_Revenue=expected_revenue "
            "Probability=probability Close_Date=close_date Modified_Time=changed_at"
        ),
        FieldMap("Modified_Time", "modified_at"),
        _CURRENCY,
        points_to("Potential_Name", "deal_source_id", "Deals"),
        points_to("Modified_By", "changed_by_source_id", "Users"),
    ),
)

_PRODUCT = ObjectMap(
    "Products",
    "products",
    (
        *_RECORD,
        *same(
            "Product_Name=name Product_Code=product_code Product_Category=family "
            "Usage_Unit=unit Product_Active=is_active Description=description"
        ),
        _CURRENCY,
    ),
)

_CAMPAIGN = ObjectMap(
    "Campaigns",
    "campaigns",
    (
        *_OWNED,
        *same(
            "Campaign_Name=name Type=campaign_type Status=status Start_Date=starts_on "
            "End_Date=ends_on Budgeted_Cost=budgeted_cost Actual_Cost=actual_cost "
            "Expected_Revenue=expected_revenue Expected_Response=expected_response "
            "Num_sent=number_sent Description=description"
        ),
        _CURRENCY,
        points_to("Parent_Campaign", "parent_source_id", "Campaigns"),
    ),
)

_CAMPAIGN_MEMBER = ObjectMap(
    "CampaignMembers",
    "campaign_members",
    (
        *same("id=source_id Member_Status=status"),
        points_to("Campaign", "campaign_source_id", "Campaigns"),
        points_to("Contact", "contact_source_id", "Contacts"),
        points_to("Lead", "lead_source_id", "Leads"),
    ),
)

_CASE = ObjectMap(
    "Cases",
    "tickets",
    (
        *_OWNED,
        *same(
            "Case_Number=number Subject=subject Description=description Status=status "
            "Priority=priority Case_Origin=origin Type=ticket_type Case_Reason=reason"
        ),
        # Own states are neither: unknown.
        FieldMap(
            "Status",
            "is_closed",
            values=(
                ("New", "false"),
                ("On Hold", "false"),
                ("Escalated", "false"),
                ("Closed", "true"),
            ),
        ),
        points_to("Account_Name", "company_source_id", "Accounts"),
        points_to("Related_To", "contact_source_id", "Contacts"),
    ),
)

# What_Id and Parent_Id point to records of any module; $se_module says which.
_MODULE = "$se_module"


def _about(source: str, column: str, module: str) -> FieldMap:
    return FieldMap(source, column, (("", module),), when=(_MODULE, module))


def _related(source: str) -> tuple[FieldMap, ...]:
    return (
        FieldMap(source, "what_source_id", object_in=_MODULE),
        _about(source, "lead_source_id", "Leads"),
        _about(source, "company_source_id", "Accounts"),
        _about(source, "deal_source_id", "Deals"),
        _about(source, "ticket_source_id", "Cases"),
        _about(source, "campaign_source_id", "Campaigns"),
    )


_ENGAGED = (
    *_OWNED,
    *_related("What_Id"),
    points_to("Who_Id", "who_source_id", "Contacts"),
    points_to("Who_Id", "contact_source_id", "Contacts"),
    FieldMap("Description", "body"),
)

_TASK = ObjectMap(
    "Tasks",
    "activities",
    (
        *_ENGAGED,
        *same(
            "Subject=subject Status=status Priority=priority Due_Date=due_on "
            "Closed_Time=completed_at"
        ),
        FieldMap("Status", "is_closed", values=(("Completed", "true"),), otherwise="false"),
    ),
    {"activity_type": "task"},
)

_EVENT = ObjectMap(
    "Events",
    "activities",
    (
        *_ENGAGED,
        *same(
            "Event_Title=subject Start_DateTime=starts_at End_DateTime=ends_at "
            "All_day=is_all_day Venue=location"
        ),
        FieldMap("Start_DateTime", "due_on"),
    ),
    {"activity_type": "meeting"},
)

_CALL = ObjectMap(
    "Calls",
    "activities",
    (
        *_ENGAGED,
        *same(
            "Subject=subject Call_Start_Time=starts_at Call_Duration_in_seconds=call_seconds "
            "Call_Type=call_direction Call_Result=call_result"
        ),
        FieldMap("Call_Start_Time", "due_on"),
    ),
    {"activity_type": "call"},
)

_NOTE = ObjectMap(
    "Notes",
    "activities",
    (
        *_OWNED,
        *_related("Parent_Id"),
        _about("Parent_Id", "contact_source_id", "Contacts"),
        *same("Note_Title=subject Note_Content=body"),
        FieldMap("Created_Time", "due_on"),
    ),
    {"activity_type": "note"},
)

_USER = ObjectMap(
    "Users",
    "users",
    (
        *same(
            "id=source_id first_name=first_name last_name=last_name full_name=full_name "
            "email=email phone=phone mobile=mobile_phone time_zone=time_zone "
            "type__s=user_type created_time=created_at Modified_Time=modified_at"
        ),
        FieldMap("status", "is_active", values=(("active", "true"),), otherwise="false"),
        FieldMap("role.id", "role_source_id"),
        points_to("Reporting_To", "manager_source_id", "Users"),
    ),
)

_PIPELINE = ObjectMap(
    "Pipelines",
    "pipelines",
    same("actual_value=name display_value=label default=is_default"),
    {"for_table": "deals"},
)

_STAGE = ObjectMap(
    "Pipelines",
    "stages",
    (
        *same(
            "actual_value=name display_value=label sequence_number=position "
            "forecast_category.name=forecast_category"
        ),
        FieldMap(RECORD_ID, "pipeline_source_id"),
        FieldMap("forecast_type", "is_closed", values=(("Open", "false"),), otherwise="true"),
        FieldMap("forecast_type", "is_won", values=(("Closed Won", "true"),), otherwise="false"),
    ),
    each=("maps",),
    identity=("actual_value",),
)

# A rate is what one unit of the home currency is worth in this one.
_RATE = ObjectMap(
    "Currencies",
    "exchange_rates",
    same(
        "id=source_id iso_code=currency exchange_rate=rate is_base=is_main "
        "created_time=created_at modified_time=modified_at"
    ),
)

MAPPING: tuple[ObjectMap, ...] = (
    _CONTACT,
    _ACCOUNT,
    _LEAD,
    _DEAL,
    _STAGE_HISTORY,
    _PRODUCT,
    _CAMPAIGN,
    _CAMPAIGN_MEMBER,
    _CASE,
    _TASK,
    _EVENT,
    _CALL,
    _NOTE,
    _USER,
    _PIPELINE,
    _STAGE,
    _RATE,
    ObjectMap(ANY_OBJECT, "", _OWNED),
)
