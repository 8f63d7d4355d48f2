"""One object on its way into a table: its mapping completed against what its records really hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.mapping import LOSER, RECORD_ID, WINNER, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Form
from crm_pipeline.model.table import Table
from crm_pipeline.model.tables import custom_columns, custom_table
from crm_pipeline.stages.normalized.inputs import ObjectInput

_HEAD = frozenset({"source_id", "is_deleted", "created_at", "modified_at", "merged_into"})


@dataclass(frozen=True)
class Feed:
    """One object with its mapping completed against the fields that it really has.

    Attributes:
        tables: object -> the table of its records, for references that name their object.
        account: facts of the account, for days and addresses of records.
    """

    one: ObjectInput
    entry: ObjectMap
    table: Table
    tables: Mapping[str, str] = field(default_factory=dict)
    account: AccountFacts = field(default_factory=AccountFacts)

    @property
    def mapped(self) -> tuple[FieldMap, ...]:
        """The field maps whose field exists."""
        return tuple(
            f for f in self.entry.fields if f.source in self.one.names or self.present(f.any_of)
        )

    @property
    def rest(self) -> tuple[str, ...]:
        """The source fields that go to `custom` because no column tells their text."""
        told = {f.source for f in self.mapped if self.is_stated(f)}
        return tuple(field.name for field in self.one.fields if field.name not in told)

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
        if not entry.is_lossless or self.gone(entry):
            return False
        column = self.table.by_name.get(entry.column)
        if column is not None and column.expression and entry.points is None:
            return False
        # Minutes do not tell the seconds, nor does the day of an instant tell the instant.
        field = self.field(entry.source)
        is_instant = field is not None and field.common_type == "timestamp"
        is_day = column is not None and column.type == "DATE"
        return self.form(entry) != "clock" and not (is_instant and is_day)

    def field(self, name: str) -> Field | None:
        """Return a source field of the records; None for elements' keys and paths."""
        return next((f for f in self.one.fields if f.name == name), None)

    def form(self, entry: FieldMap) -> Form:
        """Return how a field's text is written: the mapping's word, else the schema's."""
        field = self.field(entry.source)
        return entry.form or (field.form if field else "")

    def references(self, entry: FieldMap) -> tuple[tuple[str, str], ...]:
        """Return what a field's ids point to: the mapping's word, else the schema's."""
        if entry.references:
            return entry.references
        is_merged = self.entry.lists_merged and entry.source in {LOSER, WINNER}
        if entry.source == RECORD_ID or is_merged:
            return (("", self.one.object),)
        field = self.field(entry.source)
        return (("", field.reference_to[0]),) if field and len(field.reference_to) == 1 else ()


def custom_feed(
    one: ObjectInput, ignored: frozenset[str] = frozenset(), tables: Mapping[str, str] | None = None
) -> Feed:
    """Complete the mapping of a custom object: a typed column of its own for every field.

    `ignored` are fields that the user wants left in `custom`.
    """
    head = tuple(entry for entry in one.entry.fields if entry.column in _HEAD)
    named = {f.source: f for f in one.entry.fields if f.column not in _HEAD}
    left_out = {one.linked.known(name) for name in ignored} | {entry.source for entry in head}
    own = [field for field in one.fields if field.name not in left_out]
    names = {source: entry.column for source, entry in named.items()}
    columns = custom_columns(one.entry.table, own, names)
    fields = [
        FieldMap(f.name, column, named[f.name].references if f.name in named else ())
        for column, f in columns.items()
    ]
    table = custom_table(one.entry.table, one.newest.label, columns)
    made = ObjectMap(one.object, table.name, (*head, *fields), merges=one.entry.merges)
    return Feed(one, made, table, tables or {})
