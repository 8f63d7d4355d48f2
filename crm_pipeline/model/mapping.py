"""Mappings: dataclasses that state how a vendor's fields feed the common model.

Only the classes belong here. `selection` applies a mapping to a connection (its tables, the user's additions);
the vendors' mappings are in `connectors/<vendor>/mapping.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crm_pipeline.model.schema import Form

ANY_OBJECT = "*"
"""The object name of mappings for all objects without a mapping of their own."""
RECORD = "record."
"""Prefix of an exploded table's sources that are fields of the record instead of the element."""
RECORD_ID = f"{RECORD}_source_id"
"""In an exploded table, the record's id."""
LOSER, WINNER = "loser", "winner"
"""In the table of merges, the sources with the id that was merged away and the id of its present record."""
CUSTOM = "custom."
"""Prefix, in `ObjectMap.over_rows_from`, of source fields that are read from `custom`."""
MAIN_CURRENCY = "{currency}"
"""In the texts of a `Pick`, a placeholder for the account's main currency."""


@dataclass(frozen=True)
class Pick:
    """Takes a value from one element of a JSON list of objects.

    Attributes:
        key: the element's key whose value is taken; elements without it are skipped.
        only: keys and the texts that an element must have under them.
        prefer: keys and texts of elements that take precedence over others.
        filled: further keys that must have a text, so that several columns use the same element.
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
        separator: if set, the source is text separated by it; its parts follow the points made of the
            table's columns, with the label `label`.
    """

    value: str = "value"
    label: str = "label"
    primary: tuple[str, ...] = ("primary", "primary_flag")
    separator: str = ""


@dataclass(frozen=True)
class FieldMap:
    """One source field and the column that it feeds.

    A source is a field of the schema. A source that the schema lacks, and that has dots in its name or is read by
    `pick` or `points`, is a path from the root of JSON records: `address.city`. In an exploded table it is a path
    in the element, or, with the prefix `RECORD`, a field of the record.

    Attributes:
        at: keys from the root of JSON records to a source beside the fields; a field of the schema that
            happens to have the same name is not used.
        references: for record ids, `(id prefix, object)`; the first prefix that the id starts with gives the
            object of the key, and "" fits every id. If empty, the schema decides.
        object_in: for record ids, the source with the name of the object.
        only: take the value only where it starts with this.
        when: take the value only where another source has this text: `(source, text)`.
        values: pairs of source text and common text; any other text becomes `otherwise`.
        empty: the column's text where the source gives none, though it can be read.
        former: fields that fed the column before; if the vendor no longer has them (renamed), records that
            were read before have their value there.
        fallback: sources for where this one is empty or excluded by `when`, best first.
        joined: sources whose texts are appended to this one's, with a space between.
        needs_all: there is a value only where each of `joined` has a text too.
        labelled: the text is one of the field's options, and the column gets its label.
        form: as `Field.form`, for sources that are in no schema.
        factor: the factor by which a number is multiplied to be in the column's unit.
        divided_by: the source with the rate by which an amount is divided; NULL where it cannot be divided.
        is_object: the text is the name of an object, and the column gets its table.
        pick, points: how to read a source that is a JSON list of objects.
        listed: the source is a JSON list of objects, and the column gets the list of this key's texts; elements
            that `pick` prefers come first.
        any_of: further sources, whose names may end in `*`. The column is true where any of them has a text other
            than no (`false`, `0`), false where all their texts are no, `otherwise` where none has a text. One
            existing source is enough; `source` itself may be missing.
        until: the text ends before this; the rest is left to other columns.
        nothing: as `Field.nothing`, in addition to the schema's.
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
        """Whether the source text can be recovered from the column."""
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
        """Whether every text of the source goes to the column, so that NULL means that it did not fit."""
        chosen = self.only or self.when or self._recoded or self.any_of or self.needs_all
        return not (chosen or self.divided_by or self.pick or self.points or self.listed)

    @property
    def _recoded(self) -> bool:
        """Whether the column's texts differ from the source's."""
        return bool(self.values) or self.otherwise is not None or self.empty is not None

    @property
    def is_list(self) -> bool:
        """Whether the source is a JSON list of objects."""
        is_listed = self.pick is not None or self.listed != ""
        return is_listed or (self.points is not None and not self.points.separator)

    @property
    def sources(self) -> tuple[str, ...]:
        """All sources of the column, except former fields."""
        other = (self.when[0],) if self.when else ()
        named = tuple(name for name in (self.object_in, self.divided_by) if name)
        return (self.source, *self.fallback, *self.joined, *self.any_of, *other, *named)


def same(pairs: str) -> tuple[FieldMap, ...]:
    """Return the field maps of `source=column` pairs, for fields that are only cast to their column's type."""
    split = (pair.split("=") for pair in pairs.split())
    return tuple(FieldMap(source, column) for source, column in split)


