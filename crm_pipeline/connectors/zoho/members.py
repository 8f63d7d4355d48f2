"""Members of campaigns: the contacts and leads that each campaign's related lists name.

There is no list of them all, and no stamp moves when one is added. So every campaign is asked, by two lists,
and what is missing then has been taken out. That is dear: the plan says how dear, and nobody reads them
who does not ask for it. Source: zoho.com/crm/developer/docs/api/v8/get-related-records.html.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from math import ceil
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.base import Page, Plan, Route
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.zoho import counting, keys, meter, sheet
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.sheet import Sheet
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError, Rejected
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.rejects import Reject
from crm_pipeline.wire.decoding import UNREADABLE

NAME = "CampaignMembers"
ROUTE = "records"
_CAMPAIGNS = "Campaigns"
# Documented for changes of the list; where an answer does not show it, the status stays unknown.
_STATUS = "Member_Status"
# Related list -> the key under which its records stand in ours.
_LISTS: Mapping[str, str] = {"Contacts": "Contact", "Leads": "Lead"}
_LIST = Operation("members")
_BATCH = 2_000
# The number of campaigns.
_FIXED = 1


def _lookup(name: str, module: str) -> Field:
    return Field(name, name, "lookup", reference_to=(module,), path=(name, "id"))


SCHEMA = Schema(
    NAME,
    "Campaign members",
    (
        Field("id", "id", "text", nullable=False),
        _lookup("Campaign", _CAMPAIGNS),
        *(_lookup(key, module) for module, key in _LISTS.items()),
        Field(_STATUS, "Member Status", "picklist"),
    ),
)


@dataclass
class _Read:
    """Members that were read together."""

    asked_at: datetime
    ids: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    calls: int = 0


def planned(api: Api, plan: Plan) -> Plan:
    """Return the plan with the price of asking every campaign."""
    campaigns = counting.total(api, _CAMPAIGNS)
    lists = len(_LISTS) * campaigns
    size = api.ceiling("list_page_records")
    calls = _FIXED + max(1, ceil(campaigns / size)) + lists
    how = (
        f"{len(_LISTS)} lists of each of {campaigns:,} campaigns, a call more for each further {size} "
        "members of one"
    )
    route = Route(ROUTE, calls, calls, calls * api.round_trip_s, how)
    return replace(
        plan,
        window=None,
        complete=True,
        route=route.name,
        reason=how,
        calls=calls,
        cost=calls,
        seconds=route.seconds,
        routes=(route,),
        remaining=api.remaining,
    )


def pages(api: Api) -> Iterator[Page]:
    """Yield all members, some thousands at once."""
    for found in _reads(api, _BATCH):
        batch = batch_of(
            ids=found.ids,
            stamps=[None] * len(found.ids),
            texts=found.texts,
            owner=f"{api.connection.name}.{NAME}",
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


def some(api: Api, rows: int) -> list[dict[str, Any]]:
    """Return the members that are found first."""
    found = next(_reads(api, rows))
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in found.texts[:rows]]


def _reads(api: Api, most: int) -> Iterator[_Read]:
    """Ask campaign by campaign; what is at hand is given on when it is `most` or more."""
    read = _Read(api.now())
    for page in _pages(api, f"/{_CAMPAIGNS}", {"fields": "id", "sort_order": "asc"}, read):
        if page.rejected:
            # Whose members could not be asked for, those would look as if they had been taken out.
            raise MalformedAnswer(f"{api.connection.name}.{NAME}: a campaign has no id to ask by.")
        for campaign in page.ids:
            if len(read.ids) >= most:
                yield read
                read = _Read(api.now())
            _add(api, campaign, read)
    yield read


def _add(api: Api, campaign: str, read: _Read) -> None:
    """Add the members of one campaign."""
    for module, key in _LISTS.items():
        path = f"/{_CAMPAIGNS}/{quote(campaign, safe='')}/{module}"
        params = {"fields": f"id,{_STATUS}"}
        if module == "Leads":
            params["converted"] = "both"
        try:
            found = list(_pages(api, path, params, read))
        except Rejected:
            if _is_there(api, campaign, read):
                raise
            return  # deleted since it was listed, and its members with it
        for page in found:
            for reject in page.rejected:
                name, whole = _merged(campaign, key, reject.source_id, reject.raw)
                name = name if reject.source_id else ""
                read.rejected.append(replace(reject, raw=whole, source_id=name))
            for member, _, text in page.rows():
                name, whole = _merged(campaign, key, member, text)
                read.ids.append(name)
                read.texts.append(whole)


def _merged(campaign: str, key: str, member: str, text: bytes | memoryview) -> tuple[str, bytes]:
    """Return the id and the text of a member: what the list says of the record, and whose member it is.

    A record that is no JSON stays as it came.
    """
    name = f"{campaign}-{member}"
    ours = {"id": name, "Campaign": {"id": campaign}, key: {"id": member}}
    try:
        return name, sheet.merged([text, msgspec.json.encode(ours)])
    except UNREADABLE:
        return name, bytes(text)


def _is_there(api: Api, campaign: str, read: _Read) -> bool:
    read.calls += 1
    reader = sheet.reading(f"{api.connection.name}.{NAME}", is_paged=False)
    return bool(api.ask(f"/{_CAMPAIGNS}/{quote(campaign, safe='')}", meter.ONE, reader).seen)


def _pages(api: Api, path: str, params: Mapping[str, str], read: _Read) -> Iterator[Sheet]:
    """Yield the pages of a list; by tokens, where the vendor gives them.

    Raises:
        ProtocolError: the vendor named a page twice, or promised more than it sent.
    """
    owner = f"{api.connection.name}.{NAME}"
    place, seen = {"page": "1"}, set[str]()
    more = {"per_page": str(api.ceiling("list_page_records")), **params}
    for number in count(2):
        read.calls += 1
        reader = sheet.reading(owner, rule=keys.LISTED)
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
