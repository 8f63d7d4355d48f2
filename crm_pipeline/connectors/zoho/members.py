"""Members of campaigns, and the contacts of deals with their roles: what each record's related lists name.

There is no list of them all, and no stamp moves when one is added. So every campaign or deal is asked,
and what is missing then has been taken out. That is dear: the plan says how dear, and nobody reads them
who does not ask for it. Sources: zoho.com/crm/developer/docs/api/v8/get-related-records.html,
get-contact-roles-of-a-specific-deal.html.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from math import ceil
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.base import Page, Plan, ReadStrategy
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.zoho import counting, keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError, Rejected
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.decoding import UNREADABLE

_LIST = Operation("members")
_BATCH = 2_000
# The number of records that are asked.
_FIXED = 1
ROUTE = "records"


@dataclass(frozen=True)
class Links:
    """What related lists of one module name.

    Attributes:
        name: what we call the links.
        label: for people.
        parent: the module whose records are asked.
        key: under which the parent stands in a link.
        lists: related list -> the module of its records, and the key under which they stand.
        told: the field of the list that says more of the link; an object's name counts.
    """

    name: str
    label: str
    parent: str
    key: str
    lists: Mapping[str, tuple[str, str]]
    told: Field

    @property
    def schema(self) -> Schema:
        """Return the fields of a link."""
        ends = [(self.parent, self.key), *self.lists.values()]
        return Schema(
            self.name,
            self.label,
            (
                Field("id", "id", "text", nullable=False),
                *(_lookup(key, module) for module, key in ends),
                self.told,
            ),
        )


def _lookup(name: str, module: str) -> Field:
    return Field(name, name, "lookup", reference_to=(module,), path=(name, "id"))


LINKS: Mapping[str, Links] = {
    one.name: one
    for one in (
        Links(
            "CampaignMembers",
            "Campaign members",
            "Campaigns",
            "Campaign",
            {"Contacts": ("Contacts", "Contact"), "Leads": ("Leads", "Lead")},
            # Documented for changes of the list; where an answer does not show it, it stays unknown.
            Field("Member_Status", "Member Status", "picklist"),
        ),
        Links(
            "ContactRoles",
            "Contact roles of deals",
            "Deals",
            "Deal",
            {"Contact_Roles": ("Contacts", "Contact")},
            Field("Contact_Role", "Contact Role", "picklist", path=("Contact_Role", "name")),
        ),
    )
}


@dataclass
class _Read:
    """Members that were read together."""

    asked_at: datetime
    owner: str
    ids: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    calls: int = 0


def planned(api: Api, plan: Plan) -> Plan:
    """Return the plan with the price of asking every record."""
    links = LINKS[plan.object]
    asked = counting.total(api, links.parent)
    lists = len(links.lists) * asked
    size = api.limit("list_page_records")
    calls = _FIXED + max(1, ceil(asked / size)) + lists
    many = f"{len(links.lists)} lists" if len(links.lists) > 1 else "a list"
    how = (
        f"{many} of each of {asked:,} {links.parent.lower()}, a call more for each further {size} "
        "members of one"
    )
    route = ReadStrategy(ROUTE, calls, calls, calls * api.round_trip_s, how)
    return replace(
        plan,
        window=None,
        complete=True,
        route=route.name,
        reason=how,
        calls=calls,
        cost=calls,
        seconds=route.seconds,
        strategies=(route,),
        remaining=api.remaining,
    )


def pages(api: Api, name: str) -> Iterator[Page]:
    """Yield all members, some thousands at once."""
    for found in _reads(api, LINKS[name], _BATCH):
        batch = batch_of(
            ids=found.ids,
            modified_at=[None] * len(found.ids),
            texts=found.texts,
            owner=f"{api.connection.name}.{name}",
        )
        yield Page(
            shape="json",
            route=ROUTE,
            batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
            extracted_at=found.asked_at,
            expected=len(found.ids) + len(found.rejected),
            calls=found.calls,
            rejected=found.rejected,
        )


def some(api: Api, name: str, rows: int) -> list[dict[str, Any]]:
    """Return the members that are found first."""
    found = next(_reads(api, LINKS[name], rows))
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in found.texts[:rows]]


def _reads(api: Api, links: Links, most: int) -> Iterator[_Read]:
    """Ask record by record; what is at hand is given on when it is `most` or more."""
    read = _Read(api.now(), f"{api.connection.name}.{links.name}")
    for page in _pages(api, f"/{links.parent}", {"fields": "id", "sort_order": "asc"}, read):
        if page.rejected:
            # Whose members could not be asked for, those would look as if they had been taken out.
            raise MalformedAnswer(f"{read.owner}: a record of {links.parent} has no id to ask by.")
        for parent in page.ids:
            if len(read.ids) >= most:
                yield read
                read = _Read(api.now(), read.owner)
            _add(api, links, parent, read)
    yield read


def _add(api: Api, links: Links, parent: str, read: _Read) -> None:
    """Add the members of one record."""
    for name, (module, key) in links.lists.items():
        path = f"/{links.parent}/{quote(parent, safe='')}/{name}"
        params = {"fields": f"id,{links.told.name}"}
        if module == "Leads":
            params["converted"] = "both"
        try:
            found = list(_pages(api, path, params, read))
        except Rejected:
            if _is_there(api, links, parent, read):
                raise
            return  # deleted since it was listed, and its members with it
        ends = {links.key: {"id": parent}}
        for page in found:
            for reject in page.rejected:
                link, whole = _merged(parent, ends, key, reject.source_id, reject.raw)
                link = link if reject.source_id else ""
                read.rejected.append(replace(reject, raw=whole, source_id=link))
            for member, _, text in page.rows():
                link, whole = _merged(parent, ends, key, member, text)
                read.ids.append(link)
                read.texts.append(whole)


def _merged(
    parent: str,
    ends: Mapping[str, Any],
    key: str,
    member: str,
    text: bytes | memoryview,
) -> tuple[str, bytes]:
    """Return the id and the text of a member: what the list says of the record, and whose member it is.

    A record that is no JSON stays as it came.
    """
    name = f"{parent}-{member}"
    ours = {"id": name, **ends, key: {"id": member}}
    try:
        return name, responses.merged([text, msgspec.json.encode(ours)])
    except UNREADABLE:
        return name, bytes(text)


def _is_there(api: Api, links: Links, parent: str, read: _Read) -> bool:
    read.calls += 1
    reader = responses.reading(read.owner, is_paged=False)
    path = f"/{links.parent}/{quote(parent, safe='')}"
    return bool(api.ask(path, meter.ONE, reader).seen)


def _pages(api: Api, path: str, params: Mapping[str, str], read: _Read) -> Iterator[ResponsePage]:
    """Yield the pages of a list; by tokens, where the vendor gives them.

    Raises:
        ProtocolError: the vendor named a page twice, or promised more than it sent.
    """
    owner = read.owner
    place, seen = {"page": "1"}, set[str]()
    more = {"per_page": str(api.limit("list_page_records")), **params}
    for number in count(2):
        read.calls += 1
        reader = responses.reading(owner, rule=keys.LISTED)
        page = api.ask(path, _LIST, reader, {**more, **place})
        if seen and not page.seen:
            raise ProtocolError(
                f"{owner}: Zoho sent a page without records, although more are to come.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        yield page
        if not page.has_more:
            return
        behind = page.token or next(iter(page.ids[-1:]), str(number))
        if behind in seen:
            raise ProtocolError(
                f"{owner}: Zoho named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(behind)
        place = {"page_token": page.token} if page.token else {"page": str(number)}
