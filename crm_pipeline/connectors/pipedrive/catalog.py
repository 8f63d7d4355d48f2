"""Pipedrive's objects as data: the lists that hold them, with parameters and costs.

Costs and parameters: https://developers.pipedrive.com/docs/api/v1 (each operation has its own).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DELETED = "deleted"
"""The origin of records from a list of deleted ones: the records themselves do not show it."""
Paging = Literal["cursor", "offset", "whole", "deals", "per_deal"]


@dataclass(frozen=True)
class Listing:
    """One list of the vendor; an object may be spread over several.

    Attributes:
        name: unique among the lists of an object.
        cost: of a page, in tokens.
        params: sent with every request.
        deleted: all its records are deleted.
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
        """The `Page.origin` of its records."""
        return DELETED if self.deleted else ""


@dataclass(frozen=True)
class Item:
    """One object.

    Attributes:
        listings: read one after the other, live records before deleted ones.
        record_path: the path of single records.
        metadata_paths: the paths of the field metadata; the next is used where one is not permitted.
        optional: the fields that `include_fields` may name.
        paging: by cursor (v2), by offset (v1), all in one response ("whole"), by the deals that the records
            belong to ("deals"), or one changed deal after the other ("per_deal").
        cursor_field: the key with the time of change; "" where records have none.
        is_setup: a short list that is read completely each time.
        search_fields: fields by which the vendor finds single records.
        is_costly: read only if it is configured.
        lookups: lists whose names are added to its records.
        deleted_key: the key that marks deleted records; "" where there is none: users who may no longer log
            in stay in their list and still own records.
    """

    name: str
    label: str
    listings: tuple[Listing, ...]
    record_path: str
    metadata_paths: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    paging: Paging = "cursor"
    cursor_field: str = "update_time"
    is_setup: bool = False
    search_fields: tuple[str, ...] = ()
    is_costly: bool = False
    lookups: tuple[Listing, ...] = ()
    deleted_key: Literal["is_deleted", "active_flag", ""] = "is_deleted"

    @property
    def has_windows(self) -> bool:
        """Whether records can be read by ranges of their time of change."""
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
                # Only deleted deals can be listed, for 30 days.
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
            search_fields=("title", "notes", "custom_fields"),
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
            search_fields=("name", "email", "phone", "notes", "custom_fields"),
        ),
        Item(
            "organizations",
            "Organizations",
            _v2("organizations"),
            "/api/v2/organizations",
            ("/api/v2/organizationFields", "/v1/organizationFields"),
            (*_COUNTS, *_DEALS_OF, "people_count"),
            search_fields=("name", "address", "notes", "custom_fields"),
        ),
        Item(
            "activities",
            "Activities",
            _v2("activities"),
            "/api/v2/activities",
            # The metadata of v2 need the admin scope, those of v1 the scope of activities.
            ("/api/v2/activityFields", "/v1/activityFields"),
            ("attendees",),
        ),
        Item(
            "products",
            "Products",
            _v2("products", until=False),
            "/api/v2/products",
            ("/api/v2/productFields", "/v1/productFields"),
            search_fields=("name", "code", "custom_fields"),
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
            deleted_key="active_flag",
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
            is_costly=True,
        ),
        Item(
            "deal_participants",
            "Participants of deals",
            (Listing("participants", "/v1/deals/{id}/participants", 10, until=False),),
            "",
            paging="per_deal",
            is_costly=True,
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
                record_path,
                paging="whole",
                cursor_field=cursor_field,
                is_setup=True,
                lookups=(ROLES, TEAMS) if name == "users" else (),
                deleted_key="" if name == "users" else "is_deleted",
            )
            for name, label, cost, record_path, cursor_field in (
                ("users", "Users", 20, "/v1/users", "modified"),
                ("activityTypes", "Activity types", 20, "", "update_time"),
                ("leadLabels", "Lead labels", 10, "", "update_time"),
                ("currencies", "Currencies", 20, "", ""),
            )
        ),
    )
}
SNAPSHOTS = frozenset(name for name, item in ITEMS.items() if item.is_setup)
