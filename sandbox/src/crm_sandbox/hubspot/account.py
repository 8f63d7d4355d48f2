"""The details of a portal, and the calls that it has used."""

from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot.errors import not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import answered
from crm_sandbox.hubspot.portal import Portal


class AccountHandler:
    """Answers about the portal as a whole.

    Args:
        portal: which.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def info(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer details, or the use of the day."""
        if request.method != "GET":
            raise unsupported_method()
        if parts == ("details",):
            return answered(self._details())
        if parts == ("api-usage", "daily", "private-apps"):
            return answered(self._usage())
        raise not_found()

    def _details(self) -> dict[str, Any]:
        facts = self._portal.facts
        offset = -5 if facts.utc_offset.startswith("-") else 1
        return {
            "portalId": facts.hub_id,
            "accountType": "STANDARD",
            "timeZone": facts.time_zone,
            "companyCurrency": facts.currency,
            "additionalCurrencies": ["EUR", "GBP"] if facts.currency == "USD" else ["USD"],
            "utcOffset": facts.utc_offset,
            "utcOffsetMilliseconds": offset * 3_600_000,
            "uiDomain": f"app{'' if facts.region == 'na1' else '-' + facts.region}.hubspot.com",
            "dataHostingLocation": facts.region,
        }

    def _usage(self) -> dict[str, Any]:
        daily = self._portal.limits.daily
        now = self._portal.clock.now()
        end = now.replace(hour=23, minute=59, second=59, microsecond=0)
        entry = {
            "name": "private-apps-api-calls-daily",
            "usageLimit": daily.amount,
            "currentUsage": daily.used,
            "collectedAt": iso_of(self._portal.now_ms()),
            "fetchStatus": "SUCCESS",
            "resetsAt": f"{end:%Y-%m-%dT%H:%M:%S}.000Z",
        }
        return {"results": [entry]}
