"""Validation of the properties of a write, and the form in which they are stored.

All complaints about one record come in one answer, hidden as JSON in its message.
"""

import re
from collections.abc import Mapping
from typing import Any

from crm_sandbox.hubspot.errors import ApiError, invalid, wrong_values
from crm_sandbox.hubspot.instants import is_date, is_midnight, iso_of, moment_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType, Property

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_LONGEST = 65_536
_STAGES = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
Complaint = tuple[str, str, str]
Row = Mapping[str, str | None]


class _Wrong(Exception):
    """A value that cannot be taken."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Validator:
    """Checks writes of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def checked(
        self, one: ObjectType, properties: Any, before: Row | None
    ) -> dict[str, str | None]:
        """Return values as they are kept, by the names of their columns.

        Args:
            one: the object type.
            properties: what was sent.
            before: the record's values by name; None for a new one.

        Raises:
            ApiError: with every complaint.
        """
        if not isinstance(properties, Mapping):
            raise invalid("properties must be an object")
        complaints: list[Complaint] = []
        values: dict[str, str | None] = {}
        for name, sent in properties.items():
            prop = one.find(str(name))
            if prop is None:
                complaints.append(
                    (f'Property "{name}" does not exist', "PROPERTY_DOESNT_EXIST", name)
                )
                continue
            try:
                values[prop.column] = self._kept(one, prop, sent, before)
            except _Wrong as problem:
                complaints.append((str(problem), problem.code, name))
        if complaints:
            raise wrong_values(self._portal.facts.hub_id, complaints)
        self._check_stage(one, values, before)
        return self._forward(one, values, before)

    def require(self, one: ObjectType, values: Mapping[str, str | None]) -> None:
        """Refuse a new record that lacks what every one has to have.

        Raises:
            ApiError: it does.
        """
        needed = [name for name in one.required if not values.get(name)]
        if one.name == "companies" and not values.get("name") and not values.get("domain"):
            needed.append("name")
        if (
            one.pipeline
            and not values.get(one.pipeline)
            and len(self._portal.pipelines.of(one.name)) > 1
        ):
            needed.append(one.pipeline)
        if needed:
            raise _missing(one, needed, "REQUIRED_FIELD")

    def require_configured(
        self, one: ObjectType, values: Mapping[str, str | None], before: Row | None
    ) -> None:
        """Refuse what breaks the rules that the account's administrator has set (dated API only).

        Raises:
            ApiError: it does.
        """
        rules = self._portal.rules
        if before is None:
            lacking = [name for name in rules.required.get(one.name, ()) if not values.get(name)]
            if lacking:
                raise _missing(one, lacking, "MISSING_REQUIRED_PROPERTY")
        whole = {**(before or {}), **values}
        lacking = [
            rule.property
            for rule in rules.conditional.get(one.name, ())
            if whole.get(rule.when) in rule.values and not whole.get(rule.property)
        ]
        if lacking:
            raise _missing(one, lacking, "MISSING_CONDITIONAL_REQUIRED_PROPERTY")

    def _kept(self, one: ObjectType, prop: Property, sent: Any, before: Row | None) -> str | None:
        if prop.calculated or prop.read_only or prop.is_virtual:
            message = f'"{prop.name}" is a read only property; its value cannot be set.'
            raise _Wrong(message, "READ_ONLY_VALUE")
        if isinstance(sent, dict | list):
            raise _Wrong(f"{sent} was not a valid value", "INVALID_TYPE")
        text = _text(sent)
        if text == "":
            return ""
        if len(text) > _LONGEST:
            raise _Wrong(f"value is longer than {_LONGEST} characters", "VALUE_TOO_LONG")
        if one.name == "contacts" and prop.name == "email" and not _EMAIL.fullmatch(text):
            raise _Wrong(f"Email address {text} is invalid", "INVALID_EMAIL")
        reads = {"number": _number, "date": _date, "datetime": _datetime, "bool": _boolean}
        if prop.type in reads:
            return reads[prop.type](text)
        if prop.type == "enumeration":
            return self._choice(prop, text, before)
        return text

    def _choice(self, prop: Property, text: str, before: Row | None) -> str:
        allowed = {value for value, _ in prop.options}
        if prop.name == "hubspot_owner_id":
            allowed = {owner["id"] for owner in self._portal.owners.listed}
        if not prop.is_multiple:
            if allowed and text not in allowed:
                raise _not_an_option(text, prop)
            return text
        chosen = [value for value in text.split(";") if value]
        if allowed and not set(chosen) <= allowed:
            raise _not_an_option(next(v for v in chosen if v not in allowed), prop)
        if text.startswith(";"):
            # A leading semicolon adds to what is there.
            kept = [value for value in ((before or {}).get(prop.name) or "").split(";") if value]
            chosen = [*kept, *chosen]
        return ";".join(dict.fromkeys(chosen))

    def _check_stage(
        self, one: ObjectType, values: dict[str, str | None], before: Row | None
    ) -> None:
        if not one.stage or not values.get(one.stage):
            return
        stage = str(values[one.stage])
        found = self._portal.pipelines.stage(one.name, stage)
        pipeline = values.get(one.pipeline) or (before or {}).get(one.pipeline)
        if found is None or (pipeline and found[0].id != pipeline):
            listed = [s.id for p in self._portal.pipelines.of(one.name) for s in p.stages]
            message = f"{stage} was not one of the allowed options: {listed}"
            raise wrong_values(self._portal.facts.hub_id, [(message, "INVALID_OPTION", one.stage)])
        if not pipeline and len(self._portal.pipelines.of(one.name)) == 1:
            values[one.pipeline] = found[0].id

    def _forward(
        self, one: ObjectType, values: dict[str, str | None], before: Row | None
    ) -> dict[str, str | None]:
        """Let a lifecycle stage move forward only; it may be emptied first."""
        now, then = values.get("lifecyclestage"), (before or {}).get("lifecyclestage")
        if one.name not in {"contacts", "companies"} or not now or not then:
            return values
        if now not in _STAGES or then not in _STAGES or _STAGES.index(now) >= _STAGES.index(then):
            return values
        if self._portal.settings.lifecycle == "refuse":
            message = f"lifecyclestage cannot move back from {then} to {now}"
            complaint = (message, "INVALID_LIFECYCLE_STAGE", "lifecyclestage")
            raise wrong_values(self._portal.facts.hub_id, [complaint])
        return {name: value for name, value in values.items() if name != "lifecyclestage"}


