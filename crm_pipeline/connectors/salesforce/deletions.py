"""Salesforce's confirmation that records which queries no longer return were deleted.

For 15 days a deleted record is in the recycle bin, which `queryAll` returns, or in the log of deletions, which also
has the ids of records deleted for good. A record that the login merely may not see any more is in neither.
Source: REST API Developer Guide, "sObject Get Deleted".
"""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.salesforce import soql
from crm_pipeline.connectors.salesforce.api import Api

# The log covers 15 days by the vendor's clock; a bit less is requested, as clocks differ.
_LOGGED = timedelta(days=15) - timedelta(minutes=10)

_WHAT = "an answer about deleted records"


class _Row(msgspec.Struct):
    Id: str
    IsDeleted: bool = False


class _Rows(msgspec.Struct):
    records: list[_Row]


class _Entry(msgspec.Struct):
    id: str
    deletedDate: str = ""  # noqa: N815 - the vendor's name


class _Log(msgspec.Struct):
    deletedRecords: list[_Entry]  # noqa: N815 - the vendor's name


def deleted(api: Api, obj: str, ids: Sequence[str], *, is_marked: bool) -> frozenset[str]:
    """Return those ids that are deleted.

    Args:
        api: of the org.
        obj: the object.
        ids: of its records.
        is_marked: the object has `IsDeleted`; others have no recycle bin and no log.
    """
    if not is_marked:
        return frozenset()
    query = soql.select(
        ("Id", "IsDeleted"),
        obj,
        [f"Id IN ({', '.join(soql.text(record_id) for record_id in ids)})"],
    )
    rows = api.ask(f"{api.base}/queryAll/", _Rows, _WHAT, q=query).records
    confirmed = {row.Id for row in rows if row.IsDeleted}
    if not confirmed.issuperset(ids):
        confirmed |= log(api, obj).keys()
    return frozenset(confirmed.intersection(ids))


def log(api: Api, obj: str) -> dict[str, str]:
    """Return when records were deleted in the last 15 days, by id, also those that were deleted for good."""
    end = min(api.now(), api.vendor_now())
    listed = api.ask(
        f"{api.base}/sobjects/{quote(obj, safe='')}/deleted/",
        _Log,
        _WHAT,
        start=soql.instant(end - _LOGGED),
        end=soql.instant(end),
    )
    return {entry.id: entry.deletedDate for entry in listed.deletedRecords}
