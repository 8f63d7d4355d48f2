"""Maps fields of Zoho CRM to columns of the common model, as tables of data.

Sources are API names of fields. A look-up is an object with an id in JSON and the bare id in a bulk CSV;
its field is that id, `(<name>, "id")` by path. Pipelines are those of the layouts' settings: their
`_source_id` is `actual_value`, because that is what deals carry.

Source: https://www.zoho.com/crm/developer/docs/api/v8/ (modules, fields and pipelines of a new org). The addresses
of records are those that public clients open; that of deals says Potentials.
"""

from collections.abc import Mapping

from crm_pipeline.connectors.zoho import pipelines
from crm_pipeline.connectors.zoho.engagement_mapping import ENGAGEMENT
from crm_pipeline.connectors.zoho.shared_fields import (
    ACTIVE,
    CURRENCY,
    MADE,
    NAME_OF_DELETED,
    OF_DELETED,
    OWNED,
    RECORD,
)
from crm_pipeline.connectors.zoho.stage_history import ENTERED_AT
from crm_pipeline.model.mapping import (
    ANY_OBJECT,
    CUSTOM,
    RECORD_ID,
    FieldMap,
    ObjectMap,
    Points,
    points_to,
    same,
)

_BASIS = "Data_Processing_Basis_Details.Data_Processing_Basis"

_PERSON = (
    *OWNED,
    MADE,
    *ACTIVE,
    *same(
        "Salutation=salutation First_Name=first_name Last_Name=last_name "
        "Email=email Phone=phone Mobile=mobile_phone Fax=fax Lead_Source=source "
        "Email_Opt_Out=email_opt_out Do_Not_Call=do_not_call"
    ),
    FieldMap("Full_Name", "full_name", fallback=(NAME_OF_DELETED,)),
    FieldMap(_BASIS, "lawful_basis"),
    FieldMap("Secondary_Email", "emails", points=Points(label="other", separator=";")),
)

# With consent as the ground the marks name the allowed channels; with other grounds they mean nothing.
_CONSENT = """
SELECT * EXCLUDE (_asked) REPLACE (
    coalesce(email_opt_out OR _asked ->> 'Contact_Through_Email' = 'false', email_opt_out,
        _asked ->> 'Contact_Through_Email' = 'false') AS email_opt_out,
    coalesce(do_not_call OR _asked ->> 'Contact_Through_Phone' = 'false', do_not_call,
        _asked ->> 'Contact_Through_Phone' = 'false') AS do_not_call
)
FROM (
    SELECT *, CASE WHEN lawful_basis = 'Consent - Obtained' THEN
        (custom::JSON ->> '$.Data_Processing_Basis_Details')::JSON END AS _asked
    FROM {rows}
)
"""
_ASKED = ("lawful_basis", f"{CUSTOM}Data_Processing_Basis_Details")
_CONSENT_FROM = {
    "email_opt_out": ("email_opt_out", *_ASKED),
    "do_not_call": ("do_not_call", *_ASKED),
}

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
    over_rows=_CONSENT,
    over_one_row=True,
    over_rows_from=_CONSENT_FROM,
    beside=OF_DELETED,
    page="/tab/Contacts/{id}",
)

_ACCOUNT = ObjectMap(
    "Accounts",
    "companies",
    (
        *OWNED,
        MADE,
        *ACTIVE,
        FieldMap("Account_Name", "name", fallback=(NAME_OF_DELETED,)),
        *same(
            "Website=website Phone=phone Fax=fax Industry=industry "
            "Account_Type=company_type Rating=rating Employees=employees "
            "Annual_Revenue=annual_revenue Account_Number=account_number Billing_Street=street "
            "Billing_City=city Billing_State=state Billing_Code=postal_code "
            "Billing_Country=country Description=description"
        ),
        CURRENCY,
        points_to("Parent_Account", "parent_source_id", "Accounts"),
    ),
    beside=OF_DELETED,
    page="/tab/Accounts/{id}",
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
            "Converted_Date_Time=converted_on Converted_Date_Time=converted_at Street=street City=city State=state "
            "Zip_Code=postal_code Country=country"
        ),
        CURRENCY,
        points_to("Converted_Account", "converted_company_source_id", "Accounts"),
        points_to("Converted_Contact", "converted_contact_source_id", "Contacts"),
        points_to("Converted_Deal", "converted_deal_source_id", "Deals"),
    ),
    over_rows=_CONSENT,
    over_one_row=True,
    over_rows_from=_CONSENT_FROM,
    beside=OF_DELETED,
    page="/tab/Leads/{id}",
)

_DEAL = ObjectMap(
    "Deals",
    "deals",
    (
        *OWNED,
        MADE,
        *ACTIVE,
        FieldMap("Deal_Name", "name", fallback=(NAME_OF_DELETED,)),
        *same(
            "Stage=stage Amount=amount Expected_Revenue=expected_revenue "
            "Probability=probability Closing_Date=close_date Type=deal_type Lead_Source=source "
            "Next_Step=next_step Description=description Stage_Modified_Time=stage_changed_at "
            "Reason_For_Loss__s=lost_reason"
        ),
        # The rate of the deal's day, in units of its currency for one unit of the home currency.
        FieldMap("Amount", "amount_main", divided_by="Exchange_Rate"),
        CURRENCY,
        points_to("Account_Name", "company_source_id", "Accounts"),
        points_to("Contact_Name", "primary_contact_source_id", "Contacts"),
        points_to("Campaign_Source", "campaign_source_id", "Campaigns"),
        points_to("Pipeline", "pipeline_source_id", "Pipelines"),
    ),
    # The stage decides whether a deal is closed or won: records do not say it, and orgs name stages freely.
    {
        "pipeline_source_id": pipelines.DEFAULT,
        "pipeline_key": f"{{connection}}:{pipelines.NAME}:{pipelines.DEFAULT}",
    },
    beside=OF_DELETED,
    page="/tab/Potentials/{id}",
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
        CURRENCY,
        points_to("Potential_Name", "deal_source_id", "Deals"),
        points_to("Modified_By", "changed_by_source_id", "Users"),
    ),
    over_rows=ENTERED_AT,
    over_rows_from={"changed_at": ("changed_at", f"{CUSTOM}Stage_Duration_Calendar_Days")},
)

_PRODUCT = ObjectMap(
    "Products",
    "products",
    (
        *RECORD,
        *same(
            "Product_Code=product_code Product_Category=family Unit_Price=price "
            "Usage_Unit=unit Product_Active=is_active Description=description"
        ),
        FieldMap("Product_Name", "name", fallback=(NAME_OF_DELETED,)),
        CURRENCY,
    ),
    beside=OF_DELETED,
)

_CAMPAIGN = ObjectMap(
    "Campaigns",
    "campaigns",
    (
        *OWNED,
        *same(
            "Type=campaign_type Status=status Start_Date=starts_on "
            "End_Date=ends_on Budgeted_Cost=budgeted_cost Actual_Cost=actual_cost "
            "Expected_Revenue=expected_revenue Expected_Response=expected_response "
            "Num_sent=number_sent Description=description"
        ),
        FieldMap("Campaign_Name", "name", fallback=(NAME_OF_DELETED,)),
        CURRENCY,
        points_to("Parent_Campaign", "parent_source_id", "Campaigns"),
    ),
    beside=OF_DELETED,
    page="/tab/Campaigns/{id}",
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

_CONTACT_ROLE = ObjectMap(
    "ContactRoles",
    "associations",
    (
        *same("id=source_id Contact_Role=role"),
        points_to("Deal", "from_source_id", "Deals"),
        points_to("Contact", "to_source_id", "Contacts"),
    ),
    {"from_table": "deals", "to_table": "contacts"},
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
        FieldMap("role.name", "role"),
        points_to("Reporting_To", "manager_source_id", "Users"),
    ),
)

_PIPELINE = ObjectMap(
    "Pipelines",
    "pipelines",
    same("actual_value=name display_value=label default=is_default"),
    {"for_table": "deals"},
)

# The forecast category is used where a stage has no type, except for omitted stages.
_IS_CLOSED = {
    "Open": "false",
    "Closed Won": "true",
    "Closed Lost": "true",
    "Pipeline": "false",
    "Best Case": "false",
    "Commit": "false",
    "Committed": "false",
    "Closed": "true",
}
_IS_WON = _IS_CLOSED | {"Closed Lost": "false"}


def _of_type(column: str, values: Mapping[str, str]) -> FieldMap:
    words = tuple(values.items())
    return FieldMap("forecast_type", column, values=words, fallback=("forecast_category.name",))


_STAGE = ObjectMap(
    "Pipelines",
    "stages",
    (
        *same(
            "actual_value=name display_value=label sequence_number=position "
            "forecast_category.name=forecast_category probability=probability"
        ),
        FieldMap(RECORD_ID, "pipeline_source_id"),
        _of_type("is_closed", _IS_CLOSED),
        _of_type("is_won", _IS_WON),
        FieldMap("type", "is_active", values=(("used", "true"), ("unused", "false"))),
    ),
    each=("maps",),
    identity=("actual_value",),
)

# The rate is the value of one unit of the home currency in this currency.
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
    _CONTACT_ROLE,
    *ENGAGEMENT,
    _USER,
    _PIPELINE,
    _STAGE,
    _RATE,
    ObjectMap(ANY_OBJECT, "", OWNED),
)
