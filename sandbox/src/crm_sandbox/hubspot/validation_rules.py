"""Rules for the values of properties, which an administrator sets (dated API): kept and shown.

What they demand of writes is not enforced here; which properties are required is, see `rules.py`.
"""

from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import invalid, not_found, unsupported_method
from crm_sandbox.hubspot.paging import answered, json_of
from crm_sandbox.hubspot.portal import Portal

_KINDS = frozenset(
    {
        "ALPHANUMERIC",
        "DECIMAL",
        "DOMAIN",
        "EMAIL",
        "EMAIL_ALLOWED_DOMAINS",
        "EMAIL_BLOCKED_DOMAINS",
        "FORMAT",
        "MAX_LENGTH",
        "MAX_NUMBER",
        "MIN_LENGTH",
        "MIN_NUMBER",
        "REGEX",
        "SPECIAL_CHARACTERS",
        "URL",
        "WHITESPACE",
    }
)


class ValidationHandler:
    """Answers about rules of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._rules: dict[tuple[str, str], dict[str, list[str]]] = {}

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer for an object type, a property, or one rule of it."""
        if not parts:
            raise not_found()
        one = self._portal.catalog.asked(parts[0])
        if len(parts) == 1 and request.method == "GET":
            known = {name: rules for (kind, name), rules in self._rules.items() if kind == one.name}
            listed = [
                {"propertyName": name, "propertyValidationRules": _shown(rules)}
                for name, rules in known.items()
            ]
            return answered({"results": listed})
        if len(parts) < 2:
            raise unsupported_method()
        name = self._portal.catalog.property_of(one, parts[1]).name
        rules = self._rules.get((one.name, name), {})
        if len(parts) == 2 and request.method == "GET":
            return answered({"results": _shown(rules)})
        if len(parts) != 4 or parts[2] != "rule-type":
            raise not_found()
        if request.method == "PUT":
            return self._put(request, (one.name, name), parts[3])
        if request.method != "GET":
            raise unsupported_method()
        if parts[3] not in rules:
            raise not_found(f"{name} has no rule of the type {parts[3]}")
        return answered(_shown({parts[3]: rules[parts[3]]})[0])

    def _put(self, request: Request, key: tuple[str, str], kind: str) -> Response:
        arguments = json_of(request, bodies.Rule).get("ruleArguments")
        if kind not in _KINDS or not isinstance(arguments, list):
            raise invalid(f"'{kind}' is no type of rule, or its arguments are no list")
        self._rules.setdefault(key, {})[kind] = [str(one) for one in arguments]
        return Response(204)


def _shown(rules: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {"ruleType": kind, "ruleArguments": arguments, "shouldApplyNormalization": False}
        for kind, arguments in rules.items()
    ]
