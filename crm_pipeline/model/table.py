"""Tables of the common model: the classes for columns and rules, and the columns that every table has.

The tables themselves are data, in `people_tables`, `sales_tables` and `engagement_tables`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

MONEY = "DECIMAL(24,6)"
"""Eighteen digits before the point, as the largest CRM allows, and six after it: two would round
unit prices and exchange rates silently."""
PRECISE = "DECIMAL(38,12)"
"""Twelve places: prices of one, quantities and rates are often less than a millionth."""
INSTANT = "TIMESTAMPTZ"
TEXTS = "VARCHAR[]"
URL = "url"
"""The column with the address at which a browser shows the record."""
POINTS = "STRUCT(value VARCHAR, label VARCHAR, is_primary BOOLEAN)[]"

Severity = Literal["error", "warning"]
RuleKind = Literal["required", "unique", "between", "one_of", "matches", "not_before", "implies"]


@dataclass(frozen=True)
class Lookup:
    """A look-up that fills gaps of a column from another table of the same connection, when it is published.

    Attributes:
        table: the other table.
        value: the column of the other table with the value.
        name: the column of the other table that has to equal `by`.
        by: the column of the row.
    """

    table: str
    value: str
    name: str
    by: str


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        type: the DuckDB type.
        expression: SQL over the other columns, for derived columns.
        refers_to: the table whose key the column holds.
        lookup: the look-up that fills its gaps in published tables.
        is_label: whether it is the label of the column in `expression`, which is filled when tables are published.
    """

    name: str
    type: str
    description: str
    expression: str = ""
    refers_to: str = ""
    lookup: Lookup | None = None
    is_label: bool = False

    @property
    def is_free(self) -> bool:
        """Whether a source field may feed it; for a derived text, a mapped value takes precedence over `expression`."""
        return not self.expression or (self.type == "VARCHAR" and not self.is_label)


@dataclass(frozen=True)
class Rule:
    """One rule for every row; a row where its columns are NULL satisfies any rule but `required`.

    Attributes:
        severity: an `error` keeps the table's current version, a `warning` is counted and shown.
        low, high: the bounds of `between`; either may be None.
        values: the allowed values of `one_of`.
        pattern: the regular expression of `matches`.
        other: the earlier column of `not_before`; the column that has to be true by `implies`.
        form: description of a text that `matches`, for people.
    """

    kind: RuleKind
    column: str
    severity: Severity = "warning"
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    pattern: str = ""
    other: str = ""
    form: str = "of its form"

    @property
    def name(self) -> str:
        """What is wrong with a row that breaks the rule, for people; unique within the table."""
        return f"{self.column} {self._fault}"

    @property
    def _fault(self) -> str:
        bounds = [f"{bound:g}" for bound in (self.low, self.high) if bound is not None]
        one_bound = f"is {'above' if self.low is None else 'below'} {' and '.join(bounds)}"
        return {
            "required": "is empty",
            "unique": "is not unique",
            "between": f"is not between {' and '.join(bounds)}" if len(bounds) > 1 else one_bound,
            "one_of": f"is not one of {', '.join(self.values)}",
            "matches": f"is not {self.form}",
            "not_before": f"before {self.other}",
            "implies": f"but not {self.other}",
        }[self.kind]


@dataclass(frozen=True)
class Table:
    """One table of the common model, or the table of a custom object.

    Attributes:
        singular: the name of one row; `<singular>_key` is the key.
        body: the columns other than those that every table has.
        is_common: False for the table of a custom object.
        over_rows: SQL over all rows of a connection, `{rows}`, that fills columns that depend on several rows.
        over_rows_from: for each column that it fills, the columns that it reads.
    """

    name: str
    singular: str
    description: str
    body: tuple[Column, ...]
    body_rules: tuple[Rule, ...] = ()
    is_common: bool = True
    over_rows: str = ""
    # Says nothing about rows, so it is no part of the fingerprints that are made of `repr`.
    over_rows_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The name of the key column."""
        return f"{self.singular}_key"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in their order."""
        return (*_head(self), *self.body, *TAIL)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """All columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, those of every table included."""
        required = ("connection", "object", "source_id", self.key, "is_deleted", "batch_id")
        return (
            *(Rule("required", name, "error") for name in required),
            Rule("unique", self.key, "error"),
            Rule("not_before", "modified_at", other="created_at"),
            *self.body_rules,
        )

    @property
    def mappable(self) -> tuple[str, ...]:
        """The columns that a source field can feed."""
        free = [c.name for c in self.body if c.is_free and not c.name.endswith("_key")]
        return (*free, "created_at", "modified_at")


def _head(table: Table) -> tuple[Column, ...]:
    return (
        Column("connection", "VARCHAR", "Name of the connection that the row came through."),
        Column("object", "VARCHAR", "The vendor's name of the object that the row was read from."),
        Column("source_id", "VARCHAR", "The vendor's own id, exactly as given."),
        Column(
            table.key,
            "VARCHAR",
            "Key over all connections: connection, object and source_id, joined by colons. It never changes.",
        ),
    )


