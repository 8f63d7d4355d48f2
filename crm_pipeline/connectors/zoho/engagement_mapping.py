"""Maps fields of Zoho CRM to columns: cases, tasks, meetings, calls, notes. See `mapping`.

Browser addresses of tasks, meetings and calls are not confirmed.
"""

from crm_pipeline.connectors.zoho.shared_fields import MADE, NAME_OF_DELETED, OF_DELETED, OWNED
from crm_pipeline.model.engagement_tables import LASTING, LASTING_FROM
from crm_pipeline.model.mapping import FieldMap, ObjectMap, points_to, same

_CASE = ObjectMap(
    "Cases",
    "tickets",
    (
        *OWNED,
        MADE,
        FieldMap("Subject", "subject", fallback=(NAME_OF_DELETED,)),
        *same(
            "Case_Number=number Description=description Status=status "
            "Priority=priority Case_Origin=origin Type=ticket_type Case_Reason=reason"
        ),
        # States that the org added are unknown.
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
    beside=OF_DELETED,
    page="/tab/Cases/{id}",
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
    *OWNED,
    MADE,
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
        FieldMap("Subject", "subject", fallback=(NAME_OF_DELETED,)),
        *same("Status=status Priority=priority Due_Date=due_on Closed_Time=completed_at"),
        FieldMap("Status", "is_closed", values=(("Completed", "true"),), otherwise="false"),
    ),
    {"activity_type": "task"},
    beside=OF_DELETED,
    page="/tab/Tasks/{id}",
)

_EVENT = ObjectMap(
    "Events",
    "activities",
    (
        *_ENGAGED,
        *same(
            "Start_DateTime=starts_at End_DateTime=ends_at Start_DateTime=due_on "
            "Start_DateTime=due_at All_day=is_all_day Venue=location"
        ),
        FieldMap("Event_Title", "subject", fallback=(NAME_OF_DELETED,)),
    ),
    {"activity_type": "meeting"},
    beside=OF_DELETED,
    over_rows=LASTING,
    over_one_row=True,
    over_rows_from=LASTING_FROM,
    page="/tab/Events/{id}",
)

# A missed call is an inbound call without an answer.
_CALL_DIRECTIONS = (("Inbound", "inbound"), ("Outbound", "outbound"), ("Missed", "inbound"))
_CALL = ObjectMap(
    "Calls",
    "activities",
    (
        *_ENGAGED,
        *same(
            "Call_Start_Time=starts_at Call_Start_Time=due_on Call_Start_Time=due_at "
            "Call_Duration_in_seconds=call_seconds Call_Result=call_result"
        ),
        FieldMap("Call_Type", "call_direction", values=_CALL_DIRECTIONS),
        FieldMap("Subject", "subject", fallback=(NAME_OF_DELETED,)),
    ),
    {"activity_type": "call"},
    beside=OF_DELETED,
    page="/tab/Calls/{id}",
)

_NOTE = ObjectMap(
    "Notes",
    "activities",
    (
        *OWNED,
        MADE,
        *_related("Parent_Id"),
        _about("Parent_Id", "contact_source_id", "Contacts"),
        FieldMap("Note_Title", "subject", fallback=(NAME_OF_DELETED,)),
        *same("Note_Content=body Created_Time=due_on Created_Time=due_at"),
    ),
    {"activity_type": "note"},
    beside=OF_DELETED,
)

ENGAGEMENT: tuple[ObjectMap, ...] = (_CASE, _TASK, _EVENT, _CALL, _NOTE)
