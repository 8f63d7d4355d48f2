"""Ask the vendor about the single records by which a sweep differs, land what it says, and say what they were.

Absence from a list deletes nothing by itself. A record that a complete sweep lacks is read by its id. Where the vendor
says that it was deleted or merged, that lands. Where it has no such record, a mark of our own lands, unless something
speaks against the sweep: it lacks far more than people delete, it lacks a record that the vendor shows by its id, it
holds records without readable ids, or the login sees other records than at the last audit that was settled.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow.parquet as pq

from crm_pipeline.connectors.asked_ids import Outcome
from crm_pipeline.connectors.base import Auditable
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import AllowanceSpent, Rejected
from crm_pipeline.stages.raw.audit.compare import Difference, ids_of, still_alive
from crm_pipeline.stages.raw.audit.setting import AuditSetting
from crm_pipeline.stages.raw.audit.sweep import Swept
from crm_pipeline.stages.raw.pages import land
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.store.landing.window import Counts

ROUTE = "sweep"
"""The name of this way of deleting, in commits and in `ops.windows`."""
_SAMPLE = 20
_AT_ONCE = 500
_GONE = frozenset({"deleted", "merged"})
_APART = frozenset({"withheld", "unreadable"})


@dataclass
class Found:
    """What the records were by which a sweep differed.

    Attributes:
        lost: ids that were missing here.
        stale: ids of which an older version was here.
        ghosts: ids that the CRM has no more.
        apart: ids that are not here for a reason.
        moved: ids that changed during the audit, which is no difference.
        healed: those of `lost`, `stale` and `ghosts` that are right now.
        doubts: why records that the vendor does not have stay alive.
    """

    lost: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    ghosts: set[str] = field(default_factory=set)
    apart: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)
    is_cut: bool = False

    @property
    def different(self) -> set[str]:
        """All ids that were wrong here."""
        return self.lost | self.stale | self.ghosts

    def only(self, ids: Set[str]) -> "Found":
        """Return what was found about some ids."""
        return Found(
            lost=self.lost & ids,
            stale=self.stale & ids,
            ghosts=self.ghosts & ids,
            apart=self.apart & ids,
            moved=self.moved & ids,
            healed=self.healed & ids,
        )


def confirmed(
    setting: AuditSetting, swept: Swept, difference: Difference, edge: datetime, *, is_whole: bool
) -> Found:
    """Read the records that differ by their ids, land what the vendor says, and say what they were.

    Args:
        setting: of the object.
        swept: the complete sweep.
        difference: between it and what has landed.
        edge: records modified at or after it have changed during the audit.
        is_whole: the sweep is one of the whole object.

    Raises:
        VendorError: the vendor refused; what came before has landed.
    """
    found = Found()
    if swept.unnamed:
        found.doubts.append(f"{swept.unnamed:,} listed records have no readable id")
    ghosts = ids_of(difference.ghosts)
    if not _is_plausible(setting, difference, is_whole=is_whole):
        ghosts = _sampled(setting, difference, ghosts, found)
    wanted = [*ids_of(difference.missing), *ids_of(difference.stale), *ghosts]
    answers = _asked(setting, wanted, found)
    alive = _alive(setting, list(answers.outcomes))
    _sort_listed(difference, answers, edge, found)
    unknown = _sort_unlisted(difference, answers, edge, found)
    # What the list has is right, whatever else the login may see.
    if unknown and not setting.sees_the_same:
        found.doubts.append("the login sees other records than before, or nobody knows what it saw")
    if unknown and _are_too_many_in_all(setting, len(unknown)):
        found.doubts.append(
            "the months of this audit together lack more records than people delete"
        )
    merged = [one for one in found.ghosts if one in alive and answers.status(one) in _GONE]
    found.ghosts |= set(unknown)
    marked = [*merged, *([] if found.doubts else unknown)]
    setting.marked += 0 if found.doubts else len(unknown)
    if marked:
        _mark(setting, marked)
        alive = _alive(setting, list(answers.outcomes))
    asked = found.different & answers.outcomes.keys()
    # Records without a modification time are told from those that are gone.
    found.healed = {
        one
        for one in asked
        if (one in alive, alive.get(one)) == (one in answers.read_at, answers.read_at.get(one))
    }
    back = [one for one in found.stale & asked - found.healed if one in alive]
    if back:
        found.doubts.append(
            f"{len(back):,} have an older modification time in the CRM than here, which no later read can undo"
        )
    return found


def deleted_by_log(setting: AuditSetting, logged: Set[str]) -> Found:
    """Read the records by their ids that are alive here and stand in the vendor's log of deletions; land what it says.

    Args:
        setting: of the object.
        logged: ids of the log. Records that were restored are among them, and stay alive.

    Raises:
        VendorError: the vendor refused; what came before has landed.
    """
    found = Found()
    answers = _asked(setting, sorted(alive_here(setting, logged)), found)
    found.ghosts = {one for one in answers.outcomes if answers.status(one) in _GONE}
    alive = alive_here(setting, found.ghosts)
    if alive:
        _mark(setting, sorted(alive))
        alive = alive_here(setting, found.ghosts)
    found.healed = found.ghosts - alive
    return found


def alive_here(setting: AuditSetting, ids: Set[str]) -> Set[str]:
    """Return those of some ids that are alive in landing."""
    return _alive(setting, sorted(ids)).keys()


def _is_plausible(setting: AuditSetting, difference: Difference, *, is_whole: bool) -> bool:
    """Say whether a sweep lacks no more records than people delete."""
    lost, bounds = difference.ghosts.num_rows, setting.account.connection.shrink_bounds
    if difference.in_crm == 0:
        return bool(lost < (1 if is_whole else bounds.rows))
    return not bounds.exceeded(lost, difference.with_us)


def _are_too_many_in_all(setting: AuditSetting, lost: int) -> bool:
    """Say whether the spans of an audit lack too many records together, each of which may lack few."""
    if not setting.marked:
        return False
    with setting.engine() as engine:
        before = setting.fold(engine).records + setting.marked
    return setting.account.connection.shrink_bounds.exceeded(setting.marked + lost, before)


def _sampled(
    setting: AuditSetting, difference: Difference, ghosts: Sequence[str], found: Found
) -> list[str]:
    """Ask about some of far too many missing records; return the ids to ask about further."""
    text = f"the list lacks {len(ghosts):,} of {difference.with_us:,} records"
    sample = {ghosts[n * len(ghosts) // _SAMPLE] for n in range(_SAMPLE)}
    answers = _asked(setting, sorted(sample), found)
    if answers.outcomes and all(answers.status(one) in _GONE for one in answers.outcomes):
        return list(ghosts)
    shown = sum(answers.status(one) == "read" for one in answers.outcomes)
    if shown:
        text += f", of which the vendor shows {shown} of {len(sample)} by their ids"
    found.doubts.append(f"{text}: that is not believed")
    found.ghosts |= set() if shown else set(ghosts)
    return []


@dataclass
class _Answers:
    """What the vendor said about single records.

    Attributes:
        outcomes: by id.
        read_at: the modification time of those that were read and are alive, by id.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    read_at: dict[str, datetime | None] = field(default_factory=dict)

    def status(self, one: str) -> str:
        """Return the status of an id that was asked for."""
        return self.outcomes[one].status


