"""What a changed field does to its table: the key `drift` of connections.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator

from crm_pipeline.kernel.change_kinds import KINDS
from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.settings.model import problem

DriftPolicy = Literal["block", "warn", "evolve"]
USUAL: Mapping[str, DriftPolicy] = {
    "added": "evolve",
    "removed": "warn",
    "excluded": "evolve",
    "respelled": "evolve",
    "retyped": "warn",
    "relabelled": "warn",
    "choices_added": "evolve",
    "choices_removed": "warn",
    "choices_relabelled": "warn",
    "length": "warn",
    "precision": "warn",
    "nullability": "evolve",
    "calculated": "warn",
    "emptied": "block",
    "unfilled": "warn",
    "truncated": "block",
    "rescaled": "block",
    "day_and_month_swapped": "block",
    "shifted": "block",
    "constant": "warn",
    "translated": "warn",
    "new_category": "evolve",
}
"""A change that nothing is lost by is taken over; one of values, which no description shows, holds its table."""


@dataclass(frozen=True)
class DriftPolicies:
    """What to do about each kind of change.

    Attributes:
        chosen: the user's policies, by kind of change.
    """

    chosen: Mapping[str, DriftPolicy] = field(default_factory=dict)

    def of(self, kind: str, *, is_loss: bool = False) -> DriftPolicy:
        """Return the policy of a kind.

        A size that grows loses nothing, so by default only one that shrinks is warned of.
        """
        if kind in self.chosen:
            return self.chosen[kind]
        if kind in {"length", "precision", "calculated"} and not is_loss:
            return "evolve"
        return USUAL[kind]


def known_kinds(value: dict[str, DriftPolicy]) -> dict[str, DriftPolicy]:
    """Return the policies, if each is of a kind of change that exists."""
    for kind in value:
        if kind not in KINDS:
            error = UnknownName("kind of change", kind, KINDS)
            raise problem(f"names an {error.message.rstrip('.')}", cure=error.cure)
    return value


PoliciesByKind = Annotated[dict[str, DriftPolicy], AfterValidator(known_kinds)]
