"""Maps Pipedrive's fields to columns of the common model, as tables of data.

Sources are the keys of API v2 records; leads, notes and users come from v1, whose instants have no offset
and are UTC. Parts of composite values are fields of their own, as in `address_locality`. Custom
fields have 40-digit keys that differ in every company: they stay in `custom`, unless
connections.yaml maps them.

Source: https://developers.pipedrive.com/docs/api/v1 (which documents v2 as well). Browser addresses of
records are not documented; deals, persons, organizations and leads have had these addresses for years, and
that of activities is the one that the browser shows for an activity chosen in the list.
"""

from crm_pipeline.model.mapping import (
    ANY_OBJECT,
    CUSTOM,
    MAIN_CURRENCY,
    RECORD,
    RECORD_ID,
    FieldMap,
    ObjectMap,
    Pick,
    Points,
    points_to,
    same,
)

_RECORD = same("id=source_id is_deleted=is_deleted add_time=created_at update_time=modified_at")
_OWNER = points_to("owner_id", "owner_source_id", "users")
_OWNED = (*_RECORD, _OWNER)
_PRIMARY = (("primary", "true"),)
_CREATOR = points_to("creator_user_id", "created_by_source_id", "users")
# API v1: the flag says that the record is not deleted.
_ACTIVE = FieldMap(
    "active_flag", "is_deleted", values=(("false", "true"), ("0", "true")), otherwise="false"
)


def _address(prefix: str) -> tuple[FieldMap, ...]:
    """Map an address; a text that the vendor could not split becomes the street."""
    return (
        FieldMap(
            f"{prefix}_route",
            "street",
            joined=(f"{prefix}_street_number",),
            fallback=(prefix,),
        ),
        *same(
            f"{prefix}_locality=city {prefix}_admin_area_level_1=state "
            f"{prefix}_postal_code=postal_code {prefix}_country=country"
        ),
    )


def _price(key: str, column: str, other: str) -> FieldMap:
    """Map a part of the price in the main currency, or of the first price."""
    pick = Pick(key, prefer=(("currency", MAIN_CURRENCY),), filled=(other,))
    return FieldMap("prices", column, pick=pick)


def _phone(label: str, column: str) -> FieldMap:
    return FieldMap("phones", column, pick=Pick("value", only=(("label", label),)))


_DEAL = ObjectMap(
    "deals",
    "deals",
    (
        *_OWNED,
        *same(
            "title=name stage_id=stage value=amount currency=currency probability=probability "
            "stage_change_time=stage_changed_at lost_reason=lost_reason is_archived=is_archived"
        ),
        _CREATOR,
        # The marketing channel; `origin` is how the record was made, such as ManuallyCreated or API.
        FieldMap("channel", "source", labelled=True),
        points_to("org_id", "company_source_id", "organizations"),
        points_to("person_id", "primary_contact_source_id", "persons"),
        points_to("pipeline_id", "pipeline_source_id", "pipelines"),
        # A day in the company's time zone, unlike the day of close_time.
        FieldMap(
            "expected_close_date",
            "close_date",
            when=("status", "open"),
            fallback=("local_close_date", "close_time", "expected_close_date"),
        ),
        FieldMap("close_time", "closed_at", fallback=("won_time", "lost_time")),
        FieldMap(
            "status",
            "is_closed",
            values=(("open", "false"), ("won", "true"), ("lost", "true")),
        ),
        FieldMap(
            "status",
            "is_won",
            values=(("open", "false"), ("won", "true"), ("lost", "false")),
        ),
    ),
    page="/deal/{id}",
    # A reopened deal keeps values of its earlier closing; it is not closed.
    over_rows="""
        SELECT * REPLACE (
            CASE WHEN is_closed IS DISTINCT FROM false THEN closed_at END AS closed_at,
            CASE WHEN is_closed IS DISTINCT FROM false OR custom::JSON ->> 'expected_close_date' IS NOT NULL
                THEN close_date END AS close_date
        )
        FROM {rows}""",
    over_one_row=True,
    over_rows_from={
        "closed_at": ("closed_at", "is_closed"),
        "close_date": ("close_date", "is_closed", f"{CUSTOM}expected_close_date"),
    },
)

