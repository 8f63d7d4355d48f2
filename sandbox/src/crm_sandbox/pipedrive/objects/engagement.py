"""Activities, notes and leads; the last two are v1 only."""

from crm_sandbox.pipedrive.objects.columns import (
    HISTORY,
    OWNER,
    VISIBLE_TO,
    picked,
    v1_stamps,
)
from crm_sandbox.pipedrive.objects.sales import CHANNELS
from crm_sandbox.pipedrive.schema import INSTANT_V1, Column, Entity

_SUBJECTS = ("Call back", "Demo", "Send quote", "Angebot nachfassen", "打ち合わせ", "Lunch")
_NOTES = (
    "<p>Spoke to reception, call again.</p>",
    "<p>Wants a quote until <b>Friday</b>.<br>Budget: 10&nbsp;k</p>",
    "Rückruf vereinbart 😀",
)
_LEAD_TIME = "strftime({0}, '%Y-%m-%dT%H:%M:%S.000Z')"

ACTIVITIES = Entity(
    "activities",
    "activity",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("subject", "varchar", picked(_SUBJECTS, "r2"), "Subject", writable=True),
        Column("type", "varchar", "type", "Type", writable=True),
        OWNER,
        Column(
            "creator_user_id",
            "user",
            "CASE WHEN r2 % 3 = 0 THEN $admin ELSE owner_id END",
            "Creator",
        ),
        *HISTORY,
        Column("deal_id", "ref", "deal_id", "Deal", writable=True),
        Column(
            "lead_id", "uuid", "CASE WHEN lead >= 0 THEN lead_uuid(lead) END", "Lead", writable=True
        ),
        Column("person_id", "people", "person_id", "Contact person"),
        Column("org_id", "org", "org_id", "Organization", writable=True),
        Column("project_id", "ref", "NULL", "Project", writable=True),
        Column("due_date", "date", "created::DATE + (r3 % 30)::INTEGER", "Due date", writable=True),
        Column(
            "due_time",
            "varchar",
            # UTC, also what is due in the night.
            "CASE WHEN r4 % 3 > 0 THEN lpad((CASE WHEN r4 % 3 = 1 THEN r4 // 3 % 24 ELSE 8 + r4 % 10 END)"
            "::VARCHAR, 2, '0') || ':30:00' ELSE '' END",
            "Due time",
            writable=True,
        ),
        Column(
            "duration",
            "varchar",
            "CASE WHEN r4 % 3 > 0 THEN ['00:15:00', '00:45:00', '02:30:00'][1 + r5 % 3] ELSE '' END",
            "Duration",
            writable=True,
        ),
        Column("busy", "boolean", "r5 % 2 = 0", "Free or busy", writable=True),
        Column("done", "boolean", "r6 % 5 < 4", "Done", writable=True),
        Column(
            "marked_as_done_time",
            "instant",
            "CASE WHEN r6 % 5 < 4 THEN modified END",
            "Marked as done time",
        ),
        Column(
            "location",
            "address",
            "CASE WHEN r3 % 11 = 0 THEN {'value': 'Berlin, Germany', 'country': 'Germany', "
            "'admin_area_level_1': 'Berlin', 'admin_area_level_2': NULL, 'locality': 'Berlin', "
            "'sublocality': NULL, 'route': NULL, 'street_number': NULL, 'subpremise': NULL, "
            "'postal_code': NULL} END",
            "Location",
            writable=True,
        ),
        Column(
            "participants",
            "participants",
            # Some have a second person with them.
            "list_filter([{'person_id': person_id, 'primary': true}, {'person_id': CASE WHEN r2 % 4 = 0 "
            "THEN 1 + person_id * 7 % $contacts END, 'primary': false}], lambda one: one.person_id IS NOT "
            "NULL AND (one.primary OR one.person_id <> person_id))",
            "Participants",
            writable=True,
        ),
        Column("attendees", "attendees", "NULL", "Attendees", shown="asked", writable=True),
        Column("conference_meeting_client", "varchar", "NULL", "Meeting client"),
        Column("conference_meeting_url", "varchar", "NULL", "Meeting url"),
        Column("conference_meeting_id", "varchar", "NULL", "Meeting id"),
        Column("public_description", "text", "''", "Public description", writable=True),
        Column("priority", "int", "CASE WHEN r2 % 4 = 0 THEN 1 + r2 % 3 END", writable=True),
        Column(
            "note", "text", f"CASE WHEN r5 % 3 = 0 THEN {picked(_NOTES, 'r6')} END", writable=True
        ),
    ),
    scope="activities",
    fields_path="activityFields",
    filters={key: key for key in ("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done")},
    sorts=("id", "update_time", "add_time", "due_date"),
    end="missing",
    missing="Activity not found",
    v1=(
        ("id", "r.id"),
        ("company_id", "$company_id"),
        ("user_id", "r.owner_id"),
        ("assigned_to_user_id", "r.owner_id"),
        ("created_by_user_id", "r.creator_user_id"),
        *(
            (key, f"r.{key}")
            for key in (
                "subject",
                "type",
                "deal_id",
                "lead_id",
                "person_id",
                "org_id",
                "project_id",
            )
        ),
        *((key, f"r.{key}") for key in ("due_date", "done", "note")),
        *((key, f"left(r.{key}, 5)") for key in ("due_time", "duration")),
        ("busy_flag", "r.busy"),
        ("active_flag", "NOT r.is_deleted"),
        ("public_description", "r.public_description"),
        ("location", "r.location.value"),
        ("participants", "r.participants"),
        ("marked_as_done_time", INSTANT_V1.format("r.marked_as_done_time")),
        *v1_stamps(),
    ),
)

