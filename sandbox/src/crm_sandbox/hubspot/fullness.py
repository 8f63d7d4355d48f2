"""How much of an account's limits of records, properties, pipelines and labels is used (dated API)."""

from collections.abc import Callable
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot.errors import not_found, unsupported_method
from crm_sandbox.hubspot.paging import answered
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType

_MOST_RECORDS = 15_000_000
_MOST_PROPERTIES = 1_000
_MOST_PIPELINES = 100
_MOST_TYPES = 10
_MOST_LABELS = 50


class FullnessHandler:
    """Answers how full a portal is.

    Args:
        portal: which.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer one of the counts."""
        if request.method != "GET":
            raise unsupported_method()
        kinds: dict[tuple[str, ...], Callable[[], dict[str, Any]]] = {
            ("records",): lambda: self._apart(self._records, _MOST_RECORDS),
            ("pipelines",): lambda: self._apart(self._pipelines, _MOST_PIPELINES),
            ("custom-properties",): self._own_properties,
            ("calculated-properties",): self._calculated,
            ("custom-object-types",): self._own_types,
            ("associations", "labels"): self._labels,
            ("associations", "records", "from"): self._near,
        }
        if parts not in kinds:
            raise not_found()
        return answered(kinds[parts]())

    def _apart(self, count: Callable[[ObjectType], int], most: int) -> dict[str, Any]:
        """Return a count by object type, the portal's own ones apart."""
        types = self._portal.catalog.types
        own = [_named(one) | {"usage": count(one)} for one in types if one.custom]
        others = [_used(one, count(one), most) for one in types if not one.custom]
        return {
            "customObjectTypes": _overall(own, most),
            "hubspotDefinedObjectTypes": [one for one in others if one["usage"]],
        }

    def _own_properties(self) -> dict[str, Any]:
        listed = [
            _used(one, sum(prop.custom for prop in one.visible), _MOST_PROPERTIES)
            for one in self._portal.catalog.types
        ]
        return _overall(listed, _MOST_PROPERTIES * len(listed))

    def _calculated(self) -> dict[str, Any]:
        listed = [
            _named(one) | {"usage": sum(prop.calculated and prop.custom for prop in one.visible)}
            for one in self._portal.catalog.types
        ]
        return _overall(listed, _MOST_PROPERTIES)

    def _own_types(self) -> dict[str, Any]:
        used = sum(one.custom for one in self._portal.catalog.types)
        return {"limit": _MOST_TYPES, "usage": used, "percentage": 100.0 * used / _MOST_TYPES}

    def _labels(self) -> dict[str, Any]:
        results = []
        for one in self._portal.catalog.types:
            for name in self._portal.link_types.targets(one.name):
                kinds = self._portal.link_types.between(one.name, name)
                labels = [kind.label for kind in kinds if kind.label and not kind.is_primary]
                if labels:
                    used = len(labels)
                    results.append(
                        {
                            "fromObjectType": _named(one),
                            "toObjectType": _named(self._portal.catalog.known(name)),
                            "allLabels": labels,
                            "limit": _MOST_LABELS,
                            "usage": used,
                            "percentage": 100.0 * used / _MOST_LABELS,
                        }
                    )
        return {"results": results}

    def _near(self) -> dict[str, Any]:
        nothing = {"hasRecordsAtLimit": False, "hasRecordsNearLimit": False}
        return {"results": [_named(one) | nothing for one in self._portal.catalog.types]}

    def _records(self, one: ObjectType) -> int:
        sql = f'SELECT count(*) FROM "{one.table}" WHERE NOT _archived'
        return int(self._portal.tables.value(sql))

    def _pipelines(self, one: ObjectType) -> int:
        return sum(not pipeline.archived for pipeline in self._portal.pipelines.of(one.name))


def _named(one: ObjectType) -> dict[str, Any]:
    return {"objectTypeId": one.id, "singularLabel": one.label, "pluralLabel": one.plural}


def _used(one: ObjectType, count: int, most: int) -> dict[str, Any]:
    return _named(one) | {"limit": most, "usage": count, "percentage": 100.0 * count / most}


def _overall(listed: list[dict[str, Any]], most: int) -> dict[str, Any]:
    used = sum(one["usage"] for one in listed)
    return {
        "byObjectType": listed,
        "overallLimit": most,
        "overallUsage": used,
        "overallPercentage": 100.0 * used / most,
    }
