"""The inputs of a table: the committed batches of its objects, their fields, and a fingerprint of both."""

from bisect import bisect_left
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.mapping import LOSER, RECORD_ID, WINNER, ObjectMap
from crm_pipeline.model.names import inner
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.normalized import sources
from crm_pipeline.stages.normalized.fields import Fields
from crm_pipeline.stages.normalized.reading import Source
from crm_pipeline.stages.normalized.reread import Reread, Rereader
from crm_pipeline.store.landing import Landing, acceptance
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.origins import Place, microseconds
from crm_pipeline.store.landing.outstanding import note_recovered


@dataclass(frozen=True)
class ObjectInput:
    """What has landed of one object, with the mapping of a table.

    Attributes:
        entry: the object's mapping; sources have the names of the fields.
        batches: the files of the committed batches, and of recovered records.
        places: the landed batches that the files hold, in fold order; the position is their sequence.
        schemas: the distinct schemas of the committed windows, ordered by their last use, the newest last. Those
            of records that were read by their ids since do not count until a window has them.
        complete_from: position of the first batch of the newest complete read; records that appear
            only before it are deleted. 0 where no read was complete.
        since_complete: the files of that read and later ones, without those of records that were read by their ids.
        complete_at: when that read was committed.
        points: the files of records that were read by their ids, where a read was complete: those that were
            requested after it began are not deleted, in whatever order both were committed.
        set_aside: ids of quarantined records of that read or later ones, which are not deleted.
        recovered: number of records in `batches` that had been quarantined and can be read now.
        accepted: the windows that a person has accepted.
        bounds: how many records may be missing from a read that is believed.
        ages: position of each schema in the order of first use, from 0.
        kept_out: columns that are NULL because connections.yaml keeps their fields out.
        unread: the relation with the records that cannot be read, see `unreadable`; "" if all are taken as readable.
    """

    entry: ObjectMap
    batches: tuple[Manifest, ...]
    places: tuple[Place, ...]
    schemas: tuple[Schema, ...]
    complete_from: int
    since_complete: tuple[Manifest, ...] = ()
    complete_at: datetime | None = None
    points: tuple[Manifest, ...] = ()
    set_aside: tuple[str, ...] = ()
    recovered: int = 0
    accepted: frozenset[str] = frozenset()
    bounds: ShrinkBounds = field(default_factory=ShrinkBounds)
    unread: str = ""
    ages: tuple[int, ...] = ()
    kept_out: tuple[str, ...] = ()

    def is_confirmed(self, place: Place) -> bool:
        """Say whether what lives in a batch lived when it was read: all records were read, or these by their ids."""
        return place.is_complete or place.file in self._point_files

    @cached_property
    def _point_files(self) -> frozenset[str]:
        return frozenset(batch.batch_id for batch in self.batches if batch.is_point)

    @property
    def object(self) -> str:
        """The vendor's name of the object."""
        return self.entry.object

    @property
    def latest_schema(self) -> Schema:
        """The schema as the last committed window saw it."""
        return self.schemas[-1]

    @property
    def name(self) -> str:
        """The prefix of this object's relations, different for each mapping and object."""
        merged = ("merged away",) if self.entry.lists_merged else ()
        return ".".join(map(inner, (self.object, *self.entry.each, *merged)))

    @cached_property
    def whole(self) -> frozenset[str]:
        """The windows that held every record."""
        return frozenset(place.window_id for place in self.places if place.is_complete)

    @cached_property
    def batch_names(self) -> tuple[str, ...]:
        """Names that identify the landed batches and their keys, the same whether they were merged or not."""
        copies = {batch.batch_id: batch.sha256 for batch in self.batches if batch.is_copy}
        return tuple(
            f"{place.batch_id} as {copies[place.file]}" if place.file in copies else place.batch_id
            for place in self.places
        )

    @cached_property
    def linked(self) -> Fields:
        """All fields that records may have, from all schemas."""
        return Fields(self.schemas, ignores_case=self.entry.ignores_case, ages=self.ages)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields as last described; none in an exploded table, whose rows are no records."""
        if self.entry.each or self.entry.lists_merged:
            return ()
        return tuple(replace(linked.field, name=linked.name) for linked in self.linked.all)

    @cached_property
    def of_record(self) -> tuple[Source, ...]:
        """The sources that are read from each record."""
        if self.entry.lists_merged:
            return ()
        if self.entry.each:
            return sources.exploded_sources(self.entry, self.linked)[0]
        return sources.record_sources(self.entry, self.linked)

    @cached_property
    def of_element(self) -> tuple[Source, ...]:
        """The sources that are read from each element, in an exploded table."""
        return sources.exploded_sources(self.entry, self.linked)[1] if self.entry.each else ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all sources that columns of the table can use."""
        if self.entry.lists_merged:
            return frozenset({LOSER, WINNER})
        read = {source.name for source in (*self.of_record, *self.of_element)}
        return frozenset(read | {RECORD_ID}) if self.entry.each else frozenset(read)


