"""Rules that an administrator sets for properties: always required, or required in some cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Conditional:
    """A property is required while another one has one of some values."""

    property: str
    when: str
    values: tuple[str, ...]


@dataclass
class Rules:
    """The rules of one portal, by object type.

    Attributes:
        required: properties that have to be set when a record is created.
        conditional: what depends on another property.
    """

    required: dict[str, tuple[str, ...]] = field(default_factory=dict)
    conditional: dict[str, tuple[Conditional, ...]] = field(default_factory=dict)

    def require(self, name: str, properties: Sequence[str]) -> None:
        """Demand properties of every new record of an object type."""
        self.required[name] = tuple(properties)

    def require_when(self, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Demand properties while others have some values: `property`, `when`, `values`."""
        self.conditional[name] = tuple(
            Conditional(str(r["property"]), str(r["when"]), tuple(r["values"])) for r in rules
        )
