"""HubSpot's own object types: their names, stamps and scopes. Custom ones are looked up in the account.

Source: https://developers.hubspot.com/docs/guides/crm/understanding-the-crm (object type ids) and the scopes
of https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OWNERS = "owners"
_MODIFIED = "hs_lastmodifieddate"
_CUSTOM_SCOPES = ("crm.objects.custom.read", "crm.schemas.custom.read")


@dataclass(frozen=True)
class ObjectType:
    """One type of records.

    Attributes:
        name: in addresses and in connections.yaml.
        others: what the vendor takes for it too.
        label: for people.
        scopes: that reading it needs; any one of an `or` is written as the first.
        stamp: the property that changes with each edit; only contacts have another one.
        history: properties whose earlier values are read with the record.
        is_linked: whether other records are associated with it.
        holds_sensitive: whether it can have sensitive properties.
        links_itself: whether its records can be associated with each other; of custom ones the account says it.
    """

    name: str
    label: str
    scopes: tuple[str, ...]
    stamp: str = _MODIFIED
    history: tuple[str, ...] = ()
    is_linked: bool = True
    holds_sensitive: bool = False
    others: tuple[str, ...] = ()
    links_itself: bool = False

    @property
    def type_id(self) -> str:
        """What the vendor calls it in addresses of records."""
        return self.others[-1]


_CONTACTS = "crm.objects.contacts.read"
_DEALS = "crm.objects.deals.read"
_TYPES = (
    ObjectType(
        "contacts",
        "Contacts",
        (_CONTACTS,),
        stamp="lastmodifieddate",
        holds_sensitive=True,
        links_itself=True,
        others=("contact", "0-1"),
    ),
    ObjectType(
        "companies",
        "Companies",
        ("crm.objects.companies.read",),
        holds_sensitive=True,
        links_itself=True,
        others=("company", "0-2"),
    ),
    ObjectType(
        "deals",
        "Deals",
        (_DEALS,),
        history=("dealstage",),
        holds_sensitive=True,
        links_itself=True,
        others=("deal", "0-3"),
    ),
    ObjectType(
        "tickets",
        "Tickets",
        ("tickets",),
        holds_sensitive=True,
        links_itself=True,
        others=("ticket", "0-5"),
    ),
    ObjectType("products", "Products", ("e-commerce",), is_linked=False, others=("product", "0-7")),
    ObjectType(
        "line_items", "Line items", ("crm.objects.line_items.read",), others=("line_item", "0-8")
    ),
    ObjectType("quotes", "Quotes", ("crm.objects.quotes.read",), others=("quote", "0-14")),
    ObjectType("tasks", "Tasks", (_CONTACTS,), others=("task", "0-27")),
    ObjectType("notes", "Notes", (_CONTACTS,), others=("note", "0-46")),
    ObjectType("meetings", "Meetings", (_CONTACTS,), others=("meeting", "0-47")),
    ObjectType("calls", "Calls", (_CONTACTS,), others=("call", "0-48")),
    ObjectType("emails", "E-mails", ("sales-email-read",), others=("email", "0-49")),
    ObjectType("leads", "Leads", ("crm.objects.leads.read",), others=("lead", "0-136")),
)
STANDARD: Mapping[str, ObjectType] = {one.name: one for one in _TYPES}
PIPELINES: Mapping[str, str] = {
    "deal_pipelines": "deals",
    "ticket_pipelines": "tickets",
    "lead_pipelines": "leads",
}
"""Objects that are the pipelines of a type of records."""
SNAPSHOTS = frozenset({OWNERS, *PIPELINES})
"""Short lists without a search: read whole each time."""
LABELS: Mapping[str, str] = {
    **{one.name: one.label for one in _TYPES},
    OWNERS: "Owners",
    "deal_pipelines": "Deal pipelines",
    "ticket_pipelines": "Ticket pipelines",
    "lead_pipelines": "Lead pipelines",
}


def type_of(name: str) -> ObjectType:
    """Return the type of records that a name of connections.yaml means; unknown ones are custom."""
    return STANDARD.get(name) or ObjectType(
        name, name, _CUSTOM_SCOPES, holds_sensitive=True, links_itself=True
    )


def plain_name(name: str) -> str:
    """Return how an object of HubSpot's own is written here, whichever of its names is given."""
    lowered = name.lower()
    for one in _TYPES:
        if lowered in (one.name, *one.others):
            return one.name
    return name


def linked_to(name: str, configured: Iterable[str]) -> tuple[str, ...]:
    """Return the configured objects that records of one can be associated with."""
    kind = type_of(name)
    if name in SNAPSHOTS or not kind.is_linked:
        return ()
    return tuple(
        other
        for other in configured
        if other not in SNAPSHOTS
        and type_of(other).is_linked
        and (other != name or kind.links_itself)
    )


def scopes_for(names: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that reading some objects needs, each once."""
    found = {"oauth": None}
    for name in names:
        if name == OWNERS:
            found["crm.objects.owners.read"] = None
        else:
            found |= dict.fromkeys(type_of(PIPELINES.get(name, name)).scopes)
    return tuple(found)
