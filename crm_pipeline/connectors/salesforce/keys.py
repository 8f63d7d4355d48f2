"""The keys of Salesforce's records: id, modification time, deleted flag; for new pages and landed records."""

from functools import cache, partial
from operator import attrgetter

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.csv_records import key_columns, without_nul
from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.connectors.salesforce import describe
from crm_pipeline.connectors.salesforce.describe import ID
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.wire.decoding import Count

LIST = "records"
ID_FORM = rb"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?"
_DELETED = "IsDeleted"


class RecordKey(msgspec.Struct):
    """The parts of a record that give its keys."""

    Id: str
    IsDeleted: bool | None = False
    SystemModstamp: str | None = None
    LastModifiedDate: str | None = None
    CreatedDate: str | None = None
    LoginTime: str | None = None

    def modified_at(self, cursor_field: str | None) -> str | None:
        """Return the value of the cursor field; None where there is no such field."""
        value: str | None = getattr(self, cursor_field) if cursor_field else None
        return value

    @property
    def is_deleted(self) -> bool:
        """Whether the record is in the recycle bin."""
        return bool(self.IsDeleted)


class KeyFields(msgspec.Struct, rename="camel"):
    """The response of a query around its records."""

    records: list[msgspec.Raw]
    done: bool | None = None
    total_size: Count | None = None


def of_csv(schema: Schema, raw: pa.RecordBatch) -> pa.RecordBatch:
    """Return the key columns of records of a Bulk page."""
    return key_columns(
        raw,
        id_field=ID,
        modified_field=describe.cursor_field(schema),
        deleted_field=_DELETED if _DELETED in schema.by_name else None,
    )


@cache
def reader(cursor_field: str | None) -> RecordReader[KeyFields, RecordKey]:
    """Return the reader of responses whose records have a cursor field."""
    return RecordReader(
        KeyFields,
        RecordKey,
        list_name=LIST,
        id_name=ID,
        id_of=attrgetter(ID),
        modified_of=attrgetter(cursor_field) if cursor_field else lambda _: None,
    )


class SalesforceKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 1

    def needed(self, obj: str) -> frozenset[str]:  # noqa: ARG002 - the same for all objects
        """Return the names of the fields that reading records needs."""
        return frozenset(RecordKey.__struct_fields__)

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:  # noqa: ARG002 - there are none
        """Return no paths: values are not repeated beside the fields."""
        return ()

    def of(
        self,
        obj: str,
        schema: Schema,
        raw: pa.RecordBatch,
        *,
        shape: Shape,
        route: str,  # noqa: ARG002 - both routes return the same
        origin: str | None,  # noqa: ARG002 - each record has the flag
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        if shape == "csv":
            return of_csv(schema, raw if deleted is not None else without_nul(raw))
        return keys_of(
            raw,
            partial(reader(describe.cursor_field(schema)).read, owner=obj),
            list_name=LIST,
            id_of=lambda key: key.Id,
            deleted_of=lambda key, _: key.is_deleted,
        )
