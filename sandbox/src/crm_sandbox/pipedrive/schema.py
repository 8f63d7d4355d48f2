"""The schema of an object: its columns, how they are filled, and their form in responses."""

from dataclasses import dataclass, field

ADDRESS_PARTS = (
    "value",
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
)
ADDRESS = "STRUCT(" + ", ".join(f'"{part}" VARCHAR' for part in ADDRESS_PARTS) + ")"
POINTS = 'STRUCT("value" VARCHAR, "primary" BOOLEAN, "label" VARCHAR)[]'
INSTANT = "strftime({0}, '%Y-%m-%dT%H:%M:%SZ')"
INSTANT_V1 = "strftime({0}, '%Y-%m-%d %H:%M:%S')"


@dataclass(frozen=True)
class Kind:
    """One kind of value: the column's type and what the field metadata call it."""

    column: str
    field_type: str


KINDS = {
    "int": Kind("INTEGER", "int"),
    "ref": Kind("INTEGER", "int"),
    "user": Kind("INTEGER", "user"),
    "org": Kind("INTEGER", "org"),
    "people": Kind("INTEGER", "people"),
    "stage": Kind("INTEGER", "stage"),
    "enum": Kind("INTEGER", "enum"),
    "labels": Kind("INTEGER[]", "set"),
    "whole": Kind("BIGINT", "double"),
    "double": Kind("DOUBLE", "double"),
    "money": Kind("DOUBLE", "monetary"),
    "boolean": Kind("BOOLEAN", "boolean"),
    "varchar": Kind("VARCHAR", "varchar"),
    "choice": Kind("VARCHAR", "enum"),
    "status": Kind("VARCHAR", "status"),
    "visible_to": Kind("INTEGER", "visible_to"),
    "text": Kind("VARCHAR", "text"),
    "emails": Kind(POINTS, "varchar"),
    "phones": Kind(POINTS, "phone"),
    "address": Kind(ADDRESS, "address"),
    "date": Kind("DATE", "date"),
    "instant": Kind("TIMESTAMP", "date"),
    "uuid": Kind("VARCHAR", "varchar"),
    "uuids": Kind("VARCHAR[]", "set"),
    "participants": Kind('STRUCT("person_id" INTEGER, "primary" BOOLEAN)[]', "people"),
    "attendees": Kind("VARCHAR", "varchar"),
    "prices": Kind(
        'STRUCT("product_id" INTEGER, "price" DOUBLE, "currency" VARCHAR, "cost" DOUBLE, '
        '"direct_cost" DOUBLE, "notes" VARCHAR)[]',
        "price_list",
    ),
}


@dataclass(frozen=True)
class Column:
    """One column of an object.

    Attributes:
        name: what v2 calls it.
        kind: one of `KINDS`.
        sql: how the staged columns make its value.
        label: what people call it; by default made of the name.
        shown: `always`, `asked` (by include_fields), `sync` (with contact sync) or `never`.
        writable: whether clients may set it.
        computed: a column that is not stored: SQL over the record `r`.
        options: pairs of id and label, of a system field with options.
    """

    name: str
    kind: str
    sql: str = "NULL"
    label: str = ""
    shown: str = "always"
    writable: bool = False
    computed: str = ""
    options: tuple[tuple[int | str, str], ...] = ()

    @property
    def type(self) -> str:
        """The column's DuckDB type."""
        return KINDS[self.kind].column

    @property
    def field_type(self) -> str:
        """What the field metadata call the type."""
        return KINDS[self.kind].field_type

    @property
    def title(self) -> str:
        """What people call it."""
        return self.label or self.name.replace("_", " ").capitalize().removesuffix(" id")

    @property
    def shape(self) -> str:
        """SQL for its value in a v2 answer, over the record `r`."""
        if self.computed:
            return self.computed
        column = f'r."{self.name}"'
        if self.kind == "attendees":
            return f"{column}::JSON"
        return INSTANT.format(column) if self.kind == "instant" else column


@dataclass(frozen=True)
class Entity:
    """One object: where it is found and what may be asked of it.

    Attributes:
        name: its path segment and its table.
        singular: what searches, webhooks and recents call it.
        columns: in the order of answers.
        scope: the group that its OAuth scopes belong to.
        fields_path: where its field metadata are.
        filters: parameters that compare a column.
        sorts: what `sort_by` takes.
        period: which of `updated_since` and `updated_until` it takes.
        asks: further list parameters.
        end: what a last page has: a next_cursor of `null`, or no additional_data (`missing`).
        missing: the sentence of a 404.
        created: the status of a POST.
        v1: the v1 shape as pairs of name and SQL over `r`; empty where v1 does not have it.
        v1_from: joins that the v1 shape needs.
    """

    name: str
    singular: str
    columns: tuple[Column, ...]
    scope: str = "deals"
    fields_path: str = ""
    filters: dict[str, str] = field(default_factory=dict)
    sorts: tuple[str, ...] = ("id", "update_time", "add_time")
    period: tuple[str, ...] = ("updated_since", "updated_until")
    asks: tuple[str, ...] = ()
    end: str = "null"
    missing: str = "Entity was not found"
    created: int = 200
    v1: tuple[tuple[str, str], ...] = ()
    v1_from: str = ""

    def column(self, name: str) -> Column | None:
        """Return a column by its name."""
        return next((one for one in self.columns if one.name == name), None)

    @property
    def stored(self) -> list[Column]:
        """The columns that the table has."""
        return [one for one in self.columns if not one.computed]

    @property
    def has_custom(self) -> bool:
        """Whether records carry custom fields."""
        return bool(self.fields_path) and self.name != "activities"

    @property
    def is_binned(self) -> bool:
        """Whether records are deleted softly."""
        return self.column("is_deleted") is not None

    @property
    def key_type(self) -> str:
        """The type of the record ids."""
        return self.columns[0].type
