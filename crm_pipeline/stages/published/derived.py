"""Tables that are derived from others: bridges, with one row per pair of linked records, and merges.

A CRM states a link at either end, several times with several labels, or as a column of one end. A bridge has it once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.table import TEXTS
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.store.tables.engine import Engine

MERGES = "merges"
PUBLISHED = "building.crm"
"""Schema `crm` of the file that is being built."""
_NO_ROLES = ("Primary", "participant")
"""Labels that are no roles: the first repeats is_primary, the second is given to every listed person."""
_CONNECTION = ("connection", "VARCHAR", "Name of the connection that the rows came through.")


@dataclass(frozen=True)
class Derived:
    """A table of schema `crm` that is derived from other tables when they are published.

    Attributes:
        columns: name, type and description of each column.
        made: SQL that computes the rows; that of a bridge returns the pairs that are left out as well.
        is_bridge: whether `made` has a column `missing` with the reason why a pair is left out.
        identity: a text that changes when the rows may have changed.
        sources: the tables that it is derived from.
        narrow: like `made`, for the pairs only whose left key is in relation `lefts` or right key in `rights`.
    """

    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...]
    made: str
    identity: str
    is_bridge: bool = False
    sources: tuple[str, ...] = ()
    narrow: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The columns of a bridge that hold the keys of the left and the right record."""
        return self.columns[1][0], self.columns[2][0]

    @property
    def lefts(self) -> str:
        """The relation with the left keys that `narrow` is limited to."""
        return f"lefts of {self.name}"

    @property
    def rights(self) -> str:
        """The relation with the right keys that `narrow` is limited to."""
        return f"rights of {self.name}"

    @property
    def left_out(self) -> str:
        """SQL for the pairs that are left out, once all are prepared, in the columns of `LEFT_OUT`."""
        left, right = self.key
        return (
            f"SELECT {literal(self.name)} AS table_name, connection, {quoted(left)} AS left_key, "
            f"{quoted(right)} AS right_key, missing FROM {quoted(self.relation)} WHERE missing IS NOT NULL"
        )

    @property
    def relation(self) -> str:
        """The name of the relation that `prepare` creates."""
        return f"made {self.name}"

    @property
    def sql(self) -> str:
        """SQL for the rows, once they are prepared."""
        names = ", ".join(quoted(name) for name, _, _ in self.columns)
        condition = " WHERE missing IS NULL" if self.is_bridge else ""
        return f"SELECT {names} FROM {quoted(self.relation)}{condition}"

    def prepare(self, engine: Engine) -> None:
        """Compute the rows once, for the database and the file."""
        engine.table(self.relation, self.made)

    def prepare_narrow(self, engine: Engine) -> None:
        """Compute the rows that `narrow` is limited to."""
        engine.table(self.relation, self.narrow)


@dataclass(frozen=True)
class _Bridge:
    """How two tables are linked; `column` of the left one refers to the main record of the right one."""

    column: str
    about: str
    role: str
    primary: str


_BRIDGES = {
    "deal_contacts": _Bridge(
        "primary_contact_key",
        "The contacts of each deal",
        "What the contact is for the deal",
        "Whether it is the deal's main contact",
    ),
    "deal_companies": _Bridge(
        "company_key",
        "The companies of each deal",
        "What the company is for the deal",
        "Whether it is the company that buys",
    ),
    "contact_companies": _Bridge(
        "company_key",
        "The companies of each contact",
        "What the company is for the contact",
        "Whether it is the company that the person works for",
    ),
    "activity_contacts": _Bridge(
        "contact_key",
        "The contacts of each activity",
        "What the contact is for the activity",
        "Whether it is the activity's main contact",
    ),
}


def derived_tables(tables: Iterable[PublishedTable]) -> list[Derived]:
    """Return the merges of all tables, then the bridges, which use the merges."""
    by_name = {table.name: table for table in tables}
    merges = _merges(by_name)
    bridges = [_bridge(name, bridge, by_name, merges.relation) for name, bridge in _BRIDGES.items()]
    return [merges, *bridges]


def _bridge(
    name: str, bridge: _Bridge, tables: Mapping[str, PublishedTable], merges: str
) -> Derived:
    left, right, links, _ = (tables[source] for source in DERIVED[name])
    columns = (
        _CONNECTION,
        (left.key, "VARCHAR", f"Joins {left.name}."),
        (right.key, "VARCHAR", f"Joins {right.name}."),
        ("roles", TEXTS, f"{bridge.role}: all roles and labels of the link, sorted. Empty: none."),
        ("is_primary", "BOOLEAN", f"{bridge.primary}."),
    )
    about = (
        f"{bridge.about}, one row a pair: from associations of either end and {left.name}.{bridge.column}. Live "
        "records only; a link to a record that was merged is one to its survivor."
    )
    sources = (tables[source] for source in DERIVED[name])
    identity = fingerprint([columns, about, *(table.identity for table in sources)])
    ends = (left, right, links)
    made = _pairs(bridge, ends, merges)
    derived = Derived(name, about, columns, made, identity, is_bridge=True, sources=DERIVED[name])
    scope = f"WHERE left_key IN (FROM {quoted(derived.lefts)}) OR right_key IN (FROM {quoted(derived.rights)})"
    return replace(derived, narrow=_pairs(bridge, ends, merges, scope, PUBLISHED))


