"""The fields of an object through all schemas under which its records landed, and what mappings mean by names.

A field is known again by its name and by where it stands in records. Both change: a vendor moves a field,
an admin spells it anew, and a field that somebody makes may take the name of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made_of
from typing import Any

from crm_pipeline.model.json_paths import Path
from crm_pipeline.model.mapping import RECORD, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema, free_name
from crm_pipeline.store.landing.records import landed_name


@dataclass
class LinkedField:
    """One field of an object.

    Attributes:
        name: as the newest schema that has it calls it; no other field of the object is called so.
        field: as that schema describes it.
        is_live: that schema is the newest of all.
        paths: where it stood in JSON records, newest first.
        columns: what its CSV column was called, newest first.
        since: when a schema first had it, and at which place: fields that came later are greater.
    """

    name: str
    field: Field
    is_live: bool
    paths: list[Path] = made_of(default_factory=list)
    columns: list[str] = made_of(default_factory=list)
    since: tuple[int, int] = (0, 0)

    def add(self, described: Field, since: tuple[int, int]) -> None:
        """Note where a schema has the field."""
        self.since = min(self.since, since) if self.columns else since
        if described.keys not in self.paths:
            self.paths.append(described.keys)
        if described.name not in self.columns:
            self.columns.append(described.name)
        if _lost_choices(self.field, described):
            # A pick list that names no choices any more keeps those that it had: an empty list takes
            # nobody's labels away.
            self.field = replace(self.field, options=described.options, values=described.values)
            return
        listed = {*self.field.values, *(value for value, _ in self.field.options)}
        # Records go on holding values that an admin took out of the list.
        gone = tuple(pair for pair in described.options if pair[0] not in listed)
        if gone and listed and described.type == self.field.type:
            self.field = replace(self.field, options=(*self.field.options, *gone))


class Fields:
    """All fields that records of an object may carry: the newest schema's, then those that are gone.

    Args:
        schemas: oldest first; the newest is the one that holds now.
        ignores_case: to the vendor, names that differ in case only are one.
        ages: when each schema was first seen, where that is another order; see `Fields.since`.
    """

    def __init__(
        self,
        schemas: Sequence[Schema],
        *,
        ignores_case: bool = False,
        ages: Sequence[int] | None = None,
    ) -> None:
        self._fold: Callable[[str], str] = str.casefold if ignores_case else str
        self._linked: dict[str, LinkedField] = {}
        self._at: dict[Path, LinkedField] = {}
        ages = ages or range(len(schemas))
        for age, schema in reversed(list(zip(ages, schemas, strict=True))):
            self._link(_Index(schema, self._fold), age, is_newest=schema is schemas[-1])
        self._folded = {self._fold(name): name for name in reversed(self._linked)}

    @property
    def all(self) -> tuple[LinkedField, ...]:
        """The fields in order."""
        return tuple(self._linked.values())

    @property
    def are_plain(self) -> bool:
        """Whether files may be read by the names of their columns, as DuckDB takes those."""
        names = {name for linked in self.all for name in linked.columns}
        named = {name.lower() for name in names}
        spelled = {self._fold(name) for name in names}
        return len(named) == len(spelled) and all(map(_is_plain, names))

    def get(self, name: str) -> LinkedField | None:
        """Return a field by name, as exactly as the vendor takes names."""
        return self._linked.get(self.known(name))

    def known(self, name: str) -> str:
        """Return how a field is spelled; a name that no field has stays as it is."""
        return name if name in self._linked else self._folded.get(self._fold(name), name)

    def resolved(self, entry: ObjectMap) -> ObjectMap:
        """Return a mapping whose sources are names of these fields, wherever it means one."""
        spelled = self._of_record if entry.each else self.known
        return replace(
            entry,
            fields=tuple(self._resolved(each, spelled) for each in entry.fields),
            merges=tuple(replace(each, source=self.known(each.source)) for each in entry.merges),
        )

    def _resolved(self, entry: FieldMap, spelled: Callable[[str], str]) -> FieldMap:
        changed: dict[str, Any] = {
            "source": self._beside(entry) if entry.at else spelled(entry.source),
            "object_in": spelled(entry.object_in),
            "divided_by": spelled(entry.divided_by),
            "former": tuple(map(spelled, entry.former)),
            "fallback": tuple(map(spelled, entry.fallback)),
            "joined": tuple(map(spelled, entry.joined)),
            "any_of": tuple(name for each in entry.any_of for name in self._like(each, spelled)),
        }
        if entry.when:
            changed["when"] = (spelled(entry.when[0]), entry.when[1])
        return replace(entry, **changed)

    def _like(self, name: str, spelled: Callable[[str], str]) -> tuple[str, ...]:
        """Return the fields that a name means, which are many where it ends in `*`."""
        if not name.endswith("*"):
            return (spelled(name),)
        first = self._fold(name.removesuffix("*"))
        return tuple(one for one in self._linked if self._fold(one).startswith(first))

    def _of_record(self, name: str) -> str:
        """Return a source of an exploded table, where all but fields of the record are keys of elements."""
        if not name.startswith(RECORD):
            return name
        return RECORD + self.known(name.removeprefix(RECORD))

    def _beside(self, entry: FieldMap) -> str:
        """Return the name of the field at a place; of none where no schema has it, as it was once left out."""
        linked = self._at.get(self._key(entry.at))
        if linked is not None:
            return linked.name
        return free_name(Field(entry.source, "", "", path=entry.at), self._linked)

    def former(self, name: str) -> str:
        """Return what a field is called now that had a name before."""
        if name in self._linked:
            return name
        return next((one.name for one in self.all if name in one.columns), name)

    def _link(self, schema: "_Index", age: int, *, is_newest: bool) -> None:
        used: set[str] = set()
        places = {described.name: (age, n) for n, described in enumerate(schema.fields)}
        for linked in self.all:
            same = self._same(linked, schema)
            if same is not None:
                linked.add(same, places[same.name])
                used.add(same.name)
        for described in schema.fields:
            if described.name not in used:
                linked = LinkedField(free_name(described, self._linked), described, is_newest)
                linked.add(described, places[described.name])
                self._linked[linked.name] = linked
                self._at.setdefault(self._key(described.keys), linked)

    def _same(self, linked: LinkedField, schema: "_Index") -> Field | None:
        """Return a field in an older schema: the one of its name, unless that was another then."""
        path = self._key(linked.paths[0])
        named, there = schema.named(linked.field.name), schema.by_path.get(path)
        if named is not None and named.keys in linked.paths:
            return named
        if named is None or (there is not None and there is not named):
            return there
        owner = self._at.get(self._key(named.keys))
        has_moved = owner is None or owner is linked
        # A value that became an object stands below the place where it stood itself.
        is_below = path[: len(named.keys)] == self._key(named.keys)
        return named if has_moved or is_below else None

    def _key(self, path: Path) -> Path:
        return tuple(map(self._fold, path))


class _Index:
    """The fields of one schema by name and by place."""

    def __init__(self, schema: Schema, fold: Callable[[str], str]) -> None:
        self.fields = schema.fields
        self._by_name = schema.by_name
        self._fold = fold
        self._folded = {fold(f.name): f for f in reversed(schema.fields)}
        self.by_path = {tuple(map(fold, f.keys)): f for f in reversed(schema.fields)}

    def named(self, name: str) -> Field | None:
        return self._by_name.get(name) or self._folded.get(self._fold(name))


def _lost_choices(newer: Field, older: Field) -> bool:
    has_none = not (newer.options or newer.values)
    return has_none and bool(older.options or older.values) and newer.type == older.type


def _is_plain(name: str) -> bool:
    return name != "" and "\0" not in name and landed_name(name) == name