def collect(
    connection: str,
    entry: ObjectMap,
    landing: Landing,
    keys: RecordKeys | None = None,
    bounds: ShrinkBounds | None = None,
) -> ObjectInput | None:
    """Return what has been committed of one object; None where it was never read.

    Single records that were read by their ids wait until the object is read: they would look like all records.

    Args:
        connection: the connection of the object.
        entry: the mapping of the object.
        landing: where the object landed.
        keys: the connector's current rules for keys; None takes the keys as they landed.
        bounds: how many records may be missing from a read that is believed.
    """
    windows = landing.windows(connection, entry.object)
    reads = [window for window in windows if not window.is_point]
    if not reads:
        return None
    reread = Rereader(landing, connection, entry.object, keys).read(windows)
    if reread.recovered:
        folder = landing.quarantine(connection, entry.object)
        recovered = [batch for batch in reread.batches if batch.path.is_relative_to(folder)]
        note_recovered(landing, connection, entry.object, recovered)
    schemas = _schemas(connection, entry.object, reads, landing)
    # A record that was read by its id since the last window may lack more fields, or have hashes in them.
    newest = landing.schema(connection, entry.object, windows[-1].schema_fingerprint)
    schemas = _without_excluded(schemas, schemas[-1].excluded | newest.excluded)
    own = without_kept_out(entry, schemas[-1], newest)
    fed = {f.column for f in own.fields}
    proof = _proof(landing, windows, reread)
    return ObjectInput(
        entry=Fields(schemas, ignores_case=entry.ignores_case).resolved(own),
        batches=reread.batches,
        places=reread.places,
        schemas=schemas,
        complete_from=proof.position,
        since_complete=proof.files_since,
        complete_at=proof.at,
        points=proof.points,
        set_aside=proof.set_aside,
        recovered=sum(reread.recovered.values()),
        accepted=acceptance.accepted(landing.folder(connection, entry.object)),
        bounds=bounds or ShrinkBounds(),
        ages=_ages(reads),
        kept_out=tuple(f.column for f in entry.fields if f.column not in fed),
    )


def inputs_fingerprint(inputs: Sequence[ObjectInput], *facts: object) -> str:
    """Return a fingerprint of batches, schemas, mappings and the given facts."""
    state = [
        (
            landed.batch_names,
            [schema.fingerprint for schema in landed.schemas],
            landed.complete_from,
            repr(landed.entry),
            *_list_facts(landed),
            *([landed.set_aside] if landed.set_aside else []),
        )
        for landed in inputs
    ]
    return fingerprint([state, [repr(fact) for fact in facts]])


def _list_facts(landed: ObjectInput) -> tuple[object, ...]:
    """Return what decides which lists are believed; nothing for a table that is not made of lists."""
    return (sorted(landed.accepted), repr(landed.bounds)) if landed.entry.each else ()


