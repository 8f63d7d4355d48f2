"""What Zoho's records say of themselves: id, stamp, deletion. Pages and landed records go through here."""

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
"""`Page.origin` of what comes from a list of deleted records."""
LIVE = "live"
"""`Page.origin` of all other pages of modules."""


# Records are read in the order of their numbers, which have 64 bits.
_Number = (
    Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}\Z")]
    | Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
)


class ListedKey(msgspec.Struct):
    """What of a record its id follows from; a list that goes by no stamp needs no more."""

    id: _Number


class ModuleKey(ListedKey):
    """What of a record of a module its keys follow from."""

    Modified_Time: str | None = None


class DeletedKey(ListedKey):
    """The same of a list of deleted records."""

    deleted_time: str | None = None


class UserKey(ModuleKey):
    """The same of users; deleted ones stay readable, as records go on pointing to them."""

    status: str | None = None


class PipelineKey(msgspec.Struct):
    """The same of pipelines: deals carry this value, and the numbers of pipelines stand nowhere else."""

    actual_value: str | int


class CurrencyKey(ListedKey):
    """The same of currencies."""

    modified_time: str | None = None


class MemberKey(msgspec.Struct):
    """The same of members of campaigns and deals, which have no stamp; the id is ours, of both records."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}-[0-9]{1,19}\Z")]


@dataclass(frozen=True)
class Rule:
    """How the keys follow from a record.

    Attributes:
        kind: what of the record is read.
        id_name: the attribute with the id.
        stamp: the attribute with the stamp, "" where there is none.
        is_deleted: whether a record is a deleted one.
    """

    kind: type[Any]
    id_name: str = "id"
    stamp: str = ""
    is_deleted: Callable[[Any], bool] = lambda _: False

    def id_of(self, key: Any) -> str:
        """Return the id of a record as text."""
        return str(getattr(key, self.id_name))

    def stamp_of(self, key: Any) -> str | None:
        """Return its stamp."""
        found: str | None = getattr(key, self.stamp) if self.stamp else None
        return found

    @property
    def stamps(self) -> Callable[[Any], str | None]:
        """What returns the stamp of a record; quick, as it is asked of each."""
        return attrgetter(self.stamp) if self.stamp else lambda _: None

    def are_deleted(self, keys: Sequence[Any]) -> list[bool]:
        """Say of each record whether it is deleted."""
        return [self.is_deleted(key) for key in keys]


LISTED = Rule(ListedKey)
MODULE = Rule(ModuleKey, stamp="Modified_Time")
GONE = Rule(DeletedKey, stamp="deleted_time", is_deleted=lambda _: True)
SETTINGS: Mapping[str, Rule] = {
    "Users": Rule(UserKey, stamp="Modified_Time", is_deleted=lambda key: key.status == "deleted"),
    "Pipelines": Rule(PipelineKey, id_name="actual_value"),
    "Currencies": Rule(CurrencyKey, stamp="modified_time"),
    "CampaignMembers": Rule(MemberKey),
    "ContactRoles": Rule(MemberKey),
}


def of_csv(schema: Schema, raw: pa.RecordBatch) -> pa.RecordBatch:
    """Return the key columns of records of an export; those without a number have no id."""
    found = key_columns(
        raw,
        id_field=describe.ID,
        modified_field=describe.cursor_field(schema),
        deleted_field=None,
    )
    place = found.schema.get_field_index("_source_id")
    ids = found.column(place)
    is_number = pc.match_substring_regex(ids, r"^[0-9]{1,19}\z")
    if pc.all(is_number).as_py() in (True, None):
        return found
    return found.set_column(place, found.schema.field(place), pc.if_else(is_number, ids, None))


@lru_cache(maxsize=16)
def reader(rule: Rule, key: str) -> RecordReader[Any, Any]:
    """Return what reads answers whose list stands under a key."""
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
        modified_of=rule.stamps,
    )


def batch_of_texts(texts: Sequence[bytes | memoryview], rule: Rule, owner: str) -> pa.RecordBatch:
    """Return records in the shape `json`; the keys follow from the texts as they land."""
    found = [msgspec.json.decode(text, type=rule.kind) for text in texts]
    return batch_of(
        ids=[rule.id_of(key) for key in found],
        modified_at=[rule.stamp_of(key) for key in found],
        texts=texts,
        deleted=rule.are_deleted(found),
        owner=owner,
    )


class ZohoKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 2

    def of(
        self,
        obj: str,
        schema: Schema,
        raw: pa.RecordBatch,
        *,
        shape: Shape,
        route: str,  # noqa: ARG002 - all routes tell the same
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
    """Return the rule of records of a module: from which of its two lists they came.

    A batch is of one list. Of batches that do not say of which, their marks do: live records never had one.
    """
    if origin:
        return GONE if origin == DELETED else MODULE
    if deleted is not None:
        return GONE if pc.any(deleted).as_py() else MODULE
    # Only of records that were set aside nothing is known: those of the other list name when they went.
    texts = raw.column("record")
    is_gone = pc.and_(
        pc.match_substring(texts, '"deleted_time"'),
        pc.invert(pc.match_substring(texts, '"Modified_Time"')),
    )
    return GONE if pc.all(is_gone).as_py() else MODULE
