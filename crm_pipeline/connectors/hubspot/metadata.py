"""The metadata of an account's types of records: their properties, and the custom types.

Sources: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide and
https://developers.hubspot.com/docs/api-reference/crm-schemas-v3/guide
"""

from typing import Required, TypedDict

import msgspec

from crm_pipeline.connectors.description import entries
from crm_pipeline.connectors.hubspot.api import METADATA, Api

Scalar = str | int | float


class Option(TypedDict, total=False):
    """A value of a pick list."""

    value: Required[Scalar]
    label: str | None


class _Modification(TypedDict, total=False):
    readOnlyValue: bool | None


class Property(TypedDict, total=False):
    """A property of a type of records."""

    name: Required[str]
    label: str | None
    type: str | None
    fieldType: str | None
    options: list[Option] | None
    archived: bool | None
    hubspotDefined: bool | None
    calculated: bool | None
    modificationMetadata: _Modification | None
    referencedObjectType: str | None
    dataSensitivity: str | None


class _Labels(TypedDict, total=False):
    plural: str | None


class Kind(TypedDict, total=False):
    """A type of records."""

    fullyQualifiedName: Required[str]
    name: str | None
    labels: _Labels | None
    archived: bool | None
    objectTypeId: str | None


class _Listed(msgspec.Struct):
    results: list[msgspec.Raw]


def properties(api: Api, name: str, **params: str) -> list[Property]:
    """Return the properties of a type of records."""
    what = f"the list of the properties of {name}"

    def read(body: bytes) -> list[Property]:
        owner = api.connection.name
        return entries(body, _Listed, Property, list_name="results", owner=owner, what=what).rows

    return api.ask(api.at.properties(name), read, METADATA, **params)


def kinds(api: Api) -> list[Kind]:
    """Return the custom types of an account.

    Raises:
        NotPermitted: this login may not list them.
    """
    what = "the list of custom objects"

    def read(body: bytes) -> list[Kind]:
        owner = api.connection.name
        return entries(body, _Listed, Kind, list_name="results", owner=owner, what=what).rows

    return api.ask(api.at.schemas, read)


def is_listed(api: Api, name: str, other: str) -> bool:
    """Return whether there is any kind of association from one type of records to another."""
    path = api.at.association_kinds(name, other)
    return bool(api.typed(path, _Listed, "the list of kinds of associations").results)
