"""The shapes of the bodies that are no records: bulk writes, channels, composite calls."""

from typing import Any, TypedDict

from crm_sandbox.shapes import Scalar


class Named(TypedDict, total=False):
    """A module or a field by its name."""

    api_name: Scalar


class Default(TypedDict, total=False):
    """What stands where a cell is empty."""

    value: Scalar


class FieldMapping(TypedDict, total=False):
    """Where a column of a file goes."""

    api_name: Scalar
    index: int | None
    default_value: Default | None


class Resource(TypedDict, total=False):
    """A file of a bulk write."""

    module: Named | None
    file_id: Scalar
    file_names: list[str] | None
    find_by: str | None
    ignore_empty: bool | None
    field_mappings: list[FieldMapping] | None


class Callback(TypedDict, total=False):
    """Whom to call when a job has ended."""

    url: Scalar
    method: Scalar


class BulkWrite(TypedDict, total=False):
    """An order of a bulk write."""

    operation: str
    character_encoding: str | None
    ignore_empty: bool | None
    callback: Callback | None
    resource: list[Resource]


class Selected(TypedDict, total=False):
    """A field that is watched."""

    api_name: Scalar
    field: Named | None


class Selection(Selected, total=False):
    """The fields that are watched."""

    group_operator: Scalar
    group: list[Selected] | None


class NoticeCondition(TypedDict, total=False):
    """When a notice is sent."""

    type: Scalar
    module: Named | None
    field_selection: Selection | None


class Channel(TypedDict, total=False):
    """A channel of notifications."""

    channel_id: Scalar
    notify_url: Scalar
    token: Scalar
    channel_expiry: Scalar
    notification_condition: list[NoticeCondition] | None


class CompositeCall(TypedDict, total=False):
    """One call of several."""

    method: str
    uri: str
    sub_request_id: Scalar
    params: dict[str, Any] | None
    headers: dict[str, Any] | None