def _missing(one: ObjectType, names: list[str], code: str) -> ApiError:
    errors = [
        {
            "message": f"{name} is required",
            "code": code,
            "context": {"properties": [name]},
        }
        for name in names
    ]
    message = f"Error creating {one.singular.upper()}. Some required properties were not set."
    return invalid(message, context={"properties": names}, errors=errors)


def _not_an_option(text: str, prop: Property) -> _Wrong:
    listed = ", ".join(f"label: {label}\nvalue: {value}" for value, label in prop.options)
    return _Wrong(f"{text} was not one of the allowed options: [{listed}]", "INVALID_OPTION")


def _text(sent: Any) -> str:
    if sent is None:
        return ""
    return str(sent).lower() if isinstance(sent, bool) else str(sent)


def _number(text: str) -> str:
    try:
        float(text)
    except ValueError as problem:
        raise _Wrong(f"{text} was not a valid number.", "INVALID_NUMBER") from problem
    return text


def _date(text: str) -> str:
    if is_date(text):
        return text
    moment = moment_of(text)
    if moment is None:
        raise _Wrong(f"{text} was not a valid long.", "INVALID_LONG")
    if not is_midnight(moment):
        raise _Wrong(f"{text} is at {iso_of(moment)[11:-1]} UTC, not midnight!", "INVALID_DATE")
    return iso_of(moment)[:10]


def _datetime(text: str) -> str:
    moment = moment_of(text)
    if moment is None:
        raise _Wrong(f"{text} was not a valid long.", "INVALID_LONG")
    return iso_of(moment)


def _boolean(text: str) -> str:
    if text not in {"true", "false"}:
        raise _Wrong(f"{text} was not a valid boolean.", "INVALID_BOOLEAN")
    return text
