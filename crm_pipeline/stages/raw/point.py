"""Read single records by their ids and land them: for call-backs, audits, read-backs, and evidence of renamed fields.

They land as a batch of the kind `point`, which is folded like every other version. It says nothing about a time: the
watermark, the description of the object, what a refresh skips, the absence of other records and the freshness are as if
it were not there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.connectors.asked_ids import Outcome, Status
from crm_pipeline.connectors.base import Account, Page
from crm_pipeline.connectors.point_pages import ROUTE
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.description import check_description
from crm_pipeline.stages.raw.pages import Tally, land
from crm_pipeline.stages.raw.present import Present
from crm_pipeline.stages.raw.task import Task, visible_schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.window import Counts, WindowWriter
from crm_pipeline.store.tokens.hash_key import HashKey

Kept = Callable[[pa.RecordBatch], pa.RecordBatch]
_REASON = "records by their ids"
_WITHHELD = "its person was erased, so it does not land"


@dataclass(frozen=True)
class PointRead:
    """What came of a read of single records.

    Attributes:
        outcomes: by the id as it was given, in that order.
        window_id: of the commit; "" where nothing landed and nothing is quarantined.
        records: rows landed, marks of deleted records included.
        quarantined: records that cannot be read.
        calls, cost: of the read, the description included; `cost` in the vendor's `unit`.
        sample: a few raw records, unmasked; callers mask them before they show them.
        warnings: texts for whoever looks at it.
    """

    connection: str
    object: str
    outcomes: Mapping[str, Outcome]
    window_id: str = ""
    records: int = 0
    quarantined: int = 0
    calls: int = 0
    cost: int = 0
    unit: str = "calls"
    sample: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def ids(self, status: Status) -> list[str]:
        """Return the ids with a status."""
        return [one for one, outcome in self.outcomes.items() if outcome.status == status]

    @property
    def counts(self) -> Mapping[Status, int]:
        """The number of ids by status."""
        return Counter(outcome.status for outcome in self.outcomes.values())


def read_points(
    account: Account,
    obj: ObjectSettings,
    ids: Sequence[str],
    *,
    landing: Landing,
    visible: Schema | None = None,
    key: HashKey | None = None,
    reason: str = _REASON,
    kept: Kept | None = None,
) -> PointRead:
    """Read the records with some ids into landing, and say what came of each id.

    Args:
        account: the opened account.
        obj: the object.
        ids: of the records; none cost no call.
        landing: where to.
        visible: the fields of the object as an extraction described them a moment ago, without those that
            connections.yaml keeps out; by default they are requested.
        key: of hashes, needed where the object keeps fields out, or persons were erased.
        reason: of the read, kept with what lands.
        kept: returns the records of a batch that land; by default all do. It is called from several threads.

    Raises:
        Rejected: records of the object cannot be read by their ids.
        ContractError: the description of the object lost too many fields; nothing was read.
        VendorError: the vendor refused; nothing was committed.
    """
    connection = account.connection.name
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return PointRead(connection, obj.name, {}, unit=account.usage.unit)
    before = account.usage
    task = _task(account, obj, landing, key)
    described = visible or account.describe(obj.name)
    if obj.keeps_out and visible is None:
        described = visible_schema(account, obj, described, task.hash_key)
    task = check_description(task, described)
    outcomes: dict[str, Outcome] = {}
    now = landing.clock.now()
    writer = landing.begin(
        connection, obj.name, Window(now, now), described, kind="point", reader=task.reader
    )
    with writer:
        passed_over: set[str] = set()
        pages = _noting(account.read(obj.name, wanted, described), outcomes)
        if kept is not None:
            pages = _only_kept(pages, kept, passed_over)
        tally = land(
            pages,
            writer,
            lambda _: None,  # a version that has landed lands again: it is the newest one now
            lambda _: None,
            cutter=task.cutter(described),
            withheld=task.withheld(described),
        )
        if tally.withheld or writer.quarantined:
            outcomes |= _not_landed(landing, outcomes, writer, passed_over)
        after = account.usage
        calls, cost = after.calls - before.calls, after.cost - before.cost
        if writer.manifests or writer.quarantined:
            writer.commit(_counts(tally, calls, cost, reason))
    return PointRead(
        connection,
        obj.name,
        _ordered(f"{connection}.{obj.name}", wanted, outcomes),
        window_id=writer.window_id if writer.manifests or writer.quarantined else "",
        records=tally.landed,
        quarantined=writer.quarantined,
        calls=calls,
        cost=cost,
        unit=after.unit,
        sample=tally.sample,
        warnings=task.warnings,
    )


def _task(account: Account, obj: ObjectSettings, landing: Landing, key: HashKey | None) -> Task:
    """Return a task whose present is not asked for: nothing of a point read ends at it."""
    now = landing.clock.now()
    return Task(account, obj, "range", landing, Present(now, now, now), key=key)


def _noting(pages: Iterator[Page], outcomes: dict[str, Outcome]) -> Iterator[Page]:
    for page in pages:
        outcomes |= page.outcomes
        yield page


def _only_kept(pages: Iterator[Page], kept: Kept, passed_over: set[str]) -> Iterator[Page]:
    """Yield pages without the records that are not kept; note the ids of those."""

    def rest(page: Page) -> Iterator[pa.RecordBatch]:
        for batch in page.batches():
            left = kept(batch)
            ids = left.column("_source_id")
            is_out = pc.invert(pc.is_in(batch.column("_source_id"), value_set=ids))
            passed_over.update(batch.column("_source_id").filter(is_out).to_pylist())
            yield left

    for page in pages:
        yield replace(page, batches=partial(rest, page), rejected=page.rejected)


def _counts(tally: Tally, calls: int, cost: int, reason: str) -> Counts:
    return Counts(
        withheld=tally.withheld,
        uncounted=tally.uncounted,
        route=ROUTE,
        reason=reason,
        calls=calls,
        cost=cost,
    )


def _not_landed(
    landing: Landing,
    outcomes: Mapping[str, Outcome],
    writer: WindowWriter,
    passed_over: AbstractSet[str],
) -> dict[str, Outcome]:
    """Return the outcomes of records that came and have not landed."""
    rejected = {reject.source_id: reject.reason for reject in landing.rejects(writer)}
    tables = [pq.read_table(one.path, columns=["_source_id"]) for one in writer.manifests]
    ids = pa.concat_tables(tables).column("_source_id").to_pylist() if tables else []
    landed = {*ids, *passed_over}
    return {
        given: replace(outcome, status="unreadable", reason=rejected[outcome.source_id])
        if outcome.source_id in rejected
        else replace(outcome, status="withheld", reason=_WITHHELD)
        for given, outcome in outcomes.items()
        if outcome.status in {"read", "deleted"} and outcome.source_id not in landed
    }


def _ordered(
    owner: str, wanted: Sequence[str], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Return the outcomes in the order of the ids.

    Raises:
        ProtocolError: an id has none.
    """
    silent = [one for one in wanted if one not in outcomes]
    if silent:
        raise ProtocolError(
            f"{owner}: the connector does not say what came of {len(silent)} of {len(wanted)} ids.",
            cure="The records that came have landed. Report it with the time of the run.",
        )
    return {one: outcomes[one] for one in wanted}
