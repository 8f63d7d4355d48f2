"""The sweep of the lists of one object, such as associations: compare the values of all its live records with the vendor's, and land those that differ.

Only the values are read, for many records a call; a record that differs is read whole by its id and lands as such reads
do (`point.py`). So equal records cost no read and land nothing, and a refresh sees no other watermark.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crm_pipeline.connectors.asked_ids import Status
from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.unstamped import ReadsLists, UnstampedList
from crm_pipeline.kernel.errors import Unavailable
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.stages.raw.unstamped.landed import LandedValues, folded_records
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.sweeps import Kind, Progress, Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey

# So many records that differ are read at once; a sweep that is stopped loses no more than them.
READ_AT_ONCE = 1_000
# What reading records by their ids costs at most: two calls for 100 ids where some are not live any more, and of 1,000
# ids a few singly.
IDS_OF_A_CALL = 50
_SINGLES = 12


@dataclass(frozen=True)
class ObjectSweep:
    """What a sweep did for one object.

    Attributes:
        what: the values that were compared; `kind` for programs.
        compared, differing, landed: numbers of records.
        outcomes: of the differing ones, by their status; those that are not live any more are not `read`.
        calls, cost: of the sweep; `cost` in the vendor's `unit`.
        is_complete: whether it came to the end of the object; else the next one goes on where this one stopped.
        error: why it stopped before; "" where nothing failed.
    """

    object: str
    what: str
    compared: int = 0
    differing: int = 0
    landed: int = 0
    outcomes: Mapping[Status, int] = field(default_factory=Counter)
    calls: int = 0
    cost: int = 0
    unit: str = "calls"
    is_complete: bool = False
    error: str = ""
    kind: Kind = "lists"


@dataclass
class Sweep:
    """A sweep of one object under way.

    Args:
        account: the opened account.
        obj: the object.
        values: what is compared.
        landing: where to.
        sweeps: where the progress is kept.
        allowed: what it may cost in the vendor's unit; None for anything.
        key: of hashes, needed where the object keeps fields out, or persons were erased.
    """

    account: Account
    obj: ObjectSettings
    values: UnstampedList
    landing: Landing
    sweeps: Sweeps
    allowed: int | None
    key: HashKey | None = None

    def run(self, engine: Engine, so_far: list[ObjectSweep]) -> None:
        """Sweep, and keep what was done in `so_far`, whose last entry is this object, so that an error loses nothing.

        Raises:
            CorruptFile: what has landed is damaged.
            VendorError: the vendor refused; what had differed before has landed, and the next sweep goes on there.
        """
        assert isinstance(self.account, ReadsLists)
        connection = self.account.connection.name
        batches = self.landing.batches(connection, self.obj.name)
        self.landing.check(batches)
        live = folded_records(engine, self.landing, self.account.connection, self.obj.name)
        landed = LandedValues(engine, batches, self.values, live)
        before = self.account.usage
        vendor = connector(self.account.connection.vendor)
        opening = 0 if before.calls else vendor.abilities.round_cost
        progress = self.sweeps.at(connection).get(self.obj.name, Progress())
        if not progress.after:
            progress = replace(progress, compared=0, differing=0, landed=0)
        done = so_far[-1]
        pending: list[str] = []
        after, size = progress.after, self.values.batch_records
        while True:
            ids, last = landed.ids(after, size)
            is_affordable = self._fits(
                opening + self.account.usage.cost - before.cost, len(pending)
            )
            if ids and is_affordable:
                present = self.account.read_unstamped(self.obj.name, ids)
                self._refuse_silence(landed, ids, present.silent)
                differing = landed.differing(ids, present.rows)
                pending += differing
                after = last
                done = replace(
                    done,
                    compared=done.compared + len(ids),
                    differing=done.differing + len(differing),
                )
            is_last = not ids or not is_affordable
            if pending and (is_last or len(pending) >= READ_AT_ONCE):
                done = self._with_read(done, pending)
                pending = []
            if not pending:
                usage = self.account.usage
                done = replace(
                    done,
                    calls=usage.calls - before.calls,
                    cost=usage.cost - before.cost,
                    is_complete=not ids,
                )
                so_far[-1] = done
                if done.compared or done.is_complete:
                    noted = self._progress(progress, done, after)
                    self.sweeps.note(connection, self.obj.name, noted)
            if is_last:
                return

    def _fits(self, spent: int, pending: int) -> bool:
        """Say whether a further batch, and the read of what differs, stay within what is allowed."""
        if self.allowed is None:
            return True
        # Every record of the batch may differ.
        differing = pending + self.values.batch_records
        reading = (
            self.account.upkeep(self.obj).refresh
            + -(-differing // IDS_OF_A_CALL)
            + -(-differing // READ_AT_ONCE) * _SINGLES
            + self.values.cost(differing)
        )
        return spent + self.values.batch_cost + reading <= self.allowed

    def _refuse_silence(
        self, landed: LandedValues, ids: Sequence[str], silent: frozenset[str]
    ) -> None:
        """Refuse an answer that leaves out the values of too many records without saying that they have none.

        Raises:
            Unavailable: it does; it may be an empty page by mistake.
        """
        lost = landed.having(sorted(silent))
        if lost and self.account.connection.shrink_bounds.exceeded(lost, landed.having(ids)):
            owner = f"{self.account.connection.name}.{self.obj.name}"
            raise Unavailable(
                f"{owner}: the CRM left out the {self.values.what} of {lost:,} records that had some, and does not say "
                "that they have none.",
                cure="Nothing of it was believed; run the sweep again later.",
            )

    def _with_read(self, done: ObjectSweep, ids: list[str]) -> ObjectSweep:
        point = read_points(
            self.account,
            self.obj,
            ids,
            landing=self.landing,
            key=self.key,
            reason=f"records whose {self.values.what} have changed without a new modification time",
        )
        return replace(
            done,
            landed=done.landed + point.records,
            outcomes=Counter(done.outcomes) + Counter(point.counts),
        )

    def _progress(self, before: Progress, done: ObjectSweep, after: str) -> Progress:
        now = self.landing.clock.now()
        return Progress(
            after="" if done.is_complete else after,
            completed_at=now if done.is_complete else before.completed_at,
            compared=before.compared + done.compared,
            differing=before.differing + done.differing,
            landed=before.landed + done.landed,
        )
