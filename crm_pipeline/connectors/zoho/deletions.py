"""What Zoho says of records that its lists do not show any more: they are in the list of deleted records, or not.

Source: zoho.com/crm/developer/docs/api/v8/get-deleted-records.html.
"""

from collections.abc import Sequence

from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api

_PER_PAGE = 200
# Of a list that is longer the rest is not looked at: a person has to say it then.
_MOST_PAGES = 50


def listed(api: Api, module: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that the list of deleted records has."""
    wanted, found = frozenset(ids), set[str]()
    for number in range(1, _MOST_PAGES + 1):
        params = {"type": "all", "page": str(number), "per_page": str(_PER_PAGE)}
        read = responses.reading(f"{api.connection.name}.{module}", rule=keys.GONE)
        page = api.ask(f"/{module}/deleted", meter.DELETED, read, params)
        found |= wanted.intersection(page.ids)
        if found == wanted or not page.has_more:
            break
    return frozenset(found)
