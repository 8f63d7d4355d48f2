"""The shapes of request bodies: the type of each part, so that handlers need not expect any other.

The vendor's servers read a body into typed objects and refuse what does not fit before anything is
done; numbers and flags are taken as text. Names that are not listed are passed over.
"""

from typing import Annotated, Any, TypedDict

import msgspec

from crm_sandbox.hubspot.errors import invalid
from crm_sandbox.shapes import Scalar, misfit

Texts = list[Scalar] | None
Whole = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)] | None
Flag = bool | None


class Reference(TypedDict, total=False):
    """A record that a link leads from or to."""

    id: Scalar


class LinkKind(TypedDict, total=False):
    """A kind of link."""

    associationCategory: Scalar
    associationTypeId: Whole


class NewLink(TypedDict, total=False):
    """A link that comes with a new record."""

    to: Reference | None
    types: list[LinkKind] | None


class Record(TypedDict, total=False):
    """A record to write, by itself or as one of a batch."""

    id: Scalar
    idProperty: Scalar
    objectWriteTraceId: Scalar
    properties: dict[str, Scalar] | None
    associations: list[NewLink] | None


class RecordBatch(TypedDict, total=False):
    """Many records to read or write."""

    inputs: list[Record] | None
    properties: Texts
    propertiesWithHistory: Texts
    idProperty: Scalar


class Filter(TypedDict, total=False):
    """A filter of a search."""

    propertyName: Scalar
    operator: Scalar
    value: Scalar
    highValue: Scalar
    values: Texts


class FilterGroup(TypedDict, total=False):
    """Filters that have to match together."""

    filters: list[Filter] | None


class Sort(TypedDict, total=False):
    """An order."""

    propertyName: Scalar
    direction: Scalar


class Search(TypedDict, total=False):
    """A search."""

    filterGroups: list[FilterGroup] | None
    filters: list[Filter] | None
    sorts: list[Sort | str] | None
    query: Scalar
    properties: Texts
    limit: Whole | str
    after: Scalar


class ListSearch(TypedDict, total=False):
    """A search of lists."""

    additionalProperties: Texts
    listIds: Texts
    processingTypes: Texts
    objectTypeId: Scalar
    query: Scalar
    sort: Scalar
    count: Whole
    offset: Whole


class Merge(TypedDict, total=False):
    """Which record goes into which."""

    primaryObjectId: Scalar
    objectIdToMerge: Scalar


class Erasure(TypedDict, total=False):
    """Whom to forget."""

    objectId: Scalar
    idProperty: Scalar


class LinkInput(TypedDict, total=False):
    """One of the links of a batch."""

    id: Scalar
    after: Scalar
    type: Scalar
    types: list[LinkKind] | None
    # `to` is a list where links are removed.
    to: Reference | list[Reference] | None


# `from` is a word of Python, so this one is written as a call.
_From = TypedDict("_From", {"from": Reference | None}, total=False)


class LinkEnds(LinkInput, _From, total=False):
    """A link with both its ends."""


class LinkBatch(TypedDict, total=False):
    """Many links."""

    inputs: list[LinkEnds] | None


class Label(TypedDict, total=False):
    """A label of links."""

    label: Scalar
    name: Scalar
    inverseLabel: str | None
    associationTypeId: Whole


class Option(TypedDict, total=False):
    """A choice of a property."""

    label: Scalar
    value: Scalar
    displayOrder: Whole
    hidden: Flag
    description: Scalar


class Definition(TypedDict, total=False):
    """A property, or a group of them."""

    name: Scalar
    label: Scalar
    type: Scalar
    fieldType: Scalar
    groupName: Scalar
    description: Scalar
    displayOrder: Whole
    hidden: Flag
    formField: Flag
    externalOptions: Flag
    hasUniqueValue: Flag
    options: list[Option] | None


class DefinitionBatch(TypedDict, total=False):
    """Many properties."""

    inputs: list[Definition] | None
    archived: Flag


class Labels(TypedDict, total=False):
    """What an object type is called."""

    singular: Scalar
    plural: Scalar


class Schema(TypedDict, total=False):
    """An object type, or a link between two."""

    name: Scalar
    labels: Labels | None
    properties: list[Definition] | None
    searchableProperties: list[str] | None
    requiredProperties: list[str] | None
    primaryDisplayProperty: Scalar
    toObjectTypeId: Scalar


class Stage(TypedDict, total=False):
    """A stage of a pipeline."""

    stageId: Scalar
    label: str | None
    displayOrder: Whole
    metadata: dict[str, Scalar] | None
    archived: Flag


class Pipeline(TypedDict, total=False):
    """A pipeline."""

    label: str | None
    displayOrder: Whole
    archived: Flag
    stages: list[Stage] | None


class Choice(TypedDict, total=False):
    """What somebody wants of one kind of mail."""

    subscriberIdString: Scalar
    subscriptionId: Whole
    statusState: str | None
    channel: str | None
    legalBasis: str | None
    legalBasisExplanation: str | None


class ChoiceBatch(TypedDict, total=False):
    """What many people want."""

    inputs: list[Choice] | None


class Addresses(TypedDict, total=False):
    """Many people."""

    inputs: Texts


class Export(TypedDict, total=False):
    """An order of an export."""

    exportType: Scalar
    exportName: Scalar
    format: Scalar
    objectType: Scalar
    objectProperties: Texts
    exportInternalValuesOptions: list[str] | None
    associatedObjectType: str | list[str] | None
    publicCrmSearchRequest: Search | None


class ColumnMapping(TypedDict, total=False):
    """Where a column of an imported file goes."""

    columnName: Scalar
    columnObjectTypeId: Scalar
    propertyName: Scalar
    columnType: Scalar
    idColumnType: Scalar


class ImportPage(TypedDict, total=False):
    """How an imported file is read."""

    hasHeader: Flag
    columnMappings: list[ColumnMapping] | None


class ImportFile(TypedDict, total=False):
    """An imported file."""

    fileName: Scalar
    fileFormat: Scalar
    fileImportPage: ImportPage | None


class Import(TypedDict, total=False):
    """An order of an import."""

    name: Scalar
    files: list[ImportFile] | None


class Throttling(TypedDict, total=False):
    """How fast webhooks may come."""

    maxConcurrentRequests: Whole
    period: Scalar


class Subscription(TypedDict, total=False):
    """Settings of webhooks, or a kind of events."""

    id: Whole | str
    targetUrl: str | None
    throttling: Throttling | None
    eventType: Scalar
    propertyName: Scalar
    objectTypeId: Scalar
    active: Flag


class SubscriptionBatch(TypedDict, total=False):
    """Many kinds of events."""

    inputs: list[Subscription] | None


class Rule(TypedDict, total=False):
    """A rule for the values of a property."""

    ruleArguments: Texts


class GraphQuery(TypedDict, total=False):
    """A query in GraphQL."""

    query: str | None
    variables: dict[str, Any] | None
    operationName: str | None


def must_fit(body: Any, shape: type[Any]) -> None:
    """Refuse a body with a part of another type than its shape says.

    Raises:
        ApiError: with the place of the first such part.
    """
    wrong = misfit(body, shape)
    if wrong is not None:
        message = f"Invalid input JSON on line 1, column 1: {wrong.reason} - at `{wrong.place}`"
        raise invalid(message)
