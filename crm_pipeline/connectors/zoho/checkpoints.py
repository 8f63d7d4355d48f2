"""The checkpoint of a read: its strategy, its key range and the chunks that are done."""

from collections.abc import Mapping
from typing import Any

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.range_reader import KeyRange
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import ReadLost
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.store.landing.checkpoint import Checkpoint

DELETED = "deleted"


class ReadCheckpoint:
    """The request that a checkpoint stores.

    Args:
        api: the account.
        plan: the planned read.
        checkpoint: of the window.

    Raises:
        ReadLost: the checkpoint belongs to another plan.
    """

    def __init__(self, api: Api, plan: Plan, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._plan_id = fingerprint(
            [api.version, plan.object, str(plan.window), plan.schema.fingerprint]
        )
        self.request: Mapping[str, Any] | None = checkpoint.request
        if self.request is not None and self.request.get("plan") != self._plan_id:
            raise ReadLost(
                f"{api.connection.name}: the interrupted read of {plan.object} belongs to another plan.",
                cure="Run it again; the window is read anew.",
            )

    @property
    def route(self) -> str | None:
        """The strategy of the interrupted read; None if there is none."""
        return str(self.request["route"]) if self.request else None

    @property
    def key_range(self) -> KeyRange | None:
        """The key range of the interrupted read; None if there is none."""
        key_range = self.request.get("span") if self.request else None
        return KeyRange(int(key_range[0]), int(key_range[1])) if key_range else None

    def begin(self, route: str, *, key_range: KeyRange | None = None, **facts: Any) -> None:
        """Store the request, unless it is stored already."""
        request = {"plan": self._plan_id, "route": route, **facts}
        if key_range is not None:
            request["span"] = [str(key_range.low), str(key_range.high)]
        if self.request != request:
            self._checkpoint.begin(request)
            self.request = request

    def done(self) -> list[Mapping[str, Any]]:
        """Return the facts of the finished chunks, except those of deleted records."""
        pages = (page.facts for page in self._checkpoint.all_done())
        return [facts for facts in pages if "low" in facts and facts.get("kind") != DELETED]

    def has_deleted(self) -> bool:
        """Return whether the deleted records are done."""
        return any(page.facts.get("kind") == DELETED for page in self._checkpoint.all_done())
