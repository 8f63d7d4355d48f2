"""Bring a copy of an earlier file up to date: rows of changed keys are replaced, small tables are written again.

Everything is as in a file that is built from nothing, except the order of rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.verified_tables import CONTACT_POINTS
from crm_pipeline.stages.published.added import SOURCES, Added
from crm_pipeline.stages.published.affected import NONE, Affected, Comparison
from crm_pipeline.stages.published.basis import Basis, shapes_of
from crm_pipeline.stages.published.build import DATABASE, LEFT_OUT, Build, Made
from crm_pipeline.stages.published.carried import Carried, ChangedRows
from crm_pipeline.stages.published.consistency import columns_read
from crm_pipeline.stages.published.derived import MERGES, Derived
from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.stages.published.history import SCHEMA as HISTORY_SCHEMA
from crm_pipeline.stages.published.history import HistoryTable
from crm_pipeline.stages.published.rates import POINT
from crm_pipeline.stages.published.relations import PublishedTable, connection_of, published_tables
from crm_pipeline.stages.published.stage_tables import StageRows, stage_tables
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.changes import changes_since
from crm_pipeline.store.tables.corruption import check_paths, check_versions
from crm_pipeline.store.tables.engine import parquet_files

WHOLE_ABOVE = 0.1
"""Of a table of which more than this share of the rows is affected all rows are written again."""
FULL_ABOVE = 0.3
"""Where more than this share of all rows would be written, a build from nothing costs less."""
_FEW_KEYS = 1_000
"""So many keys are replaced one by one in tables of any size."""
_FEW_ROWS = 50_000
"""With fewer rows than these a copy costs less than creating all tables, however many rows change."""
_ASSOCIATIONS = "associations"
_OF_POINTS = "record_key, table_name, kind, value, position, is_primary, verdict, normalized"


@dataclass
class Increment:
    """The difference between an earlier file and a build.

    Args:
        build: what is to be published.
        basis: what the earlier file was built from.
    """

    build: Build
    basis: Basis
    _affected: dict[str, Affected] = field(default_factory=dict)

    def prepare(self) -> str:
        """Compute what is affected; return why a build from nothing is better, or "".

        Raises:
            StoreError: versions of the earlier release are gone.
        """
        before = {table.name: table for table in self._before}
        now = {table.name: table for table in self.build.published}
        self._comparison = Comparison(self.build.engine, self.build.tables, now, before)
        for table in self.build.plain:
            self._affected[table.name] = self._bounded(self._comparison.of(table.name), table)
        earlier = {rows.name: rows for rows in stage_tables(self.build.tables, self.basis.held)}
        for rows in self.build.of_stages:
            of_rows = self._comparison.of_stage(rows, earlier[rows.name])
            self._affected[rows.name] = self._bounded(of_rows, rows)
        self._check_files()
        every: list[PublishedTable | StageRows] = [*self.build.plain, *self.build.of_stages]
        total = sum(_size(table) for table in every)
        affected = {table.name: self._affected[table.name] for table in every}
        written = sum(
            _size(table) if affected[table.name].is_all else affected[table.name].count
            for table in every
        )
        if written > max(FULL_ABOVE * total, _FEW_ROWS):
            return f"{written:,} of {total:,} rows may differ"
        return ""

    def _check_files(self) -> None:
        """Make sure that the files which are going to be read are as they were written; the base only where all is."""
        every: list[PublishedTable | StageRows] = [*self.build.plain, *self.build.of_stages]
        for table in every:
            affected = self._affected[table.name]
            if affected.is_all:
                check_versions(self.build.tables, table.versions)
            elif not affected.is_none:
                for version in table.versions:
                    check_paths(self.build.tables, version, (*version.delta, *version.tombstones))

    @property
    def _before(self) -> Sequence[PublishedTable]:
        return published_tables(self.build.tables, self.basis.held, self.basis.currencies)

    def _bounded(self, affected: Affected, table: PublishedTable | StageRows) -> Affected:
        if affected.count > max(WHOLE_ABOVE * _size(table), _FEW_KEYS):
            return Affected(None)
        return affected

    def apply(self, path: Path) -> Made:
        """Bring a copy of the earlier file up to date; `prepare` has to be called before."""
        build, run = self.build, self.build.engine.run
        target = EmptyTables(build.engine, DATABASE)
        with build.attached(path):
            run("BEGIN")
            self._replace_views(target)
            for rows in build.of_stages:
                self._apply_stage(rows)
            for table in build.plain:
                self._gather(table)
            own = {table.name: self._comparison.own(table.name) for table in build.published}
            moved = self._apply_merges(build.merges, own)
            self._follow(moved)
            for table in self.build.plain:
                self._apply(table)
            for history in self.build.histories:
                self._apply_history(history, moved)
            bridges = [table for table in build.derived if table.is_bridge]
            same = {one.name for one in bridges if not self._apply_bridge(one, own, moved)}
            reached("snapshot_copy", "applied")
            findings = build.finish(target, self._carried(same))
            counted = self._counted()
            for bridge in (t for t in build.derived if t.is_bridge and t.name not in same):
                # A full build that follows makes a table of this name.
                run(f"DROP VIEW IF EXISTS {quoted(bridge.relation)}")
        deleted = {table.deleted_name: table.name for table in build.plain}
        return Made(
            {name: rows for name, rows in counted.items() if name not in deleted},
            {deleted[name]: rows for name, rows in counted.items() if name in deleted},
            findings,
        )

    def _replace_views(self, target: EmptyTables) -> None:
        now = shapes_of(self.build.views)
        for view in self.build.views:
            name = f"{view.schema}.{view.name}"
            if now[name] != self.basis.views.get(name):
                target.replace_view(view)
        for name in self.basis.views.keys() - now.keys():
            schema, _, view_name = name.partition(".")
            self.build.engine.run(f"DROP VIEW {DATABASE}.{quoted(schema)}.{quoted(view_name)}")

    def _apply_stage(self, rows: StageRows) -> None:
        affected = self._affected[rows.name]
        if affected.is_none:
            return
        if affected.is_all or rows.version is None:
            self._rewrite(rows.name, rows.sql)
            return
        key, target = (
            ", ".join(map(quoted, rows.version.key)),
            f"{DATABASE}.crm.{quoted(rows.name)}",
        )
        fresh = self.build.engine.table(
            f"new {rows.name}", rows.with_rows(self._rows_of(rows.version, affected.keys or ""))
        )
        if rows.name == CONTACT_POINTS.name:
            self.build.engine.table(
                f"before {rows.name}",
                f"SELECT {POINT} FROM {target} SEMI JOIN {affected.keys} USING ({key})",
            )
        self._delete(rows.name, affected, key)
        self.build.engine.run(f"INSERT INTO {target} FROM {fresh}")

    def _carried(self, same_bridges: set[str]) -> Carried:
        """Return what of the earlier file still counts, once all rows are replaced."""
        same = {name for name, affected in self._affected.items() if affected.is_none}
        changed = {
            table.name: ChangedRows(
                f"(FROM {quoted(f'before {table.name}')} WHERE _is_live)",
                quoted(f"new {table.name}"),
                self._is_steady(table),
            )
            for table in self.build.plain
            if not (self._affected[table.name].is_none or self._affected[table.name].is_all)
        }
        points = self._affected[CONTACT_POINTS.name]
        replaced = (f"before {CONTACT_POINTS.name}", f"new {CONTACT_POINTS.name}")
        nothing = f"(SELECT * FROM {DATABASE}.crm.{quoted(CONTACT_POINTS.name)} WHERE false)"
        return Carried(
            same | same_bridges,
            changed,
            None
            if points.is_all
            else (nothing, nothing)
            if points.is_none
            else (quoted(replaced[0]), quoted(replaced[1])),
        )

    def _is_steady(self, table: PublishedTable) -> bool:
        """Say whether the same records of a table are live and deleted as before."""
        key = quoted(table.key)
        now = " UNION ALL ".join(
            f"SELECT {key}, {is_live} AS _is_live FROM {quoted(f'new {name}')}"
            for name, is_live in ((table.name, "true"), (table.deleted_name, "false"))
        )
        was = f"SELECT {key}, _is_live FROM {quoted(f'before {table.name}')}"
        both = f"(({now}) EXCEPT ({was})) UNION ALL (({was}) EXCEPT ({now}))"
        return not self.build.engine.rows(f"SELECT 1 FROM ({both}) LIMIT 1")

    def _gather(self, table: PublishedTable) -> None:
        """Keep the affected rows of a table as they were in the earlier file, and as they are now."""
        affected, engine = self._affected[table.name], self.build.engine
        if affected.is_none or affected.is_all:
            return
        key = quoted(table.key)
        # What rows, links and merges were before is needed afterwards.
        wanted = {table.key, "merged_into", "connection"} | columns_read(table.name)
        wanted |= {name for added in table.added for name in (added.by, *added.columns)}
        if table.name == _ASSOCIATIONS:
            wanted |= {"from_table", "from_key", "to_table", "to_key"}
        kept = ", ".join(quoted(name) for name, _, _ in table.columns if name in wanted)
        both = " UNION ALL ".join(
            f"SELECT {kept}, {is_live} AS _is_live FROM {DATABASE}.crm.{quoted(name)} "
            f"SEMI JOIN {affected.keys} USING ({key})"
            for name, is_live in ((table.name, "true"), (table.deleted_name, "false"))
        )
        engine.table(f"before {table.name}", both)
        engine.table(
            f"rows of {table.name}",
            " UNION ALL BY NAME ".join(
                f"SELECT * FROM {self._rows_of(version, keys)}"
                for version, keys in self._by_connection(table, affected)
            ),
        )

    def _follow(self, moved: str) -> None:
        """Let references follow the merges; rows that refer to records whose merges changed are affected, too."""
        engine, self.build = self.build.engine, self.build.following_merges()
        if not moved:
            return
        keys = engine.table(
            "keys of moved merges", f"SELECT old_key FROM {moved} UNION SELECT new_key FROM {moved}"
        )
        for table in self.build.plain:
            affected = self._affected[table.name]
            if not table.references or affected.is_all:
                continue
            refers = " OR ".join(f"{quoted(name)} IN (FROM {keys})" for name in table.references)
            found = [
                f"SELECT {quoted(table.key)} FROM {DATABASE}.crm.{quoted(name)} WHERE {refers}"
                for name in (table.name, table.deleted_name)
            ]
            if affected.keys:
                found.append(f"SELECT {quoted(table.key)} FROM {affected.keys}")
            made = engine.table(f"affected by merges {table.name}", " UNION ".join(found))
            [count] = engine.row(f"SELECT count(*) FROM {made}")
            self._affected[table.name] = self._bounded(Affected(made, int(count)), table)
            self._gather(table)

    def _apply(self, table: PublishedTable) -> None:
        affected, engine = self._affected[table.name], self.build.engine
        if affected.is_none:
            return
        if affected.is_all:
            self._rewrite(table.name, table.live_sql)
            self._rewrite(table.deleted_name, table.deleted_sql)
            return
        restricted = self._restricted(table, affected, quoted(f"rows of {table.name}"))
        for name, sql in (
            (table.name, restricted.live_sql),
            (table.deleted_name, restricted.deleted_sql),
        ):
            made = engine.table(f"new {name}", sql)
            self._delete(name, affected, quoted(table.key))
            engine.run(f"INSERT INTO {DATABASE}.crm.{quoted(name)} FROM {made}")

    def _apply_history(self, history: HistoryTable, moved: str) -> None:
        """Bring the stored versions of a table's records up to date.

        Versions get labels and amounts from other tables: where those changed, all versions are written.
        """
        engine, key = self.build.engine, quoted(history.table.key)
        target = f"{DATABASE}.{HISTORY_SCHEMA}.{quoted(history.stored_name)}"
        found: list[str] = []
        is_whole = (
            self._affected[history.table.name].is_all
            or self._comparison.depends_on_changes(history.table.name)
            or bool(moved and history.table.references)
        )
        for version in history.stored:
            before = self.basis.tables.get(version.name)
            if version.version == before or is_whole:
                continue
            changes = changes_since(self.build.tables, version, before or "")
            is_whole = is_whole or changes.is_all or version.key != (history.table.key,)
            if not changes.is_none and not changes.is_all:
                found.append(f"SELECT {key} FROM {changes.relation}")
        if is_whole:
            engine.run(f"DELETE FROM {target}")
            engine.run(f"INSERT INTO {target} {history.stored_sql}")
        elif found:
            keys = engine.table(f"changed versions of {history.table.name}", " UNION ".join(found))
            engine.run(f"DELETE FROM {target} WHERE {key} IN (FROM {keys})")
            engine.run(f"INSERT INTO {target} {replace(history, keys=keys).stored_sql}")

    def _restricted(self, table: PublishedTable, affected: Affected, given: str) -> PublishedTable:
        """Return a table with the affected rows only; contact points are those of these records."""
        left = self._without_points(table, affected) if table.added else ""
        added = tuple(
            replace(columns, given=self._points_of(columns, table, left)) for columns in table.added
        )
        return replace(table, given=given, added=added)

    def _without_points(self, table: PublishedTable, affected: Affected) -> str:
        """Compute the points of affected records whose points stayed, but whose earlier row does not tell of them."""
        key = quoted(table.key)
        is_same = " AND ".join(
            f"b.{quoted(by)} IS NOT DISTINCT FROM r.{quoted(by)}"
            for by in (columns.by for columns in table.added)
        )
        known = (
            f"SELECT b.{key} FROM {quoted(f'before {table.name}')} b "
            f"JOIN {quoted(f'rows of {table.name}')} r USING ({key}) WHERE b._is_live AND {is_same}"
        )
        if self._affected[CONTACT_POINTS.name].is_all:  # those of all records were written again
            known += " AND false"
        left = self.build.engine.table(
            f"records of {table.name} with points",
            f"SELECT {key} AS record_key FROM {affected.keys} "
            f"WHERE {key} NOT IN ({known}) AND {key} NOT IN (FROM {self._keys_of_points()})",
        )
        # Most edits leave these columns alone.
        limited = "" if self.build.engine.rows(f"SELECT 1 FROM {left} LIMIT 1") else " WHERE false"
        return self.build.engine.table(
            f"points of {table.name}",
            f"SELECT {_OF_POINTS} FROM {DATABASE}.crm.{quoted(CONTACT_POINTS.name)} "
            f"SEMI JOIN {left} USING (record_key){limited}",
        )

    def _points_of(self, columns: Added, table: PublishedTable, left: str) -> str:
        """Return a relation with the points that count for added columns: new ones, those of earlier rows, and `left`."""
        engine, key = self.build.engine, quoted(table.key)
        parts = [f"SELECT {_OF_POINTS} FROM {left}"]
        if not self._affected[CONTACT_POINTS.name].is_none:
            parts.append(f"SELECT {_OF_POINTS} FROM {quoted(f'new {CONTACT_POINTS.name}')}")
        sources = {source: name for name, (_, source) in SOURCES.items() if name in columns.columns}
        kind, _ = SOURCES[columns.columns[0]]
        verdicts = ", ".join(f"b.{quoted(name)} AS {source}" for source, name in sources.items())
        parts.append(
            f"SELECT b.{key} AS record_key, {literal(table.name)} AS table_name, {literal(kind)} AS kind, "
            f"b.{quoted(columns.by)} AS value, 1 AS position, true AS is_primary, {verdicts} "
            f"FROM {quoted(f'before {table.name}')} b WHERE b._is_live "
            f"AND b.{key} NOT IN (FROM {self._keys_of_points()}) AND b.{key} NOT IN (FROM {quoted(f'records of {table.name} with points')})"
        )
        return engine.table(f"points behind {columns.by}", " UNION ALL BY NAME ".join(parts))

    def _keys_of_points(self) -> str:
        """Return a relation with the keys of the records whose points were replaced."""
        affected = self._affected[CONTACT_POINTS.name]
        return affected.keys or "(SELECT '' AS record_key WHERE false)"

    def _by_connection(
        self, table: PublishedTable, affected: Affected
    ) -> Iterator[tuple[TableVersion, str]]:
        """Yield each version with those of the affected keys that are of its connection."""
        key = quoted(table.key)
        if len(table.versions) == 1:
            yield table.versions[0], affected.keys or ""
            return
        for place, version in enumerate(table.versions):
            prefix = literal(f"{connection_of(version)}:")
            yield (
                version,
                self.build.engine.table(
                    f"affected {table.name} {place}",
                    f"SELECT {key} FROM {affected.keys} WHERE starts_with({key}, {prefix})",
                ),
            )

    def _rows_of(self, version: TableVersion, keys: str) -> str:
        """Return a relation with a version's rows of some keys; the base is read only where it may have any."""
        engine, key = self.build.engine, ", ".join(map(quoted, version.key))
        replaced = [
            f"SELECT {key} FROM {parquet_files(paths)}"
            for paths in (version.delta, version.tombstones)
            if paths
        ]
        if version.delta and replaced:
            others = f"FROM {keys} ANTI JOIN ({' UNION ALL '.join(replaced)}) USING ({key})"
            if not engine.rows(f"{others} LIMIT 1") or not self._is_in_base(version, others, key):
                return f"(FROM {parquet_files(version.delta)} SEMI JOIN {keys} USING ({key}))"
        check_paths(self.build.tables, version, version.base)
        return f"(FROM {Tables.relation(version)} SEMI JOIN {keys} USING ({key}))"

    def _is_in_base(self, version: TableVersion, keys: str, key: str) -> bool:
        check_paths(self.build.tables, version, version.base)
        in_base = f"SELECT 1 FROM {parquet_files(version.base)} SEMI JOIN ({keys}) USING ({key})"
        return bool(self.build.engine.rows(f"{in_base} LIMIT 1"))

    def _apply_merges(self, merges: Derived, own: Mapping[str, Affected]) -> str:
        """Bring the merges up to date; return a relation with the merges that are new or gone, "" without any."""
        engine, crm = self.build.engine, f"{DATABASE}.crm.{quoted(MERGES)}"
        if not self._has_merged(own):
            engine.table(merges.relation, f"FROM {crm}")
            return ""
        merges.prepare(engine)
        now = quoted(merges.relation)
        moved = engine.table(
            "moved merges",
            f"(FROM {crm} EXCEPT FROM {now}) UNION ALL (FROM {now} EXCEPT FROM {crm})",
        )
        if not engine.rows(f"SELECT 1 FROM {moved} LIMIT 1"):
            return ""
        self._rewrite(MERGES, merges.sql)
        return moved

    def _has_merged(self, own: Mapping[str, Affected]) -> bool:
        """Say whether a record that changed is or was merged into another."""
        for table in self.build.published:
            affected = own[table.name]
            if affected.is_none:
                continue
            if table.name == MERGES or self._affected[table.name].is_all:
                return True
            for rows in (f"before {table.name}", f"rows of {table.name}"):
                if self.build.engine.rows(
                    f"SELECT 1 FROM {quoted(rows)} WHERE merged_into IS NOT NULL LIMIT 1"
                ):
                    return True
        return False

    def _apply_bridge(self, bridge: Derived, own: Mapping[str, Affected], moved: str) -> bool:
        """Bring a bridge up to date; return whether pairs of it may have changed."""
        engine = self.build.engine
        left, right, links, _ = bridge.sources
        changed = [
            self._affected[name] if not own[name].is_none else NONE for name in (left, right, links)
        ]
        if not moved and all(affected.is_none for affected in changed):
            return False
        target, out = f"{DATABASE}.crm.{quoted(bridge.name)}", f"{DATABASE}.ops.{LEFT_OUT.name}"
        if any(affected.is_all for affected in changed):
            bridge.prepare(engine)
            engine.run(f"DELETE FROM {target}")
            engine.run(f"DELETE FROM {out} WHERE table_name = {literal(bridge.name)}")
        else:
            self._limit(bridge, own, moved)
            bridge.prepare_narrow(engine)
            for table, columns, more in (
                (target, bridge.key, ""),
                (out, ("left_key", "right_key"), f"table_name = {literal(bridge.name)} AND "),
            ):
                engine.run(
                    f"DELETE FROM {table} WHERE {more}({quoted(columns[0])} IN (FROM {quoted(bridge.lefts)}) "
                    f"OR {quoted(columns[1])} IN (FROM {quoted(bridge.rights)}))"
                )
        engine.run(f"INSERT INTO {target} {bridge.sql}")
        engine.run(f"INSERT INTO {out} {bridge.left_out}")
        # The rules count all pairs.
        engine.run(f"DROP TABLE IF EXISTS {quoted(bridge.relation)}")
        engine.view(bridge.relation, self._pairs_now(bridge))
        return True

    def _pairs_now(self, bridge: Derived) -> str:
        """Return SQL for all pairs in the file, in the columns of `Derived.made`."""
        left, right = map(quoted, bridge.key)
        return (
            f"SELECT connection, {left}, {right}, NULL AS missing FROM {DATABASE}.crm.{quoted(bridge.name)} "
            f"UNION ALL SELECT connection, left_key, right_key, missing FROM {DATABASE}.ops.{LEFT_OUT.name} "
            f"WHERE table_name = {literal(bridge.name)}"
        )

    def _limit(self, bridge: Derived, own: Mapping[str, Affected], moved: str) -> None:
        """Name the left and right keys whose pairs may differ, as they are and after merges."""
        left, right, links, _ = bridge.sources
        tables = {table.name: table for table in self.build.published}
        nothing = "SELECT NULL::VARCHAR AS key WHERE false"
        for name, scope, end in ((left, bridge.lefts, "left"), (right, bridge.rights, "right")):
            found = [nothing]
            if not own[name].is_none:
                found.append(f"SELECT {quoted(tables[name].key)} FROM {own[name].keys}")
            if moved:
                ours = f"FROM {moved} WHERE table_name = {literal(name)}"
                found += [f"SELECT old_key {ours}", f"SELECT new_key {ours}"]
            if end == "left" and not own[links].is_none:
                for rows in (f"before {links}", f"rows of {links}"):
                    for own_end, other in (("from", "to"), ("to", "from")):
                        found.append(
                            f"SELECT {own_end}_key FROM {quoted(rows)} "
                            f"WHERE {own_end}_table = {literal(left)} AND {other}_table = {literal(right)}"
                        )
            keys = " UNION ".join(found)
            merged = quoted(f"made {MERGES}")
            self.build.engine.table(
                scope,
                f"WITH keys(key) AS ({keys}) SELECT key FROM keys WHERE key IS NOT NULL UNION SELECT m.new_key FROM {merged} m "
                f"SEMI JOIN keys k ON k.key = m.old_key AND m.table_name = {literal(name)}",
            )

    def _rewrite(self, name: str, sql: str) -> None:
        target = f"{DATABASE}.crm.{quoted(name)}"
        self.build.engine.run(f"DELETE FROM {target}")
        self.build.engine.run(f"INSERT INTO {target} {sql}")

    def _delete(self, name: str, affected: Affected, key: str) -> None:
        """Delete the rows of affected keys; `key` lists the key columns."""
        target = f"{DATABASE}.crm.{quoted(name)}"
        self.build.engine.run(
            f"DELETE FROM {target} WHERE ({key}) IN (SELECT {'(' + key + ')' if ',' in key else key} FROM {affected.keys})"
        )

    def _counted(self) -> dict[str, int]:
        names = [table.name for table in self.build.plain]
        names += [rows.name for rows in self.build.of_stages]
        names += [made.name for made in self.build.derived]
        names += [table.deleted_name for table in self.build.plain]
        union = " UNION ALL ".join(
            f"SELECT {literal(name)}, count(*) FROM {DATABASE}.crm.{quoted(name)}" for name in names
        )
        return dict(self.build.engine.rows(union))


def _size(table: PublishedTable | StageRows) -> int:
    return sum(version.rows for version in table.versions)
