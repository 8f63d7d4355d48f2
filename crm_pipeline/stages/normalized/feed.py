"""A feed: one object with its mapping, completed with the fields that its records really have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.mapping import LOSER, MAIN_CURRENCY, RECORD_ID, WINNER, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Form
from crm_pipeline.model.table import Table
from crm_pipeline.model.tables import TABLES, custom_columns, custom_table, owned
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.tables import TableVersion

_HEAD = frozenset({"source_id", "is_deleted", "created_at", "modified_at", "merged_into"})


@dataclass(frozen=True)
class Feed:
    """One object with its mapping completed against the fields that it really has.

    Attributes:
        landed: the object and its landed batches.
        tables: the table of each object's records, for references that name their object.
        account: facts of the account, for days and addresses of records.
        number_formats: the format of a source's numbers, by the names of `model.numbers.NUMBER_FORMATS`.
        doubted_formats: the format in the version before, where it is not clear any more.
        owners: for a custom object's table, the field that each column, in lower case, belongs or belonged to.
        earlier: the feed under each earlier schema that the version before has not seen, oldest first: columns
            are named in the order in which fields appeared, whenever the table is built.
    """

    landed: ObjectInput
    entry: ObjectMap
    table: Table
    tables: Mapping[str, str] = field(default_factory=dict)
    account: AccountFacts = field(default_factory=AccountFacts)
    number_formats: Mapping[str, str] = field(default_factory=dict)
    doubted_formats: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    earlier: "tuple[Feed, ...]" = ()

    @property
    def mapped(self) -> tuple[FieldMap, ...]:
        """The field maps whose field exists, or whose first existing fallback takes its place."""
        existing = (self._existing(f) for f in self.entry.fields)
        return tuple(f for f in existing if f is not None)

    @property
    def rest(self) -> tuple[str, ...]:
        """The source fields that go to `custom` because their text cannot be recovered from a column."""
        recoverable = {f.source for f in self.mapped if self.is_recoverable(f)}
        return tuple(field.name for field in self.landed.fields if field.name not in recoverable)

    def _existing(self, entry: FieldMap) -> FieldMap | None:
        if entry.source in self.landed.names or self.present(entry.any_of):
            return entry
        source, *others = self.present(entry.fallback) or ("",)
        if not source:
            return None
        return replace(entry, source=source, fallback=tuple(others), when=None, joined=())

    def feeding(self, column: str) -> FieldMap | None:
        """Return the field map of a column whose field exists."""
        return next((f for f in self.mapped if f.column == column), None)

    def gone(self, entry: FieldMap) -> tuple[str, ...]:
        """Return the former fields of a column that the vendor no longer has: they were renamed."""
        live = {linked.name for linked in self.landed.linked.all if linked.is_live}
        return tuple(
            name for name in entry.former if name in self.landed.names and name not in live
        )

    def present(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the sources that records have."""
        return tuple(name for name in names if name in self.landed.names)

    def is_recoverable(self, entry: FieldMap) -> bool:
        """Say whether the field's text can be recovered from its column."""
        # Values that records have beside their fields are in `custom` by themselves.
        others = tuple(name for name in entry.fallback if name not in self.entry.beside)
        if not replace(entry, fallback=others).is_lossless or self.gone(entry):
            return False
        column = self.table.by_name.get(entry.column)
        if column is not None and column.expression and entry.points is None:
            return False
        # A clock time in minutes lacks the seconds, and the day of an instant lacks the time.
        field = self.field(entry.source)
        is_instant = field is not None and field.common_type == "timestamp"
        is_day = column is not None and column.type == "DATE"
        return self.form(entry) != "clock" and not (is_instant and is_day)

    @property
    def facts_used(self) -> AccountFacts:
        """The facts of the account that the rows depend on; a change of the others needs no new version."""
        types = {f.column: c.type for f in self.mapped if (c := self.table.by_name.get(f.column))}
        picks = [f.pick for f in self.mapped if f.pick]
        named = [text for pick in picks for _, text in (*pick.prefer, *pick.only)]
        return AccountFacts(
            time_zone=self.account.time_zone
            if "DATE" in types.values() or self.entry.is_own
            else "",
            currency=self.account.currency if any(MAIN_CURRENCY in t for t in named) else "",
            web_address=self.account.web_address if self.entry.page else "",
        )

    def field(self, name: str) -> Field | None:
        """Return a source field of the records; None for keys of elements and for paths."""
        return next((f for f in self.landed.fields if f.name == name), None)

    def form(self, entry: FieldMap) -> Form:
        """Return the form of a field's text: the mapping's, else the schema's."""
        field = self.field(entry.source)
        return entry.form or (field.form if field else "")

    def nothing(self, entry: FieldMap) -> tuple[str, ...]:
        """Return the texts that stand for no value: the mapping's and the schema's."""
        field = self.field(entry.source)
        return (*entry.nothing, *(field.nothing if field else ()))

    def references(self, entry: FieldMap) -> tuple[tuple[str, str], ...]:
        """Return the objects that a field's ids refer to: the mapping's, else the schema's."""
        if entry.references:
            return entry.references
        is_merged = self.entry.lists_merged and entry.source in {LOSER, WINNER}
        if entry.source == RECORD_ID or is_merged:
            return (("", self.landed.object),)
        field = self.field(entry.source)
        return (("", field.reference_to[0]),) if field and len(field.reference_to) == 1 else ()


