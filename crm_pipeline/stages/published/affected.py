"""Which rows of each published table may differ from those of an earlier file: their keys, or that any may.

A row depends on its own version, on what is looked up in other tables, on columns that stages add, and on what finishes
the table. For each of these the keys are computed, or, where a small table changed that any row may depend on, all
rows count as affected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.model.names import quoted
from crm_pipeline.stages.published.relations import LookedUp, PublishedTable
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.changes import changes_since
from crm_pipeline.store.tables.corruption import check_versions
from crm_pipeline.store.tables.engine import Engine

_BY_KEY = {"deal_stage_history": ("deals", "deal_key")}
"""Tables that are finished from another one row by row: the other table, and the column that joins it."""
_NOT_READ = frozenset({"batch_id", "created_at", "custom", "modified_at", "unconverted", "url"})
"""Columns of other tables that no step of a finish reads."""


@dataclass(frozen=True)
class Affected:
    """The rows of a table that may differ.

    Attributes:
        keys: a relation with their keys, each once; None: any row may differ.
        count: how many keys there are.
    """

    keys: str | None
    count: int = 0

    @property
    def is_all(self) -> bool:
        """Whether any row may differ."""
        return self.keys is None

    @property
    def is_none(self) -> bool:
        """Whether all rows are the same."""
        return self.keys is not None and self.count == 0


ALL = Affected(None)
NONE = Affected("", 0)


@dataclass
class Comparison:
    """Compares the tables of two releases.

    Args:
        engine: runs the SQL; the keys stay in it as temporary tables.
        tables: the store.
        now: the tables that are to be published.
        before: those of the earlier file.
    """

    engine: Engine
    tables: Tables
    now: Mapping[str, PublishedTable]
    before: Mapping[str, PublishedTable]
    _own: dict[str, Affected] = field(default_factory=dict)

    def of_stage(self, rows: StageRows, before: StageRows) -> Affected:
        """Return the affected rows of a table that a stage made."""
        if rows.version is None or before.version is None:
            return NONE if rows.version is before.version else ALL
        changed = self._keys_since(rows.version, before.version, rows.version.key)
        return ALL if changed is None else self._table(rows.name, rows.version.key, changed)

    def of(self, name: str) -> Affected:
        """Return the affected rows of a table of records."""
        now, before = self.now[name], self.before.get(name)
        own = self.own(name)
        if own.is_all or before is None or self._is_finished_anew(now, before):
            return ALL
        found = [own.keys] if own.keys else []
        for changed in (
            self._looked_up(now, before),
            self._added(now, before),
            self._joined(now),
        ):
            if changed is None:
                return ALL
            found += changed
        return self._table(name, (now.key,), found)

    def depends_on_changes(self, name: str) -> bool:
        """Say whether something changed that rows of a table get values from, beside their own version."""
        now, before = self.now[name], self.before.get(name)
        if before is None or now.columns != before.columns or self._is_finished_anew(now, before):
            return True
        old = {column.column: column for column in before.looked_up}
        return (
            old.keys() != {column.column for column in now.looked_up}
            or any(_ids(c.versions) != _ids(old[c.column].versions) for c in now.looked_up)
            or any(
                _ids(table.versions) != _ids(before.needed[other].versions)
                for other, table in now.needed.items()
                if name in _BY_KEY
            )
        )

    def own(self, name: str) -> Affected:
        """Return the rows of a table whose normalized rows changed."""
        if name not in self._own:
            self._own[name] = self._of_versions(name)
        return self._own[name]

    def _of_versions(self, name: str) -> Affected:
        now, before = self.now[name], self.before.get(name)
        if before is None:
            return ALL
        old = {version.name: version for version in before.versions}
        if old.keys() != {version.name for version in now.versions}:
            return ALL
        found: list[str] = []
        for version in now.versions:
            changed = self._keys_since(version, old[version.name], (now.key,))
            if changed is None:
                return ALL
            found += changed
        return self._table(f"own {name}", (now.key,), found)

    def _keys_since(
        self, now: TableVersion, before: TableVersion, key: Sequence[str]
    ) -> list[str] | None:
        if now.version == before.version:
            return []
        if now.key != tuple(key) or before.key != now.key:
            return None
        changes = changes_since(self.tables, now, before.version)
        if changes.is_all:
            return None
        return [] if changes.is_none else [changes.relation]

    def _looked_up(self, now: PublishedTable, before: PublishedTable) -> list[str] | None:
        old = {column.column: column for column in before.looked_up}
        if old.keys() != {column.column for column in now.looked_up}:
            return None
        return [
            relation
            for column in now.looked_up
            if _ids(column.versions) != _ids(old[column.column].versions)
            and (relation := self._with_another_value(now, column, old[column.column]))
        ]

    def _with_another_value(self, table: PublishedTable, now: LookedUp, before: LookedUp) -> str:
        """Return a relation with the keys of rows whose text is looked up with another result; "" if there is none."""
        check_versions(self.tables, (*now.versions, *before.versions))
        name = quoted(now.lookup.name)
        differing = self.engine.table(
            f"looked up anew {table.name} {now.column}",
            f"SELECT DISTINCT connection, {name} AS name FROM (({now.found} EXCEPT {before.found}) UNION ALL "
            f"({before.found} EXCEPT {now.found}))",
        )
        if not self._count(differing):
            return ""
        check_versions(self.tables, table.versions)
        return (
            f"(SELECT t.{quoted(table.key)} FROM ({table.all_rows}) t SEMI JOIN {differing} d "
            f"ON d.connection = t.connection AND d.name = t.{quoted(now.lookup.by)})"
        )

    def _added(self, now: PublishedTable, before: PublishedTable) -> list[str] | None:
        if not now.added and not before.added:
            return []
        if not now.added or not before.added:
            return None
        # All columns of a table are taken from one version of the contact points.
        changed = self._keys_since(now.added[0].version, before.added[0].version, ("record_key",))
        return changed and [
            f"(SELECT record_key AS {quoted(now.key)} FROM {relation})" for relation in changed
        ]

    def _joined(self, now: PublishedTable) -> list[str] | None:
        if now.name not in _BY_KEY or now.finish is None:
            return []
        other, column = _BY_KEY[now.name]
        changed = self.own(other)
        if changed.is_all:
            return None
        if changed.is_none:
            return []
        check_versions(self.tables, now.versions)
        key = quoted(self.now[other].key)
        rows = f"({now.all_rows}) t SEMI JOIN {changed.keys} c ON c.{key} = t.{quoted(column)}"
        return [f"(SELECT t.{quoted(now.key)} FROM {rows})"]

    def _is_finished_anew(self, now: PublishedTable, before: PublishedTable) -> bool:
        """Say whether something changed that any row may be finished from: accounts, pick lists, small tables."""
        if now.finish is None or before.finish is None:
            return now.finish is not before.finish
        by = now.finish.by
        if now.accounts != before.accounts or (by and now.options(by) != before.options(by)):
            return True
        joined = _BY_KEY.get(now.name, ("", ""))[0]
        return any(
            self._differs(table, before.needed[name])
            for name, table in now.needed.items()
            if name != joined
        )

    def _differs(self, now: PublishedTable, before: PublishedTable) -> bool:
        if _ids(now.versions) == _ids(before.versions):
            return False
        if now.columns != before.columns:
            return True
        check_versions(self.tables, (*now.versions, *before.versions))
        listed = ", ".join(quoted(name) for name, _, _ in now.columns if name not in _NOT_READ)
        rows = [f"SELECT {listed} FROM ({table.all_rows})" for table in (now, before)]
        both = f"({rows[0]} EXCEPT ALL {rows[1]}) UNION ALL ({rows[1]} EXCEPT ALL {rows[0]})"
        return bool(self.engine.rows(f"SELECT 1 FROM ({both}) LIMIT 1"))

    def _table(self, name: str, key: Sequence[str], relations: Sequence[str]) -> Affected:
        if not relations:
            return NONE
        listed = ", ".join(map(quoted, key))
        union = " UNION ".join(f"SELECT {listed} FROM {relation}" for relation in relations)
        made = self.engine.table(f"affected {name}", union)
        return Affected(made, self._count(made))

    def _count(self, relation: str) -> int:
        return int(self.engine.row(f"SELECT count(*) FROM {relation}")[0])


def _ids(versions: Sequence[TableVersion]) -> list[tuple[str, str]]:
    return sorted((version.name, version.version) for version in versions)
