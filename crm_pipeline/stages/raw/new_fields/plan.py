"""What filling the histories of new fields would take; no call is made."""

from collections.abc import Callable
from dataclasses import dataclass

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.point_batches import point_batch
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.new_fields.backfill import temporary_folder
from crm_pipeline.stages.raw.new_fields.lacking import (
    LackingRecords,
    key_of,
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
        names: the new fields, by the last read of the object.
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
    account: Account, landing: Landing, register: Register, open_engine: Callable[[], Engine]
) -> list[BackfillPlan]:
    """Return what is left to fill of the objects of a connection; nothing for those that lack no field.

    A field that came after the last refresh is not known yet.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    snapshots = connector(account.connection.vendor).snapshot_objects
    plans = [
        _plan(account, obj, landing, register, open_engine)
        for obj in account.connection.objects
        if not is_read_whole(obj, snapshots)
    ]
    return [plan for plan in plans if plan is not None]


def _plan(
    account: Account,
    obj: ObjectSettings,
    landing: Landing,
    register: Register,
    open_engine: Callable[[], Engine],
) -> BackfillPlan | None:
    connection = account.connection.name
    commits = landing.windows(connection, obj.name)
    renamed = successors(register, connection, obj.name)
    known = FieldBackfills(landing.root, landing.clock).of(connection, obj.name)
    if known is not None and not known.is_open and known.key == key_of(commits, renamed):
        return None
    new = new_fields(landing, connection, obj.name, commits, renamed)
    schema = landing.latest_schema(connection, obj.name)
    if not new.names or schema is None:
        return None
    with temporary_folder(landing) as folder, open_engine() as engine:
        lacking = LackingRecords(
            engine, landing, account.connection, obj.name, new=new, folder=folder
        )
        goes_on = known is not None and known.is_open and known.key == new.key
        records = lacking.left(known.after) if known is not None and goes_on else lacking.records
    plan = BackfillPlan(obj.name, new.names, records, 0, account.usage.unit)
    try:
        cost = point_batch(account, obj.name, schema).cost_of(records)
    except Rejected as refusal:
        return BackfillPlan(obj.name, new.names, records, 0, plan.unit, refusal.message)
    return BackfillPlan(obj.name, new.names, records, cost, plan.unit) if records else None
