"""Tables of work with customers: activities, campaigns, tickets, associations."""

from crm_pipeline.model.people_tables import CURRENCY, OWNER
from crm_pipeline.model.table import (
    CREATED_BY,
    PAGE,
    Rule,
    Table,
    account_day,
    day,
    flag,
    instant,
    money,
    number,
    reference,
    stage_label,
    text,
    whole,
)

LASTING = """
SELECT * REPLACE (coalesce(duration_minutes, date_sub('minute', starts_at, ends_at)) AS duration_minutes)
FROM {rows}
"""
"""For `ObjectMap.over_rows` of CRMs that have a start and an end and no duration."""
LASTING_FROM = {"duration_minutes": ("duration_minutes", "starts_at", "ends_at")}
"""For `ObjectMap.over_rows_from` of the same."""

ACTIVITY_TYPES = ("call", "email", "meeting", "note", "task")

ACTIVITIES = Table(
    "activities",
    "activity",
    "Calls, e-mails, meetings, notes and tasks.",
    (
        text("activity_type", f"One of {', '.join(ACTIVITY_TYPES)}."),
        text("subject", "Subject."),
        text("body", "Text."),
        text("status", "Status."),
        text("priority", "Priority."),
        flag("is_closed", "Whether nothing is left to do: done, called off or missed."),
        account_day("due_on", "Day on which it is due, or took place."),
        instant("due_at", "When that is, where the CRM says it."),
        instant("starts_at", "When it starts."),
        instant("ends_at", "When it ends."),
        instant("completed_at", "When it was done."),
        flag("is_all_day", "Whether it lasts whole days."),
        whole("duration_minutes", "Duration in minutes, as the CRM says it, or from start to end."),
        whole("call_seconds", "Duration of the call in seconds."),
        text("call_direction", "Inbound, outbound or internal, in lower case."),
        text("call_result", "Outcome of the call."),
        text("email_direction", "Inbound or outbound, in lower case."),
        text("location", "Place."),
        *reference("who", "", "The person it is with: a contact or a lead."),
        *reference("what", "", "The record it is about: a company, a deal, a ticket or another."),
        *reference("contact", "contacts", "The contact it is with."),
        *reference("lead", "leads", "The lead it is with."),
        *reference("company", "companies", "The company it belongs to."),
        *reference("deal", "deals", "The deal it is about."),
        *reference("ticket", "tickets", "The ticket it is about."),
        *reference("campaign", "campaigns", "The campaign it is about."),
        *OWNER,
        *CREATED_BY,
        PAGE,
    ),
    (
        Rule("required", "activity_type", "error"),
        Rule("one_of", "activity_type", "error", values=ACTIVITY_TYPES),
        Rule("not_before", "ends_at", other="starts_at"),
        Rule("between", "duration_minutes", low=0),
    ),
)

CAMPAIGNS = Table(
    "campaigns",
    "campaign",
    "Marketing campaigns.",
    (
        text("name", "Name."),
        text("campaign_type", "Kind of campaign."),
        text("status", "Status."),
        flag("is_active", "Whether it runs."),
        day("starts_on", "First day."),
        day("ends_on", "Last day."),
        money("budgeted_cost", "Planned cost."),
        money("actual_cost", "Cost so far."),
        money("expected_revenue", "Planned revenue."),
        CURRENCY,
        number("expected_response", "Expected responses in percent."),
        whole("number_sent", "Persons addressed."),
        *reference("parent", "campaigns", "The campaign above this one."),
        *OWNER,
        text("description", "Free text."),
        PAGE,
    ),
    (
        Rule("required", "name"),
        Rule("not_before", "ends_on", other="starts_on"),
        Rule("between", "actual_cost", low=0),
    ),
)

