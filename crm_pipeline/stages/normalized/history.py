"""The history of a table: one row per version of each record that has had more than one.

A table `history/<connection>/<table>` has the versions of records that were changed, deleted or restored since they were
read first. A record without such rows has one version: its row in the table, valid from its modification time. So a
first load writes no history, and a refresh writes the versions of the records that it brought.

Versions are computed from all landed versions of those records, see `landed_versions` and `timeline`, and from stored
ones whose landed rows are gone. So a build that begins from nothing gives the same rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import structlog

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized.contract import column_schema
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.landed_versions import (
    absences,
    files_of,
    landed_keys,
    merged_ids,
    merges,
    proofs,
    typed_versions,
)
from crm_pipeline.stages.normalized.number_formats import NumberFormats, stored_formats
from crm_pipeline.stages.normalized.timeline import LANDED, MARK, MERGED, STATE, VALIDITY, timeline
from crm_pipeline.stages.normalized.unreadable import unreadable
from crm_pipeline.stages.normalized.versions import HAS_ID
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_replaced

HISTORY = "history/"
"""Prefix of the names of tables with versions."""
CODE_VERSION = 5
"""To be raised when the same landed bytes would give other versions."""
_AT_ONCE = 100_000
"""Records whose versions are computed in one go, when all are."""
_OF_NEW_IDS = 2
"""Reasons why versions of records that landed again may have changed; others have merges as well."""
_LATER = 50
"""Landed batches without a change of a known record are noted together, because a version costs a few flushed writes."""
_log = structlog.get_logger("crm_pipeline.normalized")


def has_history(feeds: Sequence[Feed]) -> bool:
    """Say whether rows of a table are records that have versions of their own."""
    return bool(feeds) and all(f.entry.is_own for f in feeds) and not feeds[0].table.over_rows


def known_places(history: TableVersion, feed: Feed) -> int | None:
    """Return how many landed batches of an object a history knows; None where they are not the first ones."""
    count, named = history.meta["places"].get(feed.landed.object, (0, fingerprint([])))
    names = feed.landed.batch_names
    return int(count) if fingerprint(list(names[:count])) == named else None


@dataclass(frozen=True)
class HistoryBuild:
    """One build of the history of a table.

    Attributes:
        connection: the connection.
        current: the version of the table that the history belongs to.
        feeds: the objects that feed it.
        state: the fingerprint of the inputs.
        landing: where the objects landed.
        tables: where versions are committed.
        engine: runs the SQL.
    """

    connection: Connection
    current: TableVersion
    feeds: Sequence[Feed]
    state: str
    landing: Landing
    tables: Tables
    engine: Engine
    merges: dict[str, str] = field(default_factory=dict)
    """By object, the relation with its merges, once it is computed."""
    keys: dict[str, str] = field(default_factory=dict)
    """By object, the relation with the keys of all records whose versions are asked for, if there is one."""

    @property
    def name(self) -> str:
        """The name of the table with the versions."""
        return f"{HISTORY}{self.current.name.partition('/')[2]}"

    @property
    def _key(self) -> str:
        return quoted(self.feeds[0].table.key)

    def run(self) -> TableVersion | None:
        """Bring the history up to date and return its version.

        Raises:
            CorruptFile: a landed batch is not as it was landed.
            CommitConflict: another process built the same history at the same time.
        """
        try:
            parent = self.tables.version(self.name)
            is_whole = parent is None or not damaged_version([parent], self.tables.verifier)
        except CorruptFile:
            parent, is_whole = self.tables.unreadable(self.name), False
        if not is_whole:
            # What landing still has is computed again; older versions are lost with the damaged file.
            _log.warning("a damaged history is built again from data/landing", table=self.name)
            return self._whole(parent, stored=False)
        rules = self._rules
        if parent is None or parent.meta.get("rules") != rules:
            return self._whole(parent, stored=parent is not None)
        if parent.meta.get("inputs") == self.state:
            return parent
        seen = {feed.landed.object: known_places(parent, feed) for feed in self.feeds}
        if None in seen.values():
            return self._whole(parent, stored=True)
        return self._changed(parent, {name: count or 0 for name, count in seen.items()})

    @property
    def _typed_feeds(self) -> list[Feed]:
        """The feeds as the table was made with: with its number formats, without unreadable records."""
        stored = stored_formats(self.current)
        formats = NumberFormats({name: way for name, way in stored.items() if way})
        feeds = [formats.over(feed) for feed in self.feeds]
        if not self.current.meta.get("unreadable"):
            return feeds
        return [
            replace(f, landed=replace(f.landed, unread=unreadable(self.engine, f.landed)))
            for f in feeds
        ]

    @property
    def _rules(self) -> str:
        """A fingerprint of all that a version depends on beside its own record."""
        facts = [
            (
                repr(feed.entry),
                repr(feed.table),
                repr(feed.facts_used),
                feed.landed.kept_out,
                [schema.fingerprint for schema in feed.landed.schemas],
                [sorted(schema.excluded | schema.hashed) for schema in feed.landed.schemas[-1:]],
                sorted(name for name in feed.landed.batch_names if " as " in name),
            )
            for feed in self.feeds
        ]
        own = {name: dict(columns) for name, columns in self.connection.mapping.items()}
        formats = self.current.meta.get("number_formats", ())
        return fingerprint([CODE_VERSION, duckdb.__version__, facts, own, list(formats)])

    def _places(self) -> dict[str, tuple[int, str]]:
        return {
            feed.landed.object: (
                len(feed.landed.batch_names),
                fingerprint(list(feed.landed.batch_names)),
            )
            for feed in self.feeds
        }

    def _whole(self, parent: TableVersion | None, *, stored: bool) -> TableVersion | None:
        """Write the versions of all records; the stored ones whose landed rows are gone stay."""
        feeds = self._typed_feeds
        kept = parent if stored else None
        seen = {feed.landed.object: self._proven(kept, feed) for feed in feeds}
        asked = [self._repeated(feed, kept) for feed in feeds]
        records = self._count(asked)
        parts = max(1, -(-int(records) // _AT_ONCE))
        with self.tables.stage(self.name, (self.feeds[0].table.key,)) as staged:
            rows = 0
            if not records:
                rows = self.engine.copy_to(self._nothing, staged.path("base"))
            for part in range(parts if records else 0):
                chosen = [
                    self.engine.table(
                        f"{feed.landed.name} asked ids",
                        f"FROM {ids} WHERE hash(_source_id) % {parts} = {part}",
                    )
                    for feed, ids in zip(feeds, asked, strict=True)
                ]
                made = self._versions(feeds, chosen, kept, seen)
                rows += self.engine.copy_to(f"FROM {made}", staged.path("base"))
            staged.commit(parent, rows, self._meta(rows))
        return self.tables.version(self.name)

    def _changed(self, parent: TableVersion, seen: Mapping[str, int]) -> TableVersion | None:
        """Write the versions of the records that have landed since, or whose state has changed."""
        feeds = self._typed_feeds
        chosen = [self._landed_since(feed, seen[feed.landed.object], parent) for feed in feeds]
        if not self._count(chosen) and self._new_places(seen) < _LATER:
            return parent
        made = self._versions(feeds, chosen, parent, seen)
        keys = self.engine.table("keys of versions", f"SELECT DISTINCT {self._key} FROM {made}")
        with self.tables.stage(self.name, parent.key) as staged:
            rows = write_replaced(self.engine, staged, parent, keys, made)
            staged.commit(parent, rows, self._meta(rows))
        return self.tables.version(self.name)

    def _count(self, relations: Sequence[str]) -> int:
        return sum(int(self.engine.row(f"SELECT count(*) FROM {name}")[0]) for name in relations)

    def _new_places(self, seen: Mapping[str, int]) -> int:
        return sum(len(f.landed.places) - seen[f.landed.object] for f in self.feeds)

    @property
    def _nothing(self) -> str:
        columns = {column.name: column.type for column in self.feeds[0].table.columns}
        listed = (columns | STATE | VALIDITY).items()
        nulls = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in listed)
        return f"SELECT {nulls} WHERE false"

    @staticmethod
    def _proven(parent: TableVersion | None, feed: Feed) -> int:
        """Return how many places were there when the history was built last: their complete reads are accounted for."""
        if parent is None:
            return 0
        count, _ = parent.meta["places"].get(feed.landed.object, (0, ""))
        return int(count)

    def _repeated(self, feed: Feed, parent: TableVersion | None) -> str:
        """Compute the ids of the records of an object that may have more than one version."""
        landed, engine = feed.landed, self.engine
        stored = self._stored_ids(feed, parent)
        parts = [f"SELECT _source_id FROM {self._unstamped(feed)}", *stored]
        if landed.batches:
            keys = landed_keys(landed.batches)
            hashes = engine.table(
                f"{landed.name} repeated versions",
                f"SELECT hash(_source_id) AS _id FROM {keys} WHERE {HAS_ID} GROUP BY ALL HAVING count(*) > 1",
            )
            if engine.row(f"SELECT count(*) FROM {hashes}")[0]:
                parts.append(
                    f"SELECT _source_id FROM {keys} SEMI JOIN {hashes} ON hash(_source_id) = _id WHERE {HAS_ID}"
                )
            parts += self._losers(feed, landed.batches)
            if proofs(self.landing, self.connection.name, landed, 0):
                parts.append(self._gone(feed, parent))
        return engine.table(
            f"{landed.name} ids with versions", f"SELECT DISTINCT _source_id FROM ({_all(parts)})"
        )

    def _landed_since(self, feed: Feed, seen: int, parent: TableVersion) -> str:
        """Compute the ids of the records of an object whose versions may have changed."""
        landed, engine = feed.landed, self.engine
        new = {place.batch_id for place in landed.places[seen:]}
        batches = files_of(landed, new)
        parts = []
        if batches:
            listed = engine.table(
                f"{landed.name} new batches",
                f"SELECT unnest([{', '.join(map(literal, sorted(new)))}]) AS _batch_id",
            )
            fresh = engine.table(
                f"{landed.name} new ids",
                f"SELECT DISTINCT _source_id FROM {landed_keys(batches)} "
                f"SEMI JOIN {listed} USING (_batch_id) WHERE {HAS_ID}",
            )
            # One scan of all keys, for the numbers of versions and for the versions themselves.
            keys = engine.table(
                f"{landed.name} keys of new ids",
                f"SELECT * FROM {landed_keys(landed.batches)} SEMI JOIN {fresh} USING (_source_id)",
            )
            again = f"SELECT _source_id FROM {keys} GROUP BY ALL HAVING count(*) > 1"
            unstamped = f"SELECT _source_id FROM {self._unstamped(feed)} SEMI JOIN {fresh} USING (_source_id)"
            parts += [again, unstamped, *self._losers(feed, batches, listed)]
            parts += [
                f"{ids} SEMI JOIN {fresh} USING (_source_id)"
                for ids in self._stored_ids(feed, parent)
            ]
            if len(parts) == _OF_NEW_IDS + len(self._stored_ids(feed, parent)):
                self.keys[landed.object] = keys  # no merges: all ids are new ones
        if proofs(self.landing, self.connection.name, landed, seen):
            self.keys.pop(landed.object, None)
            parts.append(self._gone(feed, parent))
        nothing = "SELECT '' AS _source_id WHERE false"
        return engine.table(
            f"{landed.name} asked ids",
            f"SELECT DISTINCT _source_id FROM ({_all([nothing, *parts])})",
        )

    def _losers(self, feed: Feed, batches: Sequence[Any], only: str = "") -> Iterator[str]:
        merged = merged_ids(self.engine, feed, batches, only)
        if merged:
            self.merges[feed.landed.object] = merged
            yield f"SELECT _source_id FROM {merged}"

    def _of_object(self, feed: Feed, version: TableVersion) -> str:
        return f"{Tables.relation(version)} WHERE object = {literal(feed.landed.object)}"

    def _stored_ids(self, feed: Feed, parent: TableVersion | None) -> list[str]:
        if parent is None:
            return []
        return [f"(SELECT source_id AS _source_id FROM {self._of_object(feed, parent)})"]

    def _unstamped(self, feed: Feed) -> str:
        """Return SQL for the ids of records without a modification time: only landing knows since when they are so."""
        return (
            f"(SELECT source_id AS _source_id FROM {self._of_object(feed, self.current)} "
            "AND modified_at IS NULL)"
        )

    def _gone(self, feed: Feed, parent: TableVersion | None) -> str:
        """Return SQL for the ids of deleted records that the history does not show as deleted."""
        gone = f"SELECT source_id AS _source_id FROM {self._of_object(feed, self.current)} AND is_deleted"
        if parent is None:
            return gone
        known = (
            f"SELECT source_id FROM {self._of_object(feed, parent)} "
            "AND is_deleted AND _is_version AND valid_to IS NULL"
        )
        return f"SELECT _source_id FROM ({gone}) ANTI JOIN ({known}) k ON k.source_id = _source_id"

    def _versions(
        self,
        feeds: Sequence[Feed],
        chosen: Sequence[str],
        parent: TableVersion | None,
        seen: Mapping[str, int],
    ) -> str:
        """Compute all rows that some records have in the history, and return the relation."""
        parts = [
            f"SELECT * FROM {self._of_feed(feed, ids, parent, seen[feed.landed.object])}"
            for feed, ids in zip(feeds, chosen, strict=True)
        ]
        made = self.engine.table("versions", " UNION ALL BY NAME ".join(parts))
        columns = [column.name for column in feeds[0].table.columns]
        lines = timeline(self.engine, "versions", feeds[0].table.key, columns, made)
        kept = f"SELECT * FROM {lines} QUALIFY count(*) OVER (PARTITION BY {self._key}) > 1 OR modified_at IS NULL"
        return self.engine.table("versions to keep", kept)

    def _of_feed(self, feed: Feed, ids: str, parent: TableVersion | None, seen: int) -> str:
        """Compute the versions of some records of an object in no order, and return the relation."""
        engine, name = self.engine, feed.landed.name
        landed = typed_versions(
            engine, self.connection, feed, ids, self.keys.get(feed.landed.object, "")
        )
        parts = [f"SELECT * FROM {landed}"]
        if (merged := self.merges.get(feed.landed.object)) is not None:
            parts.append(f"SELECT * FROM {merges(engine, self.connection.name, feed, merged, ids)}")
        if parent is not None:
            parts.append(self._stored(feed, ids, parent, engine.table(f"{name} made", _all(parts))))
        made = engine.table(f"{name} all versions", " UNION ALL BY NAME ".join(parts))
        made = self._with_merges_once(feed, made)
        complete = proofs(self.landing, self.connection.name, feed.landed, seen)
        if not complete:
            return made
        absent = absences(engine, feed, made, complete)
        return f"(SELECT * FROM {made} UNION ALL BY NAME SELECT * FROM {absent})"

    def _with_merges_once(self, feed: Feed, made: str) -> str:
        """Leave of what winners say of a record the first time that each says so, up to the winner that the table has.

        A winner repeats it in each later version. One that was merged on itself may land after the next winner.
        """
        of_merges = f"_kind = {literal(MERGED)}"
        if not self.engine.rows(f"SELECT 1 FROM {made} WHERE {of_merges} LIMIT 1"):
            return made
        order = f"OVER (PARTITION BY {self._key}{{}} ORDER BY _stamp, _seen_at, batch_id, _row)"
        current = (
            f"SELECT {self._key}, merged_into AS _now FROM {self._of_object(feed, self.current)}"
        )
        numbered = (
            f"SELECT m.rowid AS _id, m.{self._key}, merged_into = _now AS _is_last, "
            f"row_number() {order.format(', merged_into')} AS _nth, row_number() {order.format('')} AS _n "
            f"FROM {made} m LEFT JOIN ({current}) USING ({self._key}) WHERE {of_merges}"
        )
        ended = f"SELECT *, min(_n) FILTER (_is_last) OVER (PARTITION BY {self._key}) AS _end FROM ({numbered})"
        repeated = f"SELECT _id FROM ({ended}) WHERE _nth > 1 OR _n > _end"
        return self.engine.table(
            f"{feed.landed.name} versions with merges once",
            f"SELECT * FROM {made} WHERE rowid NOT IN ({repeated})",
        )

    def _stored(self, feed: Feed, ids: str, parent: TableVersion, made: str) -> str:
        """Return SQL for stored versions that landing does not have any more, in the columns of the table of today."""
        present = self.engine.columns(Tables.relation(parent))
        out = set(feed.landed.kept_out)
        columns = []
        for column in feed.table.columns:
            name = quoted(column.name)
            if column.name not in present or column.name in out:
                columns.append(f"NULL::{column.type} AS {name}")
            elif column.name == "custom":
                columns.append(f"{_without(name, feed)} AS {name}")
            else:
                columns.append(f"TRY_CAST(s.{name} AS {column.type}) AS {name}")
        state = ", ".join(f"s.{column}" for column in STATE)
        same = " AND ".join(
            f"m.{column} IS NOT DISTINCT FROM s.{column}" for column in ("_hash", "_stamp")
        )
        return (
            f"SELECT {', '.join(columns)}, {state} FROM {self._of_object(feed, parent).replace(' WHERE', ' s WHERE')} "
            f"AND s.source_id IN (SELECT _source_id FROM {ids}) AND NOT EXISTS (SELECT 1 FROM {made} m "
            f"WHERE m.source_id = s.source_id AND m.batch_id = s.batch_id AND {_kind_before('m')} = {_kind_before('s')} "
            f"AND {same})"
        )

    def _meta(self, rows: int) -> dict[str, Any]:
        table = self.feeds[0].table
        return {
            "inputs": self.state,
            "rules": self._rules,
            "places": self._places(),
            "of": self.current.version,
            "rows": rows,
            "table": {
                "name": table.name,
                "singular": table.singular,
                "description": table.description,
            },
            "columns": [dict(column) for column in column_schema(table)],
            "state": [*STATE, *VALIDITY],
        }


def _kind_before(row: str) -> str:
    """Return SQL for the kind of a row as histories had it before marks were a kind of their own."""
    return f"CASE {row}._kind WHEN {literal(MARK)} THEN {literal(LANDED)} ELSE {row}._kind END"


def _without(custom: str, feed: Feed) -> str:
    """Return SQL for `custom` without the fields that connections.yaml keeps out now."""
    schema = feed.landed.latest_schema
    names = sorted(schema.excluded | schema.hashed)
    if not names:
        return f"s.{custom}"
    gone = ", ".join(f"{literal(name)}, NULL" for name in names)
    return f"json_merge_patch(s.{custom}::JSON, json_object({gone}))::VARCHAR"


def _all(parts: Sequence[str]) -> str:
    return " UNION ALL BY NAME ".join(f"SELECT * FROM ({part})" for part in parts)
