"""HubSpot's standard object types: names, cursor fields and scopes. Custom types are read from the account.

Source: https://developers.hubspot.com/docs/guides/crm/understanding-the-crm (object type ids) and the scopes
of https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OWNERS = "owners"
LISTS, LIST_MEMBERS = "lists", "list_memberships"
_LISTS_SCOPE = "crm.lists.read"
_MODIFIED = "hs_lastmodifieddate"
_CUSTOM_SCOPES = ("crm.objects.custom.read", "crm.schemas.custom.read")


@dataclass(frozen=True)
class ObjectType:
    """One type of records.

    Attributes:
        name: in addresses and in connections.yaml.
        others: other names that the vendor accepts; the last is the type id.
        label: for people.
        scopes: that reading it requires; of alternatives the first.
        cursor_field: the property with the time of the last change; that of contacts has another name.
        history: properties whose earlier values are read with the record.
        is_linked: whether other records are associated with it.
        holds_sensitive: whether it can have sensitive properties.
        links_itself: whether its records can be associated with each other; custom types may be.
    """

    name: str
    label: str
    scopes: tuple[str, ...]
    cursor_field: str = _MODIFIED
    history: tuple[str, ...] = ()
    is_linked: bool = True
    holds_sensitive: bool = False
    others: tuple[str, ...] = ()
    links_itself: bool = False

    @property
    def type_id(self) -> str:
        """The name of the type in web addresses of records."""
        return self.others[-1]


_CONTACTS = "crm.objects.contacts.read"
_DEALS = "crm.objects.deals.read"
_TYPES = (
    ObjectType(
        "contacts",
        "Contacts",
        (_CONTACTS,),
        cursor_field="lastmodifieddate",
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
STANDARD: Mapping[str, ObjectType] = {kind.name: kind for kind in _TYPES}
PIPELINES: Mapping[str, str] = {
    "deal_pipelines": "deals",
    "ticket_pipelines": "tickets",
    "lead_pipelines": "leads",
}
"""The objects of pipelines, each with the type of records that it is for."""
OF_LISTS = frozenset({LISTS, LIST_MEMBERS})
"""The objects of lists, which the vendor also calls segments."""
SNAPSHOTS = frozenset({OWNERS, *PIPELINES, *OF_LISTS})
"""Objects without a search by the last change, which are read whole each time."""
COSTLY = frozenset({LIST_MEMBERS})
"""Objects that are read where somebody asks for them: a refresh may take thousands of calls."""
LABELS: Mapping[str, str] = {
    **{kind.name: kind.label for kind in _TYPES},
    OWNERS: "Owners",
    "deal_pipelines": "Deal pipelines",
    "ticket_pipelines": "Ticket pipelines",
    "lead_pipelines": "Lead pipelines",
    LISTS: "Lists",
    LIST_MEMBERS: "Members of lists",
}


def type_of(name: str) -> ObjectType:
    """Return the type of a name of connections.yaml; unknown names are custom types."""
    return STANDARD.get(name) or ObjectType(
        name, name, _CUSTOM_SCOPES, holds_sensitive=True, links_itself=True
    )


def plain_name(name: str) -> str:
    """Return the name of a standard object by any of its names; other names stay as they are."""
    lowered = name.lower()
    for kind in _TYPES:
        if lowered in (kind.name, *kind.others):
            return kind.name
    return name


def linked_to(name: str, configured: Iterable[str]) -> tuple[str, ...]:
    """Return the configured objects that records of an object can be associated with."""
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
    """Return the scopes that reading some objects requires, without duplicates."""
    scopes = {"oauth": None}
    for name in names:
        if name == OWNERS:
            scopes["crm.objects.owners.read"] = None
        elif name in OF_LISTS:
            scopes[_LISTS_SCOPE] = None
        else:
            scopes |= dict.fromkeys(type_of(PIPELINES.get(name, name)).scopes)
    return tuple(scopes)
