"""The task of one extraction: account, object, mode, and the window that has to be read now."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, Self

import structlog

from crm_pipeline.connectors.base import Account, Plan
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.vendor_clock import duration
from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.mapping import ANY_OBJECT
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw.kept_out import Cutter, kept_out, without_saved_bytes
from crm_pipeline.stages.raw.present import Present, present_of
from crm_pipeline.stages.raw.withheld import WithheldRecords
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.recovery import Interrupted
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.landing.watermark import Edge
from crm_pipeline.store.tokens.hash_key import HashKey

Mode = Literal["range", "refresh", "recheck"]
"""What is read, and what of it lands: all of a range, what changed since the watermark, or what refreshes of a range
have not seen."""
Progress = Callable[[int, int | None], None]

_ESSENTIAL = frozenset({"source_id", "is_deleted", "modified_at"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Task:
    """One extraction.

    Attributes:
        present: the latest end that a window of it may have; determined before anything is read.
        warnings: texts for whoever looks at the run.
        key: of the hashes of fields that connections.yaml has hashed.
    """

    account: Account
    obj: ObjectSettings
    mode: Mode
    landing: Landing
    present: Present
    on_progress: Progress | None = None
    warnings: tuple[str, ...] = ()
    key: HashKey | None = None

    @classmethod
    def start(
        cls,
        account: Account,
        obj: ObjectSettings,
        mode: Mode,
        landing: Landing,
        on_progress: Progress | None = None,
        *,
        key: HashKey | None = None,
    ) -> Self:
        """Return a task that starts now."""
        present = present_of(account, obj.name, landing)
        warnings = (f"{present}. {present.cure}",) if present.is_doubtful else ()
        return cls(account, obj, mode, landing, present, on_progress, warnings, key)

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.account.connection.name

    @property
    def reader(self) -> int:
        """The version of the connector's current rules for the keys of records."""
        return connector(self.account.connection.vendor).keys.version

    @property
    def essential(self) -> frozenset[str]:
        """The fields that hold ids, modification times and deletion marks."""
        return essential_fields(self.account.connection.vendor, self.obj.name)

    @property
    def lookback(self) -> timedelta:
        """How much time before the watermark is read again, because vendors commit late."""
        return timedelta(seconds=self.account.connection.lookback_s)

    @property
    def bounds(self) -> ShrinkBounds:
        """How many records a whole read may lack and still be believed."""
        return self.account.connection.shrink_bounds

    def plan(self, window: Window | None) -> Plan:
        """Return the account's plan for a window, without the fields that connections.yaml keeps out.

        Raises:
            ConfigError: a field cannot be kept out.
        """
        plan = self.account.plan(self.obj, window)
        if not self.obj.keeps_out:
            return plan
        schema = visible_schema(self.account, self.obj, plan.schema, self.hash_key)
        plan = replace(plan, schema=schema)
        if not self.obj.hash:
            return plan
        return without_saved_bytes(plan, self.obj, self.connection)

    def cutter(self, schema: Schema) -> Cutter | None:
        """Return what cuts the kept-out fields of a plan's schema out of records; None where there are none."""
        if not self.obj.keeps_out:
            return None
        return Cutter(schema, connector(self.account.connection.vendor).keys, self.hash_key)

    def withheld(self, schema: Schema) -> WithheldRecords | None:
        """Return what finds the records of erased persons; None where nobody was erased.

        Raises:
            StoreError: the tombstones were made with another key.
        """
        tombstones = Tombstones.at(self.landing.root)
        if not tombstones:
            return None
        return WithheldRecords.of(self.account.connection, schema, tombstones, self.hash_key)

    @property
    def hash_key(self) -> HashKey:
        """The key of hashes.

        Raises:
            ConfigError: none was given.
        """
        if self.key is None:
            raise ConfigError(
                f"{self.connection}.{self.obj.name} keeps fields out or persons erased, and no hash key was given.",
                cure="Pass `key=HashKey.of(settings)`.",
            )
        return self.key

    def with_warning(self, text: str) -> Self:
        """Log a warning, and return the task with it."""
        _log.warning(text, connection=self.connection, object=self.obj.name)
        return replace(self, warnings=(*self.warnings, text))

    def purpose(self, vendor_count: int | None) -> dict[str, Any]:
        """Return what another process needs to resume a window of this task."""
        return {
            "mode": self.mode,
            "vendor_count": vendor_count,
            "present": format_instant(self.present.at),
        }

    def resumed(self, interrupted: Interrupted) -> Self:
        """Return the task with the mode and the present of a window that another process started."""
        then = parse_instant(interrupted.purpose["present"])
        return replace(
            self, mode=interrupted.purpose["mode"], present=replace(self.present, at=then)
        )

    def fits(self, interrupted: Interrupted, window: Window) -> bool:
        """Say whether an interrupted window of another process is part of the window to read now."""
        return (
            interrupted.kind == "window"
            and interrupted.purpose.get("mode") in {"range", self.mode}
            # Without it nobody knows whether its end was in the future: the window is read again.
            and "present" in interrupted.purpose
            and interrupted.window.from_at == window.from_at
            and interrupted.window.to_at <= window.to_at
        )


def essential_fields(vendor: str, obj: str) -> frozenset[str]:
    """Return the fields of an object that hold ids, modification times and deletion marks."""
    entries = connector(vendor).mapping
    own = [entry for entry in entries if entry.object == obj]
    chosen = own or [entry for entry in entries if entry.object == ANY_OBJECT]
    fields = (field for entry in chosen if entry.is_own for field in entry.fields)
    return frozenset(f.source for f in fields if f.column in _ESSENTIAL and not f.at)


def visible_schema(account: Account, obj: ObjectSettings, schema: Schema, key: HashKey) -> Schema:
    """Return an object's schema as it is read: without the fields that connections.yaml keeps out.

    Raises:
        ConfigError: a field cannot be kept out.
    """
    vendor, cursor_field = account.connection.vendor, account.cursor_field(schema)
    needed = essential_fields(vendor, obj.name) | connector(vendor).keys.needed(obj.name)
    return kept_out(
        schema,
        obj,
        needed | ({cursor_field} if cursor_field else set()),
        key,
        where=account.connection.name,
        ignores_case=any(entry.ignores_case for entry in connector(vendor).mapping),
    )


def due(task: Task, window: Window | None) -> tuple[Task, Window]:
    """Return the window to read now, and the task with the warnings about it.

    Args:
        task: the extraction.
        window: what to read; a refresh starts at the watermark less the look-back.
    """
    now = task.present.at
    if task.mode != "refresh":
        start, end = (window.from_at, min(window.to_at, now)) if window else (None, now)
        return task, Window(start, max(end, start) if start else end)
    edge = task.landing.edge(task.connection, task.obj.name, present=now)
    if edge.is_set_back:
        task = task.with_warning(set_back_text(edge))
    if edge.at is None:
        return task, Window(None, now)
    start = edge.at - task.lookback
    return task, Window(start, max(now, start))


def set_back_text(edge: Edge) -> str:
    """Return a sentence that says how far a watermark is set back, and how much is read again."""
    assert edge.claimed is not None
    claimed = f"a window was committed up to {format_instant(edge.claimed)}, later than its read can have seen"
    if edge.at is None:
        return f"{claimed}: everything is read again."
    again = duration((edge.claimed - edge.at).total_seconds())
    return f"{claimed}: the watermark is set back to {format_instant(edge.at)}, {again} are read again."
