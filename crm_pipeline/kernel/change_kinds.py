"""The kinds of changes of a vendor's field that are told apart; docs/operations.md explains each."""

from typing import Literal, get_args

DescriptionKind = Literal[
    "added",
    "removed",
    "excluded",
    "respelled",
    "retyped",
    "relabelled",
    "choices_added",
    "choices_removed",
    "choices_relabelled",
    "length",
    "precision",
    "nullability",
    "calculated",
]
"""Facts that two descriptions show."""
ValueKind = Literal[
    "emptied",
    "unfilled",
    "truncated",
    "rescaled",
    "day_and_month_swapped",
    "shifted",
    "constant",
    "translated",
    "new_category",
]
"""Facts that only the values show; see `stages/normalized/value_drift.py`."""
ChangeKind = DescriptionKind | ValueKind
KINDS: tuple[str, ...] = (*get_args(DescriptionKind), *get_args(ValueKind))
