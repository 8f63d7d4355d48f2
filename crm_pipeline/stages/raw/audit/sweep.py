"""A sweep lists ids and modification times of the live records of a window, and nothing else.

It streams: pages go to a Parquet file of keys one after the other. It is complete only if the vendor's list ended and
the vendor's counts before and after agree with it, where the vendor counts. A sweep that was cut is never used.
"""

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.connectors.base import Account, Auditable, Plan
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CountMismatch, ProtocolError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store import files
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP
from crm_pipeline.store.tables.engine import parquet_files

_MOST_A_CALL = 2_000
"""More ids than these no vendor lists for the cost of a count, except by jobs, which take minutes."""
_SCHEMA = pa.schema([("id", pa.string()), ("modified_at", TIMESTAMP), ("is_deleted", pa.bool_())])


@dataclass(frozen=True)
class Swept:
    """A complete sweep.

    Attributes:
        path: Parquet with `id`, `modified_at` and `is_deleted`; an id may be listed twice.
        window: of modification times.
        records: the rows of live records.
        counted: the vendor's count afterwards; None where it does not count.
        unnamed: records without a readable id, which may be any record.
    """

    path: Path
    window: Window
    records: int
    counted: int | None
    unnamed: int

    @property
    def relation(self) -> str:
        """SQL for the live records, each once."""
        return (
            f"(SELECT id, max(modified_at) AS modified_at FROM {parquet_files([self.path])} "
            "WHERE NOT is_deleted GROUP BY id)"
        )


def sweep_plan(account: Account, obj: ObjectSettings, window: Window) -> Plan:
    """Return the plan for a sweep, with its cost.

    Raises:
        Rejected: the object's records have no list of their own.
        ProtocolError: the connector has no sweeps.
    """
    if not isinstance(account, Auditable):
        raise ProtocolError(
            f"{account.connection.name}.{obj.name}: its connector cannot list ids.",
            cure="Take it out of audits, or let the connector implement `Auditable`.",
        )
    return account.plan_sweep(obj, window)


def may_be_cheaper(records: int, counts: int) -> bool:
    """Say whether ids of so many records may cost no more than so many counts, where no job lists them."""
    return records <= counts * _MOST_A_CALL


def cost_of_ids(plan: Plan, refresh: int, asked: int) -> int:
    """Return what a comparison by the ids of a whole object costs where nothing differs, after it was planned.

    Args:
        plan: of `sweep_plan`.
        refresh: the cost of a refresh that finds nothing, which comes first, with the opening of the account.
        asked: the cost of what the audit has asked before: the refresh needs not ask it again.
    """
    return plan.cost + (plan.vendor_count is not None) + max(0, refresh - asked)


def sweep(account: Account, plan: Plan, folder: Path) -> Swept:
    """List the ids of a plan into a file.

    Args:
        account: the opened account.
        plan: of `sweep_plan`.
        folder: for files of the sweep; it is removed by the caller.

    Raises:
        CountMismatch: the vendor's counts do not agree with the list.
        VendorError: the vendor refused; there is no sweep.
    """
    files.make_folder(folder)
    path, checkpoint = folder / "sweep.parquet", Checkpoint(folder / "pages")
    live, uncounted, unnamed = 0, 0, 0
    assert plan.window is not None
    with ExitStack() as stack:
        writer = stack.enter_context(pq.ParquetWriter(path, _SCHEMA, compression="zstd"))
        pages = account.pages(plan, checkpoint)
        # A sweep that ends early stops its workers now: they must not send requests while the account is closed.
        if isinstance(pages, Generator):
            stack.callback(pages.close)
        for page in pages:
            seen = 0
            for batch in page.batches():
                writer.write_batch(_keys(batch))
                deleted = pc.sum(batch.column("_deleted")).as_py() or 0
                live, seen = live + batch.num_rows - deleted, seen + batch.num_rows
            named = [reject.source_id for reject in page.rejected if reject.is_named]
            if named:  # they cannot be read, and they are there
                writer.write_batch(_present(named))
            unnamed += len(page.rejected) - len(named)
            seen += len(page.rejected)
            uncounted += 0 if page.counted else seen
            live += len(page.rejected)
    counted = account.count(plan)
    account.forget(checkpoint)
    rows = pq.read_metadata(path).num_rows + unnamed - uncounted
    _compare(f"{account.connection.name}.{plan.object}", plan, rows, counted)
    return Swept(path, plan.window, live, counted, unnamed)


def _present(ids: Sequence[str]) -> pa.RecordBatch:
    """Return rows of records of which only the ids could be read."""
    times, marks = pa.nulls(len(ids), TIMESTAMP), pa.array([False] * len(ids), pa.bool_())
    return pa.record_batch([pa.array(ids, pa.string()), times, marks], schema=_SCHEMA)


def _keys(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(name) for name in KEY_COLUMNS], schema=_SCHEMA)


def _compare(owner: str, plan: Plan, rows: int, counted: int | None) -> None:
    """Compare the length of the list with the vendor's counts before and after; any number between is right."""
    if counted is None or plan.vendor_count is None:
        return
    low, high = sorted((plan.vendor_count, counted))
    if not low <= rows <= high:
        raise CountMismatch(
            f"{owner} {plan.window}: the vendor lists {rows:,} ids, and counts {counted:,} "
            f"({plan.vendor_count:,} before): the sweep proves nothing.",
            cure="Nothing was deleted. The next audit lists them again.",
        )
