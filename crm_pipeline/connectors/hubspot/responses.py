"""Responses with records: each record as received text, with its id and modification time.

A page of a list, a page of a search and a batch have one form: `results`, and some keys around it.
Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import lt

import pyarrow as pa

from crm_pipeline.connectors.hubspot import keys
from crm_pipeline.connectors.hubspot.keys import InputError
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.rejects import Reject

NOT_FOUND = "OBJECT_NOT_FOUND"


@dataclass
class Records:
    """Some records, in parallel lists.

    Attributes:
        ids: as the vendor writes them.
        instants: when each was edited or, if it is archived, archived.
        archived: whether each is archived.
        texts: each as received.
        rejected: further records, which cannot be read.
    """

    ids: list[str] = field(default_factory=list)
    instants: pa.Array = field(default_factory=lambda: pa.nulls(0, records.TIMESTAMP))
    archived: list[bool] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seen(self) -> int:
        """The number of records that the vendor sent, readable or not."""
        return len(self.ids) + len(self.rejected)

    def add(self, other: "Records") -> None:
        """Append other records; rejected ones without duplicates, as pages may overlap there."""
        self.ids += other.ids
        self.instants = pa.concat_arrays([self.instants, other.instants])
        self.archived += other.archived
        self.texts += other.texts
        if other.rejected:
            digests = {row.digest for row in self.rejected}
            self.rejected += (row for row in other.rejected if row.digest not in digests)

    def only(self, chosen: Sequence[bool]) -> "Records":
        """Return the chosen records, and all rejected ones."""
        return Records(
            list(compress(self.ids, chosen)),
            self.instants.filter(pa.array(chosen, pa.bool_())),
            list(compress(self.archived, chosen)),
            list(compress(self.texts, chosen)),
            self.rejected,
        )

    def without(self, is_bad: Sequence[bool], reason: str) -> "Records":
        """Return the records with the bad ones rejected."""
        kept = self.only([not bad for bad in is_bad])
        lost = zip(compress(self.ids, is_bad), compress(self.texts, is_bad), strict=True)
        kept.rejected = [
            *self.rejected,
            *(Reject(reason, bytes(text), record_id) for record_id, text in lost),
        ]
        return kept

    def ordered(self) -> "Records":
        """Return the records in the order of their ids."""
        order = sorted(range(len(self.ids)), key=lambda index: int(self.ids[index]))
        return Records(
            [self.ids[index] for index in order],
            self.instants.take(pa.array(order, pa.int64())),
            [self.archived[index] for index in order],
            [self.texts[index] for index in order],
            self.rejected,
        )


@dataclass(frozen=True)
class RecordsResponse:
    """The content of a response.

    Attributes:
        total: the number of all records, where the response states it.
        after: the cursor of the next page; "" on the last one.
        errors: of a batch, about its failed inputs.
    """

    records: Records
    total: int | None
    after: str
    errors: tuple[InputError, ...]


def read(
    body: bytes, cursor_field: str, owner: str, *, numeric: bool = True, keys_only: bool = False
) -> RecordsResponse:
    """Return the content of a response.

    Args:
        body: of the response.
        cursor_field: the property with the time of the last change.
        owner: named in error texts.
        numeric: ids are numbers as texts, by which records are ordered; those of pipelines are not.
        keys_only: the response has ids only, and the records are read by id. A record whose id cannot be read
            would be lost, so the whole response is malformed then.

    Raises:
        MalformedResponse: the response is not of the documented form, apart from single records.
    """
    page = keys.response_page(body, cursor_field, owner, numeric=numeric, keys_only=keys_only)
    envelope = page.envelope
    readable = Records(
        [key.id for key in page.keys],
        page.instants,
        [key.archived for key in page.keys],
        page.texts,
        page.rejected,
    )
    return RecordsResponse(
        records=_with_ids(readable, owner) if keys_only and page.rejected else readable,
        total=envelope.total,
        after=envelope.paging.after if envelope.paging else "",
        errors=tuple(envelope.errors or ()),
    )


def _with_ids(listed: Records, owner: str) -> Records:
    """Return the records together with rejected ones whose id can be read, in the order of ids.

    Raises:
        MalformedResponse: the id of a rejected record cannot be read.
    """
    lost = listed.rejected
    if not all(keys.is_number(row.source_id) for row in lost):
        raise MalformedResponse(
            f"{owner}: a response with ids holds records whose id cannot be read "
            f"({lost[0].reason})."
        )
    listed.ids += (row.source_id for row in lost)
    listed.instants = pa.concat_arrays([listed.instants, pa.nulls(len(lost), records.TIMESTAMP)])
    listed.archived += [True] * len(lost)  # reading it by id shows whether it is
    listed.texts += (row.raw for row in lost)
    listed.rejected = []
    return listed.ordered()


def refuse_disorder(ids: Sequence[int], low: int, owner: str) -> None:
    """Refuse ids that do not ascend, or start below `low`: reading on would miss records.

    Raises:
        ProtocolError: the ids are out of order.
    """
    if ids and (ids[0] < low or not all(map(lt, ids, islice(ids, 1, None)))):
        raise ProtocolError(
            f"{owner}: HubSpot sent a page of other records than requested.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )
