"""Fill the history of an object's new fields: read its records again that were read without them.

Landing says which records those are, so a process that dies repeats the open batches only. A pass over them is made once:
records that the vendor does not show are not asked for again until another field comes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

import structlog

from crm_pipeline.connectors.base import Account, Auditable
from crm_pipeline.connectors.point_batches import PointBatch, point_batch
from crm_pipeline.connectors.point_pages import NO_IDS
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.kernel.errors import AllowanceSpent, CrmError, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.new_fields.lacking import (
    LackingRecords,
    NewFields,
    key_of,
    new_fields,
    successors,
)
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.store import files
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfill, FieldBackfills
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import Engine, private_temp
from crm_pipeline.store.tokens.hash_key import HashKey

# So many records are read before they are committed, in full batches; a process that dies repeats no more than them.
_READ_AT_ONCE = 1_000
_SPARE = 4
_NAMED = 5
_GONE = "the new fields are gone"
_SPENT = "what backfills may cost today is spent; it goes on tomorrow"
_log = structlog.get_logger(__name__)


def is_due(landing: Landing, register: Register, connection: str, obj: str) -> bool:
    """Say whether a refresh of an object, which is read by windows, may have something to fill and may pay for it today.

    It is so as well after a read that was no refresh, or whose process died, has brought a field.
    """
    backfills = FieldBackfills(landing.root, landing.clock)
    known = backfills.of(connection, obj)
    commits = landing.windows(connection, obj)
    reads = [commit for commit in commits if not commit.is_point]
    if not reads:
        return False
    key = key_of(commits, reads[-1].schema_fingerprint, successors(register, connection, obj))
    if known is None or known.key != key:
        return bool(key) or (known is not None and known.is_open)
    return known.is_open and known.waits_on != backfills.today


def fill_new_fields(
    account: Account,
    obj: ObjectSettings,
    landing: Landing,
    register: Register,
    *,
    schema: Schema,
    open_engine: Callable[[], Engine],
    allowed: int | None,
    key: HashKey | None = None,
) -> FieldBackfill | None:
    """Read the records of an object again that were read without its new fields, within what that may cost today.

    What the vendor refuses is noted and logged, not raised: the next refresh goes on.

    Args:
        account: the opened account.
        obj: the object, which has just been read.
        landing: where it has landed.
        register: of changed fields; the successor of a renamed field is not new.
        schema: the fields with which it has just been read.
        open_engine: opens a DuckDB.
        allowed: what backfills of the connection may cost a day, in the vendor's unit; None for anything.
        key: of hashes, needed where the object keeps fields out, or persons were erased.

    Returns:
        How far it has come; None where there is nothing to fill.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    snapshots = connector(account.connection.vendor).snapshot_objects
    if is_read_whole(obj, snapshots):
        return None  # each read brings all records with all fields
    connection = account.connection.name
    backfills = FieldBackfills(landing.root, landing.clock)
    before = backfills.of(connection, obj.name)
    commits = landing.windows(connection, obj.name)
    renamed = successors(register, connection, obj.name)
    now = key_of(commits, schema.fingerprint, renamed)
    if before is None and not now:
        return None
    if before is not None and before.key == now:
        if not before.is_open:
            return None
        if before.waits_on == backfills.today:
            return replace(before, read_last=0)
    new = new_fields(landing, connection, obj.name, schema, renamed)
    filling = _Filling(account, obj, landing, backfills, schema, allowed, key)
    if not new.names:
        return filling.ended(new.key, before)
    with temporary_folder(landing) as folder, open_engine() as engine:
        records = LackingRecords(
            engine, landing, account.connection, obj.name, new=new, folder=folder
        )
        return filling.run(new, records, before)


