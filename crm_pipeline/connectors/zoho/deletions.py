"""Confirms deletions: whether records that are missing from Zoho's lists are in the list of deleted records.

Source: zoho.com/crm/developer/docs/api/v8/get-deleted-records.html.
"""

from collections.abc import Sequence

from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api

_PER_PAGE = 200
# The rest of a longer list is not read: a person has to confirm the deletions then.
_MOST_PAGES = 50


def listed(api: Api, module: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that the list of deleted records contains."""
    wanted, confirmed = frozenset(ids), set[str]()
    for number in range(1, _MOST_PAGES + 1):
        params = {"type": "all", "page": str(number), "per_page": str(_PER_PAGE)}
        read = responses.page_reader(f"{api.connection.name}.{module}", rule=keys.DELETED_RULE)
        page = api.ask(f"/{module}/deleted", meter.DELETED, read, params)
        confirmed |= wanted.intersection(page.ids)
        if confirmed == wanted or not page.has_more:
            break
    return frozenset(confirmed)