_PERSON = ObjectMap(
    "persons",
    "contacts",
    (
        *_OWNED,
        *same(
            "name=full_name first_name=first_name last_name=last_name job_title=title "
            "birthday=birth_date"
        ),
        FieldMap("emails", "email", pick=Pick("value", prefer=_PRIMARY)),
        FieldMap("emails", "emails", points=Points()),
        FieldMap("phones", "phone", pick=Pick("value", prefer=_PRIMARY)),
        _phone("mobile", "mobile_phone"),
        _phone("home", "home_phone"),
        _phone("other", "other_phone"),
        FieldMap("phones", "phones", points=Points()),
        points_to("org_id", "company_source_id", "organizations"),
        *_address("postal_address"),
        # A person at no_consent was not asked yet: unknown.
        FieldMap(
            "marketing_status",
            "email_opt_out",
            values=(("subscribed", "false"), ("unsubscribed", "true")),
        ),
    ),
    page="/person/{id}",
)

_ORGANIZATION = ObjectMap(
    "organizations",
    "companies",
    (
        *_OWNED,
        *same("name=name website=website annual_revenue=annual_revenue employee_count=employees"),
        FieldMap("industry", "industry", labelled=True),
        *_address("address"),
    ),
    page="/organization/{id}",
)

_ABOUT = (
    points_to("person_id", "who_source_id", "persons"),
    points_to("person_id", "contact_source_id", "persons"),
    points_to("lead_id", "lead_source_id", "leads"),
    points_to("org_id", "company_source_id", "organizations"),
    points_to("deal_id", "deal_source_id", "deals"),
)

# An activity without a time is due on a day; the time of others is in UTC, and so is their day.
_DUE = ("due_time",)

_ACTIVITY = ObjectMap(
    "activities",
    "activities",
    (
        *_OWNED,
        _CREATOR,
        *_ABOUT,
        FieldMap("due_date", "due_on", joined=_DUE, form="local"),
        FieldMap("due_date", "due_at", joined=_DUE, needs_all=True, form="local"),
        FieldMap("due_date", "starts_at", joined=_DUE, needs_all=True, form="local"),
        # Companies add kinds of their own; all of them are tasks.
        FieldMap(
            "type",
            "activity_type",
            values=(
                ("call", "call"),
                ("email", "email"),
                ("meeting", "meeting"),
                ("lunch", "meeting"),
            ),
            otherwise="task",
        ),
        *same(
            "subject=subject note=body done=is_closed marked_as_done_time=completed_at location=location"
        ),
        FieldMap("priority", "priority", labelled=True),
        FieldMap("duration", "duration_minutes", form="clock"),
    ),
    {"activity_type": "task"},
    page="/activities/list/user/everyone?selected={id}",
    over_rows="SELECT * REPLACE (starts_at + to_minutes(duration_minutes) AS ends_at) FROM {rows}",
    over_one_row=True,
    over_rows_from={"ends_at": ("starts_at", "duration_minutes")},
)

_ACTIVITY_PEOPLE = ObjectMap(
    "activities",
    "associations",
    (
        FieldMap(RECORD_ID, "from_source_id", (("", "activities"),)),
        points_to("person_id", "to_source_id", "persons"),
        FieldMap("primary", "is_primary"),
        *same(f"{RECORD}add_time=created_at {RECORD}update_time=modified_at"),
    ),
    {"from_table": "activities", "to_table": "contacts", "role": "participant"},
    each=("participants",),
    identity=("person_id",),
)

_NOTE = ObjectMap(
    "notes",
    "activities",
    (
        *same("id=source_id content=body"),
        _ACTIVE,
        FieldMap("add_time", "created_at", form="local"),
        FieldMap("update_time", "modified_at", form="local"),
        FieldMap("add_time", "due_on", form="local"),
        FieldMap("add_time", "due_at", form="local"),
        points_to("user_id", "owner_source_id", "users"),
        points_to("user_id", "created_by_source_id", "users"),
        *_ABOUT,
    ),
    {"activity_type": "note"},
)

