"""Answers with records: their texts as received, and of each no more than its id and stamp.

A page of a list, a page of a search and a batch are one shape: `results`, and what goes with them.
Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import lt

import pyarrow as pa

from crm_pipeline.connectors.hubspot import keys
from crm_pipeline.connectors.hubspot.keys import Complaint
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.rejects import Reject

NOT_FOUND = "OBJECT_NOT_FOUND"


@dataclass
class Records:
    """Some records.

    Attributes:
        ids: as the vendor writes them.
        instants: when each was edited or, if it is archived, archived.
        archived: of each.
        texts: each as received.
        rejected: more of them, which cannot be read.
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
        """How many the vendor sent, readable or not."""
        return len(self.ids) + len(self.rejected)

    def add(self, other: "Records") -> None:
        """Put other records behind these; what cannot be read, once, as pages may overlap there."""
        self.ids += other.ids
        self.instants = pa.concat_arrays([self.instants, other.instants])
        self.archived += other.archived
        self.texts += other.texts
        if other.rejected:
            known = {one.digest for one in self.rejected}
            self.rejected += (one for one in other.rejected if one.digest not in known)

    def only(self, chosen: Sequence[bool]) -> "Records":
        """Return some of them, and all that cannot be read."""
        return Records(
            list(compress(self.ids, chosen)),
            self.instants.filter(pa.array(chosen, pa.bool_())),
            list(compress(self.archived, chosen)),
            list(compress(self.texts, chosen)),
            self.rejected,
        )

    def without(self, is_bad: Sequence[bool], reason: str) -> "Records":
        """Return them with some more set aside."""
        kept = self.only([not bad for bad in is_bad])
        lost = zip(compress(self.ids, is_bad), compress(self.texts, is_bad), strict=True)
        kept.rejected = [*self.rejected, *(Reject(reason, bytes(text), one) for one, text in lost)]
        return kept

    def ordered(self) -> "Records":
        """Return them by id."""
        places = sorted(range(len(self.ids)), key=lambda place: int(self.ids[place]))
        return Records(
            [self.ids[place] for place in places],
            self.instants.take(pa.array(places, pa.int64())),
            [self.archived[place] for place in places],
            [self.texts[place] for place in places],
            self.rejected,
        )


@dataclass(frozen=True)
class Answer:
    """What an answer holds.

    Attributes:
        total: how many records there are in all, where the answer says so.
        after: the mark behind this page; "" on the last one.
        complaints: of a batch, why inputs of it failed.
    """

    records: Records
    total: int | None
    after: str
    complaints: tuple[Complaint, ...]


def read(
    body: bytes, stamp: str, owner: str, *, numeric: bool = True, keys_only: bool = False
) -> Answer:
    """Read an answer.

    Args:
        body: of the answer.
        stamp: the property that changes with each edit.
        owner: for error texts.
        numeric: ids are numbers in words, by which records are in order; those of pipelines are not.
        keys_only: the answer only says which records there are, and those are read by their ids. One of
            which not even that can be read would be lost, so that the whole answer is none then.

    Raises:
        MalformedAnswer: it is no such answer, beyond single records.
    """
    page = keys.response_page(body, stamp, owner, numeric=numeric, keys_only=keys_only)
    envelope = page.envelope
    found = Records(
        [key.id for key in page.keys],
        page.instants,
        [key.archived for key in page.keys],
        page.texts,
        page.rejected,
    )
    return Answer(
        records=_named(found, owner) if keys_only and page.rejected else found,
        total=envelope.total,
        after=envelope.paging.after if envelope.paging else "",
        complaints=tuple(envelope.errors or ()),
    )


def _named(found: Records, owner: str) -> Records:
    """Return records of which one knows no more than the id among the others, by id.

    Raises:
        MalformedAnswer: of one not even the id is known.
    """
    lost = found.rejected
    if not all(keys.is_number(one.source_id) for one in lost):
        raise MalformedAnswer(
            f"{owner}: an answer that says which records there are holds some without an id that can be read "
            f"({lost[0].reason})."
        )
    found.ids += (one.source_id for one in lost)
    found.instants = pa.concat_arrays([found.instants, pa.nulls(len(lost), records.TIMESTAMP)])
    found.archived += [True] * len(lost)  # if it is not, that shows when it is read
    found.texts += (one.raw for one in lost)
    found.rejected = []
    return found.ordered()


def refuse_disorder(ids: Sequence[int], low: int, owner: str) -> None:
    """Refuse ids that do not rise, or begin below what was asked for: reading on would miss some.

    Raises:
        ProtocolError: they do not.
    """
    if ids and (ids[0] < low or not all(map(lt, ids, islice(ids, 1, None)))):
        raise ProtocolError(
            f"{owner}: HubSpot sent a page of other records than it was asked for.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )
