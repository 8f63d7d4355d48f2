"""Where records have their e-mail addresses and phone numbers, as SQL over normalized tables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import TABLES
from crm_pipeline.model.verified_tables import EMAIL, PHONE
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.lookup import rows_of

PERSONS = ("contacts", "leads")
"""Tables whose records are people who may be reached."""
_BLANK = r"^\s*$"


@dataclass(frozen=True)
class _Points:
    """The columns of a table that hold addresses or numbers.

    Attributes:
        listed: the column with the list of points; "" for none.
        single: further columns with one value each, with their label and whether they are the main one.
    """

    listed: str = ""
    single: tuple[tuple[str, str, bool], ...] = ()

    def parts(self) -> list[str]:
        """Return SQL for lists of `{value, label, is_primary}`."""
        singles = [
            f"[{{'value': {column}, 'label': {literal(label)}, 'is_primary': {is_primary}}}]"
            for column, label, is_primary in self.single
        ]
        return [*([f"coalesce({self.listed}, [])"] if self.listed else []), *singles]


_FAX = ("fax", "fax", False)
_SOURCES: Mapping[str, Mapping[str, _Points]] = {
    "contacts": {EMAIL: _Points("emails"), PHONE: _Points("phones", (_FAX,))},
    "leads": {EMAIL: _Points("emails"), PHONE: _Points("phones", (_FAX,))},
    "companies": {PHONE: _Points("", (("phone", "main", True), _FAX))},
    "users": {
        EMAIL: _Points("", (("email", "main", True),)),
        PHONE: _Points("", (("phone", "main", True), ("mobile_phone", "mobile", False))),
    },
}


@dataclass(frozen=True)
class Source:
    """The current version of a normalized table with addresses or numbers."""

    version: TableVersion

    @property
    def connection(self) -> str:
        """The connection that the rows came through."""
        return self.version.name.split("/")[1]

    @property
    def table(self) -> str:
        """The name of the table in schema `crm`."""
        return self.version.name.split("/")[2]

    @property
    def key(self) -> str:
        """The key column."""
        return TABLES[self.table].key

    @property
    def live(self) -> str:
        """SQL for the live rows."""
        return f"(SELECT * FROM {Tables.relation(self.version)} WHERE is_deleted IS NOT TRUE)"

    def live_of(self, engine: Engine, changed: str, before_base: Callable[[], None]) -> str:
        """Return SQL for the live rows of some records.

        Args:
            engine: runs the SQL.
            changed: relation with the keys of records of any table, `record_key`.
            before_base: called before the base files are read.
        """
        names = [obj["object"] for obj in self.version.meta.get("objects", ())]
        starts = [
            f"starts_with(record_key, {literal(f'{self.connection}:{name}:')})" for name in names
        ]
        own = f" WHERE {' OR '.join(starts)}" if starts else ""
        keys = f"(SELECT record_key AS {quoted(self.key)} FROM {changed}{own})"
        rows = rows_of(engine, self.version, keys, before_base=before_base)
        return f"(SELECT * FROM {rows} WHERE is_deleted IS NOT TRUE)"

    def countries(self, rows: str) -> str:
        """Return SQL for the countries that rows have; "" where the table has no country."""
        if "country" not in self._columns:
            return ""
        return f"SELECT DISTINCT country FROM {rows} WHERE country IS NOT NULL"

    @property
    def columns_read(self) -> str:
        """The columns that `points` and `countries` read, for SQL; lists stay as they are."""
        named = [self.key, "country", "emails", "phones", "email", "phone", "mobile_phone", "fax"]
        listed = [name for name in named if name in self._columns or name == self.key]
        return ", ".join(map(quoted, listed))

    @property
    def _columns(self) -> frozenset[str]:
        # Versions of earlier releases may lack a column.
        return frozenset(column["name"] for column in self.version.meta["columns"])

    def points(self, rows: str, regions: str, default_region: str) -> str:
        """Return SQL for the points of live records, blank ones left out.

        Args:
            rows: SQL for the live rows of these records.
            regions: relation with `country` and `region`.
            default_region: for records without a country.
        """
        country = "country" if "country" in self._columns else "NULL::VARCHAR AS country"
        kinds = " UNION ALL ".join(
            f"SELECT record_key, country, {literal(kind)} AS kind, points FROM (SELECT {quoted(self.key)} AS record_key, "
            f"{country}, list_concat({', '.join(parts)}) AS points FROM {rows})"
            for kind, columns in _SOURCES[self.table].items()
            if (parts := columns.parts())
        )
        region = f"CASE WHEN country IS NULL THEN {literal(default_region)} ELSE coalesce(region, '') END"
        return f"""
            SELECT {literal(self.connection)} AS connection, {literal(self.table)} AS table_name, record_key, kind,
                point.label AS label, point.value AS value, number, point.is_primary AS is_primary,
                CASE WHEN kind = '{PHONE}' THEN {region} END AS region
            FROM (
                SELECT record_key, country, kind, unnest(points) AS point,
                    generate_subscripts(points, 1) AS number
                FROM ({kinds})
            ) LEFT JOIN {regions} USING (country)
            WHERE point.value IS NOT NULL AND NOT regexp_matches(point.value, '{_BLANK}')
        """


def sources_of(tables: Tables, names: Iterable[str]) -> list[Source]:
    """Return the sources among normalized tables, by the names under which the store keeps them."""
    versions = (
        tables.version(name) for name in sorted(names) if name.rsplit("/", 1)[-1] in _SOURCES
    )
    return [Source(version) for version in versions if version is not None]


def countries_of(rows: Iterable[tuple[Source, str]]) -> str:
    """Return SQL for the distinct countries in rows of sources."""
    parts = [sql for source, live in rows if (sql := source.countries(live))]
    return " UNION ".join(parts) if parts else "SELECT ''::VARCHAR AS country WHERE false"
