"""Snapshots: objects that are read whole each time. Does a reading say anything new, and is it believed?

What is absent from a whole read is deleted, so a read that lost far more than people delete is not
believed by itself: a login that may not see records any more gets the same list, with the same count.
It takes what that fault cannot fake. The vendor says of the missing ids that they were deleted; or the
same is read again a cadence later while the login sees what it saw at the last good read, but never of
nothing; or a person says so (`crm-pipeline accept-shrink`). Until then its records land, and what they
lack stays alive. A record that had to be set aside is no absent one where its id can be told; where it
cannot, the read proves no absence at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from crm_pipeline.connectors.base import ConfirmsDeleted, Plan
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings.cadence import Cadence
from crm_pipeline.stages.raw.absence import Loss, live, losses, too_much
from crm_pipeline.stages.raw.permissions import is_healthy, sight_of
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, Shrink, WindowCommit
from crm_pipeline.store.landing.window import WindowWriter

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
        good: the last one that is believed; None where there is none.
        doubted: those after it that are not, in order.
        since: all commits from the last one on that proves absence: what is alive is in there.
    """

    good: WindowCommit | None
    doubted: tuple[WindowCommit, ...]
    since: tuple[WindowCommit, ...]

    @classmethod
    def of(cls, commits: Sequence[WindowCommit]) -> "Past":
        """Return it, from the commits in order."""
        proof = max((n for n, one in enumerate(commits) if one.proves_absence), default=0)
        good = max(
            (n for n, one in enumerate(commits) if one.complete and one.is_believed), default=None
        )
        return cls(
            None if good is None else commits[good],
            tuple(one for one in commits[good or 0 :] if not one.is_believed),
            tuple(commits[proof:]),
        )

    @property
    def batches(self) -> tuple[Manifest, ...]:
        """What landed since all that is alive was read last."""
        return tuple(batch for one in self.since for batch in one.batches)

    def missing_ids(self, landing: Landing) -> list[str]:
        """Return the ids of the records that there were and that the last doubted read does not hold."""
        if not self.doubted:
            return []
        last = self.doubted[-1]
        before = [one for one in self.since if one.window_id != last.window_id]
        rejects = [reject for one in before for reject in landing.rejects(one)]
        batches = [batch for one in before for batch in one.batches]
        whole = losses(live(batches, rejects), last.batches, landing.rejects(last))[0]
        return [str(one) for one in whole.missing.to_pylist()]


def is_sight_due(task: Task) -> bool:
    """Say whether a whole read has to begin with what the login sees.

    That is where the last good one is not told by it, and where what is missing may be confirmed.
    """
    past = Past.of(task.landing.windows(task.connection, task.obj.name))
    return past.good is None or bool(past.doubted) or task.landing.is_sight_due(past.good)


def judged(task: Task, plan: Plan, writer: WindowWriter, sight: str = "") -> Verdict:
    """Judge a whole read before its commit, by what there was before.

    Args:
        task: the extraction.
        plan: of the read.
        writer: holds what was read.
        sight: stands for what the login could see when the read began: what is taken from its sight
            meanwhile must not count as seen. "" where it was not asked for, see `is_sight_due`.

    Raises:
        CorruptFile: what landed since the last good read is damaged.
    """
    past = Past.of(task.landing.windows(writer.connection, writer.object))
    task.landing.check(past.batches)
    if past.good is not None and not past.doubted and _is_same(task.landing, past.good, writer):
        if sight:
            task.landing.note_sight(past.good, sight)
        return Verdict(stands=past.good.window_id)
    found = _losses(task.landing, past.since, writer)
    lost = too_much(found, task.bounds)
    if not lost:
        return Verdict(sight=sight)
    told = "; ".join(map(_told, lost))
    evidence = _said_by_vendor(task, lost) or _said_twice(
        task, plan, past, writer, lost=lost, sight=sight
    )
    if evidence:
        return Verdict(evidence=f"{told}, and {evidence}", sight=sight)
    if past.doubted and _is_same(task.landing, past.doubted[-1], writer):
        return Verdict(past.doubted[-1].window_id, past.doubted[-1].shrink)
    _log.warning(
        "a whole read is not believed",
        connection=task.connection,
        object=task.obj.name,
        what=told,
        cure=f"See `crm-pipeline status` and `crm-pipeline check {task.connection}`.",
    )
    worst = lost[0]
    return Verdict(
        shrink=Shrink(
            worst.before,
            len(worst.missing),
            worst.part,
            worst.is_empty,
            in_all=len(found[0].missing),
        )
    )


