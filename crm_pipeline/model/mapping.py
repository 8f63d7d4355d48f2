"""How a vendor's fields feed the common model: dataclasses that vendors and users fill with data.

Belongs here: the words of a mapping. What a connection makes of it (its tables, the user's additions)
stands in `selection`, the vendors' own mappings in `connectors/<vendor>/mapping.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crm_pipeline.model.schema import Form

ANY_OBJECT = "*"
"""The object name of the mappings that objects without one of their own use."""
RECORD = "record."
"""Begins the sources of an exploded table that are fields of the record, not of the list's element."""
RECORD_ID = f"{RECORD}_source_id"
"""In an exploded table, the record's id."""
LOSER, WINNER = "loser", "winner"
"""In a table of merges, the id that was merged away and that of the record that it points to now."""
MAIN_CURRENCY = "{currency}"
"""Among the texts of a `Pick`: the account's main currency."""


@dataclass(frozen=True)
class Pick:
    """Takes a value from one element of a JSON list of objects.

    Attributes:
        key: the element's key whose value is taken; elements without one are passed over.
        only: keys and the texts that an element must have there.
        prefer: keys and texts of the elements that go before the others.
        filled: further keys that an element must have a text under, so that several columns take theirs
            from the same one.
    """

    key: str
    only: tuple[tuple[str, str], ...] = ()
    prefer: tuple[tuple[str, str], ...] = ()
    filled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Points:
    """Reads a whole list of contact points: e-mail addresses or phones, primary one first.

    Attributes:
        value, label, primary: keys of the elements of a JSON list of objects; the first of `primary`
            that an element has counts.
        separator: the source is text separated by this instead, and what it holds comes behind the
            points that the table's columns make, under `label`.
    """

    value: str = "value"
    label: str = "label"
    primary: tuple[str, ...] = ("primary", "primary_flag")
    separator: str = ""


@dataclass(frozen=True)
class FieldMap:
    """One source field and the column that it feeds.

    A source is a field of the schema. One that is not there but has dots in its name, or is read by
    `pick` or `points`, is a path from the root of JSON records: `address.city`. In an exploded
    table it is a path in the element, or a field of the record behind `RECORD`.

    Attributes:
        at: keys from the root of JSON records to the source, for facts that stand beside the fields:
            a field that has the source's name by chance is not meant.
        references: for record ids, `(id prefix, object)`; the first prefix that the id starts with
            says which object the key names, and "" fits every id. Empty leaves it to the schema.
        object_in: for record ids, the source that holds the name of the object.
        only: take the value only where it starts with this.
        when: take the value only where another source has this text: `(source, text)`.
        values: source text -> common text; anything else becomes `otherwise`.
        empty: what the column has where nothing comes of the source, though it can be read.
        former: fields that fed the column before; where they are gone from the vendor (renamed), records
            that were read before still have their value there.
        fallback: sources that are read where this one is empty or not meant by `when`, best first.
        joined: sources whose texts are put behind this one's, with a space between.
        needs_all: there is a value only where each of `joined` has a text too.
        labelled: the text is one of the field's options, and the column takes its label.
        form: as `Field.form`, for sources that no schema describes.
        factor: what a number is multiplied with, to be in the column's unit.
        divided_by: the source with the rate that an amount is divided by; there is a value only where it can be.
        is_object: the text names an object, the column its table.
        pick, points: the source is a JSON list of objects, read as they say.
        listed: the source is a JSON list of objects, of which this key's texts make a list; those of the
            elements that `pick` prefers go first.
        any_of: further sources, the names of which may end in `*`. The column is true where one of all has a
            text that says more than no (`false`, `0`), false where those that have one all say no, `otherwise`
            where none has one. One of them is enough; the source itself may be missing.
        until: the text ends where this stands; what comes behind is left to other columns.
        nothing: as `Field.nothing`, beside what the schema says.
    """

    source: str
    column: str
    references: tuple[tuple[str, str], ...] = ()
    at: tuple[str, ...] = ()
    object_in: str = ""
    only: str = ""
    when: tuple[str, str] | None = None
    values: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    empty: str | None = None
    former: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    needs_all: bool = False
    labelled: bool = False
    form: Form = ""
    factor: float = 1.0
    divided_by: str = ""
    is_object: bool = False
    pick: Pick | None = None
    points: Points | None = None
    listed: str = ""
    nothing: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    until: str = ""

    @property
    def is_lossless(self) -> bool:
        """Whether the source text can be told from the column."""
        chosen = self.only or self.when or self._recoded or self.is_object or self.pick
        composed = (
            self.fallback
            or self.joined
            or self.any_of
            or self.factor != 1
            or self.divided_by
            or self.listed
            or self.labelled
        )
        is_part = self.until or (self.points is not None and self.points.separator)
        return not (chosen or composed or is_part)

    @property
    def is_whole(self) -> bool:
        """Whether every text of the source is meant for the column, so that NULL means unfit."""
        chosen = self.only or self.when or self._recoded or self.any_of or self.needs_all
        return not (chosen or self.divided_by or self.pick or self.points or self.listed)

    @property
    def _recoded(self) -> bool:
        """Whether the column has other texts than the source."""
        return bool(self.values) or self.otherwise is not None or self.empty is not None

    @property
    def is_list(self) -> bool:
        """Whether the source is a JSON list of objects."""
        is_listed = self.pick is not None or self.listed != ""
        return is_listed or (self.points is not None and not self.points.separator)

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that the column is made of, former fields apart."""
        other = (self.when[0],) if self.when else ()
        named = tuple(name for name in (self.object_in, self.divided_by) if name)
        return (self.source, *self.fallback, *self.joined, *self.any_of, *other, *named)


def same(pairs: str) -> tuple[FieldMap, ...]:
    """Read `source=column` pairs for fields that need no more than their column's type."""
    split = (pair.split("=") for pair in pairs.split())
    return tuple(FieldMap(source, column) for source, column in split)


