"""The keys of Zoho's records: id, time of change, deletion. The same rules read pages and landed records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.csv_records import key_columns, without_nul
from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.connectors.zoho import describe
from crm_pipeline.connectors.zoho.documents import Info
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape

ID_FORM = rb"\d{10,25}"
LIST = "data"
DELETED = "deleted"
"""`Page.origin` of records from a list of deleted records."""
LIVE = "live"
"""`Page.origin` of all other pages of modules."""
# The fields that records are called by, which lists of deleted records repeat.
_NAMES = ("Name", "Subject", "Title")


# Ids are 64-bit numbers; records are read in their order.
_Number = (
    Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}\Z")]
    | Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
)


class ListedKey(msgspec.Struct):
    """The id of a record, for lists without a time of change."""

    id: _Number


class ModuleKey(ListedKey):
    """The same of a module's records, with the time of change."""

    Modified_Time: str | None = None


class DeletedKey(ListedKey):
    """The same of deleted records."""

    deleted_time: str | None = None


class UserKey(ModuleKey):
    """The same of users; deleted users stay readable, as records still point to them."""

    status: str | None = None


class PipelineKey(msgspec.Struct):
    """The same of pipelines: deals hold this value, and not the pipeline's id."""

    actual_value: str | int


class CurrencyKey(ListedKey):
    """The same of currencies."""

    modified_time: str | None = None


class MemberKey(msgspec.Struct):
    """The same of members of campaigns and deals, without a time of change; we build the id of both records."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}-[0-9]{1,19}\Z")]


@dataclass(frozen=True)
class Rule:
    """How to read the keys of a kind of records.

    Attributes:
        kind: the type with the fields that the keys need.
        id_name: the attribute with the id.
        cursor_field: the attribute with the time of change; "" where there is none.
        is_deleted: whether a record is deleted.
    """

    kind: type[Any]
    id_name: str = "id"
    cursor_field: str = ""
    is_deleted: Callable[[Any], bool] = lambda _: False

    def id_of(self, key: Any) -> str:
        """Return the id of a record as text."""
        return str(getattr(key, self.id_name))

    def modified_of(self, key: Any) -> str | None:
        """Return the time of change of a record."""
        modified: str | None = getattr(key, self.cursor_field) if self.cursor_field else None
        return modified

    @property
    def modified_getter(self) -> Callable[[Any], str | None]:
        """A function that returns the time of change of a record; a fast one, for every record."""
        return attrgetter(self.cursor_field) if self.cursor_field else lambda _: None

    def are_deleted(self, keys: Sequence[Any]) -> list[bool]:
        """Return for each record whether it is deleted."""
        return [self.is_deleted(key) for key in keys]


LISTED = Rule(ListedKey)
MODULE = Rule(ModuleKey, cursor_field="Modified_Time")
DELETED_RULE = Rule(DeletedKey, cursor_field="deleted_time", is_deleted=lambda _: True)
SETTINGS: Mapping[str, Rule] = {
    "Users": Rule(
        UserKey, cursor_field="Modified_Time", is_deleted=lambda key: key.status == "deleted"
    ),
    "Pipelines": Rule(PipelineKey, id_name="actual_value"),
    "Currencies": Rule(CurrencyKey, cursor_field="modified_time"),
    "CampaignMembers": Rule(MemberKey),
    "ContactRoles": Rule(MemberKey),
}


def of_csv(schema: Schema, raw: pa.RecordBatch) -> pa.RecordBatch:
    """Return the key columns of records of an export; an id that is no number becomes null."""
    columns = key_columns(
        raw,
        id_field=describe.ID,
        modified_field=describe.cursor_field(schema),
        deleted_field=None,
    )
    index = columns.schema.get_field_index("_source_id")
    ids = columns.column(index)
    is_number = pc.match_substring_regex(ids, r"^[0-9]{1,19}\z")
    if pc.all(is_number).as_py() in (True, None):
        return columns
    return columns.set_column(index, columns.schema.field(index), pc.if_else(is_number, ids, None))


@lru_cache(maxsize=16)
def reader(rule: Rule, key: str) -> RecordReader[Any, Any]:
    """Return the reader of responses with a list under a key."""
    envelope = msgspec.defstruct(
        "Envelope",
        [(key, list[msgspec.Raw]), ("info", Info | None, None)],
    )
    return RecordReader(
        envelope,
        rule.kind,
        list_name=key,
        id_name=rule.id_name,
        id_of=rule.id_of,
        modified_of=rule.modified_getter,
    )


def batch_of_texts(texts: Sequence[bytes | memoryview], rule: Rule, owner: str) -> pa.RecordBatch:
    """Return records in the shape `json`, with the keys of the texts as they are landed."""
    keys = [msgspec.json.decode(text, type=rule.kind) for text in texts]
    return batch_of(
        ids=[rule.id_of(key) for key in keys],
        modified_at=[rule.modified_of(key) for key in keys],
        texts=texts,
        deleted=rule.are_deleted(keys),
        owner=owner,
    )


class ZohoKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 2

    def needed(self, obj: str) -> frozenset[str]:
        """Return the names of the fields that reading records needs."""
        if obj in SETTINGS:
            return frozenset(SETTINGS[obj].kind.__struct_fields__)
        return frozenset({*ModuleKey.__struct_fields__, describe.CONVERTED})

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:  # noqa: ARG002 - of all modules
        """Return where deleted records have the name that they had."""
        return (("display_name",),) if field.endswith(_NAMES) else ()

    def of(
        self,
        obj: str,
        schema: Schema,
        raw: pa.RecordBatch,
        *,
        shape: Shape,
        route: str,  # noqa: ARG002 - records are the same by each strategy
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        if shape == "csv":
            return of_csv(schema, raw if deleted is not None else without_nul(raw))
        rule = SETTINGS.get(obj) or _rule_of(raw, origin, deleted)
        return keys_of(
            raw,
            partial(reader(rule, LIST).read, owner=obj),
            list_name=LIST,
            id_of=rule.id_of,
            deleted_of=lambda key, _: rule.is_deleted(key),
        )


def _rule_of(raw: pa.RecordBatch, origin: str | None, deleted: pa.Array | None) -> Rule:
    """Return the rule of a module's records, which depends on the list that they came from.

    A batch comes from one list. Older batches have no origin: there only deleted records have marks.
    """
    if origin:
        return DELETED_RULE if origin == DELETED else MODULE
    if deleted is not None:
        return DELETED_RULE if pc.any(deleted).as_py() else MODULE
    # Rejected records have neither; those of the list of deleted records have a time of deletion.
    texts = raw.column("record")
    is_deleted = pc.and_(
        pc.match_substring(texts, '"deleted_time"'),
        pc.invert(pc.match_substring(texts, '"Modified_Time"')),
    )
    return DELETED_RULE if pc.all(is_deleted).as_py() else MODULE