def feed_of(
    landed: ObjectInput,
    overrides: Mapping[str, Mapping[str, str | None]],
    tables: Mapping[str, str],
    parent: TableVersion | None,
) -> Feed:
    """Complete the mapping of an object.

    Args:
        landed: the object and its landed batches.
        overrides: the user's mapping of the connection.
        tables: the table of each object's records.
        parent: the version before, whose columns keep their names.
    """
    table = TABLES.get(landed.entry.table)
    if table is not None:
        before = (Feed(each, each.entry, table, tables) for each in _unseen(landed, parent))
        return Feed(landed, landed.entry, table, tables, earlier=tuple(before))
    wanted = overrides.get(landed.object, {})
    left_out = frozenset(name for name, column in wanted.items() if column is None)
    owners = owners_in(parent, landed)
    earlier = []
    for each in _unseen(landed, parent):
        feed = custom_feed(each, left_out, tables, with_former_names(owners, each, landed))
        owners = with_current_names(feed.owners, landed)
        earlier.append(feed)
    return replace(custom_feed(landed, left_out, tables, owners), earlier=tuple(earlier))


def _unseen(landed: ObjectInput, parent: TableVersion | None) -> Iterator[ObjectInput]:
    """Yield an object as of each earlier schema that the version before has not seen."""
    stored = [
        o
        for o in (parent.meta.get("objects", ()) if parent else ())
        if o["object"] == landed.object
    ]
    seen = {name for described in stored for name in described.get("schemas", ())}
    ages = landed.ages or range(len(landed.schemas))
    by_age = [landed.schemas[n] for n in sorted(range(len(ages)), key=lambda n: ages[n])]
    # A schema that came back is the object's present one, and is left out.
    for n in range(1, len(by_age)):
        if any(schema.fingerprint not in seen for schema in by_age[: n + 1]):
            before = replace(landed, schemas=tuple(by_age[:n]), ages=tuple(range(n)))
            yield replace(before, entry=before.linked.resolved(before.entry))


def with_current_names(owners: Mapping[str, str], landed: ObjectInput) -> dict[str, str]:
    """Return the owners of columns under the present names of their fields."""
    return {name: landed.linked.current_name(owner) for name, owner in owners.items()}


def with_former_names(
    owners: Mapping[str, str], then: ObjectInput, now: ObjectInput
) -> dict[str, str]:
    """Return the owners of columns under the names that their fields had in an earlier schema."""
    former = {now.linked.current_name(linked.name): linked.name for linked in then.linked.all}
    return {name: former.get(owner, owner) for name, owner in owners.items()}


def owners_in(
    parent: TableVersion | None, landed: ObjectInput, key: str = "columns"
) -> dict[str, str]:
    """Return the field that each column, in lower case, belongs or belonged to, from the version before.

    Args:
        parent: the version before.
        landed: the object; owners are returned under its present names of fields.
        key: `columns` of the table, or `shown` for those of the view.
    """
    stored = [
        o
        for o in (parent.meta.get("objects", ()) if parent else ())
        if o["object"] == landed.object
    ]
    owners: dict[str, str] = {}
    for described in stored:
        # Older versions do not store owners, but most of them follow from their fields.
        from_fields = {
            field[4]: field[0] for field in described["fields"] if field[4] and key == "columns"
        }
        for name, owner in {**from_fields, **described.get(key, {})}.items():
            owners[name.lower()] = landed.linked.current_name(owner)
    return owners


def custom_feed(
    landed: ObjectInput,
    ignored: frozenset[str] = frozenset(),
    tables: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> Feed:
    """Complete the mapping of a custom object with a typed column for every field.

    Args:
        landed: the object and its landed batches.
        ignored: fields that the user wants left in `custom`.
        tables: the table of each object's records.
        owners: the field that each column belongs or belonged to.
    """
    head = tuple(entry for entry in landed.entry.fields if entry.column in _HEAD)
    named = {f.source: f for f in landed.entry.fields if f.column not in _HEAD}
    left_out = {landed.linked.spelling(name) for name in ignored} | {entry.source for entry in head}
    own = [field for field in landed.fields if field.name not in left_out]
    names = {source: entry.column for source, entry in named.items()}
    since = {linked.name: linked.since for linked in landed.linked.all}
    oldest_first = sorted(own, key=lambda field: since[field.name])
    made_of = custom_columns(landed.entry.table, oldest_first, names, owners)
    order = {field.name: index for index, field in enumerate(own)}
    columns = dict(sorted(made_of.items(), key=lambda item: order[item[1].name]))
    fields = [
        FieldMap(f.name, column, named[f.name].references if f.name in named else ())
        for column, f in columns.items()
    ]
    table = custom_table(landed.entry.table, landed.latest_schema.label, columns)
    made = ObjectMap(landed.object, table.name, (*head, *fields), merges=landed.entry.merges)
    return Feed(landed, made, table, tables or {}, owners={**(owners or {}), **owned(columns)})