TAIL = (
    Column(
        "custom",
        "VARCHAR",
        "JSON text: every source field that has no column here, by API name, as text or null; also "
        "the original text of values that did not fit their column.",
    ),
    Column(
        "unconverted",
        "VARCHAR[]",
        "Source fields of this row whose text did not fit the type of their column; the column is "
        "NULL and the text stands in custom. NULL where all values fitted.",
    ),
    Column("created_at", INSTANT, "When the record was created in the CRM (UTC)."),
    Column("modified_at", INSTANT, "When the record was last changed in the CRM (UTC)."),
    Column("is_deleted", "BOOLEAN", "Whether the record is deleted in the CRM."),
    Column("merged_into", "VARCHAR", "Key of the record that this one was merged into, if any."),
    Column("batch_id", "VARCHAR", "The landed batch that the row was read from; see ops.batches."),
)


def text(name: str, description: str) -> Column:
    """Return a column of text."""
    return Column(name, "VARCHAR", description)


def money(name: str, description: str) -> Column:
    """Return a column of amounts; their currency is in the column `currency`."""
    return Column(name, MONEY, f"{description} In `currency`.")


def instant(name: str, description: str) -> Column:
    """Return a column of instants."""
    return Column(name, INSTANT, f"{description} UTC.")


def day(name: str, description: str) -> Column:
    """Return a column of calendar days."""
    return Column(name, "DATE", description)


def account_day(name: str, description: str) -> Column:
    """Return a column of days that some CRMs give as instants; the day is that in the account's time zone."""
    zone = "Made from an instant, it is the day in ops.connections.time_zone."
    return Column(name, "DATE", f"{description} {zone}")


def flag(name: str, description: str) -> Column:
    """Return a column of truth values; NULL means unknown."""
    return Column(name, "BOOLEAN", f"{description} NULL is unknown.")


def whole(name: str, description: str) -> Column:
    """Return a column of whole numbers."""
    return Column(name, "BIGINT", description)


def price(name: str, description: str) -> Column:
    """Return a column of prices per piece, which may be tiny fractions of the currency's unit."""
    return Column(name, PRECISE, f"{description} In `currency`.")


def texts(name: str, description: str) -> Column:
    """Return a column of lists of texts; NULL where there are none."""
    return Column(name, TEXTS, description)


def number(name: str, description: str) -> Column:
    """Return a column of numbers that are measured rather than counted."""
    return Column(name, "DOUBLE", description)


def reference(name: str, table: str, description: str) -> tuple[Column, Column]:
    """Return the columns of a reference: the vendor's id and our key of the record that it refers to."""
    where = f" Joins {table}." if table else ""
    return (
        Column(f"{name}_source_id", "VARCHAR", f"{description} The vendor's id."),
        Column(f"{name}_key", "VARCHAR", f"{description} Our key.{where}", refers_to=table),
    )


def looked_up(columns: Iterable[Column], table: str, by: str, **values: str) -> tuple[Column, ...]:
    """Return columns whose gaps are filled from the row of another table that has the same text in a column.

    Args:
        columns: the columns.
        table: the other table.
        by: the column of the own row with the text.
        **values: `name`, the other table's column with the text; and for each column the one with its value.
    """
    name = values.pop("name")
    return tuple(
        replace(column, lookup=Lookup(table, values[column.name], name, by))
        if column.name in values
        else column
        for column in columns
    )


def user_reference(name: str, description: str) -> tuple[Column, ...]:
    """Return the columns of a reference to a user; some vendors refer to users by the id of their login."""
    columns = reference(name, "users", description)
    keys = {f"{name}_key": "user_key"}
    return looked_up(columns, "users", f"{name}_source_id", name="login_id", **keys)


CREATED_BY = user_reference("created_by", "The user who created the record.")
PAGE = text(URL, "Address at which a browser shows the record in the CRM.")
LAST_ACTIVITY = (
    account_day("last_activity_on", "Day of the latest activity that the CRM counts."),
    instant("last_activity_at", "When that was, where the CRM says it."),
)


def stage_label(stage: str) -> Column:
    """Return the column with the label of a stage whose API name is in another column."""
    return Column(
        f"{stage}_label",
        "VARCHAR",
        f"The {stage} as people call it: stages.label, or the CRM's own name where that is not known.",
        stage,
        is_label=True,
    )


def points(name: str, members: Iterable[tuple[str, str]], description: str) -> Column:
    """Return a column of lists of contact points made of other columns, each `(column, label)`, best one first."""
    listed = list(members)
    if len(listed) == 1:
        column, label = listed[0]
        entry = f"{{'value': {column}, 'label': '{label}', 'is_primary': true}}"
        alone = f"CASE WHEN {column} IS NULL THEN [] ELSE [{entry}] END"
        return Column(name, POINTS, description, alone)
    entries = []
    taken: list[str] = []
    for column, label in listed:
        first = " AND ".join([f"{column} IS NOT NULL", *(f"{c} IS NULL" for c in taken)])
        entries.append(f"{{'value': {column}, 'label': '{label}', 'is_primary': {first}}}")
        taken.append(column)
    expression = f"list_filter([{', '.join(entries)}], lambda p: p.value IS NOT NULL)"
    return Column(name, POINTS, description, expression)