def beside(pairs: str) -> tuple[FieldMap, ...]:
    """Return the field maps of `key=column` pairs, for keys at the root of JSON records; see `FieldMap.at`."""
    return tuple(replace(entry, at=(entry.source,)) for entry in same(pairs))


def points_to(source: str, column: str, obj: str) -> FieldMap:
    """Return the field map of ids that all belong to one object."""
    return FieldMap(source, column, (("", obj),))


@dataclass(frozen=True)
class Merge:
    """A source in a merge's winner that lists the ids of its losers.

    Attributes:
        separator: the text between the ids.
        until: an id ends before this text; "" takes the whole part.
    """

    source: str
    separator: str = ";"
    until: str = ""


@dataclass(frozen=True)
class ObjectMap:
    """How one object of a vendor feeds one table; an object may have several, for different tables.

    Attributes:
        constants: columns with a constant, in every row or where their field is empty; `{connection}`,
            `{object}` and `{table}` are replaced by the names of the connection, the object and the object's
            own table.
        single_row: the table gets one row, made of the constants, if the object has any record.
        each: path of a JSON list in the record; each of its elements becomes a row (the table is exploded).
            If the list is missing, the rows of the record's last list stay. An empty list removes them.
        kind: in an exploded table, the key with an element's kind, for lists with elements of several kinds,
            such as links to several objects.
        identity: in an exploded table, the sources that follow the record's id in `source_id`.
        merges: the sources in which winners list their losers; losers become deleted and refer to the winner.
        lists_merged: each row is an id that was merged away, even if its record was never read; the sources
            are `LOSER` and `WINNER`.
        ignores_case: whether the vendor ignores case in names of fields.
        over_rows: SQL over the object's rows in the table's columns, `{rows}`, for columns that depend on several
            columns or rows. It returns the same rows and columns.
        over_one_row: whether `over_rows` makes each row of that row alone, so that it may be run over some rows only.
        over_rows_from: for each column that `over_rows` fills, what it reads: columns of the table, and source fields
            after `CUSTOM`.
        beside: keys at the root of JSON records, beside the fields, that are kept in `custom`, or used as
            fallbacks. A field of the same name takes precedence.
        page: the rest of the address at which a browser shows a record, after `AccountFacts.web_address`; `{id}`
            is replaced by the record's id. "" where the vendor has no such page.
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
    # These say nothing about rows, so they are no part of the fingerprints that are made of `repr`.
    over_one_row: bool = field(default=False, repr=False)
    over_rows_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def is_own(self) -> bool:
        """Whether a row of the table is a record of the object."""
        return not (self.single_row or self.each or self.lists_merged)

    def feeding(self, column: str) -> FieldMap | None:
        """Return the field map of a column."""
        return next((entry for entry in self.fields if entry.column == column), None)

    @property
    def merged(self) -> "ObjectMap":
        """The mapping of the ids that were merged into other records of the object, for the table of merges."""
        ids = (FieldMap(LOSER, "old_source_id"), FieldMap(WINNER, "new_source_id"))
        named = {"table_name": "{table}"}
        return ObjectMap(self.object, "merges", ids, named, merges=self.merges, lists_merged=True)
