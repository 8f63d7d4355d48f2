"""One object on its way into a table: its mapping completed against what its records really hold."""

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
        tables: object -> the table of its records, for references that name their object.
        account: facts of the account, for days and addresses of records.
        number_formats: how the numbers of a source are written, by the names of `model.numbers.NUMBER_FORMATS`.
        doubted_formats: how they were written before, where that is not clear any more.
        owners: in the table of a custom object, the field that each column, in lower case, belongs to or did.
        earlier: the same as it was under each schema before that the version before has not seen, oldest first:
            names are given in the order in which fields came, whenever the table is built.
    """

    one: ObjectInput
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
        """The field maps whose field exists; where it does not, the first fallback that does stands in for it."""
        known = (self._known(f) for f in self.entry.fields)
        return tuple(f for f in known if f is not None)

    @property
    def rest(self) -> tuple[str, ...]:
        """The source fields that go to `custom` because no column tells their text."""
        told = {f.source for f in self.mapped if self.is_stated(f)}
        return tuple(field.name for field in self.one.fields if field.name not in told)

    def _known(self, entry: FieldMap) -> FieldMap | None:
        if entry.source in self.one.names or self.present(entry.any_of):
            return entry
        source, *others = self.present(entry.fallback) or ("",)
        if not source:
            return None
        return replace(entry, source=source, fallback=tuple(others), when=None, joined=())

    def feeding(self, column: str) -> FieldMap | None:
        """Return the field map of a column whose field exists."""
        return next((f for f in self.mapped if f.column == column), None)

    def gone(self, entry: FieldMap) -> tuple[str, ...]:
        """Return the former fields of a column that the vendor has no more: they were renamed."""
        live = {linked.name for linked in self.one.linked.all if linked.is_live}
        return tuple(name for name in entry.former if name in self.one.names and name not in live)

    def present(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the sources that can be read."""
        return tuple(name for name in names if name in self.one.names)

    def is_stated(self, entry: FieldMap) -> bool:
        """Say whether the field's text can be told from its column."""
        # What stands beside the fields is in `custom` by itself.
        others = tuple(name for name in entry.fallback if name not in self.entry.beside)
        if not replace(entry, fallback=others).is_lossless or self.gone(entry):
            return False
        column = self.table.by_name.get(entry.column)
        if column is not None and column.expression and entry.points is None:
            return False
        # Minutes do not tell the seconds, nor does the day of an instant tell the instant.
        field = self.field(entry.source)
        is_instant = field is not None and field.common_type == "timestamp"
        is_day = column is not None and column.type == "DATE"
        return self.form(entry) != "clock" and not (is_instant and is_day)

    @property
    def facts_used(self) -> AccountFacts:
        """The facts of the account that the rows depend on; the others make no other table."""
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
        """Return a source field of the records; None for elements' keys and paths."""
        return next((f for f in self.one.fields if f.name == name), None)

    def form(self, entry: FieldMap) -> Form:
        """Return how a field's text is written: the mapping's word, else the schema's."""
        field = self.field(entry.source)
        return entry.form or (field.form if field else "")

    def nothing(self, entry: FieldMap) -> tuple[str, ...]:
        """Return the texts that stand for no value: the mapping's and the schema's."""
        field = self.field(entry.source)
        return (*entry.nothing, *(field.nothing if field else ()))

    def references(self, entry: FieldMap) -> tuple[tuple[str, str], ...]:
        """Return what a field's ids point to: the mapping's word, else the schema's."""
        if entry.references:
            return entry.references
        is_merged = self.entry.lists_merged and entry.source in {LOSER, WINNER}
        if entry.source == RECORD_ID or is_merged:
            return (("", self.one.object),)
        field = self.field(entry.source)
        return (("", field.reference_to[0]),) if field and len(field.reference_to) == 1 else ()