NOTES = Entity(
    "notes",
    "note",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("content", "text", f"coalesce(nasty, {picked(_NOTES, 'r2')})", writable=True),
        Column("user_id", "user", "owner_id", "User", writable=True),
        Column("deal_id", "ref", "deal_id", "Deal", writable=True),
        Column(
            "lead_id", "uuid", "CASE WHEN lead >= 0 THEN lead_uuid(lead) END", "Lead", writable=True
        ),
        Column("person_id", "people", "person_id", "Person", writable=True),
        Column("org_id", "org", "org_id", "Organization", writable=True),
        Column("project_id", "ref", "NULL", writable=True),
        Column("task_id", "ref", "NULL", writable=True),
        Column("active_flag", "boolean", "NOT deleted"),
        Column("add_time", "instant", "created", writable=True),
        Column("update_time", "instant", "touched"),
        Column("last_update_user_id", "user", "owner_id"),
        *(
            Column(f"pinned_to_{what}_flag", "boolean", "r3 % 20 = 0", writable=True)
            for what in ("lead", "deal", "person", "organization", "project", "task")
        ),
    ),
    scope="contacts",
    missing="Note not found",
    v1=(
        *(
            (key, f"r.{key}")
            for key in ("id", "user_id", "deal_id", "person_id", "org_id", "lead_id")
        ),
        *((key, f"r.{key}") for key in ("project_id", "task_id", "content")),
        *v1_stamps(),
        *((key, f"r.{key}") for key in ("active_flag", "last_update_user_id")),
        *(
            (f"pinned_to_{what}_flag", f"r.pinned_to_{what}_flag")
            for what in ("lead", "deal", "person", "organization", "project", "task")
        ),
        ("organization", "CASE WHEN o.id IS NOT NULL THEN {'name': o.name} END"),
        ("person", "CASE WHEN p.id IS NOT NULL THEN {'name': p.name} END"),
        ("deal", "CASE WHEN d.id IS NOT NULL THEN {'title': d.title} END"),
        (
            "user",
            "{'email': u.email, 'name': u.name, 'icon_url': u.icon_url, 'is_you': u.id = $me}",
        ),
    ),
    v1_from=(
        "LEFT JOIN users u ON u.id = r.user_id LEFT JOIN organizations o ON o.id = r.org_id "
        "LEFT JOIN persons p ON p.id = r.person_id LEFT JOIN deals d ON d.id = r.deal_id"
    ),
)