def _asked(setting: AuditSetting, ids: Sequence[str], found: Found) -> _Answers:
    """Read records by their ids into landing; what is not paid for any more is left for the next time."""
    answers = _Answers()
    for start in range(0, len(ids), _AT_ONCE):
        try:
            done = read_points(
                setting.account,
                setting.obj,
                ids[start : start + _AT_ONCE],
                landing=setting.landing,
                key=setting.key,
            )
        except AllowanceSpent:
            found.is_cut = True
            found.doubts.append("audits may cost no more today")
            break
        except Rejected as error:
            found.doubts.append(f"records cannot be read by their ids ({error.code})")
            break
        answers.outcomes |= done.outcomes
        if done.window_id:
            answers.read_at |= _read_at(setting, done.window_id)
    return answers


def _read_at(setting: AuditSetting, window_id: str) -> dict[str, datetime | None]:
    """Return the modification times of the live records that a commit landed."""
    commits = setting.landing.windows(setting.connection, setting.obj.name)
    batches = [
        batch for commit in commits for batch in commit.batches if commit.window_id == window_id
    ]
    read: dict[str, datetime | None] = {}
    for batch in batches:
        table = pq.read_table(batch.path, columns=["_source_id", "_modified_at", "_deleted"])
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        read |= {one: at for one, at, is_deleted in rows if not is_deleted}
    return read


