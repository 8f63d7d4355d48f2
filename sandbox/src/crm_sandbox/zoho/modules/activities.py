"""Tasks, Events, Calls, Notes and Cases."""

from typing import Any

from crm_sandbox.zoho.schema import (
    Field,
    Module,
    area,
    choice,
    contact_point,
    day,
    flag,
    life,
    lookup,
    make,
    moment,
    number,
    record_id,
    text,
)

_FIXED: dict[str, Any] = {"read_only": True}


def _about() -> tuple[Field, ...]:
    """Whom and what an activity is about; for a lead that is `What_Id`, as for any other record."""
    return (
        lookup("Who_Id", "Contacts", "contact_id", label="Contact Name"),
        lookup("What_Id", "se_module", "what_id", label="Related To"),
        text("$se_module", "what_module", 40),
    )


TASKS = Module(
    "Tasks",
    "Task",
    "Tasks",
    (
        record_id(),
        text(
            "Subject",
            "['Call', 'E-mail', 'Send quote', 'Send letter', 'Other'][1 + r2 % 5]",
            300,
            mandatory=True,
        ),
        day("Due_Date", "created::DATE + (r3 % 30)::INTEGER"),
        choice(
            "Status",
            ("Not Started", "Deferred", "In Progress", "Completed", "Waiting for input"),
            "CASE WHEN r4 % 5 < 4 THEN 'Completed' ELSE 'Not Started' END",
        ),
        choice("Priority", ("High", "Highest", "Low", "Lowest", "Normal")),
        *_about(),
        moment("Closed_Time", "CASE WHEN r4 % 5 < 4 THEN modified END", **_FIXED),
        flag("Send_Notification_Email"),
        area(
            "Description",
            "CASE WHEN r5 % 6 = 0 THEN 'Spoke to reception.' || chr(10) || 'Try \"again\" later' END",
        ),
        *life(),
    ),
    title="Subject",
)

EVENTS = Module(
    "Events",
    "Meeting",
    "Meetings",
    (
        record_id(),
        text("Event_Title", "['Meeting', 'Demo', 'Call', 'Other'][1 + r2 % 4]", mandatory=True),
        text("Venue", "CASE WHEN r3 % 3 = 0 THEN 'Online' END"),
        flag("All_day"),
        moment("Start_DateTime", "date_trunc('hour', created)", mandatory=True),
        moment(
            "End_DateTime",
            "date_trunc('hour', created) + to_minutes(30 * (1 + r4 % 4))",
            mandatory=True,
        ),
        *_about(),
        make("Participants", "text", "'[]'", length=2000, structured=True, coql=False),
        area("Description"),
        *life(),
    ),
    title="Event_Title",
)

CALLS = Module(
    "Calls",
    "Call",
    "Calls",
    (
        record_id(),
        text("Subject", "'Call ' || i", mandatory=True),
        choice("Call_Type", ("Outbound", "Inbound", "Missed"), mandatory=True),
        moment("Call_Start_Time", "created", mandatory=True),
        text(
            "Call_Duration",
            "lpad((r6 % 1800 // 60)::VARCHAR, 2, '0') || ':' || lpad((r6 % 60)::VARCHAR, 2, '0')",
            120,
        ),
        number("Call_Duration_in_seconds", "integer", "(r6 % 1800)::BIGINT", **_FIXED),
        choice("Call_Purpose", ("Prospecting", "Administrative", "Negotiation", "Demo")),
        choice("Call_Result", ("Interested", "Not interested", "No response/Busy")),
        contact_point("Dialled_Number", "phone"),
        text("CTI_Entry", "", coql=False),
        *_about(),
        area("Description", "CASE WHEN r5 % 5 = 0 THEN 'no answer 📞' END"),
        *life(),
    ),
    title="Subject",
)

NOTES = Module(
    "Notes",
    "Note",
    "Notes",
    (
        record_id(),
        text("Note_Title", "CASE WHEN r2 % 3 > 0 THEN 'Note ' || i END", 120),
        area(
            "Note_Content",
            "CASE WHEN r3 % 7 = 0 THEN 'Zeile 1' || chr(10) || '障害' ELSE 'Spoke, see \"file\"' END",
            32_000,
        ),
        lookup("Parent_Id", "se_module", "what_id", mandatory=True),
        text("$se_module", "what_module", 40),
        *life(tags=False),
    ),
    title="Note_Title",
)

CASES = Module(
    "Cases",
    "Case",
    "Cases",
    (
        record_id(),
        text("Case_Number", "(3000000 + i)::VARCHAR", 120, **_FIXED),
        text(
            "Subject",
            "['Invoice wrong', 'Cannot log in', 'Lieferung fehlt', '障害報告'][1 + r3 % 4]",
            mandatory=True,
        ),
        choice(
            "Status",
            ("New", "On Hold", "Escalated", "Closed"),
            "CASE WHEN r2 % 3 > 0 THEN 'Closed' ELSE 'New' END",
            mandatory=True,
        ),
        choice("Priority", ("High", "Medium", "Low")),
        choice("Case_Origin", ("Phone", "Email", "Web", "Twitter"), mandatory=True),
        choice("Type", ("Problem", "Feature Request", "Question")),
        choice("Case_Reason", ("User did not attend any training", "Complex functionality")),
        lookup("Account_Name", "Accounts", "account_id"),
        lookup("Related_To", "Contacts", "contact_id"),
        lookup("Deal_Name", "Deals", "deal_id"),
        contact_point("Email", "email"),
        contact_point("Phone", "phone"),
        text("Reported_By", "", 50),
        area(
            "Description",
            "CASE WHEN r4 % 3 = 0 THEN 'Hello,' || chr(13) || chr(10) || 'it does not work 😞' END",
        ),
        area("Solution"),
        make("Comments", "textarea", "'[]'", length=32_000, structured=True, coql=False),
        number("No_of_comments", "integer", "0", **_FIXED),
        *life(),
    ),
    title="Subject",
)

ACTIVITY_MODULES = (TASKS, EVENTS, CALLS, NOTES, CASES)
