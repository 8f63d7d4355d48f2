"""Reads members of campaigns and contact roles of deals from the related lists of each record.

There is no list of all members, and no time of change is updated when one is added. So the lists of every
campaign or deal are read, and a missing member was removed. That is expensive: the plan shows the cost, and
members are read only if they are configured. Sources: zoho.com/crm/developer/docs/api/v8/get-related-records.html,
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
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError, Rejected
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.decoding import UNREADABLE

_LIST = Operation("members")
_BATCH = 2_000
# The call that counts the parent records.
_COUNT_CALLS = 1
ROUTE = "records"


@dataclass(frozen=True)
class Links:
    """The members in related lists of one module.

    Attributes:
        name: of the object.
        label: its human name.
        parent: the module with the related lists.
        key: of the parent in a link.
        lists: related list -> the module of its records, and their key in a link.
        detail: a further field of the list.
    """

    name: str
    label: str
    parent: str
    key: str
    lists: Mapping[str, tuple[str, str]]
    detail: Field

    @property
    def schema(self) -> Schema:
        """The fields of a link."""
        ends = [(self.parent, self.key), *self.lists.values()]
        return Schema(
            self.name,
            self.label,
            (
                Field("id", "id", "text", nullable=False),
                *(_lookup(key, module) for module, key in ends),
                self.detail,
            ),
        )


def _lookup(name: str, module: str) -> Field:
    return Field(name, name, "lookup", reference_to=(module,), path=(name, "id"))


LINKS: Mapping[str, Links] = {
    links.name: links
    for links in (
        Links(
            "CampaignMembers",
            "Campaign members",
            "Campaigns",
            "Campaign",
            {"Contacts": ("Contacts", "Contact"), "Leads": ("Leads", "Lead")},
            # Documented for changes of the list; unknown where a response lacks it.
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
class _Batch:
    """Members that are landed together."""

    asked_at: datetime
    owner: str
    ids: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    calls: int = 0


def plan_with_cost(api: Api, plan: Plan) -> Plan:
    """Return the plan with the cost of reading the lists of every record."""
    links = LINKS[plan.object]
    parents = counting.total(api, links.parent)
    lists = len(links.lists) * parents
    size = api.limit("list_page_records")
    calls = _COUNT_CALLS + max(1, ceil(parents / size)) + lists
    each = f"{len(links.lists)} lists" if len(links.lists) > 1 else "a list"
    how = (
        f"{each} of each of {parents:,} {links.parent.lower()}, a call more for each further {size} "
        "members of one"
    )
    strategy = ReadStrategy(ROUTE, calls, calls, calls * api.round_trip_s, how)
    return replace(
        plan,
        window=None,
        complete=True,
        route=strategy.name,
        reason=how,
        calls=calls,
        cost=calls,
        seconds=strategy.seconds,
        strategies=(strategy,),
        remaining=api.remaining,
    )


def pages(api: Api, name: str) -> Iterator[Page]:
    """Yield all members, some thousands on a page."""
    for members in _batches(api, LINKS[name], _BATCH):
        batch = batch_of(
            ids=members.ids,
            modified_at=[None] * len(members.ids),
            texts=members.texts,
            owner=f"{api.connection.name}.{name}",
        )
        yield Page(
            shape="json",
            route=ROUTE,
            batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
            extracted_at=members.asked_at,
            expected=len(members.ids) + len(members.rejected),
            calls=members.calls,
            rejected=members.rejected,
        )


def preview(api: Api, name: str, rows: int) -> list[dict[str, Any]]:
    """Return the first members."""
    members = next(_batches(api, LINKS[name], rows))
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in members.texts[:rows]]


def _batches(api: Api, links: Links, size: int) -> Iterator[_Batch]:
    """Yield batches of at least `size` members, record by record."""
    batch = _Batch(api.now(), f"{api.connection.name}.{links.name}")
    for page in _pages(api, f"/{links.parent}", {"fields": "id", "sort_order": "asc"}, batch):
        if page.rejected:
            # Without an id its members cannot be read, and would look removed.
            raise MalformedResponse(
                f"{batch.owner}: a record of {links.parent} has no id to ask by."
            )
        for parent in page.ids:
            if len(batch.ids) >= size:
                yield batch
                batch = _Batch(api.now(), batch.owner)
            _add_members(api, links, parent, batch)
    yield batch


def _add_members(api: Api, links: Links, parent: str, batch: _Batch) -> None:
    """Add the members of one record to a batch."""
    for name, (module, key) in links.lists.items():
        path = f"/{links.parent}/{quote(parent, safe='')}/{name}"
        params = {"fields": f"id,{links.detail.name}"}
        if module == "Leads":
            params["converted"] = "both"
        try:
            member_pages = list(_pages(api, path, params, batch))
        except Rejected:
            if _exists(api, links, parent, batch):
                raise
            return  # deleted since it was listed, and its members with it
        ends = {links.key: {"id": parent}}
        for page in member_pages:
            for reject in page.rejected:
                link_id, text = _link(parent, ends, key, reject.source_id, reject.raw)
                link_id = link_id if reject.source_id else ""
                batch.rejected.append(replace(reject, raw=text, source_id=link_id))
            for member, _, record in page.rows():
                link_id, text = _link(parent, ends, key, member, record)
                batch.ids.append(link_id)
                batch.texts.append(text)


def _link(
    parent: str,
    ends: Mapping[str, Any],
    key: str,
    member: str,
    text: bytes | memoryview,
) -> tuple[str, bytes]:
    """Return the id and the text of a link: the fields of the list's record, with the ids of both records.

    A record that is no JSON stays as received.
    """
    link_id = f"{parent}-{member}"
    ids = {"id": link_id, **ends, key: {"id": member}}
    try:
        return link_id, responses.merged([text, msgspec.json.encode(ids)])
    except UNREADABLE:
        return link_id, bytes(text)


def _exists(api: Api, links: Links, parent: str, batch: _Batch) -> bool:
    batch.calls += 1
    reader = responses.page_reader(batch.owner, is_paged=False)
    path = f"/{links.parent}/{quote(parent, safe='')}"
    return bool(api.ask(path, meter.ONE, reader).seen)


def _pages(api: Api, path: str, params: Mapping[str, str], batch: _Batch) -> Iterator[ResponsePage]:
    """Yield the pages of a list, by tokens where the vendor sends them.

    Raises:
        ProtocolError: the vendor names the same next page again, or announced more records than it sent.
    """
    owner = batch.owner
    position, seen = {"page": "1"}, set[str]()
    fixed = {"per_page": str(api.limit("list_page_records")), **params}
    for number in count(2):
        batch.calls += 1
        reader = responses.page_reader(owner, rule=keys.LISTED)
        page = api.ask(path, _LIST, reader, {**fixed, **position})
        if seen and not page.seen:
            raise ProtocolError(
                f"{owner}: Zoho sent a page without records, although more are to come.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        yield page
        if not page.has_more:
            return
        mark = page.token or next(iter(page.ids[-1:]), str(number))
        if mark in seen:
            raise ProtocolError(
                f"{owner}: Zoho named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(mark)
        position = {"page_token": page.token} if page.token else {"page": str(number)}
