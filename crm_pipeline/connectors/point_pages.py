"""Pages of records that were read by their ids, for landing like all other pages, with the outcome of each id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome
from crm_pipeline.connectors.base import Page
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "ids"
"""The name of this way of reading, in commits and in `ops.windows`."""
NO_IDS = "no_ids"
"""The code of the error for an object whose records cannot be read by their ids."""
_DELETED = "the vendor says that it is deleted"
NOT_FOUND = "the vendor has no such record for this login, and does not say that it is deleted"


def point_page(
    batch: pa.RecordBatch | None,
    outcomes: Mapping[str, Outcome],
    *,
    asked_at: datetime,
    calls: int = 0,
    rejected: Sequence[Reject] = (),
    origin: str = "",
) -> Page:
    """Return a page of records that were read by their ids.

    Args:
        batch: the records; None for none.
        outcomes: by the texts that were given, see `AskedIds.named`.
        asked_at: when the first of the requests was sent.
        calls: how many there were.
        rejected: records that cannot be landed.
        origin: see `Page.origin`.
    """
    batches = [batch] if batch is not None and batch.num_rows else []
    return Page(
        shape="json",
        route=ROUTE,
        batches=lambda: iter(batches),
        extracted_at=asked_at,
        calls=calls,
        rejected=list(rejected),
        origin=origin,
        outcomes=outcomes,
    )


def outcomes_of(batch: pa.RecordBatch, rejected: Iterable[Reject] = ()) -> dict[str, Outcome]:
    """Return the outcomes of the records of a batch and of rejected ones, by their ids."""
    pairs = zip(
        batch.column("_source_id").to_pylist(), batch.column("_deleted").to_pylist(), strict=True
    )
    found = {
        source_id: Outcome("deleted", _DELETED) if is_deleted else Outcome("read")
        for source_id, is_deleted in pairs
    }
    return found | {
        one.source_id: Outcome("unreadable", one.reason) for one in rejected if one.source_id
    }


def picked(pages: Iterable[Page], asked: AskedIds, *, asked_at: datetime) -> Iterator[Page]:
    """Yield the records with the asked ids of pages of a whole list, which is how short lists are read.

    Args:
        pages: of the list; not read where no id is asked for.
        asked: the ids.
        asked_at: the present.
    """
    missing = dict.fromkeys(asked.ids)
    nameless = 0
    for page in pages if missing else ():
        batches = [_only(batch, asked) for batch in page.batches()]
        rejected = [reject for reject in page.rejected if reject.source_id in asked.given]
        nameless += sum(not reject.is_named for reject in page.rejected)
        found = {k: o for batch in batches for k, o in outcomes_of(batch, rejected).items()}
        for source_id in found:
            missing.pop(source_id, None)
        yield replace(
            page,
            route=ROUTE,
            batches=lambda kept=batches: iter(kept),  # type: ignore[misc]
            rejected=rejected,
            expected=None,
            number=None,
            part="",
            outcomes=asked.named(found),
        )
    lost = Outcome("not_found", NOT_FOUND)
    if nameless:
        lost = Outcome("refused", f"the list has {nameless} records whose ids cannot be read")
    outcomes = {**asked.malformed, **asked.named(dict.fromkeys(missing, lost))}
    if outcomes:
        yield point_page(None, outcomes, asked_at=asked_at)


def not_by_id(owner: str, why: str, cure: str) -> Rejected:
    """Return the error for an object whose records cannot be read by their ids.

    Args:
        owner: the connection and the object.
        why: the reason, as the end of a sentence.
        cure: how its records are read.
    """
    return Rejected(
        f"{owner}: its records cannot be read by their ids: {why}.", code=NO_IDS, cure=cure
    )


def _only(batch: pa.RecordBatch, asked: AskedIds) -> pa.RecordBatch:
    return batch.filter(
        pc.is_in(batch.column("_source_id"), value_set=pa.array(asked.ids, pa.string()))
    )
