"""The mapping of HubSpot's properties to the columns of the common model, as data.

A record is the vendor's own, `{id, properties: {...}, createdAt, updatedAt, archived}`, and one key that
the connector adds: `associations`, a flat list of `{to_object, to_id, category, type_id, label}`,
one entry per label. Sources are names of properties; other keys of the record are marked with `at`, because
accounts have properties called `id` or `archived`. Properties without a mapping are kept in `custom`.
An empty text is a cleared property, so it is no value.

Source: https://developers.hubspot.com/docs/guides/crm/understanding-the-crm and the properties that
`GET /crm/v3/properties/{type}` lists for a new account.
"""

from crm_pipeline.connectors.hubspot.catalog import LIST_MEMBERS, LISTS, STANDARD
from crm_pipeline.model.engagement_tables import LASTING, LASTING_FROM
from crm_pipeline.model.mapping import (
    ANY_OBJECT,
    RECORD_ID,
    FieldMap,
    Merge,
    ObjectMap,
    Pick,
    Points,
    beside,
    points_to,
    same,
)

_LIVE = beside("id=source_id createdAt=created_at updatedAt=modified_at")
_RECORD = (*_LIVE, *beside("archived=is_deleted"))
# The id of the login; owners have another id, see `users.login_id`.
_CREATED = same("hs_created_by_user_id=created_by_source_id")
_OWNED = (*_RECORD, points_to("hubspot_owner_id", "owner_source_id", "owners"))
_MADE = (*_OWNED, *_CREATED)
_ACTIVE = same("notes_last_updated=last_activity_on notes_last_updated=last_activity_at")
# Archived records of HubSpot are deleted ones; there is no other archive.
_NEVER_ARCHIVED = {"is_archived": "false"}
# A merge creates a new record. Both old ids vanish from lists and searches; only these properties hold them.
_MERGES = (Merge("hs_merged_object_ids"), Merge("hs_calculated_merged_vids", until=":"))
_PRIMARY = (("label", "Primary"),)
_PERCENT = 100.0


def _linked(obj: str, column: str) -> FieldMap:
    """Return the field of the primary associated record of an object, or else of the first one."""
    pick = Pick("to_id", only=(("to_object", obj),), prefer=_PRIMARY)
    return FieldMap("associations", column, (("", obj),), pick=pick, at=("associations",))


def _page(name: str) -> str:
    """Return the path of a record's web page; https://developers.hubspot.com shows it as the record's `url`."""
    return f"/record/{STANDARD[name].type_id}/{{id}}"


_CONTACT = ObjectMap(
    "contacts",
    "contacts",
    (
        *_MADE,
        *_ACTIVE,
        *same(
            "salutation=salutation firstname=first_name lastname=last_name jobtitle=title "
            "phone=phone mobilephone=mobile_phone fax=fax "
            "address=street city=city state=state zip=postal_code country=country "
            "hs_analytics_source=source hs_legal_basis=lawful_basis "
            "hs_email_hard_bounce_reason_enum=email_bounced_reason lifecyclestage=lifecycle_stage"
        ),
        # The first additional address, for contacts without a primary one.
        FieldMap("email", "email", fallback=("hs_additional_emails",), until=";"),
        # Opted out of all email, or of a subscription; each subscription has a property of its own.
        FieldMap("hs_email_optout", "email_opt_out", any_of=("hs_email_optout_*",)),
        FieldMap(
            "hs_email_bounce",
            "email_bounced",
            any_of=("hs_email_hard_bounce_reason_enum",),
            otherwise="false",
        ),
        FieldMap("hs_additional_emails", "emails", points=Points(label="other", separator=";")),
        points_to("associatedcompanyid", "company_source_id", "companies"),
    ),
    merges=_MERGES,
    page=_page("contacts"),
)

_COMPANY = ObjectMap(
    "companies",
    "companies",
    (
        *_MADE,
        *_ACTIVE,
        *same(
            "name=name website=website domain=domain phone=phone industry=industry "
            "type=company_type numberofemployees=employees annualrevenue=annual_revenue "
            "address=street city=city state=state zip=postal_code country=country "
            "hs_analytics_source=source description=description lifecyclestage=lifecycle_stage"
        ),
        points_to("hs_parent_company_id", "parent_source_id", "companies"),
    ),
    merges=_MERGES,
    page=_page("companies"),
)

_DEAL = ObjectMap(
    "deals",
    "deals",
    (
        *_MADE,
        *_ACTIVE,
        *same(
            "dealname=name dealstage=stage amount=amount deal_currency_code=currency "
            "amount_in_home_currency=amount_main "
            "hs_projected_amount=expected_revenue closedate=close_date "
            "hs_is_closed=is_closed hs_is_closed_won=is_won dealtype=deal_type "
            "hs_manual_forecast_category=forecast_category hs_analytics_source=source "
            "hs_next_step=next_step description=description closed_lost_reason=lost_reason "
            "hs_v2_date_entered_current_stage=stage_changed_at"
        ),
        # For an open deal this is the expected date.
        FieldMap("closedate", "closed_at", when=("hs_is_closed", "true")),
        FieldMap("hs_deal_stage_probability", "probability", factor=_PERCENT),
        points_to("pipeline", "pipeline_source_id", "deal_pipelines"),
        _linked("companies", "company_source_id"),
        _linked("contacts", "primary_contact_source_id"),
    ),
    _NEVER_ARCHIVED,
    merges=_MERGES,
    page=_page("deals"),
)

_STAGE_HISTORY = ObjectMap(
    "deals",
    "deal_stage_history",
    (
        FieldMap("value", "stage"),
        FieldMap("timestamp", "changed_at", form="epoch_ms"),
        FieldMap("timestamp", "created_at", form="epoch_ms"),
        FieldMap(RECORD_ID, "deal_source_id"),
        FieldMap("updatedByUserId", "changed_by_source_id"),
    ),
    each=("propertiesWithHistory", "dealstage"),
    identity=("timestamp", "value"),
    merges=_MERGES,
)

_LINE_ITEM = ObjectMap(
    "line_items",
    "deal_line_items",
    (
        *_RECORD,
        *same(
            "name=name hs_sku=product_code quantity=quantity price=unit_price amount=total_price "
            "hs_discount_percentage=discount hs_line_item_currency_code=currency "
            "hs_position_on_quote=position description=description"
        ),
        points_to("hs_product_id", "product_source_id", "products"),
        _linked("deals", "deal_source_id"),
    ),
    merges=_MERGES,
)

_PRODUCT = ObjectMap(
    "products",
    "products",
    (*_RECORD, *same("name=name hs_sku=sku price=price description=description")),
    merges=_MERGES,
)

_TICKET = ObjectMap(
    "tickets",
    "tickets",
    (
        *_MADE,
        *same(
            "subject=subject content=description hs_pipeline_stage=status "
            "hs_ticket_priority=priority source_type=origin hs_ticket_category=ticket_type "
            "hs_is_closed=is_closed closed_date=closed_at"
        ),
        points_to("hs_pipeline", "pipeline_source_id", "ticket_pipelines"),
        _linked("companies", "company_source_id"),
        _linked("contacts", "contact_source_id"),
    ),
    merges=_MERGES,
    page=_page("tickets"),
)

_LEAD = ObjectMap(
    "leads",
    "leads",
    (
        *_MADE,
        *same(
            "hs_lead_name=name hs_pipeline_stage=status hs_lead_label=rating hs_lead_source=source"
        ),
        points_to("hs_pipeline", "pipeline_source_id", "lead_pipelines"),
        points_to("hs_primary_contact_id", "contact_source_id", "contacts"),
        _linked("companies", "company_source_id"),
    ),
    _NEVER_ARCHIVED,
    merges=_MERGES,
    page=_page("leads"),
)

