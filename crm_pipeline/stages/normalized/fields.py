"""The fields of an object through all schemas under which its records landed, and the fields that mappings name.

A field is recognized by its name and by its path in records. Both may change: a vendor moves a field, an admin
changes its spelling, and a new field may take the name of another.
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
        name: its name in the newest schema that has it; unique among the object's fields.
        field: its definition in that schema.
        is_live: whether that schema is the newest of all.
        paths: its paths in JSON records, newest first.
        columns: the names of its CSV column, newest first.
        since: age of the first schema that had it, and its position there: later fields are greater.
    """

    name: str
    field: Field
    is_live: bool
    paths: list[Path] = made_of(default_factory=list)
    columns: list[str] = made_of(default_factory=list)
    since: tuple[int, int] = (0, 0)

    def add(self, definition: Field, since: tuple[int, int]) -> None:
        """Add the field's definition in an older schema."""
        self.since = min(self.since, since) if self.columns else since
        if definition.keys not in self.paths:
            self.paths.append(definition.keys)
        if definition.name not in self.columns:
            self.columns.append(definition.name)
        if _lost_choices(self.field, definition):
            # A pick list that lists no choices any more keeps its earlier ones, and records keep their labels.
            self.field = replace(self.field, options=definition.options, values=definition.values)
            return
        listed = {*self.field.values, *(value for value, _ in self.field.options)}
        # Records still have values that an admin has removed from the list.
        gone = tuple(pair for pair in definition.options if pair[0] not in listed)
        if gone and listed and definition.type == self.field.type:
            self.field = replace(self.field, options=(*self.field.options, *gone))


class Fields:
    """All fields that records of an object may have: those of the newest schema, then those that are gone.

    Args:
        schemas: oldest first; the last one is the present schema.
        ignores_case: whether the vendor ignores case in names of fields.
        ages: position of each schema in the order of first use, if it differs; see `LinkedField.since`.
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
        """Whether DuckDB can read files by the names of their columns, of which it ignores case."""
        names = {name for linked in self.all for name in linked.columns}
        named = {name.lower() for name in names}
        spelled = {self._fold(name) for name in names}
        return len(named) == len(spelled) and all(map(_is_plain, names))

    def get(self, name: str) -> LinkedField | None:
        """Return a field by name; case counts if it counts for the vendor."""
        return self._linked.get(self.spelling(name))

    def spelling(self, name: str) -> str:
        """Return the spelling of a field's name; a name that no field has is returned as it is."""
        return name if name in self._linked else self._folded.get(self._fold(name), name)

    def resolved(self, entry: ObjectMap) -> ObjectMap:
        """Return a mapping whose sources have the names of these fields."""
        spelled = self._record_source if entry.each else self.spelling
        return replace(
            entry,
            fields=tuple(self._resolved(each, spelled) for each in entry.fields),
            merges=tuple(replace(each, source=self.spelling(each.source)) for each in entry.merges),
        )

    def _resolved(self, entry: FieldMap, spelled: Callable[[str], str]) -> FieldMap:
        changed: dict[str, Any] = {
            "source": self._name_at(entry) if entry.at else spelled(entry.source),
            "object_in": spelled(entry.object_in),
            "divided_by": spelled(entry.divided_by),
            "former": tuple(map(spelled, entry.former)),
            "fallback": tuple(map(spelled, entry.fallback)),
            "joined": tuple(map(spelled, entry.joined)),
            "any_of": tuple(
                name for each in entry.any_of for name in self._matching(each, spelled)
            ),
        }
        if entry.when:
            changed["when"] = (spelled(entry.when[0]), entry.when[1])
        return replace(entry, **changed)

    def _matching(self, name: str, spelled: Callable[[str], str]) -> tuple[str, ...]:
        """Return the fields of a name, which may be several if it ends in `*`."""
        if not name.endswith("*"):
            return (spelled(name),)
        prefix = self._fold(name.removesuffix("*"))
        return tuple(field for field in self._linked if self._fold(field).startswith(prefix))

    def _record_source(self, name: str) -> str:
        """Return a source of an exploded table: a field of the record, or else a key of elements."""
        if not name.startswith(RECORD):
            return name
        return RECORD + self.spelling(name.removeprefix(RECORD))

    def _name_at(self, entry: FieldMap) -> str:
        """Return the name of the field at a path; a new name where no schema has it."""
        linked = self._at.get(self._key(entry.at))
        if linked is not None:
            return linked.name
        return free_name(Field(entry.source, "", "", path=entry.at), self._linked)

    def current_name(self, name: str) -> str:
        """Return the present name of a field that may have been renamed."""
        if name in self._linked:
            return name
        return next((linked.name for linked in self.all if name in linked.columns), name)

    def _link(self, schema: "_Index", age: int, *, is_newest: bool) -> None:
        used: set[str] = set()
        positions = {definition.name: (age, n) for n, definition in enumerate(schema.fields)}
        for linked in self.all:
            same = self._same(linked, schema)
            if same is not None:
                linked.add(same, positions[same.name])
                used.add(same.name)
        for definition in schema.fields:
            if definition.name not in used:
                linked = LinkedField(free_name(definition, self._linked), definition, is_newest)
                linked.add(definition, positions[definition.name])
                self._linked[linked.name] = linked
                self._at.setdefault(self._key(definition.keys), linked)

    def _same(self, linked: LinkedField, schema: "_Index") -> Field | None:
        """Return a field's definition in an older schema: that of its name, unless another field had the name."""
        path = self._key(linked.paths[0])
        named, at_path = schema.named(linked.field.name), schema.by_path.get(path)
        if named is not None and named.keys in linked.paths:
            return named
        if named is None or (at_path is not None and at_path is not named):
            return at_path
        owner = self._at.get(self._key(named.keys))
        has_moved = owner is None or owner is linked
        # A value that became an object is below the path that it had itself.
        is_below = path[: len(named.keys)] == self._key(named.keys)
        return named if has_moved or is_below else None

    def _key(self, path: Path) -> Path:
        return tuple(map(self._fold, path))


class _Index:
    """The fields of one schema by name and by path."""

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
