"""Find the field that has taken the place of a removed one, by the values of the same records before and after.

A removed field and the new ones are compared in a few records: their last landed values under the old name, and
the values that the records have now. Names and labels alone propose nothing: two new fields may both look alike.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from crm_pipeline.model.schema import Field

MOST_READS = 20
_ENOUGH = 0.8
_AHEAD = 0.3
_DISTINCT = 3
_ALIKE = 0.5

Values = Mapping[str, Mapping[str, str | None]]
"""The values of fields by the ids of records."""


@dataclass(frozen=True)
class Likeness:
    """How much a new field resembles a removed one.

    Attributes:
        same: of `compared` records, those with the same value in both fields.
        distinct: number of different values among the same ones: equal flags prove little.
        name: likeness of names and labels, from 0 to 1.
        is_same_type: whether the vendor's types are the same.
    """

    gone: str
    new: str
    compared: int
    same: int
    distinct: int
    name: float
    is_same_type: bool

    @property
    def share(self) -> float:
        """The share of records with the same value."""
        return self.same / self.compared if self.compared else 0.0

    @property
    def is_evident(self) -> bool:
        """Whether the values show that the field was renamed."""
        has_variety = self.distinct >= _DISTINCT or (self.distinct > 1 and self.name >= _ALIKE)
        return self.share >= _ENOUGH and has_variety

    @property
    def evidence(self) -> dict[str, float | int | str]:
        """The numbers for the register."""
        return {
            "successor": self.new,
            "records_compared": self.compared,
            "records_with_the_same_value": self.same,
            "distinct_values": self.distinct,
            "likeness_of_names": round(self.name, 2),
            "same_type": str(self.is_same_type).lower(),
        }


def likenesses(
    gone: Sequence[Field], added: Sequence[Field], before: Values, after: Values
) -> list[Likeness]:
    """Compare each removed field with each new one; the best first.

    Args:
        gone: the removed fields.
        added: the new fields.
        before: the last landed values of the removed fields.
        after: the present values of the new fields, of the same records.
    """
    compared = [_compared(old, new, before, after) for old in gone for new in added]
    return sorted(compared, key=lambda like: (-like.share, -like.name, like.gone, like.new))


def renames(found: Sequence[Likeness]) -> dict[str, Likeness]:
    """Return the evident successors of removed fields; none where two fields resemble one about equally.

    Args:
        found: the comparisons of all pairs.
    """
    chosen: dict[str, Likeness] = {}
    for like in found:
        rivals = [
            other
            for other in found
            if other is not like and (other.gone == like.gone or other.new == like.new)
        ]
        if like.is_evident and all(_is_ahead(like, rival) for rival in rivals):
            chosen[like.gone] = like
    return chosen


def _is_ahead(like: Likeness, rival: Likeness) -> bool:
    return like.share - rival.share >= _AHEAD


def _compared(old: Field, new: Field, before: Values, after: Values) -> Likeness:
    compared = same = 0
    distinct: set[str] = set()
    for record, values in before.items():
        value = _canonical(values.get(old.name))
        if value is None or record not in after:
            continue
        compared += 1
        if _canonical(after[record].get(new.name)) == value:
            same += 1
            distinct.add(value)
    pairs = ((old.name, new.name), (old.label, new.label))
    name = max(difflib.SequenceMatcher(None, a.lower(), b.lower()).ratio() for a, b in pairs)
    return Likeness(old.name, new.name, compared, same, len(distinct), name, old.type == new.type)


def _canonical(value: str | None) -> str | None:
    """Return a value so that two spellings of one number or text are equal; None for no value."""
    text = " ".join(str(value).split()) if value is not None else ""
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    # A leading zero or plus sign belongs to a code or a telephone number.
    is_number = number.is_finite() and not text.startswith(("0", "+")) and abs(number) < 10**15
    return str(number.normalize()) if is_number else text
