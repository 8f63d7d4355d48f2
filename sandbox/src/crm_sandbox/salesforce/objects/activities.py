"""Tasks, events and cases."""

from typing import Any

from crm_sandbox.salesforce.schema import (
    SObject,
    area,
    audit_fields,
    choice,
    contact_point,
    currency,
    day,
    flag,
    moment,
    number,
    owner,
    record_id,
    reference,
    text,
    viewed_fields,
)

_FIXED: dict[str, Any] = {"createable": False, "updateable": False}
_WHAT = ("Account", "Opportunity", "Case", "Campaign")
_SUBJECTS = "['Call', 'Email', 'Send Quote', 'Send Letter', 'Other'][1 + r2 % 5]"

# Events of whole days begin at midnight UTC, wherever they take place.
_ALL_DAY = "r6 % 4 = 0"
_STARTS = (
    f"CASE WHEN {_ALL_DAY} THEN date_trunc('day', created) ELSE date_trunc('hour', created) END"
)
_MINUTES = f"(CASE WHEN {_ALL_DAY} THEN 1440 ELSE 30 * (1 + r4 % 4) END)"

TASK = SObject(
    "Task",
    "00T",
    "Tasks",
    (
        record_id(),
        reference("WhoId", ("Contact", "Lead"), "contact_id"),
        reference("WhatId", _WHAT, "opportunity_id"),
        text("Subject", 255, _SUBJECTS, name_field=True),
        day("ActivityDate", "created::DATE + (r3 % 30)::INTEGER"),
        choice(
            "Status",
            ("Not Started", "In Progress", "Completed", "Deferred"),
            "CASE WHEN r4 % 5 < 4 THEN 'Completed' ELSE 'Not Started' END",
            nillable=False,
        ),
        choice("Priority", ("High", "Normal", "Low"), nillable=False),
        flag("IsHighPriority", "r1 % 3 = 0", **_FIXED),
        owner(),
        area(
            "Description",
            32_000,
            "CASE WHEN r5 % 6 = 0 THEN 'Spoke to reception.' || chr(10) || 'Try \"again\" later' END",
        ),
        currency(),
        *audit_fields()[:1],
        reference("AccountId", "Account", "account_id", **_FIXED),
        flag("IsClosed", "r4 % 5 < 4", **_FIXED),
        *audit_fields()[1:],
        flag("IsArchived", **_FIXED),
        number(
            "CallDurationInSeconds", "int", "CASE WHEN r2 % 5 = 0 THEN (r6 % 1800)::INTEGER END"
        ),
        choice(
            "CallType",
            ("Internal", "Inbound", "Outbound"),
            "CASE WHEN r2 % 5 = 0 THEN 'Outbound' END",
        ),
        text("CallDisposition", 255),
        choice(
            "TaskSubtype",
            ("Task", "Email", "Call"),
            "CASE r2 % 5 WHEN 0 THEN 'Call' WHEN 1 THEN 'Email' ELSE 'Task' END",
        ),
        moment("CompletedDateTime", "CASE WHEN r4 % 5 < 4 THEN modified END", **_FIXED),
        flag("IsReminderSet"),
        moment("ReminderDateTime"),
    ),
)

EVENT = SObject(
    "Event",
    "00U",
    "Events",
    (
        record_id(),
        reference("WhoId", ("Contact", "Lead"), "contact_id"),
        reference("WhatId", _WHAT, "opportunity_id"),
        text("Subject", 255, "['Meeting', 'Demo', 'Call', 'Other'][1 + r2 % 4]", name_field=True),
        text("Location", 255, "CASE WHEN r3 % 3 = 0 THEN 'Online' END"),
        flag("IsAllDayEvent", _ALL_DAY),
        moment("ActivityDateTime", _STARTS),
        day("ActivityDate", "created::DATE"),
        number("DurationInMinutes", "int", f"{_MINUTES}::INTEGER"),
        moment("StartDateTime", _STARTS),
        moment("EndDateTime", f"{_STARTS} + to_minutes({_MINUTES})"),
        area("Description", 32_000),
        currency(),
        reference("AccountId", "Account", "account_id", **_FIXED),
        owner(),
        flag("IsPrivate"),
        choice("ShowAs", ("Busy", "OutOfOffice", "Free"), "'Busy'"),
        *audit_fields()[:1],
        flag("IsChild", **_FIXED),
        flag("IsArchived", **_FIXED),
        *audit_fields()[1:],
        choice("EventSubtype", ("Event",), "'Event'"),
    ),
)

CASE = SObject(
    "Case",
    "500",
    "Cases",
    (
        record_id(),
        *audit_fields()[:1],
        reference("MasterRecordId", "Case", **_FIXED),
        text("CaseNumber", 30, "lpad((1000 + i)::VARCHAR, 8, '0')", name_field=True, **_FIXED),
        reference("ContactId", "Contact", "contact_id"),
        reference("AccountId", "Account", "account_id"),
        reference("ParentId", "Case"),
        text("SuppliedName", 80),
        contact_point("SuppliedEmail", "email"),
        choice("Type", ("Mechanical", "Electrical", "Electronic", "Structural", "Other")),
        choice(
            "Status",
            ("New", "Working", "Escalated", "Closed"),
            "CASE WHEN r2 % 3 > 0 THEN 'Closed' ELSE 'New' END",
        ),
        choice("Reason", ("Installation", "Performance", "Breakdown", "Feedback", "Other")),
        choice("Origin", ("Phone", "Email", "Web")),
        currency(),
        text(
            "Subject",
            255,
            "['Invoice wrong', 'Cannot log in', 'Lieferung fehlt', '障害報告'][1 + r3 % 4]",
        ),
        choice("Priority", ("High", "Medium", "Low")),
        area(
            "Description",
            32_000,
            "CASE WHEN r4 % 3 = 0 THEN 'Hello,' || chr(13) || chr(10) || 'it does not work 😞' END",
        ),
        flag("IsClosed", "r2 % 3 > 0", **_FIXED),
        moment("ClosedDate", "CASE WHEN r2 % 3 > 0 THEN modified END", **_FIXED),
        flag("IsEscalated"),
        owner(),
        *audit_fields()[1:],
        *viewed_fields(),
        text("Comments", 4000),
    ),
)

ACTIVITY_OBJECTS = (TASK, EVENT, CASE)
