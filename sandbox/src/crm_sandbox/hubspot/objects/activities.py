"""Tasks, notes, meetings, calls and e-mails."""

from collections.abc import Iterable

from crm_sandbox.hubspot.objects.values import (
    EVERYWHERE,
    choose,
    instant,
    object_type,
    options,
    pick,
)
from crm_sandbox.hubspot.schema import ObjectType, Property

_AT = Property("hs_timestamp", "datetime", instant("at_ms"), label="Activity date")
_DISPOSITIONS = options(
    "f240bbac-87c9-4f6e-bf70-924b57d47db7=Connected",
    "b2cf5968-551e-4856-9783-52b3da59a7d0=Left voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20=No answer",
)
_TASK_STATES = options(
    "NOT_STARTED=Not started",
    "IN_PROGRESS=In progress",
    "WAITING=Waiting",
    "COMPLETED=Completed",
    "DEFERRED=Deferred",
)
_OUTCOMES = options(
    "SCHEDULED=Scheduled", "COMPLETED=Completed", "NO_SHOW=No show", "CANCELED=Canceled"
)


def activities() -> tuple[ObjectType, ...]:
    """Return the object types of what people do."""
    return (_tasks(), _notes(), _meetings(), _calls(), _emails())


def _activity(
    id_: str, name: str, singular: str, properties: Iterable[Property], shown: str
) -> ObjectType:
    return object_type(
        id_,
        name,
        singular,
        (_AT, *properties, *EVERYWHERE),
        "hs_createdate hs_lastmodifieddate hs_object_id",
        primary=shown,
        searched=shown,
        required=("hs_timestamp",),
        scope="crm.objects.contacts",
    )


def _tasks() -> ObjectType:
    kinds = options("TODO=To-do", "CALL=Call", "EMAIL=Email")
    priorities = options("NONE=None", "LOW=Low", "MEDIUM=Medium", "HIGH=High")
    return _activity(
        "0-27",
        "tasks",
        "task",
        (
            Property(
                "hs_task_subject",
                "string",
                pick("r1", ["Call back", "Send offer", "Angebot prüfen", "Relancer le client"]),
            ),
            Property(
                "hs_task_body",
                "string",
                pick("r2", ["<p>Ask about budget</p>", "two\nlines", None, ""]),
                "html",
            ),
            Property(
                "hs_task_status", "enumeration", choose("r3", _TASK_STATES), options=_TASK_STATES
            ),
            Property(
                "hs_task_priority", "enumeration", choose("r4", priorities), options=priorities
            ),
            Property("hs_task_type", "enumeration", choose("r1", kinds), options=kinds),
            Property(
                "hs_task_completion_date",
                "datetime",
                f"CASE WHEN r3 % 5 = 3 THEN {instant('updated_ms')} END",
                calculated=True,
            ),
        ),
        "hs_task_subject",
    )


def _notes() -> ObjectType:
    return _activity(
        "0-46",
        "notes",
        "note",
        (
            Property(
                "hs_note_body",
                "string",
                pick(
                    "r1",
                    [
                        "Met at the fair",
                        "<b>Interested</b> in &quot;Pro&quot;",
                        "すぐに連絡",
                        "=1+1",
                    ],
                ),
                "html",
            ),
            Property("hs_attachment_ids", "string", pick("r2", ["91000001;91000002", None, None])),
        ),
        "hs_note_body",
    )


def _meetings() -> ObjectType:
    return _activity(
        "0-47",
        "meetings",
        "meeting",
        (
            Property(
                "hs_meeting_title", "string", pick("r1", ["Demo", "Kick-off", "Review, quarterly"])
            ),
            Property("hs_meeting_body", "string", pick("r2", ["Agenda: demo", None]), "html"),
            Property("hs_meeting_start_time", "datetime", instant("at_ms")),
            Property("hs_meeting_end_time", "datetime", instant("at_ms + (r3 % 4 + 1) * 900000")),
            Property(
                "hs_meeting_outcome",
                "enumeration",
                choose("r4", _OUTCOMES, empty=1),
                options=_OUTCOMES,
            ),
            Property("hs_meeting_location", "string", pick("r5", ["Remote", "Köln", None])),
        ),
        "hs_meeting_title",
    )


def _calls() -> ObjectType:
    directions = options("INBOUND=Inbound", "OUTBOUND=Outbound")
    states = options("COMPLETED=Completed", "NO_ANSWER=No answer", "BUSY=Busy", "FAILED=Failed")
    return _activity(
        "0-48",
        "calls",
        "call",
        (
            Property("hs_call_title", "string", pick("r1", ["Follow-up", "First call", "Rückruf"])),
            Property("hs_call_body", "string", pick("r2", ["Left a message", None]), "html"),
            Property(
                "hs_call_direction", "enumeration", choose("r3", directions), options=directions
            ),
            Property("hs_call_status", "enumeration", choose("r4", states), options=states),
            Property("hs_call_duration", "number", "(r5 % 3600000)::VARCHAR"),
            Property(
                "hs_call_disposition",
                "enumeration",
                choose("r6", _DISPOSITIONS, empty=1),
                options=_DISPOSITIONS,
            ),
            Property(
                "hs_call_from_number", "string", "'+1555' || lpad((r1 % 10000000)::VARCHAR, 7, '0')"
            ),
            Property(
                "hs_call_to_number", "string", "'+1555' || lpad((r2 % 10000000)::VARCHAR, 7, '0')"
            ),
        ),
        "hs_call_title",
    )


def _emails() -> ObjectType:
    directions = options("EMAIL=Outgoing", "INCOMING_EMAIL=Incoming", "FORWARDED_EMAIL=Forwarded")
    states = options("SENT=Sent", "BOUNCED=Bounced", "FAILED=Failed")
    headers = """'{"from":{"email":"user0@sandbox.example"},"to":[{"email":"p' || i || '@example.org"}]}'"""
    return _activity(
        "0-49",
        "emails",
        "email",
        (
            Property(
                "hs_email_subject",
                "string",
                pick("r1", ["Your offer", "Re: Your offer", "Ihre Anfrage: Rückfrage"]),
            ),
            Property(
                "hs_email_text",
                "string",
                pick("r2", ["Hello,\r\nplease find attached.", None]),
                "textarea",
            ),
            Property(
                "hs_email_html",
                "string",
                pick("r2", ["<p>Hello,<br>please find attached.</p>", None]),
                "html",
            ),
            Property(
                "hs_email_direction", "enumeration", choose("r3", directions), options=directions
            ),
            Property("hs_email_status", "enumeration", choose("r4", states), options=states),
            Property("hs_email_headers", "string", headers, "textarea"),
            Property("hs_email_from_email", "string", "'user0@sandbox.example'", calculated=True),
            Property("hs_email_to_email", "string", "'p' || i || '@example.org'", calculated=True),
        ),
        "hs_email_subject",
    )