LEADS = Entity(
    "leads",
    "lead",
    (
        Column("id", "uuid", "lead_uuid(i)", "ID"),
        Column("title", "varchar", "title", "Title", writable=True),
        OWNER,
        Column(
            "creator_id", "user", "CASE WHEN r2 % 3 = 0 THEN $admin ELSE owner_id END", "Creator"
        ),
        Column(
            "label_ids",
            "uuids",
            "CASE WHEN r2 % 3 = 0 THEN [$labels[1 + r2 % 3]] ELSE [] END",
            "Labels",
            writable=True,
        ),
        Column("person_id", "people", "person_id", "Contact person", writable=True),
        Column("organization_id", "org", "org_id", "Organization", writable=True),
        Column("source_name", "varchar", picked(("API", "Live chat", "Web forms"), "r3")),
        Column("origin", "varchar", picked(("API", "ManuallyCreated", "Import"), "r3")),
        Column("origin_id", "varchar", "NULL", writable=True),
        Column(
            "channel",
            "enum",
            "CASE WHEN r6 % 2 = 0 THEN 52 + r6 % 3 END",
            "Source channel",
            writable=True,
            options=CHANNELS,
        ),
        Column("channel_id", "varchar", "NULL", writable=True),
        Column("source_deal_id", "ref", "NULL"),
        Column("is_archived", "boolean", "r4 % 12 = 0", writable=True),
        Column("was_seen", "boolean", "r5 % 3 > 0", writable=True),
        Column("amount", "double", "CASE WHEN r6 % 3 > 0 THEN (r6 % 900)::DOUBLE * 100 END"),
        Column("currency", "varchar", "currency"),
        Column(
            "expected_close_date",
            "date",
            "CASE WHEN r4 % 2 = 0 THEN modified::DATE + 60 END",
            "Expected close date",
            writable=True,
        ),
        Column("next_activity_id", "ref", "NULL"),
        *HISTORY,
        VISIBLE_TO,
        Column("cc_email", "varchar", "$mailbox || '+lead' || i || '@pipedrivemail.com'"),
    ),
    scope="leads",
    missing="Lead not found",
    created=201,
    v1=(
        *((key, f"r.{key}") for key in ("id", "title", "owner_id", "creator_id", "label_ids")),
        *((key, f"r.{key}") for key in ("person_id", "organization_id", "source_name", "origin")),
        *((key, f"r.{key}") for key in ("origin_id", "channel", "channel_id", "source_deal_id")),
        *((key, f"r.{key}") for key in ("is_archived", "was_seen")),
        (
            "value",
            "CASE WHEN r.amount IS NOT NULL THEN {'amount': r.amount, 'currency': r.currency} END",
        ),
        *((key, f"r.{key}") for key in ("expected_close_date", "next_activity_id")),
        ("add_time", _LEAD_TIME.format("r.add_time")),
        ("update_time", _LEAD_TIME.format("r.update_time")),
        ("visible_to", "r.visible_to::VARCHAR"),
        ("cc_email", "r.cc_email"),
    ),
)

USERS = Entity(
    "users",
    "user",
    (
        Column("id", "int", "id"),
        Column("name", "varchar", "name"),
        Column("email", "varchar", "email"),
        Column("default_currency", "varchar", "$money"),
        Column("locale", "varchar", "'en_US'"),
        Column("lang", "int", "1"),
        Column("phone", "varchar", "NULL"),
        Column("activated", "boolean", "true"),
        Column("active_flag", "boolean", "active"),
        Column("is_admin", "boolean", "i = 0", shown="never"),
        Column("role_id", "int", "1 + i % $roles"),
        Column("timezone_name", "varchar", "$zone"),
        Column("timezone_offset", "varchar", "$offset"),
        # Some were invited and never came.
        Column("last_login", "instant", "CASE WHEN i % 5 <> 3 THEN touched END", shown="never"),
        Column("icon_url", "varchar", "NULL"),
        Column("add_time", "instant", "created"),
        Column("update_time", "instant", "touched"),
    ),
    scope="users",
    period=(),
    missing="User not found",
    v1=(
        *(
            (key, f"r.{key}")
            for key in ("id", "name", "default_currency", "locale", "lang", "email")
        ),
        *((key, f"r.{key}") for key in ("phone", "activated")),
        ("last_login", f"coalesce({INSTANT_V1.format('r.last_login')}, '0000-00-00 00:00:00')"),
        ("created", INSTANT_V1.format("r.add_time")),
        ("modified", INSTANT_V1.format("r.update_time")),
        ("has_created_company", "r.is_admin"),
        (
            "access",
            (
                "[{'app': 'sales', 'admin': r.is_admin, 'permission_set_id': "
                "CASE WHEN r.is_admin THEN '1' ELSE '2' END}]"
            ),
        ),
        *((key, f"r.{key}") for key in ("active_flag", "timezone_name", "timezone_offset")),
        *((key, f"r.{key}") for key in ("role_id", "icon_url")),
        ("is_you", "r.id = $me"),
        ("is_deleted", "NOT r.active_flag"),
    ),
)
