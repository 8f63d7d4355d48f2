"""Names of the columns of views: the labels that people know; a name belongs to the same field for ever."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from crm_pipeline.model.names import Taken, shown

KEY = "crm_key"
"""Last column of every view: the key by which its rows join schema `crm`."""
UNCONVERTED = "unconverted"
"""Last column but one: the columns of the row that are NULL because their text did not fit them."""
_NAMELESS = "(no name)"
_OF = "\0name of the record"


@dataclass(frozen=True)
class Named:
    """A field that gets a column.

    Attributes:
        age: order in which it was first seen: fields of one age are named together, older ones first.
        has_name: whether its column shows ids and gets a second column with the names of those records.
    """

    field: str
    label: str
    age: int = 0
    has_name: bool = False


class ViewNames:
    """The names of a view's columns.

    Columns have the labels of their fields. A label that several fields of one age share is followed by the API
    name. A later field does not get a name that an earlier one has.

    Args:
        fields: in their order.
        owners: the field that each name, in lower case, belongs or belonged to.
    """

    def __init__(self, fields: Iterable[Named], owners: Mapping[str, str] | None = None) -> None:
        listed = list(fields)
        self._taken = Taken([KEY, UNCONVERTED], owners)
        self._names: dict[str, str] = {}
        for _, alike in groupby(sorted(listed, key=_age), key=_age):
            self._name(list(alike))
        self._fields = [named.field for named in listed]
        self.owners = {**(owners or {}), **{v.lower(): k for k, v in self._names.items()}}

    @property
    def listed(self) -> list[str]:
        """The names of the fields' own columns, in the fields' order."""
        return [self._names[field] for field in self._fields]

    @property
    def beside(self) -> dict[str, str]:
        """The names of the columns with names of records, by the field with their ids."""
        return {f: self._names[f + _OF] for f in self._fields if f + _OF in self._names}

    def _name(self, fields: Sequence[Named]) -> None:
        texts = [(named, shown(named.field), shown(named.label or named.field)) for named in fields]
        labels = [(named, name, label or name or _NAMELESS) for named, name, label in texts]
        shared = Counter(label.lower() for _, _, label in labels)
        for named, name, label in labels:
            marked = f"{label} ({name})" if name else label
            is_free = shared[label.lower()] == 1 and self._taken.is_free(label, named.field)
            choices = (label,) if is_free else (marked, name or label)
            self._names[named.field] = self._taken.take(*choices, owner=named.field)
        for named in fields:
            if named.has_name:
                wanted = f"{self._names[named.field]} name"
                self._names[named.field + _OF] = self._taken.take(wanted, owner=named.field + _OF)


def _age(named: Named) -> int:
    return named.age
