"""Sensitive properties: listed separately, with values only for apps that have the scopes for them.

Every login may list them. A request with such a property fails as a whole without the scope, so it is tried with one
record first. Sources: https://developers.hubspot.com/docs/api-reference/crm-sensitive-data/guide; the
responses of searches: https://github.com/airbytehq/airbyte/pull/74032
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.connectors.hubspot import metadata, responses
from crm_pipeline.connectors.hubspot.api import LIST, Api
from crm_pipeline.connectors.hubspot.catalog import type_of
from crm_pipeline.connectors.hubspot.errors import OR_WITHOUT
from crm_pipeline.connectors.hubspot.metadata import Property
from crm_pipeline.kernel.errors import Fatal

_CLASSES = ("sensitive", "highly_sensitive")
_REFUSED = frozenset({400, 403})


@dataclass(frozen=True)
class LeftOut:
    """Sensitive properties that this login may not read.

    Attributes:
        kind: `sensitive` or `highly_sensitive`.
        names: of the properties; none where they could not be listed.
        cure: how to make them readable.
    """

    kind: str
    names: tuple[str, ...]
    cure: str

    def text(self, name: str) -> str:
        """Return the warning for an object."""
        kind = self.kind.replace("_", " ")
        if not self.names:
            return f"{name}: {kind} properties could not be listed"
        many = "properties are" if len(self.names) > 1 else "property is"
        return f"{name}: the {kind} {many} left out: {', '.join(self.names)}"


@dataclass(frozen=True)
class Sensitive:
    """The sensitive properties of an object: readable ones, those left out, and the calls that it took."""

    readable: tuple[Property, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    calls: int = 0


def of(api: Api, name: str) -> Sensitive:
    """Return the sensitive properties of an object; none for objects that cannot have any."""
    if not type_of(name).holds_sensitive:
        return Sensitive()
    readable: list[Property] = []
    left_out: list[LeftOut] = []
    calls = 0
    for kind in _CLASSES:
        calls += 1
        listed: Sequence[Property] = ()
        try:
            listed = _listed(api, name, kind)
            if listed:
                calls += 1
                # One is enough, because the scope covers all of a kind.
                _try(api, name, listed[0]["name"])
                readable += listed
        except Fatal as refusal:
            if refusal.status not in _REFUSED:
                raise
            names = tuple(entry["name"] for entry in listed)
            left_out.append(LeftOut(kind, names, _cure(refusal)))
    return Sensitive(tuple(readable), tuple(left_out), calls)


def _try(api: Api, name: str, wanted: str) -> None:
    """Request one record with a property."""
    owner = f"{api.connection.name}.{name}"
    api.ask(
        api.at.objects(name),
        lambda body: responses.read(body, type_of(name).cursor_field, owner),
        LIST,
        limit="1",
        properties=wanted,
    )


def _listed(api: Api, name: str, kind: str) -> list[Property]:
    listed = metadata.properties(api, name, dataSensitivity=kind)
    return [entry for entry in listed if entry.get("dataSensitivity") == kind]


def _cure(refusal: Fatal) -> str:
    return refusal.cure.replace(OR_WITHOUT, "or leave it: everything else is read.")
