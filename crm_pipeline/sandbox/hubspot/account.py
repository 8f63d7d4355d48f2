"""What a portal says about itself: its details, the calls it used, and how full it is."""

from typing import Any

from crm_pipeline.sandbox.http import Request, Response
from crm_pipeline.sandbox.hubspot.errors import not_found, unsupported_method
from crm_pipeline.sandbox.hubspot.instants import iso_of
from crm_pipeline.sandbox.hubspot.paging import answered
from crm_pipeline.sandbox.hubspot.portal import Portal

_MOST_RECORDS = 15_000_000
_MOST_PROPERTIES = 1_000
_MOST_PIPELINES = 100


class AccountDesk:
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

    def limits(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer how much of what an account may have is used (dated API only)."""
        if request.method != "GET":
            raise unsupported_method()
        if parts == ("records",):
            return answered(self._records())
        if parts == ("custom-properties",):
            return answered(
                {"byObjectType": [self._properties(one) for one in self._portal.catalog.types]}
            )
        if parts == ("pipelines",):
            return answered({"byObjectType": self._pipelines()})
        if parts[:1] == ("associations",):
            return answered({"results": []})
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

    def _records(self) -> dict[str, Any]:
        types: list[dict[str, Any]] = []
        for one in self._portal.catalog.types:
            count = self._count(one.table)
            types.append(
                {
                    "objectTypeId": one.id,
                    "singularLabel": one.label,
                    "pluralLabel": one.plural,
                    "limit": _MOST_RECORDS,
                    "usage": count,
                    "percentage": 100.0 * count / _MOST_RECORDS,
                }
            )
        used = sum(entry["usage"] for entry in types if entry["objectTypeId"].startswith("2-"))
        custom = [entry for entry in types if entry["objectTypeId"].startswith("2-")]
        return {
            "customObjectTypes": {
                "overallLimit": _MOST_RECORDS,
                "overallUsage": used,
                "overallPercentage": 100.0 * used / _MOST_RECORDS,
                "byObjectType": custom,
            },
            "hubspotDefinedObjectTypes": [e for e in types if e not in custom],
        }

    def _properties(self, one: Any) -> dict[str, Any]:
        used = sum(prop.custom and not prop.archived for prop in one.properties.values())
        return {
            "objectTypeId": one.id,
            "singularLabel": one.label,
            "pluralLabel": one.plural,
            "limit": _MOST_PROPERTIES,
            "usage": used,
            "percentage": 100.0 * used / _MOST_PROPERTIES,
        }

    def _pipelines(self) -> list[dict[str, Any]]:
        made = []
        for one in self._portal.catalog.types:
            used = len(self._portal.pipelines.of(one.name))
            if used:
                made.append(
                    {
                        "objectTypeId": one.id,
                        "singularLabel": one.label,
                        "pluralLabel": one.plural,
                        "limit": _MOST_PIPELINES,
                        "usage": used,
                        "percentage": 100.0 * used / _MOST_PIPELINES,
                    }
                )
        return made

    def _count(self, table: str) -> int:
        return int(self._portal.tables.value(f'SELECT count(*) FROM "{table}" WHERE NOT _archived'))