def _schemas(
    connection: str, obj: str, windows: Sequence[WindowCommit], landing: Landing
) -> tuple[Schema, ...]:
    newest_first = dict.fromkeys(window.schema_fingerprint for window in reversed(windows))
    return tuple(landing.schema(connection, obj, name) for name in reversed(newest_first))


def _without_excluded(
    schemas: tuple[Schema, ...], excluded: AbstractSet[str]
) -> tuple[Schema, ...]:
    """Return schemas without the fields that connections.yaml excludes now: what landed before is not shown either."""
    if not excluded:
        return schemas
    return tuple(
        replace(schema, fields=tuple(f for f in schema.fields if f.name not in excluded))
        for schema in schemas
    )


def without_kept_out(entry: ObjectMap, *schemas: Schema) -> ObjectMap:
    """Return a mapping without the fields that connections.yaml excludes or hashes, by any of the schemas.

    A hash is no address, name or date, so it feeds no column; `custom` and the views have it.
    """
    fold = str.casefold if entry.ignores_case else str
    out = {fold(name) for schema in schemas for name in schema.excluded | schema.hashed}
    if not out or not entry.is_own:
        return entry

    def kept(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if fold(name) not in out)

    fields = tuple(
        replace(f, fallback=kept(f.fallback), joined=kept(f.joined), any_of=kept(f.any_of))
        for f in entry.fields
        if fold(f.source) not in out
    )
    return replace(entry, fields=fields)


def _ages(windows: Sequence[WindowCommit]) -> tuple[int, ...]:
    """Return the position of each of `_schemas` in the order of first use; a schema may come back later."""
    first = {
        name: age for age, name in enumerate(dict.fromkeys(w.schema_fingerprint for w in windows))
    }
    newest_first = dict.fromkeys(window.schema_fingerprint for window in reversed(windows))
    return tuple(first[name] for name in reversed(newest_first))


@dataclass(frozen=True)
class _Proof:
    """The newest read that proves absence, and what landed since; see `ObjectInput` for the meanings."""

    position: int
    files_since: tuple[Manifest, ...]
    set_aside: tuple[str, ...] = ()
    at: datetime | None = None
    points: tuple[Manifest, ...] = ()


def _proof(landing: Landing, windows: Sequence[WindowCommit], reread: Reread) -> _Proof:
    unread = {window.window_id: window.quarantined for window in windows}
    for window_id, recovered in reread.recovered.items():
        unread[window_id] -= recovered
    start = max(
        (
            n
            for n, window in enumerate(windows)
            if _is_proof(landing, window, unread[window.window_id])
        ),
        default=None,
    )
    if start is None:
        return _Proof(0, reread.batches)
    # Windows are never merged across a whole read that may prove absence, so it divides files as well.
    proof = (microseconds(windows[start].committed_at), windows[start].window_id)
    begin = bisect_left(reread.places, proof)
    points = tuple(batch for batch in reread.batches if batch.is_point)
    if not (begin or points):
        return _Proof(0, reread.batches)
    later = [window for window in windows[start:] if unread[window.window_id]]
    rejects = (reject for window in later for reject in landing.rejects(window))
    earlier = {batch.batch_id for window in windows[:start] for batch in window.batches}
    before = {window.window_id for window in windows[:start]}  # recovered records have its id
    files_since = tuple(
        batch
        for batch in reread.batches
        if not (batch.is_point or batch.batch_id in earlier or batch.window_id in before)
    )
    set_aside = tuple(sorted({reject.source_id for reject in rejects} - {""}))
    return _Proof(begin, files_since, set_aside, windows[start].committed_at, points)


def _is_proof(landing: Landing, window: WindowCommit, unread: int) -> bool:
    if not unread:
        # All of it is read now. `unnamed` stays None for windows from before it was counted.
        return replace(window, unnamed=window.unnamed and 0).proves_absence
    # If quarantine files are gone, the ids of the quarantined records are not known.
    return window.proves_absence and len(landing.rejects(window)) == window.quarantined