def feed_of(
    one: ObjectInput,
    overrides: Mapping[str, Mapping[str, str | None]],
    tables: Mapping[str, str],
    parent: TableVersion | None,
) -> Feed:
    """Complete the mapping of an object.

    Args:
        one: the object.
        overrides: the user's mapping of the connection.
        tables: object -> the table of its records.
        parent: the version before, whose columns keep their names.
    """
    table = TABLES.get(one.entry.table)
    if table is not None:
        before = (Feed(each, each.entry, table, tables) for each in _unseen(one, parent))
        return Feed(one, one.entry, table, tables, earlier=tuple(before))
    wanted = overrides.get(one.object, {})
    left_out = frozenset(name for name, column in wanted.items() if column is None)
    owners = owners_in(parent, one)
    earlier = []
    for each in _unseen(one, parent):
        feed = custom_feed(each, left_out, tables, called_then(owners, each, one))
        owners = called_now(feed.owners, one)
        earlier.append(feed)
    return replace(custom_feed(one, left_out, tables, owners), earlier=tuple(earlier))


def _unseen(one: ObjectInput, parent: TableVersion | None) -> Iterator[ObjectInput]:
    """Yield an object as it was under each earlier schema that the version before did not know."""
    stored = [
        o for o in (parent.meta.get("objects", ()) if parent else ()) if o["object"] == one.object
    ]
    seen = {name for described in stored for name in described.get("schemas", ())}
    ages = one.ages or range(len(one.schemas))
    by_age = [one.schemas[n] for n in sorted(range(len(ages)), key=lambda n: ages[n])]
    # What came back is under its last schema what it is now.
    for n in range(1, len(by_age)):
        if any(schema.fingerprint not in seen for schema in by_age[: n + 1]):
            before = replace(one, schemas=tuple(by_age[:n]), ages=tuple(range(n)))
            yield replace(before, entry=before.linked.resolved(before.entry))


def called_now(owners: Mapping[str, str], one: ObjectInput) -> dict[str, str]:
    """Return owners of names by what fields are called today."""
    return {name: one.linked.former(owner) for name, owner in owners.items()}


def called_then(owners: Mapping[str, str], then: ObjectInput, now: ObjectInput) -> dict[str, str]:
    """Return owners of names by what fields were called under an earlier schema."""
    former = {now.linked.former(linked.name): linked.name for linked in then.linked.all}
    return {name: former.get(owner, owner) for name, owner in owners.items()}


def owners_in(
    parent: TableVersion | None, one: ObjectInput, key: str = "columns"
) -> dict[str, str]:
    """Return whose name each column of an object has or had, in lower case, by the version before.

    Args:
        parent: the version before.
        one: the object, by whose names of today the owners are called.
        key: `columns` of the table, or `shown` for those of the view.
    """
    stored = [
        o for o in (parent.meta.get("objects", ()) if parent else ()) if o["object"] == one.object
    ]
    owners: dict[str, str] = {}
    for described in stored:
        # Versions from before that was noted tell it of most columns.
        told = {
            field[4]: field[0] for field in described["fields"] if field[4] and key == "columns"
        }
        for name, owner in {**told, **described.get(key, {})}.items():
            owners[name.lower()] = one.linked.former(owner)
    return owners


def custom_feed(
    one: ObjectInput,
    ignored: frozenset[str] = frozenset(),
    tables: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> Feed:
    """Complete the mapping of a custom object: a typed column of its own for every field.

    Args:
        one: the object.
        ignored: fields that the user wants left in `custom`.
        tables: object -> the table of its records.
        owners: the field that each column belongs to, or did.
    """
    head = tuple(entry for entry in one.entry.fields if entry.column in _HEAD)
    named = {f.source: f for f in one.entry.fields if f.column not in _HEAD}
    left_out = {one.linked.known(name) for name in ignored} | {entry.source for entry in head}
    own = [field for field in one.fields if field.name not in left_out]
    names = {source: entry.column for source, entry in named.items()}
    since = {linked.name: linked.since for linked in one.linked.all}
    oldest_first = sorted(own, key=lambda field: since[field.name])
    made_of = custom_columns(one.entry.table, oldest_first, names, owners)
    places = {field.name: place for place, field in enumerate(own)}
    columns = dict(sorted(made_of.items(), key=lambda item: places[item[1].name]))
    fields = [
        FieldMap(f.name, column, named[f.name].references if f.name in named else ())
        for column, f in columns.items()
    ]
    table = custom_table(one.entry.table, one.newest.label, columns)
    made = ObjectMap(one.object, table.name, (*head, *fields), merges=one.entry.merges)
    return Feed(one, made, table, tables or {}, owners={**(owners or {}), **owned(columns)})
