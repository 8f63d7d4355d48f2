"""What filling the histories of new fields would take; no call is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.point_batches import point_batch
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.stages.raw.new_fields.backfill import temporary_folder
from crm_pipeline.stages.raw.new_fields.lacking import (
    LackingRecords,
    new_fields,
    successors,
)
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfills
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import Engine


@dataclass(frozen=True)
class BackfillPlan:
    """What is left to fill of one object.

    Attributes:
        names: the new fields.
        records: live records that were read without one of them.
        cost: the least that reading them costs, in the vendor's `unit`.
        why: why it cannot be done; "" where it can.
    """

    object: str
    names: tuple[str, ...]
    records: int
    cost: int
    unit: str
    why: str = ""


def plan_backfills(
    account: Account,
    landing: Landing,
    register: Register,
    schemas: Mapping[str, Schema],
    open_engine: Callable[[], Engine],
) -> list[BackfillPlan]:
    """Return what the next refreshes have to fill; nothing for objects that lack no field.

    Args:
        account: the opened account.
        landing: with what has landed.
        register: of changed fields.
        schemas: the fields of some objects as a read would have them now.
        open_engine: opens a DuckDB.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    snapshots = connector(account.connection.vendor).snapshot_objects
    plans = [
        _plan(account, obj.name, landing, register, schemas[obj.name], open_engine)
        for obj in account.connection.objects
        if obj.name in schemas and not is_read_whole(obj, snapshots)
    ]
    return [plan for plan in plans if plan is not None]


def _plan(  # noqa: PLR0917 - each argument is plain at the call
    account: Account,
    obj: str,
    landing: Landing,
    register: Register,
    schema: Schema,
    open_engine: Callable[[], Engine],
) -> BackfillPlan | None:
    connection = account.connection.name
    new = new_fields(landing, connection, obj, schema, successors(register, connection, obj))
    known = FieldBackfills(landing.root, landing.clock).of(connection, obj)
    before = known if known is not None and known.key == new.key else None
    if not new.names or (before is not None and not before.is_open):
        return None
    with temporary_folder(landing) as folder, open_engine() as engine:
        lacking = LackingRecords(engine, landing, account.connection, obj, new=new, folder=folder)
        records = lacking.left(before.after if before is not None else "")
    if not records:
        return None
    unit = account.usage.unit
    try:
        cost = point_batch(account, obj, schema).cost_of(records)
    except Rejected as refusal:
        return BackfillPlan(obj, new.names, records, 0, unit, refusal.message)
    return BackfillPlan(obj, new.names, records, cost, unit)