def _losses(landing: Landing, before: Sequence[WindowCommit], writer: WindowWriter) -> list[Loss]:
    """Return what a read has lost of what commits hold, that of all lists first."""
    there = live(
        [batch for one in before for batch in one.batches],
        [reject for one in before for reject in landing.rejects(one)],
    )
    return losses(there, writer.manifests, landing.rejects(writer))


def _said_by_vendor(task: Task, lost: Sequence[Loss]) -> str:
    """Ask the vendor about some of the missing records; return what it says, "" if that is not enough."""
    if not isinstance(task.account, ConfirmsDeleted):
        return ""
    asked = sorted({key for loss in lost for key in loss.sample(_SAMPLE)})
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


def _said_twice(
    task: Task,
    plan: Plan,
    past: Past,
    writer: WindowWriter,
    *,
    lost: Sequence[Loss],
    sight: str,
) -> str:
    """Look for an earlier read that lost the same; return what that says, "" where there is none."""
    if past.good is None or any(loss.is_empty for loss in lost):
        return ""
    # Where nothing of the last good read is left it may be another account that is read.
    if _losses(task.landing, [past.good], writer)[0].is_all:
        return ""
    period = Cadence.parse(task.account.connection.cadence).longest
    for one in past.doubted:
        is_nothing = one.shrink is None or one.shrink.is_empty
        if is_nothing or _since(task, one) < period:
            continue
        if too_much(_losses(task.landing, [one], writer), task.bounds):
            continue  # since then even more is gone
        if not _sees_the_same(task, plan, past.good, sight):
            return ""
        at = f"{one.committed_at:%Y-%m-%d %H:%M} UTC"
        return f"a read of {at} had lost them too, with the same permissions"
    return ""


def _since(task: Task, one: WindowCommit) -> timedelta:
    """Return how long ago a read was, by the slower of our clock and what the vendor's side shows."""
    passed = task.landing.clock.now() - one.committed_at
    return passed if one.present is None else min(passed, task.present.at - one.present)


def _sees_the_same(task: Task, plan: Plan, good: WindowCommit, sight: str) -> bool:
    """Say whether the login sees all fields, and may see all records, that it could at the last good read."""
    then = task.landing.schema(task.connection, task.obj.name, good.schema_fingerprint)
    if not set(then.names) <= set(plan.schema.names):
        return False
    is_known = bool(sight) and sight == task.landing.sight(good)
    return is_known and sight == sight_of(task.account) and is_healthy(task.account)


def _told(loss: Loss) -> str:
    place = f" of the list '{loss.part}'" if loss.part else ""
    return f"{len(loss.missing):,} of {loss.before:,} records{place} are missing"


def _is_same(landing: Landing, commit: WindowCommit, writer: WindowWriter) -> bool:
    """Say whether a committed read holds the same records as the one that is being written."""
    if commit.schema_fingerprint != writer.schema.fingerprint:
        return False
    records = sum(manifest.records for manifest in writer.manifests)
    held = (commit.records, commit.quarantined, commit.unnamed if commit.quarantined else 0)
    if held != (records, writer.quarantined, writer.unnamed):
        return False
    if records and not _contents(commit.batches).equals(_contents(writer.manifests)):
        return False
    return _rejected(landing, commit) == _rejected(landing, writer)


def _rejected(landing: Landing, window: WindowCommit | WindowWriter) -> list[str]:
    return sorted(reject.digest for reject in landing.rejects(window))


def _contents(manifests: Sequence[Manifest]) -> pa.Table:
    """Return ids, hashes and deletion marks of the records, whatever their order was."""
    columns = ["_source_id", "_record_hash", "_deleted"]
    tables = [pq.read_table(manifest.path, columns=columns) for manifest in manifests]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in columns])
