"""Names of the columns of views: the labels that people know, each with one owner for ever."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from crm_pipeline.model.names import Taken, shown

KEY = "crm_key"
"""Last column of every view: the key by which its rows join schema `crm`."""
UNCONVERTED = "unconverted"
"""Column before it: the columns of the row that are NULL because their text did not fit them."""
_NAMELESS = "(no name)"
_OF = "\0name of what it points to"


@dataclass(frozen=True)
class Named:
    """A field that gets a column.

    Attributes:
        age: when it was first seen: fields of one age are named together, older ones first.
        has_name: beside its column, which shows an id, stands one with the name of what that is of.
    """

    field: str
    label: str
    age: int = 0
    has_name: bool = False


class ViewNames:
    """The names of a view's columns.

    Fields are called by their labels, and labels that fields of one age share carry the API name as well. A
    field that comes later yields to those that are there.

    Args:
        fields: in their order.
        owners: the field that each name, in lower case, belongs to, or did.
    """

    def __init__(self, fields: Iterable[Named], owners: Mapping[str, str] | None = None) -> None:
        listed = list(fields)
        self._taken = Taken([KEY, UNCONVERTED], owners)
        self._names: dict[str, str] = {}
        for _, alike in groupby(sorted(listed, key=_age), key=_age):
            self._name(list(alike))
        self._fields = [one.field for one in listed]
        self.owners = {**(owners or {}), **{v.lower(): k for k, v in self._names.items()}}

    @property
    def listed(self) -> list[str]:
        """The names of the fields' own columns, in the fields' order."""
        return [self._names[field] for field in self._fields]

    @property
    def beside(self) -> dict[str, str]:
        """The names of the columns beside those with ids, by field."""
        return {f: self._names[f + _OF] for f in self._fields if f + _OF in self._names}

    def _name(self, fields: Sequence[Named]) -> None:
        told = [(one, shown(one.field), shown(one.label or one.field)) for one in fields]
        labels = [(one, name, label or name or _NAMELESS) for one, name, label in told]
        shared = Counter(label.lower() for _, _, label in labels)
        for one, name, label in labels:
            marked = f"{label} ({name})" if name else label
            is_free = shared[label.lower()] == 1 and self._taken.is_free(label, one.field)
            choices = (label,) if is_free else (marked, name or label)
            self._names[one.field] = self._taken.take(*choices, owner=one.field)
        for one in fields:
            if one.has_name:
                wanted = f"{self._names[one.field]} name"
                self._names[one.field + _OF] = self._taken.take(wanted, owner=one.field + _OF)


def _age(one: Named) -> int:
    return one.age
