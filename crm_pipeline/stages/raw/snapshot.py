"""Snapshots are objects that are read whole each time: compare a read with the earlier ones and decide whether to believe it.

Records that are absent from a whole read are deleted. Before that the vendor is asked about some of them by their ids:
a list that lacks a record which the vendor shows is not whole, however few it lacks. Such a read, and one that lacks
far more records than people delete, needs further evidence, because a login that lost permissions gets the same list,
with the same count. One of these counts as evidence:

* the vendor confirms that the missing ids were deleted;
* a read a cadence later lacks the same records, is not empty, and the login has the permissions that it had
  at the last good read;
* a person accepts it (`crm-pipeline accept-shrink`).

Until then the records of the read land, and the missing ones stay alive. A quarantined record is not absent
if its id could be read; if it could not, the read proves no absence at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
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
# Number of missing ids that the vendor is asked about; it has to confirm each of them.
_SAMPLE = 20
_LONGEST_READ = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """What follows from a whole read.

    Attributes:
        same_as: the id of the committed window that has the same records; None where this one differs.
        shrink: why records that it lacks do not count as deleted; None where they do.
        evidence: why a read is believed that lacks too many records; "" where it lacks few.
        sight: the fingerprint of the login's permissions at a read that is believed.
    """

    same_as: str | None = None
    shrink: Shrink | None = None
    evidence: str = ""
    sight: str = ""


@dataclass(frozen=True)
class SnapshotHistory:
    """The whole reads of an object so far.

    Attributes:
        good: the last one that is believed; None where there is none.
        doubted: the later ones, which are not believed, in order.
        since: all commits from the last one that proves absence; they hold all live records.
        points: all commits of single records that were read by their ids.
    """

    good: WindowCommit | None
    doubted: tuple[WindowCommit, ...]
    since: tuple[WindowCommit, ...]
    points: tuple[WindowCommit, ...] = ()

    @classmethod
    def of(cls, commits: Sequence[WindowCommit]) -> "SnapshotHistory":
        """Return the history, from the commits in order."""
        proof = max((n for n, commit in enumerate(commits) if commit.proves_absence), default=0)
        good = max(
            (n for n, commit in enumerate(commits) if commit.complete and commit.is_believed),
            default=None,
        )
        return cls(
            None if good is None else commits[good],
            tuple(commit for commit in commits[good or 0 :] if not commit.is_believed),
            tuple(commits[proof:]),
            tuple(commit for commit in commits if commit.is_point),
        )

    @property
    def batches(self) -> tuple[Manifest, ...]:
        """The batches of the commits in `since`."""
        return tuple(batch for commit in self.since for batch in commit.batches)

    def missing_ids(self, landing: Landing) -> list[str]:
        """Return the ids of the earlier records that the last doubted read lacks."""
        if not self.doubted:
            return []
        last = self.doubted[-1]
        before = [commit for commit in self.since if commit.window_id != last.window_id]
        rejects = [reject for commit in before for reject in landing.rejects(commit)]
        batches = [batch for commit in before for batch in commit.batches]
        places = landing.places(last.connection, last.object, before)
        alive = live(batches, rejects, places)
        whole = losses(alive, last.batches, landing.rejects(last))[0]
        return [str(source_id) for source_id in whole.missing.to_pylist()]


def is_sight_due(task: Task) -> bool:
    """Say whether a whole read has to start with the fingerprint of the login's permissions.

    That is so where the last good read has none, and where a read is not believed yet.
    """
    history = SnapshotHistory.of(task.landing.windows(task.connection, task.obj.name))
    return history.good is None or bool(history.doubted) or task.landing.is_sight_due(history.good)


def evaluate_snapshot(task: Task, plan: Plan, writer: WindowWriter, sight: str = "") -> Verdict:
    """Compare a whole read with the earlier ones before its commit, and return what follows.

    Args:
        task: the extraction.
        plan: of the read.
        writer: holds what was read.
        sight: the fingerprint of the login's permissions when the read started: permissions that are lost
            during the read must not count. "" where it was not requested, see `is_sight_due`.

    Raises:
        CorruptFile: what landed since the last good read is damaged.
    """
    history = SnapshotHistory.of(task.landing.windows(writer.connection, writer.object))
    task.landing.check(history.batches)
    if (
        history.good is not None
        and not history.doubted
        and _is_same(task.landing, history, history.good, writer)
    ):
        if sight:
            task.landing.note_sight(history.good, sight)
        return Verdict(same_as=history.good.window_id)
    # A record that was read by its id while this read went on need not be in it.
    before = [c for c in history.since if not (c.is_point and c.committed_at >= writer.started_at)]
    all_losses = _losses(task.landing, before, writer)
    lost = too_much(all_losses, task.bounds)
    shown = "" if lost else _shown_by_vendor(task, plan, all_losses[0])
    if not lost and not shown:
        return Verdict(sight=sight)
    lost = lost or [all_losses[0]]
    text = "; ".join(map(_loss_text, lost)) + shown
    evidence = ("" if shown else _confirmed_by_vendor(task, lost)) or _confirmed_by_earlier_read(
        task, plan, history, writer, lost=lost, sight=sight
    )
    if evidence:
        return Verdict(evidence=f"{text}, and {evidence}", sight=sight)
    if history.doubted and _is_same(task.landing, history, history.doubted[-1], writer):
        return Verdict(history.doubted[-1].window_id, history.doubted[-1].shrink)
    _log.warning(
        "a whole read is not believed",
        connection=task.connection,
        object=task.obj.name,
        what=text,
        cure=f"See `crm-pipeline status` and `crm-pipeline check {task.connection}`.",
    )
    worst = lost[0]
    return Verdict(
        shrink=Shrink(
            worst.before,
            len(worst.missing),
            worst.part,
            worst.is_empty,
            in_all=len(all_losses[0].missing),
        )
    )


def _losses(landing: Landing, before: Sequence[WindowCommit], writer: WindowWriter) -> list[Loss]:
    """Return which of the records of commits a read lacks, those of all lists first."""
    alive = live(
        [batch for commit in before for batch in commit.batches],
        [reject for commit in before for reject in landing.rejects(commit)],
        landing.places(writer.connection, writer.object, before),
    )
    return losses(alive, writer.manifests, landing.rejects(writer))


def _shown_by_vendor(task: Task, plan: Plan, loss: Loss) -> str:
    """Read some of the missing records by their ids; return how many are there, or "" where none is."""
    asked = loss.sample(_SAMPLE)
    if not asked:
        return ""
    shown = 0
    try:
        for page in task.account.read(task.obj.name, asked, plan.schema):
            shown += sum(outcome.status == "read" for outcome in page.outcomes.values())
    except CrmError as error:
        # Not every object can be read by ids. What came before the error counts.
        _log.info(
            "missing records could not be read by their ids",
            connection=task.connection,
            object=task.obj.name,
            reason=error.message,
        )
    return f", and the vendor shows {shown} of {len(asked)} by their ids" if shown else ""


def _confirmed_by_vendor(task: Task, lost: Sequence[Loss]) -> str:
    """Ask the vendor about some of the missing records; return its confirmation, or "" where it gives none."""
    if not isinstance(task.account, ConfirmsDeleted):
        return ""
    asked = sorted({key for loss in lost for key in loss.sample(_SAMPLE)})
    try:
        confirmed = task.account.confirm_deleted(task.obj.name, asked)
    except CrmError as error:
        # An error is no confirmation: the read lands and is not believed.
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


def _confirmed_by_earlier_read(
    task: Task,
    plan: Plan,
    history: SnapshotHistory,
    writer: WindowWriter,
    *,
    lost: Sequence[Loss],
    sight: str,
) -> str:
    """Look for an earlier read that lacks the same records; return a sentence on it, or "" where there is none."""
    if history.good is None or any(loss.is_empty for loss in lost):
        return ""
    # If all records of the last good read are missing, the login may be that of another account.
    if _losses(task.landing, [history.good], writer)[0].is_all:
        return ""
    period = Cadence.parse(task.account.connection.cadence).longest
    for commit in history.doubted:
        is_empty = commit.shrink is None or commit.shrink.is_empty
        if is_empty or _age(task, commit) < period:
            continue
        if too_much(_losses(task.landing, [commit], writer), task.bounds):
            continue  # since then even more is missing
        if not _sees_the_same(task, plan, history.good, sight):
            return ""
        at = f"{commit.committed_at:%Y-%m-%d %H:%M} UTC"
        return f"a read of {at} lacked them too, with the same permissions"
    return ""


def _age(task: Task, commit: WindowCommit) -> timedelta:
    """Return how long ago a read was: the smaller of the time by our clock and the time at the vendor."""
    passed = task.landing.clock.now() - commit.committed_at
    return passed if commit.present is None else min(passed, task.present.at - commit.present)


def _sees_the_same(task: Task, plan: Plan, good: WindowCommit, sight: str) -> bool:
    """Say whether the login sees the fields, and has the permissions, of the last good read."""
    then = task.landing.schema(task.connection, task.obj.name, good.schema_fingerprint)
    if not set(then.names) <= set(plan.schema.names):
        return False
    is_unchanged = bool(sight) and sight == task.landing.sight(good)
    return is_unchanged and sight == sight_of(task.account) and is_healthy(task.account)


def _loss_text(loss: Loss) -> str:
    part = f" of the list '{loss.part}'" if loss.part else ""
    return f"{len(loss.missing):,} of {loss.before:,} records{part} are missing"


def _is_same(
    landing: Landing, history: SnapshotHistory, commit: WindowCommit, writer: WindowWriter
) -> bool:
    """Say whether a committed read has the same records as the one that is being written, and they still count."""
    if commit.schema_fingerprint != writer.schema.fingerprint:
        return False
    records = sum(manifest.records for manifest in writer.manifests)
    committed = (commit.records, commit.quarantined, commit.unnamed if commit.quarantined else 0)
    if committed != (records, writer.quarantined, writer.unnamed):
        return False
    if records and not _contents(commit.batches).equals(_contents(writer.manifests)):
        return False
    if _rejected(landing, commit) != _rejected(landing, writer):
        return False
    return not _is_followed(history.points, commit)


def _is_followed(points: Sequence[WindowCommit], commit: WindowCommit) -> bool:
    """Say whether records were read by their ids after a read began: other versions may count since then."""
    near = [point for point in points if point.committed_at >= commit.committed_at - _LONGEST_READ]
    if not near:
        return False
    tables = [pq.read_table(batch.path, columns=["_extracted_at"]) for batch in commit.batches]
    first = pc.min(pa.concat_tables(tables).column("_extracted_at")).as_py() if tables else None
    began_at = first or commit.committed_at
    return any(point.committed_at >= began_at for point in near)


def _rejected(landing: Landing, window: WindowCommit | WindowWriter) -> list[str]:
    return sorted(reject.digest for reject in landing.rejects(window))


def _contents(manifests: Sequence[Manifest]) -> pa.Table:
    """Return ids, hashes and deletion marks of the records, sorted."""
    columns = ["_source_id", "_record_hash", "_deleted"]
    tables = [pq.read_table(manifest.path, columns=columns) for manifest in manifests]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in columns])
