"""What has landed of an object since the version before: which records changed by it, and their texts.

The landed versions that can still decide are kept beside a version (`kept`). So the versions in the new batches are
ranked together with those of the same records only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal
from crm_pipeline.stages.normalized.fold import began
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.kept import (
    NO_MERGERS,
    deciding,
    hashes,
    last_mergers,
    stored,
    with_best,
)
from crm_pipeline.stages.normalized.last_values import of_pairs, paired, texts_in, texts_of
from crm_pipeline.stages.normalized.merges import mergers_of, winners_by
from crm_pipeline.stages.normalized.ranking import marked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.versions import HAS_ID, KEYS, all_keys, versions
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine

_MOST_FILES = 50
"""Of so many older files records may be read again, because an older version of theirs counts now."""


class NotFromParent(Exception):
    """A version cannot be made from the one before; the text says why, for people."""


@dataclass(frozen=True)
class Proof:
    """What decides whether a record counts as seen, beside its own landed versions.

    Attributes:
        is_all: every record does.
        at: when the newest complete read was committed.
        began: when it was begun, if records were read by their ids.
        set_aside: fingerprint of the ids of its quarantined records.
    """

    is_all: bool
    at: str = ""
    began: str = ""
    set_aside: str = ""

    @classmethod
    def of(cls, engine: Engine, landed: ObjectInput, since: str = "") -> "Proof":
        """Return what decides now.

        Args:
            engine: runs the SQL.
            landed: the object.
            since: SQL for `_extracted_at` of the versions that landed with that read or later; "" to read all of them.
        """
        if landed.complete_from == 0 and not landed.points:
            return cls(is_all=True)
        at = format_instant(landed.complete_at) if landed.complete_at else ""
        [start] = engine.row(f"SELECT epoch_us({began(landed, since)})")
        set_aside = fingerprint([list(landed.set_aside)])
        return cls(is_all=False, at=at, began=str(start), set_aside=set_aside)

    @property
    def to_meta(self) -> list[Any]:
        """The stored form."""
        return [self.is_all, self.at, self.began, self.set_aside]


@dataclass(frozen=True)
class Arrivals:
    """The landed versions of an object that the version before does not have.

    Attributes:
        landed: the object.
        parent: the version before.
        known: the names of the landed batches of which it was made, see `ObjectInput.batch_names`.
        proof: as it was stored with that version.
        check: compares files with their checksums before they are read.
    """

    engine: Engine
    landed: ObjectInput
    parent: TableVersion
    known: frozenset[str]
    proof: Sequence[Any]
    check: Callable[[Iterable[Manifest]], None]

    @cached_property
    def new(self) -> dict[str, str]:
        """The new batches, each with the batch that holds its rows."""
        return {
            place.batch_id: place.file
            for name, place in zip(self.landed.batch_names, self.landed.places, strict=True)
            if name not in self.known
        }

    @property
    def files(self) -> tuple[Manifest, ...]:
        """The files that hold them."""
        held = set(self.new.values())
        return tuple(batch for batch in self.landed.batches if batch.batch_id in held)

    @cached_property
    def _input(self) -> ObjectInput:
        """The object as if only these files had landed, under a name of its own."""
        return replace(self.landed, batches=self.files)

    def _named(self, suffix: str) -> str:
        return f"{self.landed.name} {suffix}"

    def find(self) -> None:
        """Find the records that changed.

        Raises:
            NotFromParent: the version cannot be made from the one before.
        """
        if gone := self.known - set(self.landed.batch_names):
            raise NotFromParent(
                f"{len(gone)} landed batches of {self.landed.object} are gone, or their keys were read anew"
            )
        self._read_keys()
        self._find_ids()
        self._rank()
        self._choose()

    @property
    def records(self) -> str:
        """The relation with the changed records, as `fold.folded` has them."""
        return f'"{self._named("changed")}"'

    @property
    def chosen(self) -> str:
        """The relation with the version of each record that counts now, and the one that counted before."""
        return f'"{self._named("chosen")}"'

    @property
    def kept(self) -> str:
        """SQL for what is to be kept of the records that have new versions."""
        ranked = f'"{self._named("deciding")}"'
        seen = f'"{self._named("sight")}"'
        return (
            f"SELECT {hashes(self.landed.object, 'd._source_id')}, d._modified_at, d._deleted, d._extracted_at, d._batch_id, "
            f"d._row, d._is_best, s._is_seen, d._is_many FROM {ranked} AS d JOIN {seen} AS s USING (_source_id)"
        )

    @property
    def mergers(self) -> str:
        """SQL for all mergers, with `object`; "" where the object has none."""
        if not self._has_merges:
            return ""
        return (
            f'SELECT {literal(self.landed.object)} AS object, * FROM "{self._named("all mergers")}"'
        )

    @property
    def _has_merges(self) -> bool:
        return bool(self.landed.entry.merges)

    def counted(self) -> tuple[int, int]:
        """Return the number of new versions, and of records among them that had never landed."""
        arrived = self.engine.row(f'SELECT count(*) FROM "{self._named("arrived")}"')[0]
        fresh = self.engine.row(f"SELECT count(*) FROM {self.chosen} WHERE _batch_before IS NULL")[
            0
        ]
        return int(arrived), int(fresh)

    def _read_keys(self) -> None:
        new = self.engine.load(
            self._named("new batches"),
            pa.table({"_batch_id": pa.array(list(self.new), pa.string())}),
        )
        keys = f"SELECT {KEYS}, _row FROM {all_keys(self.files)} SEMI JOIN {new} USING (_batch_id)"
        nothing = (
            "SELECT ''::VARCHAR AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, "
            "NULL::TIMESTAMPTZ AS _extracted_at, ''::VARCHAR AS _batch_id, 0::BIGINT AS _row WHERE false"
        )
        arrived = self.engine.table(self._named("arrived"), keys if self.files else nothing)
        [unnamed] = self.engine.row(f"SELECT count(*) FROM {arrived} WHERE NOT ({HAS_ID})")
        if unnamed:
            raise NotFromParent(f"{unnamed} new records of {self.landed.object} have no id")
        self._check_proof()

    @cached_property
    def now(self) -> Proof:
        """What decides now which records count as seen."""
        since = f'SELECT _extracted_at FROM "{self._named("arrived")}" WHERE _batch_id IN (SELECT _batch_id FROM {self._since()})'
        if self.proof and not self.proof[0]:
            since += f" UNION ALL SELECT make_timestamptz({int(self.proof[2])})"
        return Proof.of(self.engine, self.landed, since)

    def _check_proof(self) -> None:
        before, now = list(self.proof), self.now.to_meta
        # When that read began decides about records that were read by their ids, and about no others.
        if not self.landed.points and before:
            before[2] = now[2]
        if before != now:
            raise NotFromParent(f"{self.landed.object} was read whole, so that records may be gone")

    def _since(self) -> str:
        """Load the new batches of the newest complete read and later ones."""
        held = {batch.batch_id for batch in self.landed.since_complete}
        ids = [batch for batch, file in self.new.items() if file in held]
        return self.engine.load(
            self._named("new since"), pa.table({"_batch_id": pa.array(ids, pa.string())})
        )

    def _find_ids(self) -> None:
        """Collect the ids of records with new versions, and of those that were merged otherwise than before."""
        more = self._merged_otherwise()
        self.engine.table(
            self._named("ids"),
            f"SELECT _source_id, {hashes(self.landed.object)} FROM "
            f'(SELECT DISTINCT _source_id FROM (SELECT _source_id FROM "{self._named("arrived")}"{more}))',
        )

    def _merged_otherwise(self) -> str:
        """Define all mergers; return SQL to add the records of which another record is the winner now."""
        if not self._has_merges:
            return ""
        stored_mergers = stored(self.parent, "mergers")
        old = (
            f"(SELECT * EXCLUDE (object) FROM {stored_mergers} WHERE object = {literal(self.landed.object)})"
            if stored_mergers
            else NO_MERGERS
        )
        made = mergers_of(self.engine, self._input)
        new = (
            f'(FROM {made} WHERE _batch_id IN (FROM "{self._named("new batches")}"))'
            if made
            else NO_MERGERS
        )
        both = self.engine.table(
            self._named("all mergers"), last_mergers(f"(FROM {old} UNION ALL BY NAME FROM {new})")
        )
        now = winners_by(self.engine, self.landed, both, "merged now")
        before = winners_by(self.engine, self.landed, old, "merged before")
        pairs = [
            f"SELECT loser, winner FROM {name}"
            if name
            else f"SELECT loser, winner FROM {NO_MERGERS}"
            for name in (now, before)
        ]
        differing = " UNION ".join(
            f"(({one}) EXCEPT ({other}))" for one, other in (pairs, pairs[::-1])
        )
        turned = self.engine.table(
            self._named("turned"), f"SELECT DISTINCT loser AS _source_id FROM ({differing})"
        )
        return f" UNION ALL FROM {turned}"

    def _rank(self) -> None:
        """Rank the new versions together with those that are kept of the same records."""
        ids = f'"{self._named("ids")}"'
        delta, base = stored(self.parent, "kept_delta"), stored(self.parent, "kept")
        found = f"SELECT i._source_id, k.* FROM {{}} AS k JOIN {ids} AS i USING (_h1, _h2)"
        known = found.format(base)
        if delta:
            later = self.engine.table(self._named("known lately"), found.format(delta))
            known = f"{known} ANTI JOIN {later} AS l ON i._source_id = l._source_id UNION ALL BY NAME FROM {later}"
        known = self.engine.table(self._named("known"), known)
        columns = f"{KEYS}, _row"
        keys = self.engine.table(
            self._named("compared"),
            f"SELECT {columns}, false AS _is_new, _is_best AS _was_best, _is_many AS _was_many FROM {known} "
            f"UNION ALL BY NAME SELECT {columns}, true AS _is_new, false AS _was_best, false AS _was_many "
            f'FROM "{self._named("arrived")}"',
        )
        ranked = self.engine.table(
            self._named("ranked"),
            with_best(f"({marked(self.engine, self.landed, f'{keys} AS k')})"),
        )
        # What was kept with others of its batch stays marked, whichever of them goes.
        self.engine.table(
            self._named("deciding"),
            f"SELECT * REPLACE (_is_many OR _was_many AS _is_many) FROM ({deciding(ranked)})",
        )

    def _choose(self) -> None:
        self.engine.table(
            self._named("sight"),
            f'SELECT i._source_id, {self._seen()} AS _is_seen, any_value(k._is_seen) AS _was_seen FROM "{self._named("ids")}" AS i '
            f'LEFT JOIN "{self._named("known")}" AS k ON i._source_id = k._source_id GROUP BY i._source_id',
        )
        turned = self._turned()
        chosen = self.engine.table(
            self._named("chosen"),
            "SELECT n._source_id, n._modified_at, n._deleted, n._batch_id, n._row, n._is_new, n._was_many, s._is_seen, "
            "b._batch_id AS _batch_before, n._is_new OR NOT n._was_best OR s._is_seen IS DISTINCT FROM s._was_seen "
            # The values of a deleted record may be those of a version that does not count.
            f"OR n._deleted OR {turned} AS _is_changed "
            f'FROM (FROM "{self._named("ranked")}" WHERE _is_best) AS n JOIN "{self._named("sight")}" AS s USING (_source_id) '
            f'LEFT JOIN (FROM "{self._named("known")}" WHERE _is_best) AS b USING (_source_id)',
        )
        assert chosen

    def _turned(self) -> str:
        """Return SQL for whether a record is merged otherwise than before."""
        if not self._has_merges:
            return "false"
        return f'n._source_id IN (FROM "{self._named("turned")}")'

    def _seen(self) -> str:
        """Return SQL for whether a record counts as seen now."""
        if self.now.is_all:
            return "true"
        arrived = f'"{self._named("arrived")}"'
        points = {batch.batch_id for batch in self.landed.points}
        by_id = [batch for batch, file in self.new.items() if file in points]
        parts = [
            f'SELECT _source_id FROM {arrived} WHERE _batch_id IN (FROM "{self._named("new since")}")'
        ]
        if by_id:
            parts.append(
                f"SELECT _source_id FROM {arrived} WHERE _batch_id IN ({', '.join(map(literal, by_id))}) "
                f"AND epoch_us(_extracted_at) >= {int(self.now.began)}"
            )
        if self.landed.set_aside:
            ids = pa.table({"_source_id": pa.array(self.landed.set_aside, pa.string())})
            parts.append(f"FROM {self.engine.load(self._named('new set aside'), ids)}")
        seen = self.engine.table(
            self._named("seen now"),
            f"SELECT DISTINCT _source_id FROM ({' UNION ALL '.join(parts)})",
        )
        return f"coalesce(any_value(k._is_seen), false) OR i._source_id IN (SELECT _source_id FROM {seen})"

    def read(self) -> None:
        """Read the texts of the records that changed.

        Raises:
            NotFromParent: the version cannot be made from the one before.
        """
        again = self._read_again()
        self.check(again)
        landed = replace(self.landed, batches=(*self.files, *again))
        columns = "".join(f", {raw(source.name)}" for source in landed.of_record)
        merged = f'"{self._named("merged now")}"'
        winner = (
            f"(SELECT winner FROM {merged} WHERE loser = s._source_id)"
            if self._has_merges
            else "NULL::VARCHAR"
        )
        state = f"s._source_id, s._modified_at, s._deleted, s._batch_id, c._is_seen, {winner} AS _winner"
        changed = f"(FROM {self.chosen} WHERE _is_changed)"
        if not landed.batches:
            nothing = "".join(
                f", NULL::VARCHAR AS {raw(source.name)}" for source in landed.of_record
            )
            self.engine.table(
                self._named("changed"),
                "SELECT ''::VARCHAR AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, ''::VARCHAR AS "
                f"_batch_id, true AS _is_seen, NULL::VARCHAR AS _winner{nothing} WHERE false",
            )
            return
        source = self.engine.view(
            self._named("changed source"), versions(self.engine, landed, landed.of_record)
        )
        # Rows of merged files have other numbers than they had.
        is_same = "s._source_id = c._source_id AND s._batch_id = c._batch_id AND (s._row = c._row OR NOT c._is_new)"
        texts = f"SELECT s.* FROM {source} AS s JOIN {changed} AS c ON {is_same}"
        if (kept := self._with_last_values(landed)) is not None:
            texts = f"{texts} ANTI JOIN {kept} AS p ON p._source_id = s._source_id UNION ALL BY NAME FROM {kept}"
        self.engine.table(
            self._named("changed"),
            f"SELECT {state}{columns} FROM ({texts}) AS s JOIN {changed} AS c ON s._source_id = c._source_id",
        )
        wanted, found = (
            self.engine.row(f"SELECT count(*) FROM {name}")[0] for name in (changed, self.records)
        )
        if wanted != found:
            raise NotFromParent(
                f"records of {self.landed.object} are in their batches more than once"
            )

    def _with_last_values(self, landed: ObjectInput) -> str | None:
        """Read the values that deleted records keep; return the relation of these versions, None where there are none.

        Args:
            landed: the object, with the files of the versions that count.
        """
        engine, obj = self.engine, self.landed.object
        columns = "_source_id, _batch_id, _row, _is_new"
        ends = engine.table(
            self._named("deleted last"),
            f"SELECT {columns} FROM {self.chosen} WHERE _is_changed AND _deleted",
        )
        if not engine.row(f"SELECT count(*) FROM {ends}")[0]:
            return None
        # Rows of merged files have other numbers than they had.
        of_version = "t._batch_id = v._batch_id AND (t._row = v._row OR NOT v._is_new)"
        last = texts_of(engine, landed, self._named("texts of deleted"), ends)
        bare = engine.table(
            self._named("bare"),
            f"SELECT v.* FROM {ends} AS v JOIN (FROM {last} WHERE _is_bare) AS t "
            f"ON {of_version} AND t._source_id = v._source_id",
        )
        giving = engine.table(
            self._named("giving"),
            f'SELECT * FROM "{self._named("deciding")}" SEMI JOIN {bare} USING (_source_id) '
            "WHERE NOT _is_best AND NOT _is_unstamped",
        )
        rows = engine.rows(f"SELECT DISTINCT _batch_id, _is_many AND NOT _is_new FROM {giving}")
        if not rows:
            return None
        if any(is_many for _, is_many in rows):
            raise NotFromParent(f"records of {obj} are in their batches more than once")
        held = self._files_of({batch for batch, _ in rows})
        self.check(held)
        former = replace(landed, batches=held)
        # The files are read once: they are many where the records are spread over them.
        source = engine.table(
            self._named("former"), versions(engine, former, former.of_record, only=bare)
        )
        both = engine.table(
            self._named("texts of both"), f"FROM {last} UNION BY NAME {texts_in(former, source)}"
        )
        pairs = paired(engine, former, bare, f"FROM {giving}", both, of_version)
        if pairs is None:
            return None
        return engine.table(self._named("kept values"), of_pairs(former, source, pairs))

    def _files_of(self, batches: set[str]) -> tuple[Manifest, ...]:
        file_of = {place.batch_id: place.file for place in self.landed.places}
        files = {file_of[batch] for batch in batches}
        return tuple(batch for batch in self.landed.batches if batch.batch_id in files)

    def _read_again(self) -> tuple[Manifest, ...]:
        """Return the older files with records of which an older version counts now, or that count otherwise."""
        rows = self.engine.rows(
            f"SELECT DISTINCT _batch_id, _was_many FROM {self.chosen} WHERE _is_changed AND NOT _is_new"
        )
        if any(is_many for _, is_many in rows):
            raise NotFromParent(
                f"records of {self.landed.object} are in their batches more than once"
            )
        own = {batch.batch_id for batch in self.files}
        files = [f for f in self._files_of({batch for batch, _ in rows}) if f.batch_id not in own]
        if len(files) > _MOST_FILES:
            raise NotFromParent(
                f"records in {len(files)} older files of {self.landed.object} count otherwise than before"
            )
        return tuple(files)


def names_by_object(places: Sequence[Mapping[str, object]]) -> dict[str, frozenset[str]]:
    """Return the names of the landed batches of a version by object, from its stored places."""
    found: dict[str, set[str]] = {}
    for place in places:
        found.setdefault(str(place["object"]), set()).add(str(place["name"]))
    return {obj: frozenset(names) for obj, names in found.items()}
