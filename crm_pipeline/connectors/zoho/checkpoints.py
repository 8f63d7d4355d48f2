"""What the spool of a window says of a read that was begun: by which route, and how far it came."""

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
    """The request of a spool.

    Args:
        api: the account.
        plan: what is read.
        checkpoint: of the window.

    Raises:
        ReadLost: the spool belongs to another plan.
    """

    def __init__(self, api: Api, plan: Plan, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._mark = fingerprint(
            [api.version, plan.object, str(plan.window), plan.schema.fingerprint]
        )
        self.request: Mapping[str, Any] | None = checkpoint.request
        if self.request is not None and self.request.get("plan") != self._mark:
            raise ReadLost(
                f"{api.connection.name}: what was begun of {plan.object} was for another plan.",
                cure="Run it again; the window is read anew.",
            )

    @property
    def route(self) -> str | None:
        """The route that was begun."""
        return str(self.request["route"]) if self.request else None

    @property
    def key_range(self) -> KeyRange | None:
        """The range that was begun."""
        key_range = self.request.get("span") if self.request else None
        return KeyRange(int(key_range[0]), int(key_range[1])) if key_range else None

    def begin(self, route: str, *, key_range: KeyRange | None = None, **facts: Any) -> None:
        """Note what is read, unless it is noted."""
        told = {"plan": self._mark, "route": route, **facts}
        if key_range is not None:
            told["span"] = [str(key_range.low), str(key_range.high)]
        if self.request != told:
            self._checkpoint.begin(told)
            self.request = told

    def done(self) -> list[Mapping[str, Any]]:
        """Return the facts of the chunks that are done, without those of deleted records."""
        pages = (page.facts for page in self._checkpoint.all_done())
        return [facts for facts in pages if "low" in facts and facts.get("kind") != DELETED]

    def has_deleted(self) -> bool:
        """Say whether the deleted records are done."""
        return any(page.facts.get("kind") == DELETED for page in self._checkpoint.all_done())
