"""What one extraction is about: whose object, in which mode, and the span of time that is due."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, Self

import structlog

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.vendor_clock import duration
from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.model.mapping import ANY_OBJECT
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw.present import Present, present_of
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.recovery import Interrupted
from crm_pipeline.store.landing.watermark import Edge

Mode = Literal["range", "refresh"]
Progress = Callable[[int, int | None], None]

_DECISIVE = frozenset({"source_id", "is_deleted", "modified_at"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Task:
    """One extraction.

    Attributes:
        present: what no window of it may end behind; asked for before anything was read.
        warnings: what whoever looks at the run has to know.
    """

    account: Account
    obj: ObjectSettings
    mode: Mode
    landing: Landing
    present: Present
    on_progress: Progress | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def begun(
        cls,
        account: Account,
        obj: ObjectSettings,
        mode: Mode,
        landing: Landing,
        on_progress: Progress | None = None,
    ) -> Self:
        """Return a task that begins now."""
        present = present_of(account, obj.name, landing)
        warnings = (f"{present}. {present.cure}",) if present.is_doubtful else ()
        return cls(account, obj, mode, landing, present, on_progress, warnings)

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.account.connection.name

    @property
    def reader(self) -> int:
        """The version of the rules by which records are told apart now."""
        return connector(self.account.connection.vendor).keys.version

    @property
    def decisive(self) -> frozenset[str]:
        """The fields without which records, their changes or their deletions are not told apart."""
        entries = connector(self.account.connection.vendor).mapping
        own = [entry for entry in entries if entry.object == self.obj.name]
        chosen = own or [entry for entry in entries if entry.object == ANY_OBJECT]
        fields = (field for entry in chosen if entry.is_own for field in entry.fields)
        return frozenset(f.source for f in fields if f.column in _DECISIVE and not f.at)

    @property
    def lookback(self) -> timedelta:
        """How much is read twice, because vendors commit late."""
        return timedelta(seconds=self.account.connection.lookback_s)

    @property
    def bounds(self) -> ShrinkBounds:
        """How much a whole read may lose and still be believed."""
        return self.account.connection.shrink_bounds

    def warned(self, text: str) -> Self:
        """Return it with one more warning, which is logged."""
        _log.warning(text, connection=self.connection, object=self.obj.name)
        return replace(self, warnings=(*self.warnings, text))

    def purpose(self, vendor_count: int | None) -> dict[str, Any]:
        """Return what whoever goes on with a window has to know again."""
        return {
            "mode": self.mode,
            "vendor_count": vendor_count,
            "present": format_instant(self.present.at),
        }

    def going_on(self, left: Interrupted) -> Self:
        """Return it as the task of a window that another process has begun."""
        then = parse_instant(left.purpose["present"])
        return replace(self, mode=left.purpose["mode"], present=replace(self.present, at=then))

    def fits(self, left: Interrupted, span: Window) -> bool:
        """Say whether a window that another process left is one of those asked for now."""
        return (
            left.kind == "window"
            and left.purpose.get("mode") in {"range", self.mode}
            # Without it nobody knows whether its end was in the future: it is read anew.
            and "present" in left.purpose
            and left.window.from_at == span.from_at
            and left.window.to_at <= span.to_at
        )


def due(task: Task, window: Window | None) -> tuple[Task, Window]:
    """Return what is to be read now, and the task with what has to be said about it.

    Args:
        task: the extraction.
        window: what to read in mode `range`; a refresh starts at the watermark less the look-back.
    """
    now = task.present.at
    if task.mode == "range":
        start, end = (window.from_at, min(window.to_at, now)) if window else (None, now)
        return task, Window(start, max(end, start) if start else end)
    edge = task.landing.edge(task.connection, task.obj.name, present=now)
    if edge.is_set_back:
        task = task.warned(set_back(edge))
    if edge.at is None:
        return task, Window(None, now)
    start = edge.at - task.lookback
    return task, Window(start, max(now, start))


def set_back(edge: Edge) -> str:
    """Say in a sentence that a watermark is set back, and how much is read again for it."""
    assert edge.claimed is not None
    claimed = (
        f"a window was committed up to {format_instant(edge.claimed)}, beyond what it can have read"
    )
    if edge.at is None:
        return f"{claimed}: everything is read again."
    again = duration((edge.claimed - edge.at).total_seconds())
    return f"{claimed}: the watermark is set back to {format_instant(edge.at)}, {again} are read again."
