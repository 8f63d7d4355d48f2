"""Snapshots: objects that are read whole each time. Does a reading say anything new, and is it believed?

What is absent from a whole read is deleted, so a read that lost far more than people delete is not
believed by itself: a login that may not see records any more gets the same list, with the same count.
It takes what that fault cannot fake. The vendor says of the missing ids that they were deleted; or the
same is read again a cadence later while the login sees what it saw at the last good read, but never of
nothing; or a person says so (`crm-pipeline accept-shrink`). Until then its records land, and what they
lack stays alive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from crm_pipeline.connectors.base import ConfirmsDeleted, Plan
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings.cadence import Cadence
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw.absence import Loss, live, losses
from crm_pipeline.stages.raw.permissions import is_healthy, sight_of
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import Manifest, Shrink, WindowCommit
from crm_pipeline.store.window import WindowWriter

_log = structlog.get_logger(__name__)
# So many of the missing ids are asked about, and every one has to be confirmed.
_SAMPLE = 20


@dataclass(frozen=True)
class Verdict:
    """What a whole read is worth.

    Attributes:
        stands: the id of the committed window that says the same; None where this one is new.
        shrink: why what it does not hold is not taken for deleted; None where it is.
        evidence: what made a read believable that lost too much; "" where it did not.
        sight: stands for what the login could see at a read that is believed.
    """

    stands: str | None = None
    shrink: Shrink | None = None
    evidence: str = ""
    sight: str = ""


@dataclass(frozen=True)
class Past:
    """The whole reads of an object so far.

    Attributes:
        base: the last one that is believed; None where there is none.
        doubted: those after it that are not, in order.
        batches: what landed from the base on: what is alive is in there.
    """

    base: WindowCommit | None
    doubted: tuple[WindowCommit, ...]
    batches: tuple[Manifest, ...]

    @classmethod
    def of(cls, commits: Sequence[WindowCommit]) -> "Past":
        """Return it, from the commits in order."""
        start = max((n for n, one in enumerate(commits) if one.proves_absence), default=None)
        later = commits[start or 0 :]
        return cls(
            None if start is None else commits[start],
            tuple(one for one in later if one.shrink is not None and not one.is_accepted),
            tuple(batch for one in later for batch in one.batches),
        )

    def missing_ids(self) -> list[str]:
        """Return the ids of the records that there were and that the last doubted read does not hold."""
        if not self.doubted or (shrink := self.doubted[-1].shrink) is None:
            return []
        read = self.doubted[-1].batches
        before = [batch for batch in self.batches if batch not in read]
        lost = next((one for one in losses(live(before), read) if one.part == shrink.part), None)
        return [] if lost is None else [str(one) for one in lost.missing.to_pylist()]


def repeated(landing: Landing, writer: WindowWriter) -> str | None:
    """Return the id of the last whole read that is believed if a new one holds the same records, else None.

    Raises:
        CorruptFile: what landed since then is damaged.
    """
    past = Past.of(landing.windows(writer.connection, writer.object))
    landing.check(past.batches)
    return _repeated(past, writer)


def _repeated(past: Past, writer: WindowWriter) -> str | None:
    if past.base is None or past.doubted or not _is_same(past.base, writer):
        return None
    return past.base.window_id


def judged(task: Task, plan: Plan, writer: WindowWriter) -> Verdict:
    """Judge a whole read before its commit, by what there was before."""
    past = Past.of(task.landing.windows(writer.connection, writer.object))
    task.landing.check(past.batches)
    if (stands := _repeated(past, writer)) is not None:
        return Verdict(stands=stands)
    if writer.quarantined:
        return Verdict()  # it proves nothing by what it lacks
    loss = _worst(losses(live(past.batches), writer.manifests), task.bounds)
    if loss is None:
        return Verdict(sight=sight_of(task.account))
    evidence = _said_by_vendor(task, loss) or _said_twice(task, plan, past, writer, loss)
    if evidence:
        return Verdict(evidence=f"{_told(loss)}, and {evidence}", sight=sight_of(task.account))
    if past.doubted and _is_same(past.doubted[-1], writer):
        return Verdict(past.doubted[-1].window_id, past.doubted[-1].shrink)
    _log.warning(
        "a whole read is not believed",
        connection=task.connection,
        object=task.obj.name,
        what=_told(loss),
        cure=f"See `crm-pipeline status` and `crm-pipeline check {task.connection}`.",
    )
    made = Shrink(loss.before, len(loss.missing), loss.part, loss.is_empty)
    return Verdict(shrink=made)


def _worst(found: Sequence[Loss], bounds: ShrinkBounds) -> Loss | None:
    return next((loss for loss in found if loss.is_too_much(bounds)), None)


def _said_by_vendor(task: Task, loss: Loss) -> str:
    """Ask the vendor about some of the missing records; return what it says, "" if that is not enough."""
    if not isinstance(task.account, ConfirmsDeleted):
        return ""
    asked = loss.sample(_SAMPLE)
    try:
        confirmed = task.account.confirm_deleted(task.obj.name, asked)
    except CrmError as error:
        # No answer is no confirmation: the read lands all the same, unbelieved.
        _log.info(
            "missing records could not be asked about",
            connection=task.connection,
            object=task.obj.name,
            reason=error.message,
        )
        return ""
    if not confirmed >= set(asked):
        return ""
    return f"the vendor says of {len(asked)} of them, all that it was asked about, that they are deleted"


def _said_twice(task: Task, plan: Plan, past: Past, writer: WindowWriter, loss: Loss) -> str:
    """Look for an earlier read that lost the same; return what that says, "" where there is none."""
    if loss.is_empty or past.base is None:
        return ""
    # Where nothing of the last good read is left it may be another account that is read.
    if losses(live(past.base.batches), writer.manifests)[0].is_all:
        return ""
    now, period = task.landing.clock.now(), Cadence.parse(task.account.connection.cadence).longest
    for one in past.doubted:
        is_nothing = one.shrink is None or one.shrink.is_empty
        if is_nothing or now - one.committed_at < period:
            continue
        if _worst(losses(live(one.batches), writer.manifests), task.bounds) is not None:
            continue  # since then even more is gone
        if not _sees_the_same(task, plan, past.base):
            return ""
        at = f"{one.committed_at:%Y-%m-%d %H:%M} UTC"
        return f"a read of {at} had lost them too, with the same permissions"
    return ""


def _sees_the_same(task: Task, plan: Plan, base: WindowCommit) -> bool:
    """Say whether the login sees all fields, and may see all records, that it could at the last good read."""
    then = task.landing.schema(task.connection, task.obj.name, base.schema_fingerprint)
    if not set(then.names) <= set(plan.schema.names):
        return False
    return bool(base.sight) and base.sight == sight_of(task.account) and is_healthy(task.account)


def _told(loss: Loss) -> str:
    place = f" of the list '{loss.part}'" if loss.part else ""
    return f"{len(loss.missing):,} of {loss.before:,} records{place} are missing"


def _is_same(commit: WindowCommit, writer: WindowWriter) -> bool:
    """Say whether a committed read holds the same records as the one that is being written."""
    if commit.schema_fingerprint != writer.schema.fingerprint:
        return False
    records = sum(manifest.records for manifest in writer.manifests)
    if (commit.records, commit.quarantined) != (records, writer.quarantined):
        return False
    return not records or _contents(commit.batches).equals(_contents(writer.manifests))


def _contents(manifests: Sequence[Manifest]) -> pa.Table:
    """Return ids, hashes and deletion marks of the records, whatever their order was."""
    columns = ["_source_id", "_record_hash", "_deleted"]
    tables = [pq.read_table(manifest.path, columns=columns) for manifest in manifests]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in columns])