_ENGAGED = (
    *_MADE,
    *same("hs_timestamp=due_on hs_timestamp=due_at"),
    _linked("contacts", "who_source_id"),
    _linked("contacts", "contact_source_id"),
    _linked("leads", "lead_source_id"),
    _linked("companies", "company_source_id"),
    _linked("deals", "deal_source_id"),
    _linked("tickets", "ticket_source_id"),
)
# Forwarded emails (either direction) and drafts have no direction here.
_DIRECTIONS = (("EMAIL", "outbound"), ("INCOMING_EMAIL", "inbound"))


_CALL_DIRECTIONS = (("INBOUND", "inbound"), ("OUTBOUND", "outbound"))


def _closed(over: str, still: str) -> tuple[tuple[str, str], ...]:
    """Return the values of `is_closed` by status: true for those in `over`, false for those in `still`."""
    closed = ((status, "true") for status in over.split())
    return (*closed, *((status, "false") for status in still.split()))


# RESCHEDULED is missing: it is not documented whether the new date has a record of its own.
_MET = _closed("COMPLETED CANCELED NO_SHOW", "SCHEDULED")
_CALLED = _closed(
    "COMPLETED CANCELED BUSY FAILED NO_ANSWER MISSED",
    "QUEUED RINGING CONNECTING CALLING_CRM_USER IN_PROGRESS",
)
_MAILED = _closed("SENT BOUNCED FAILED", "SCHEDULED SENDING")


def _activity(obj: str, kind: str, *fields: FieldMap, over_rows: str = "") -> ObjectMap:
    return ObjectMap(
        obj,
        "activities",
        (*_ENGAGED, *fields),
        {"activity_type": kind},
        merges=_MERGES,
        page=_page(obj),
        over_rows=over_rows,
        over_one_row=True,
        over_rows_from=LASTING_FROM if over_rows == LASTING else {},
    )


_ACTIVITIES = (
    _activity(
        "tasks",
        "task",
        *same(
            "hs_task_subject=subject hs_task_body=body hs_task_status=status "
            "hs_task_priority=priority"
        ),
        # For an open task this property is the due date.
        FieldMap("hs_task_completion_date", "completed_at", when=("hs_task_status", "COMPLETED")),
        FieldMap("hs_task_status", "is_closed", values=(("COMPLETED", "true"),), otherwise="false"),
    ),
    _activity("notes", "note", *same("hs_note_body=body")),
    _activity(
        "meetings",
        "meeting",
        *same(
            "hs_meeting_title=subject hs_meeting_body=body hs_meeting_outcome=status "
            "hs_meeting_start_time=starts_at hs_meeting_end_time=ends_at hs_meeting_location=location"
        ),
        FieldMap("hs_meeting_outcome", "is_closed", values=_MET),
        over_rows=LASTING,
    ),
    _activity(
        "calls",
        "call",
        *same(
            "hs_call_title=subject hs_call_body=body hs_call_status=status hs_timestamp=starts_at"
        ),
        FieldMap("hs_call_direction", "call_direction", values=_CALL_DIRECTIONS),
        # Outcomes are defined by the account; the values are their ids.
        FieldMap("hs_call_disposition", "call_result", labelled=True),
        FieldMap("hs_call_status", "is_closed", values=_CALLED),
        FieldMap("hs_call_duration", "call_seconds", factor=0.001),
    ),
    _activity(
        "emails",
        "email",
        *same(
            "hs_email_subject=subject hs_email_text=body hs_email_status=status "
            "hs_timestamp=starts_at"
        ),
        FieldMap("hs_email_direction", "email_direction", values=_DIRECTIONS),
        FieldMap("hs_email_status", "is_closed", values=_MAILED),
    ),
)

_OWNERS = ObjectMap(
    "owners",
    "users",
    (
        # Archived owners are inactive users, who still own records.
        *_LIVE,
        *same("firstName=first_name lastName=last_name email=email type=user_type"),
        FieldMap("userId", "login_id", fallback=("userIdIncludingInactive",)),
        FieldMap("teams", "teams", listed="name", pick=Pick("name", prefer=(("primary", "true"),))),
        FieldMap("archived", "is_active", values=(("false", "true"), ("true", "false"))),
    ),
)

