"""Reading through the REST query endpoint: keyset pages of up to 2,000 records.

No server-side locator is used: those die with the session that made them, and a keyset page can be
asked for again at any time.
"""

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.salesforce import describe, soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.wire.paging import Keyset, walk


class _Envelope(msgspec.Struct):
    done: bool
    totalSize: int  # noqa: N815 - the vendor's name
    records: list[msgspec.Raw]


class _KeyFields(msgspec.Struct):
    Id: str
    IsDeleted: bool = False
    SystemModstamp: str | None = None
    LastModifiedDate: str | None = None
    CreatedDate: str | None = None
    LoginTime: str | None = None


class _KeyRows(msgspec.Struct):
    records: list[_KeyFields]


class RestPage:
    """One answer of the query endpoint: the records as text, and their keys."""

    def __init__(self, body: bytes, stamp_field: str | None, owner: str) -> None:
        try:
            envelope = msgspec.json.decode(body, type=_Envelope)
            keys = msgspec.json.decode(body, type=_KeyRows).records
        except msgspec.DecodeError as error:
            raise ProtocolError(
                f"{owner}: a query answer is not what Salesforce documents: {error}.",
                cure="Run again; if it persists, report it to the vendor.",
            ) from None
        stamps = [getattr(key, stamp_field) if stamp_field else None for key in keys]
        self.is_cut = len(keys) < envelope.totalSize
        self.total = envelope.totalSize
        self._keys = keys
        self._batch = batch_of(
            ids=[key.Id for key in keys],
            stamps=stamps,
            texts=[memoryview(record) for record in envelope.records],
            deleted=[key.IsDeleted for key in keys],
            owner=owner,
        )
        self._last_stamp = stamps[-1] if stamps else None

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def last(self) -> soql.Key | None:
        """The key of the last record, with the stamp as a SOQL literal."""
        if not self._keys:
            return None
        stamp = (self._last_stamp or "").replace("+0000", "Z").replace(".000Z", "Z")
        return soql.Key(stamp, self._keys[-1].Id)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records in the shape `json`."""
        if self._keys:
            yield self._batch


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Read a plan's window in keyset pages."""
    limit = api.limits.ceilings["query_page_records"]
    owner = f"{api.connection.name}.{plan.object}"
    # A snapshot is not read by stamps, but its records carry them: they decide which version is newer.
    modified_field = describe.stamp_field(plan.schema)

    def fetch(key: soql.Key) -> tuple[RestPage, Page]:
        asked_at = api.now()
        query = soql.page(
            plan.schema.names,
            plan.object,
            stamp_field=plan.stamp_field,
            window=plan.window,
            key=key,
            limit=limit,
        )
        body = api.ask(f"{api.base}/queryAll/", q=query).content
        rest = RestPage(body, modified_field, owner)
        page = Page(
            shape="json",
            route="rest",
            batches=rest.batches,
            extracted_at=asked_at,
            expected=len(rest),
            calls=1,
        )
        return rest, page

    keyset = Keyset[tuple[RestPage, Page], soql.Key](
        soql.BEGINNING,
        read_last=lambda read: read[0].last,
        is_final=lambda read: not read[0].is_cut and read[0].total < limit,
        owner=owner,
    )
    for _, page in walk(keyset, fetch, owner=owner):
        yield page
