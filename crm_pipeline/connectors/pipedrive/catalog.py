"""Pipedrive's objects as data: which lists hold them, what those take and cost.

Costs and parameters: https://developers.pipedrive.com/docs/api/v1 (every operation names its own).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DELETED = "deleted"
"""The origin of records from a list of deleted ones, which they do not say of themselves."""
Paging = Literal["cursor", "offset", "whole", "deals", "per_deal"]


@dataclass(frozen=True)
class Listing:
    """One list of the vendor; an object may be spread over several.

    Attributes:
        name: tells the lists of an object apart.
        cost: of a page, in tokens.
        params: what is always asked.
        deleted: all its records are deleted ones.
        since, until: whether it takes `updated_since` and `updated_until`.
    """

    name: str
    path: str
    cost: int
    params: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False
    since: bool = True
    until: bool = True

    @property
    def is_v1(self) -> bool:
        """Whether it is a list of the older API."""
        return self.path.startswith("/v1/")

    @property
    def origin(self) -> str:
        """What `Page.origin` says of its records."""
        return DELETED if self.deleted else ""


@dataclass(frozen=True)
class Item:
    """One object.

    Attributes:
        listings: read one after the other; living records before those that may be deleted meanwhile.
        record: the path of single records.
        fields: the paths of the field metadata, the next where one is not permitted; empty for none.
        optional: what `include_fields` may name.
        paging: by cursor (v2), by offset (v1), all in one answer, by the deals that it belongs to, or deal
            by deal for those that changed.
        stamp: the key that says when a record changed; "" where records carry none.
        is_setup: a short list that is read whole each time.
        search: fields by which the vendor finds single records.
        is_dear: read only if somebody asks for it.
        beside: lists whose names are put into its records.
        ended_by: the key that says that a record is deleted, "" where none does: users who may not log in
            any more stay in their list, and own what they owned.
    """

    name: str
    label: str
    listings: tuple[Listing, ...]
    record: str
    fields: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    paging: Paging = "cursor"
    stamp: str = "update_time"
    is_setup: bool = False
    search: tuple[str, ...] = ()
    is_dear: bool = False
    beside: tuple[Listing, ...] = ()
    ended_by: Literal["is_deleted", "active_flag", ""] = "is_deleted"

    @property
    def has_windows(self) -> bool:
        """Whether records can be asked for by the time of their change, in any order of seconds."""
        return self.paging == "cursor" and self.listings[0].since


def _v2(name: str, *, until: bool = True) -> tuple[Listing, ...]:
    return (Listing("live", f"/api/v2/{name}", 10, until=until),)


_COUNTS = [
    "next_activity_id",
    "last_activity_id",
    "activities_count",
    "done_activities_count",
    "undone_activities_count",
    "files_count",
    "notes_count",
    "followers_count",
    "email_messages_count",
    "smart_bcc_email",
]
_DEALS_OF = [
    "open_deals_count",
    "related_open_deals_count",
    "closed_deals_count",
    "related_closed_deals_count",
    "won_deals_count",
    "related_won_deals_count",
    "lost_deals_count",
    "related_lost_deals_count",
]
_MAILS = ["last_incoming_mail_time", "last_outgoing_mail_time"]
ROLES = Listing("roles", "/v1/roles", 20, since=False, until=False)
TEAMS = Listing("teams", "/v1/legacyTeams", 20, since=False, until=False)
_ONLY_DELETED = {"status": "deleted"}

ITEMS: Mapping[str, Item] = {
    item.name: item
    for item in (
        Item(
            "deals",
            "Deals",
            (
                *_v2("deals"),
                Listing("archived", "/api/v2/deals/archived", 20),
                # Deals alone can be listed after their deletion, for 30 days.
                Listing("deleted", "/api/v2/deals", 10, _ONLY_DELETED, deleted=True),
                Listing(
                    "archived deleted", "/api/v2/deals/archived", 20, _ONLY_DELETED, deleted=True
                ),
            ),
            "/api/v2/deals",
            ("/api/v2/dealFields", "/v1/dealFields"),
            (
                *_COUNTS,
                *_MAILS,
                "first_won_time",
                "products_count",
                "participants_count",
                "source_lead_id",
            ),
            search=("title", "notes", "custom_fields"),
        ),
        Item(
            "persons",
            "Persons",
            _v2("persons"),
            "/api/v2/persons",
            ("/api/v2/personFields", "/v1/personFields"),
            (
                *_COUNTS,
                *_DEALS_OF,
                *_MAILS,
                "participant_open_deals_count",
                "participant_closed_deals_count",
                "marketing_status",
                "doi_status",
            ),
            search=("name", "email", "phone", "notes", "custom_fields"),
        ),
        Item(
            "organizations",
            "Organizations",
            _v2("organizations"),
            "/api/v2/organizations",
            ("/api/v2/organizationFields", "/v1/organizationFields"),
            (*_COUNTS, *_DEALS_OF, "people_count"),
            search=("name", "address", "notes", "custom_fields"),
        ),
        Item(
            "activities",
            "Activities",
            _v2("activities"),
            "/api/v2/activities",
            # The metadata of v2 want an admin's scope, those of v1 that of the activities.
            ("/api/v2/activityFields", "/v1/activityFields"),
            ("attendees",),
        ),
        Item(
            "products",
            "Products",
            _v2("products", until=False),
            "/api/v2/products",
            ("/api/v2/productFields", "/v1/productFields"),
            search=("name", "code", "custom_fields"),
        ),
        Item(
            "leads",
            "Leads",
            (
                Listing("live", "/v1/leads", 20, until=False),
                Listing("archived", "/v1/leads/archived", 40, since=False, until=False),
            ),
            "/v1/leads",
            ("/v1/leadFields",),
            paging="offset",
        ),
        Item(
            "notes",
            "Notes",
            (Listing("live", "/v1/notes", 20, until=False),),
            "/v1/notes",
            ("/v1/noteFields",),
            paging="offset",
            ended_by="active_flag",
        ),
        Item(
            "deal_products",
            "Products of deals",
            (Listing("live", "/api/v2/deals/products", 10, since=False, until=False),),
            "",
            paging="deals",
            is_setup=True,
        ),
        Item(
            "deal_changes",
            "Changes of deals",
            (Listing("log", "/v1/deals/{id}/changelog", 20, until=False),),
            "",
            paging="per_deal",
            is_dear=True,
        ),
        Item(
            "deal_participants",
            "Participants of deals",
            (Listing("participants", "/v1/deals/{id}/participants", 10, until=False),),
            "",
            paging="per_deal",
            is_dear=True,
        ),
        Item(
            "pipelines",
            "Pipelines",
            (Listing("live", "/api/v2/pipelines", 5, since=False, until=False),),
            "/api/v2/pipelines",
            is_setup=True,
        ),
        Item(
            "stages",
            "Stages",
            (Listing("live", "/api/v2/stages", 5, since=False, until=False),),
            "/api/v2/stages",
            is_setup=True,
        ),
        *(
            Item(
                name,
                label,
                (Listing("live", f"/v1/{name}", cost, since=False, until=False),),
                record,
                paging="whole",
                stamp=stamp,
                is_setup=True,
                beside=(ROLES, TEAMS) if name == "users" else (),
                ended_by="" if name == "users" else "is_deleted",
            )
            for name, label, cost, record, stamp in (
                ("users", "Users", 20, "/v1/users", "modified"),
                ("activityTypes", "Activity types", 20, "", "update_time"),
                ("leadLabels", "Lead labels", 10, "", "update_time"),
                ("currencies", "Currencies", 20, "", ""),
            )
        ),
    )
}