@dataclass
class _Filling:
    """The backfill of one object under way."""

    account: Account
    obj: ObjectSettings
    landing: Landing
    backfills: FieldBackfills
    schema: Schema
    allowed: int | None
    key: HashKey | None

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.account.connection.name

    def ended(self, key: str, before: FieldBackfill | None) -> FieldBackfill | None:
        """Note that no field is new, so that it is not computed again; return a backfill that this has ended."""
        if before is None or not before.is_open:
            self._note(replace(before, key=key) if before else FieldBackfill(key))
            return None
        gone = replace(
            before, key=key, state="complete", reason=_GONE, waits_on="", after="", read_last=0
        )
        return self._note(replace(gone, completed_at=self.landing.clock.now()))

    def run(
        self, new: NewFields, records: LackingRecords, before: FieldBackfill | None
    ) -> FieldBackfill | None:
        """Read what is left; return how far it has come, None where all records have the fields already."""
        if not records.records:
            self._nothing_left(new, before)
            return None
        state = replace(self._begun(new, records, before), read_last=0)
        try:
            batch = point_batch(self.account, self.obj.name, self.schema)
        except Rejected as refusal:
            return self._note(replace(state, state="impossible", reason=_text(refusal)))
        while True:
            ids, place = self._next(records, state.after, batch)
            if not ids:
                is_done = not records.left(state.after)
                return self._note(self._completed(state) if is_done else self._waiting(state))
            before_read = self.account.usage
            try:
                state = self._read(state, ids, place)
            except AllowanceSpent:
                state = self._waiting(state)
            except CrmError as error:
                is_final = isinstance(error, Rejected) and error.code == NO_IDS
                state = replace(
                    state, state="impossible" if is_final else "filling", reason=_text(error)
                )
                _log.warning(
                    "the history of new fields is not filled yet",
                    connection=self.connection,
                    object=self.obj.name,
                    reason=error.message,
                )
            usage = self.account.usage
            cost = usage.cost - before_read.cost
            state = replace(
                state,
                calls=state.calls + usage.calls - before_read.calls,
                cost=state.cost + cost,
            )
            self._note(state, cost)
            if state.reason:
                return state

    def _nothing_left(self, new: NewFields, before: FieldBackfill | None) -> None:
        """Note that all records have the fields; a backfill of the same fields stays as it was shown."""
        now = self.landing.clock.now()
        known = before if before is not None and before.names == new.names else None
        if known is None:
            self._note(FieldBackfill(new.key, new.names, completed_at=now))
        elif known.is_open:
            filled = known.records - known.absent
            self._note(self._completed(replace(known, key=new.key, filled=filled, refused=0)))
        else:
            self._note(replace(known, key=new.key))

    def _begun(
        self, new: NewFields, records: LackingRecords, before: FieldBackfill | None
    ) -> FieldBackfill:
        """Return where to begin, which is where the last process stopped if nothing else has changed."""
        if before is None or not before.is_open or before.names != new.names:
            return FieldBackfill(
                new.key,
                new.names,
                "filling",
                records=records.records,
                started_at=self.landing.clock.now(),
            )
        going_on = replace(before, reason="", waits_on="")
        if before.key != new.key:
            # Other batches lack the fields now: their records may stand before the place.
            going_on = replace(going_on, key=new.key, after="", absent=0, refused=0)
        left = records.left(going_on.after)
        # Records that were edited or deleted since are done as well.
        filled = max(going_on.filled, going_on.records - going_on.absent - left)
        return replace(going_on, filled=filled, records=filled + going_on.absent + left)

    def _next(
        self, records: LackingRecords, after: str, batch: PointBatch
    ) -> tuple[list[str], str]:
        """Return the next ids that can be paid for, in full batches, and the place of the last one.

        Looking for records that are not there any more costs more than a batch, so the last batches of a day come singly:
        what cannot be paid for after all is lost.
        """
        size, left = max(1, _READ_AT_ONCE // batch.records) * batch.records, self._left()
        rows = records.after(after, size)
        if left is not None:
            while len(rows) > batch.records and _SPARE * batch.cost_of(len(rows)) > left:
                rows = rows[: (len(rows) - 1) // batch.records * batch.records]
            if rows and batch.cost_of(len(rows)) > left:
                rows = []
        return [row[0] for row in rows], rows[-1][1] if rows else after

    def _left(self) -> int | None:
        """Return what may still be spent today; None for anything."""
        if self.allowed is None:
            return None
        return max(0, self.allowed - self.backfills.spent_today(self.connection))

    def _read(self, state: FieldBackfill, ids: list[str], place: str) -> FieldBackfill:
        with self._spending():
            point = read_points(
                self.account,
                self.obj,
                ids,
                landing=self.landing,
                visible=self.schema,
                key=self.key,
                reason=f"these records had been read without {_listed(state.names)}",
            )
        read = point.counts["read"] + point.counts["deleted"]
        return replace(
            state,
            after=place,
            filled=state.filled + read,
            read_last=state.read_last + read,
            absent=state.absent + len(ids) - read,
            refused=state.refused + point.counts["refused"],
        )

    def _spending(self) -> AbstractContextManager[None]:
        left = self._left()
        if left is None or not isinstance(self.account, Auditable):
            return nullcontext()
        return self.account.spending(left)

    def _completed(self, state: FieldBackfill) -> FieldBackfill:
        """Return the state at the end of a pass; where the vendor refused records, another one begins tomorrow."""
        if state.refused:
            again = f"the CRM refused {state.refused:,} records; they are asked for again tomorrow"
            begun = replace(state, after="", absent=0, refused=0)
            return replace(begun, reason=again, waits_on=self.backfills.today)
        now = self.landing.clock.now()
        return replace(state, state="complete", after="", reason="", waits_on="", completed_at=now)

    def _waiting(self, state: FieldBackfill) -> FieldBackfill:
        return replace(state, reason=_SPENT, waits_on=self.backfills.today)

    def _note(self, state: FieldBackfill, cost: int = 0) -> FieldBackfill:
        self.backfills.note(self.connection, self.obj.name, state, cost=cost)
        return state


@contextmanager
def temporary_folder(landing: Landing) -> Iterator[Path]:
    """Make a folder below the data folder, and remove it afterwards."""
    folder = private_temp(files.make_folder(landing.root / "tmp"))
    try:
        yield files.make_folder(folder)
    finally:
        rmtree(folder, ignore_errors=True)


def _text(error: CrmError) -> str:
    return f"{error.message} {error.cure}".strip()


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more fields" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
