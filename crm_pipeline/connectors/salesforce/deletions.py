"""What Salesforce says of records that a query does not show any more: deleted, in so many words, or nothing.

For 15 days a record is in the recycle bin, which `queryAll` shows, or in the log of deletions, which names the
ids of records that went for good as well. A login that lost its sight finds a record in neither.
Source: REST API Developer Guide, "sObject Get Deleted".
"""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.salesforce import soql
from crm_pipeline.connectors.salesforce.api import Api

# The log reaches back for 15 days; a bit less, as the vendor's clock counts.
_LOGGED = timedelta(days=15) - timedelta(minutes=10)

_WHAT = "an answer about deleted records"


class _Row(msgspec.Struct):
    Id: str
    IsDeleted: bool = False


class _Rows(msgspec.Struct):
    records: list[_Row]


class _Entry(msgspec.Struct):
    id: str


class _Log(msgspec.Struct):
    deletedRecords: list[_Entry]  # noqa: N815 - the vendor's name


def deleted(api: Api, obj: str, ids: Sequence[str], *, is_marked: bool) -> frozenset[str]:
    """Return those of the ids that are deleted.

    Args:
        api: the org's.
        obj: whose records.
        ids: of the records.
        is_marked: the object has `IsDeleted`; others have no recycle bin and no log.
    """
    if not is_marked:
        return frozenset()
    query = soql.select(
        ("Id", "IsDeleted"), obj, [f"Id IN ({', '.join(soql.text(one) for one in ids)})"]
    )
    rows = api.ask(f"{api.base}/queryAll/", _Rows, _WHAT, q=query).records
    found = {row.Id for row in rows if row.IsDeleted}
    if not found.issuperset(ids):
        found |= _logged(api, obj)
    return frozenset(found.intersection(ids))


def _logged(api: Api, obj: str) -> set[str]:
    end = min(api.now(), api.vendor_now())
    log = api.ask(
        f"{api.base}/sobjects/{quote(obj, safe='')}/deleted/",
        _Log,
        _WHAT,
        start=soql.instant(end - _LOGGED),
        end=soql.instant(end),
    )
    return {entry.id for entry in log.deletedRecords}
