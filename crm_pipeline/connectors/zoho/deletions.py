"""Confirms deletions: whether records that are missing from Zoho's lists are in the list of deleted records.

Source: zoho.com/crm/developer/docs/api/v8/get-deleted-records.html.
"""

from collections.abc import Sequence

from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.responses import ResponsePage

_PER_PAGE = 200
MOST_PAGES = 50
"""The rest of a longer list is not read: a person has to confirm the deletions then."""


def listed(api: Api, module: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that the list of deleted records contains."""
    return frozenset(marks(api, module, ids)[0].ids)


def marks(api: Api, module: str, ids: Sequence[str]) -> tuple[ResponsePage, bool]:
    """Return the entries of some ids in the list of deleted records, and whether nothing of it was left unread."""
    wanted, found = frozenset(ids), ResponsePage()
    seen: set[str] = set()
    for number in range(1, MOST_PAGES + 1):
        params = {"type": "all", "page": str(number), "per_page": str(_PER_PAGE)}
        read = responses.page_reader(f"{api.connection.name}.{module}", rule=keys.DELETED_RULE)
        page = api.ask(f"/{module}/deleted", meter.DELETED, read, params)
        # Where pages shift, the same entry comes again.
        found.extend(page.only([one in wanted and one not in seen for one in page.ids]))
        seen.update(page.ids)
        if wanted <= seen or not page.has_more:
            return found, True
    return found, False
