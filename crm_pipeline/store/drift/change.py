"""One entry of the register of changed fields, and its form on disk."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import field as made_of
from datetime import datetime
from typing import Any, Literal, Self

from crm_pipeline.kernel.change_kinds import ChangeKind
from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.model.schema_changes import FieldChange

State = Literal["open", "accepted", "ignored", "resolved"]
"""`open` waits for a person; `resolved` is a change that was undone in the CRM."""
Policy = Literal["block", "warn", "evolve"]


@dataclass(frozen=True)
class Change:
    """A changed field, as it stands in the register.

    Attributes:
        number: names it for people, from 1.
        table: the normalized table in which a change of values was seen; "" for a change of the description.
        old, new, text: as in `FieldChange`.
        policy: what it does to the table while it is open.
        evidence: what the change is concluded from, as numbers by name; never values of records.
        origin: identifies the event, so that it is noted once: two descriptions, or a table's version.
        proposal: the field that seems to have taken the place of a removed one; "" for none.
        seen_at: when it was first noticed; `last_seen_at` when it was last noticed.
        decided_at: when the state last changed; `decided_by` is "person", "policy" or "vendor".
    """

    number: int
    connection: str
    object: str
    field: str
    kind: ChangeKind
    policy: Policy
    state: State
    old: str
    new: str
    text: str
    origin: str
    seen_at: datetime
    last_seen_at: datetime
    table: str = ""
    proposal: str = ""
    evidence: Mapping[str, float | int | str] = made_of(default_factory=dict)
    decided_at: datetime | None = None
    decided_by: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it waits for a person."""
        return self.state == "open"

    @property
    def is_blocking(self) -> bool:
        """Whether it holds its table back."""
        return self.is_open and self.policy == "block"

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What it is about: an open change of the same subject is the same change."""
        return (self.connection, self.object, self.field, self.kind)

    def fact(self) -> FieldChange:
        """Return the fact alone."""
        return FieldChange(self.object, self.field, self.kind, self.old, self.new, self.text)

    def decided(self, state: State, at: datetime, by: str) -> Self:
        """Return the change with another state."""
        return replace(self, state=state, decided_at=at, decided_by=by)

    def to_dict(self) -> dict[str, Any]:
        """Return the form on disk."""
        return {
            name: format_instant(value) if isinstance(value, datetime) else value
            for name, value in {**asdict(self), "evidence": dict(self.evidence)}.items()
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the change of a form on disk.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        instants = {
            name: parse_instant(stored[name])
            for name in ("seen_at", "last_seen_at", "decided_at")
            if stored.get(name)
        }
        return cls(**{**stored, **instants})