_LEAD = ObjectMap(
    "leads",
    "leads",
    (
        *same(
            "id=source_id add_time=created_at update_time=modified_at title=name value=amount "
            "value_currency=currency is_archived=is_archived"
        ),
        # Companies that do not use marketing channels have no value there: use the vendor's own field.
        FieldMap("channel", "source", labelled=True, fallback=("source_name",)),
        _OWNER,
        points_to("creator_id", "created_by_source_id", "users"),
        points_to("person_id", "contact_source_id", "persons"),
        points_to("organization_id", "company_source_id", "organizations"),
    ),
    page="/leads/inbox/{id}",
)

_PRODUCT = ObjectMap(
    "products",
    "products",
    (
        *_RECORD,
        *same(
            "name=name code=product_code unit=unit description=description is_linkable=is_active"
        ),
        FieldMap("category", "family", labelled=True),
        _price("price", "price", "currency"),
        _price("currency", "currency", "price"),
    ),
)

_DEAL_PRODUCT = ObjectMap(
    "deal_products",
    "deal_line_items",
    (
        *same(
            "id=source_id add_time=created_at update_time=modified_at name=name "
            "quantity=quantity item_price=unit_price sum=total_price currency=currency "
            "order_nr=position comments=description"
        ),
        points_to("deal_id", "deal_source_id", "deals"),
        points_to("product_id", "product_source_id", "products"),
        FieldMap("discount", "discount", when=("discount_type", "percentage")),
    ),
)

_DEAL_CHANGES = ObjectMap(
    "deal_changes", "deal_changes", same("id=source_id add_time=created_at update_time=modified_at")
)

_STAGE_HISTORY = ObjectMap(
    "deal_changes",
    "deal_stage_history",
    (
        FieldMap(RECORD_ID, "deal_source_id", (("", "deals"),)),
        # Earlier versions landed only changes of the stage, with the stage under `new_value`.
        FieldMap("stage_id", "stage", fallback=("new_value",)),
        points_to("pipeline_id", "pipeline_source_id", "pipelines"),
        *same("value=amount currency=currency"),
        FieldMap("time", "changed_at", form="local"),
        FieldMap("time", "created_at", form="local"),
        points_to("actor_user_id", "changed_by_source_id", "users"),
    ),
    each=("stages",),
    identity=("number",),
)

# People besides the main contact, which the deal itself names.
_PARTICIPANT = ObjectMap(
    "deal_participants",
    "associations",
    (
        FieldMap(RECORD_ID, "from_source_id", (("", "deals"),)),
        points_to("person_id", "to_source_id", "persons"),
        FieldMap("is_main", "is_primary"),
        FieldMap("add_time", "created_at", form="local"),
        FieldMap(f"{RECORD}update_time", "modified_at"),
    ),
    {"from_table": "deals", "to_table": "contacts", "role": "participant"},
    each=("participants",),
    identity=("person_id",),
)

_USER = ObjectMap(
    "users",
    "users",
    (
        *same(
            "id=source_id name=full_name email=email phone=phone "
            "active_flag=is_active timezone_name=time_zone role_id=role_source_id role_name=role"
        ),
        FieldMap("teams", "teams", listed="name"),
        FieldMap("created", "created_at", form="local"),
        FieldMap("modified", "modified_at", form="local"),
        FieldMap("last_login", "last_login_at", form="local"),
    ),
)

_PIPELINE = ObjectMap(
    "pipelines", "pipelines", (*_RECORD, *same("id=name name=label")), {"for_table": "deals"}
)

# A deal is won or lost by its status, in any stage.
_STAGE = ObjectMap(
    "stages",
    "stages",
    (
        *_RECORD,
        *same("id=name name=label order_nr=position deal_probability=probability"),
        points_to("pipeline_id", "pipeline_source_id", "pipelines"),
    ),
    {"is_closed": "false", "is_won": "false"},
)

MAPPING: tuple[ObjectMap, ...] = (
    _DEAL,
    _PERSON,
    _ORGANIZATION,
    _ACTIVITY,
    _ACTIVITY_PEOPLE,
    _NOTE,
    _LEAD,
    _PRODUCT,
    _DEAL_PRODUCT,
    _DEAL_CHANGES,
    _STAGE_HISTORY,
    _PARTICIPANT,
    _USER,
    _PIPELINE,
    _STAGE,
    ObjectMap(ANY_OBJECT, "", _OWNED),
)