CAMPAIGN_MEMBERS = Table(
    "campaign_members",
    "campaign_member",
    "Who was addressed by a campaign, and whether they answered.",
    (
        *reference("campaign", "campaigns", "The campaign."),
        *reference("contact", "contacts", "The contact addressed."),
        *reference("lead", "leads", "The lead addressed."),
        text("status", "Status."),
        flag("has_responded", "Whether the person answered."),
        account_day("first_responded_on", "Day of the first answer."),
    ),
    (Rule("required", "campaign_key"),),
)

LISTS = Table(
    "lists",
    "list",
    "Lists of records, which some CRMs call segments.",
    (
        text("name", "Name."),
        text(
            "list_type",
            "How it is filled, as the CRM says it; DYNAMIC follows filters, MANUAL and SNAPSHOT do not.",
        ),
        text("status", "Whether the CRM has filled it."),
        whole(
            "size", "Number of members as the CRM says it, which may lag; list_members has them."
        ),
        text("folder", "Name of its folder."),
        instant("filters_changed_at", "When its filters were last changed."),
        instant("last_added_at", "When a record was last added."),
        instant("last_removed_at", "When a record was last removed."),
        *CREATED_BY,
        PAGE,
    ),
    (Rule("required", "name"), Rule("between", "size", low=0)),
)

LIST_MEMBERS = Table(
    "list_members",
    "list_member",
    "Which records are on which lists today. A record that left a list is deleted here.",
    (
        *reference("list", "lists", "The list."),
        text("member_table", "Table of the member; NULL for a custom object that is not read."),
        *reference("member", "", "The member: a contact, a company, a deal or another record."),
        *reference("contact", "contacts", "The member, where it is a contact."),
        *reference("company", "companies", "The member, where it is a company."),
        *reference("deal", "deals", "The member, where it is a deal."),
        *reference("lead", "leads", "The member, where it is a lead."),
        *reference("ticket", "tickets", "The member, where it is a ticket."),
        instant("joined_at", "When the record came onto the list."),
    ),
    (Rule("required", "list_key"), Rule("required", "member_source_id")),
)

TICKETS = Table(
    "tickets",
    "ticket",
    "Support cases.",
    (
        text("number", "Number as people see it, as text: leading zeros stay."),
        text("subject", "Subject."),
        text("description", "Text."),
        *reference(
            "pipeline", "pipelines", "The pipeline it moves through, where tickets have some."
        ),
        text("status", "Status; where there are pipelines, the name of a stage."),
        stage_label("status"),
        text("priority", "Priority."),
        text("origin", "Channel it came through."),
        text("ticket_type", "Kind."),
        text("reason", "Reason."),
        flag("is_closed", "Whether it is closed."),
        flag("is_escalated", "Whether it was escalated."),
        instant("closed_at", "When it was closed."),
        *reference("company", "companies", "The company concerned."),
        *reference("contact", "contacts", "The person concerned."),
        *reference("parent", "tickets", "The ticket above this one."),
        *OWNER,
        *CREATED_BY,
        PAGE,
    ),
    (Rule("required", "status"), Rule("not_before", "closed_at", other="created_at")),
)

MERGES = Table(
    "merges",
    "merge",
    "Ids that were merged into another record, those too whose own record was never read. Keys that other "
    "systems hold from before a merge lead to the record of today.",
    (
        text("table_name", "Table of both records."),
        *reference("old", "", "The record that was merged away."),
        *reference("new", "", "The record that stands for it."),
    ),
    (Rule("required", "old_key"), Rule("required", "new_key")),
)

ASSOCIATIONS = Table(
    "associations",
    "association",
    "Links that are records of their own in the CRM, such as the contacts of a deal with their "
    "roles. Plain look-ups stand as key columns in the tables themselves.",
    (
        text("from_table", "Table of the first record."),
        *reference("from", "", "The first record."),
        text("to_table", "Table of the second record."),
        *reference("to", "", "The second record."),
        text("role", "Role of the second record for the first, or label of the link."),
        flag("is_primary", "Whether this is the main link of its kind."),
    ),
    (Rule("required", "from_key"), Rule("required", "to_key")),
)