def _sort_listed(difference: Difference, answers: _Answers, edge: datetime, found: Found) -> None:
    """Sort the records that the sweep lists and that were missing or older here."""
    for kind, wrong in (("missing", found.lost), ("stale", found.stale)):
        for one, before in _pairs(difference, kind):
            if one not in answers.outcomes:
                wrong.add(one)
            elif answers.status(one) in _APART:
                found.apart.add(one)
            elif answers.status(one) != "read" or _has_moved(one, answers, edge):
                found.moved.add(one)
            elif kind == "stale" and answers.read_at.get(one) == before:
                found.moved.add(one)  # the list was behind
            else:
                wrong.add(one)


def _sort_unlisted(
    difference: Difference, answers: _Answers, edge: datetime, found: Found
) -> list[str]:
    """Sort the records that the sweep lacks; return those that the vendor does not have."""
    unknown = []
    refused = 0
    for one, before in _pairs(difference, "ghosts"):
        if one not in answers.outcomes:
            continue
        if answers.status(one) in _GONE:
            found.ghosts.add(one)
        elif answers.status(one) == "not_found":
            unknown.append(one)
        elif answers.status(one) == "refused":
            refused += 1
        elif answers.status(one) != "read" or _has_moved(one, answers, edge):
            found.moved.add(one)
        elif answers.read_at.get(one) != before:
            found.stale.add(one)
        else:
            found.moved.add(one)
            found.doubts.append("the list lacks a record that the vendor shows by its id")
    if refused:
        found.doubts.append(
            f"the vendor does not say what became of {refused:,} that the list lacks"
        )
    return unknown


def _has_moved(one: str, answers: _Answers, edge: datetime) -> bool:
    """Say whether a record changed during the audit."""
    at = answers.read_at.get(one)
    return at is not None and at >= edge


def _pairs(difference: Difference, kind: str) -> list[tuple[str, datetime | None]]:
    table = getattr(difference, kind)
    ids, times = table.column("id").to_pylist(), table.column("our_at").to_pylist()
    return list(zip(ids, times, strict=True))


def _alive(setting: AuditSetting, ids: Sequence[str]) -> dict[str, datetime | None]:
    if not ids:
        return {}  # folding the keys of an object takes seconds
    with setting.engine() as engine:
        return still_alive(engine, setting.fold(engine), ids)


def _mark(setting: AuditSetting, ids: Sequence[str]) -> None:
    """Land marks of deleted records, as a commit of single records that says where they come from."""
    account, now = setting.account, setting.landing.clock.now()
    assert isinstance(account, Auditable)
    schema = setting.visible_schema
    page = replace(account.deletion_marks(schema, sorted(ids)), route=ROUTE)
    writer = setting.landing.begin(
        account.connection.name,
        setting.obj.name,
        Window(now, now),
        schema,
        kind="point",
        reader=setting.reader,
    )
    with writer:
        land(iter([page]), writer, lambda _: None, lambda _: None)
        reason = "absent from a complete sweep, and the vendor has no such records by their ids"
        writer.commit(Counts(route=ROUTE, reason=reason))