def _pairs(
    bridge: _Bridge,
    ends: tuple[PublishedTable, PublishedTable, PublishedTable],
    merges: str,
    scope: str = "",
    crm: str = "",
) -> str:
    """Return SQL for all pairs, or those that a condition leaves; `missing` says why a pair is left out, NULL where both records are live.

    The rows are those of the tables' versions, or of a published file whose schema `crm` is given.
    """
    left, right, links = ends
    if not (left.versions or links.versions):
        return (
            f"SELECT NULL::VARCHAR AS connection, NULL::VARCHAR AS {left.key}, NULL::VARCHAR AS {right.key}, "
            f"NULL::{TEXTS} AS roles, NULL::BOOLEAN AS is_primary, NULL::VARCHAR AS missing WHERE false"
        )
    side = "SELECT connection, {}, {}, role, is_primary, {} FROM links WHERE from_table = {} AND to_table = {}"
    of_left, of_right = literal(left.name), literal(right.name)
    no_roles = ", ".join(map(literal, _NO_ROLES))
    of_lefts, of_rights, of_links = (
        table.published_rows(crm) if crm else table.all_rows for table in (left, right, links)
    )
    return f"""
        WITH lefts AS NOT MATERIALIZED (
            SELECT connection, {left.key} AS left_key, {bridge.column} AS right_key, is_deleted IS TRUE AS is_gone
            FROM ({of_lefts})
        ),
        rights AS NOT MATERIALIZED (
            SELECT {right.key} AS right_key, is_deleted IS TRUE AS is_gone FROM ({of_rights})
        ),
        links AS NOT MATERIALIZED (
            SELECT connection, from_table, from_key, to_table, to_key, role, is_primary
            FROM ({of_links}) WHERE is_deleted IS NOT TRUE
        ),
        stated(connection, left_key, right_key, role, is_primary, is_forward) AS NOT MATERIALIZED (
            {side.format("from_key", "to_key", "true", of_left, of_right)}
            UNION ALL
            {side.format("to_key", "from_key", "false", of_right, of_left)}
            UNION ALL
            SELECT connection, left_key, right_key, NULL, true, NULL FROM lefts WHERE NOT is_gone
        ),
        merged AS NOT MATERIALIZED (
            -- An end that was not read since a merge still refers to the record that was merged.
            SELECT t.connection, coalesce(l.new_key, t.left_key) AS left_key,
                coalesce(r.new_key, t.right_key) AS right_key,
                CASE WHEN t.role NOT IN ({no_roles}) THEN t.role END AS role, t.is_primary, t.is_forward
            FROM stated t
            LEFT JOIN {quoted(merges)} l ON l.table_name = {of_left} AND l.old_key = t.left_key
            LEFT JOIN {quoted(merges)} r ON r.table_name = {of_right} AND r.old_key = t.right_key
        ),
        wanted AS NOT MATERIALIZED (SELECT * FROM merged {scope}),
        pairs AS NOT MATERIALIZED (
            SELECT connection, left_key, right_key,
                coalesce(bool_or(is_primary), false) AS is_primary,
                -- A label can have another name at the other end: that one counts where this end has none.
                coalesce(bool_or(is_forward), false) AS is_forward,
                list(role) FILTER (WHERE is_forward AND role <> '') AS forward,
                list(role) FILTER (WHERE NOT is_forward AND role <> '') AS backward
            FROM wanted
            WHERE left_key IS NOT NULL AND right_key IS NOT NULL
            GROUP BY connection, left_key, right_key
        )
        SELECT p.connection, p.left_key AS {left.key}, p.right_key AS {right.key},
            coalesce(
                list_sort(list_distinct(CASE WHEN p.is_forward THEN p.forward ELSE p.backward END)), []
            ) AS roles,
            p.is_primary,
            CASE
                WHEN l.left_key IS NULL OR r.right_key IS NULL THEN 'unknown'
                WHEN l.is_gone OR r.is_gone THEN 'deleted'
            END AS missing
        FROM pairs p
        LEFT JOIN lefts l ON l.left_key = p.left_key
        LEFT JOIN rights r ON r.right_key = p.right_key
    """


def _merges(tables: Mapping[str, PublishedTable]) -> Derived:
    columns = (
        _CONNECTION,
        ("table_name", "VARCHAR", "Table of schema crm that both belong to."),
        ("old_key", "VARCHAR", "Key of a record that was merged into another."),
        (
            "new_key",
            "VARCHAR",
            "Key of the record that has taken its place by now, after all later merges.",
        ),
    )
    sources = [
        f"SELECT connection, {literal(table.name)} AS table_name, {quoted(table.key)} AS old_key, "
        f"merged_into AS new_key FROM ({table.all_rows}) WHERE merged_into IS NOT NULL"
        for table in tables.values()
        if table.name != MERGES and table.versions
    ]
    merges = tables.get(MERGES)
    if merges is not None and merges.versions:
        sources.append(
            f"SELECT connection, table_name, old_key, new_key FROM ({merges.all_rows}) "
            "WHERE is_deleted IS NOT TRUE"
        )
    nothing = "SELECT * FROM (VALUES ('', '', '', '')) t(connection, table_name, old_key, new_key) WHERE false"
    made = f"""
        WITH RECURSIVE links AS MATERIALIZED (
            SELECT DISTINCT connection, table_name, old_key, new_key
            FROM ({" UNION ALL ".join((nothing, *sources))})
            WHERE old_key <> new_key
        ),
        chains AS (
            FROM links
            UNION
            SELECT c.connection, c.table_name, c.old_key, l.new_key
            FROM chains c JOIN links l ON l.old_key = c.new_key
        )
        -- The end of each chain of merges. A circle has no end, and gives no row.
        SELECT connection, table_name, old_key, min(new_key) AS new_key
        FROM chains
        WHERE new_key NOT IN (SELECT old_key FROM links)
        GROUP BY connection, table_name, old_key
    """
    about = "Keys from before a merge, each with the key of the record that took its place."
    identity = fingerprint([columns, *(table.identity for table in tables.values())])
    return Derived(MERGES, about, columns, made, identity, sources=tuple(tables))