def beside(pairs: str) -> tuple[FieldMap, ...]:
    """Read `key=column` pairs for keys at the root of JSON records, beside the fields; see `FieldMap.at`."""
    return tuple(replace(entry, at=(entry.source,)) for entry in same(pairs))


def points_to(source: str, column: str, obj: str) -> FieldMap:
    """Map ids that all belong to one object."""
    return FieldMap(source, column, (("", obj),))


@dataclass(frozen=True)
class Merge:
    """A source in a merge's winner that names the ids of its losers.

    Attributes:
        separator: stands between the ids.
        until: an id ends here; "" takes the whole part.
    """

    source: str
    separator: str = ";"
    until: str = ""


@dataclass(frozen=True)
class ObjectMap:
    """How one object of a vendor feeds one table; several may feed different tables from one object.

    Attributes:
        constants: columns that are the same in every row, or where their field is empty;
            `{connection}`, `{object}` and `{table}` stand for the names of the connection, the object and
            the object's own table.
        single_row: the object only proves that the table has one row, made of the constants.
        each: path of a JSON list in the record; each of its elements becomes a row (the table is
            exploded). A list that is missing says nothing: the rows of the record's last list stay. An
            empty one removes them.
        kind: in an exploded table, the key that says of which kind an element is, where a list holds several
            that come apart, such as links to several objects.
        identity: in an exploded table, the sources that make `source_id` behind the record's id.
        merges: where winners name their losers; those become deleted and point to the winner.
        lists_merged: each row is an id that was merged away, whether its record was ever read or not; the
            sources are `LOSER` and `WINNER`.
        ignores_case: to the vendor, names of fields that differ in case only are one.
        over_rows: SQL over the object's rows in the table's columns, `{rows}`, for columns that depend on several
            columns or rows and cannot be told field by field. It gives the same rows and columns.
        beside: keys at the root of JSON records, beside the fields, that are kept in `custom`, or stand in
            where a field is empty. A field of the same name goes before.
        page: where a browser shows a record: text behind `AccountFacts.web_address`, in which `{id}` stands
            for the record's id. "" where nothing shows it.
    """

    object: str
    table: str
    fields: tuple[FieldMap, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    single_row: bool = False
    each: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    merges: tuple[Merge, ...] = ()
    kind: str = ""
    ignores_case: bool = False
    page: str = ""
    over_rows: str = ""
    beside: tuple[str, ...] = ()
    lists_merged: bool = False

    @property
    def is_own(self) -> bool:
        """Whether a row of the table is a record of the object."""
        return not (self.single_row or self.each or self.lists_merged)

    def feeding(self, column: str) -> FieldMap | None:
        """Return the field map of a column."""
        return next((entry for entry in self.fields if entry.column == column), None)

    @property
    def merged(self) -> "ObjectMap":
        """The map of the ids that were merged into other records of the object."""
        ids = (FieldMap(LOSER, "old_source_id"), FieldMap(WINNER, "new_source_id"))
        named = {"table_name": "{table}"}
        return ObjectMap(self.object, "merges", ids, named, merges=self.merges, lists_merged=True)