_LIST = ObjectMap(
    LISTS,
    "lists",
    same(
        "createdAt=created_at updatedAt=modified_at name=name processingType=list_type "
        "processingStatus=status hs_list_size=size filtersUpdatedAt=filters_changed_at "
        "hs_last_record_added_at=last_added_at hs_last_record_removed_at=last_removed_at "
        "hs_folder_name=folder createdById=created_by_source_id"
    ),
    page="/objectLists/{id}",
)


def _member(obj: str, column: str) -> FieldMap:
    """Return the field of a member that is a record of an object."""
    return FieldMap("recordId", column, (("", obj),), when=("object", obj))


_LIST_MEMBER = ObjectMap(
    LIST_MEMBERS,
    "list_members",
    (
        points_to("listId", "list_source_id", LISTS),
        FieldMap("object", "member_table", is_object=True),
        FieldMap("recordId", "member_source_id", object_in="object"),
        _member("contacts", "contact_source_id"),
        _member("companies", "company_source_id"),
        _member("deals", "deal_source_id"),
        _member("leads", "lead_source_id"),
        _member("tickets", "ticket_source_id"),
        *same("membershipTimestamp=joined_at membershipTimestamp=modified_at"),
    ),
)


def _pipelines(obj: str, table: str, default: str) -> tuple[ObjectMap, ObjectMap]:
    """Return the mappings of an object's pipelines and of their stages."""
    is_default = FieldMap("id", "is_default", values=((default, "true"),), otherwise="false")
    pipelines = ObjectMap(
        obj, "pipelines", (*_RECORD, *same("id=name label=label"), is_default), {"for_table": table}
    )
    stages = (
        *same(
            "id=name label=label displayOrder=position createdAt=created_at updatedAt=modified_at"
        ),
        FieldMap(RECORD_ID, "pipeline_source_id"),
        FieldMap("metadata.probability", "probability", factor=_PERCENT),
        FieldMap(
            "metadata.isClosed",
            "is_closed",
            values=(("true", "true"), ("CLOSED", "true")),
            otherwise="false",
            fallback=("metadata.ticketState",),
        ),
        FieldMap(
            "metadata.probability",
            "is_won",
            values=(("1.0", "true"), ("1", "true")),
            otherwise="false",
        ),
        FieldMap("archived", "is_active", values=(("false", "true"), ("true", "false"))),
    )
    return pipelines, ObjectMap(obj, "stages", stages, each=("stages",), identity=("id",))


def _links(obj: str) -> ObjectMap:
    """Return the mapping of an object's associations; both ends have each link."""
    fields = (
        FieldMap(RECORD_ID, "from_source_id"),
        FieldMap("to_object", "to_table", is_object=True),
        FieldMap("to_id", "to_source_id", object_in="to_object"),
        FieldMap("label", "role"),
        FieldMap("label", "is_primary", values=(("Primary", "true"),), otherwise="false"),
    )
    return ObjectMap(
        obj,
        "associations",
        fields,
        {"from_table": "{table}", "is_primary": "false"},
        each=("associations",),
        identity=("to_object", "to_id", "category", "type_id"),
        merges=_MERGES,
        kind="to_object",
    )


# Types that can be merged; custom types are below.
_MERGEABLE = (_CONTACT, _COMPANY, _DEAL, _TICKET)
_OWN = (_CONTACT, _COMPANY, _DEAL, _LINE_ITEM, _PRODUCT, _TICKET, _LEAD, *_ACTIVITIES)

_ANY = ObjectMap(ANY_OBJECT, "", _OWNED, merges=_MERGES)

MAPPING: tuple[ObjectMap, ...] = (
    *_OWN,
    _STAGE_HISTORY,
    *(_links(entry.object) for entry in _OWN),
    _OWNERS,
    _LIST,
    _LIST_MEMBER,
    *_pipelines("deal_pipelines", "deals", "default"),
    *_pipelines("ticket_pipelines", "tickets", "0"),
    *_pipelines("lead_pipelines", "leads", "lead-pipeline-id"),
    *(entry.merged for entry in _MERGEABLE),
    _ANY,
    _ANY.merged,
    _links(ANY_OBJECT),
)
