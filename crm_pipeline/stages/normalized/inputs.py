"""What feeds a table: the committed batches of its objects, their fields, and a fingerprint of both."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.outstanding import note_recovered


@dataclass(frozen=True)
class ObjectInput:
    """One object on its way into a table.

    Attributes:
        entry: the object's mapping, its sources spelled as the fields are.
        batches: committed batches in fold order; the position is their sequence.
        schemas: the distinct schemas of the committed windows, oldest first, the newest last.
        complete_from: position of the first batch of the newest complete read; records that appear
            only before it are deleted. 0 where no read was complete.
        set_aside: ids of records of that read or later ones that cannot be read: they are there all the same.
        recovered: records among them that had been set aside and can be read by now.
        whole: the windows that held every record.
        accepted: the windows that a person believes.
        bounds: how much may be missing before that is not believed.
        ages: when each of the schemas was first seen, oldest 0.
        unread: the relation with the records that cannot be read, see `unreadable`; "" trusts that all can.
    """

    entry: ObjectMap
    batches: tuple[Manifest, ...]
    schemas: tuple[Schema, ...]
    complete_from: int
    set_aside: tuple[str, ...] = ()
    recovered: int = 0
    whole: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    bounds: ShrinkBounds = field(default_factory=ShrinkBounds)
    unread: str = ""
    ages: tuple[int, ...] = ()

    @property
    def object(self) -> str:
        """The vendor's name of the object."""
        return self.entry.object

    @property
    def newest(self) -> Schema:
        """The schema as the last committed window saw it."""
        return self.schemas[-1]

    @property
    def name(self) -> str:
        """A name for the steps of the work, apart from those of other maps and objects."""
        merged = ("merged away",) if self.entry.lists_merged else ()
        return ".".join(map(inner, (self.object, *self.entry.each, *merged)))

    @cached_property
    def linked(self) -> Fields:
        """All fields that records may carry, through all schemas."""
        return Fields(self.schemas, ignores_case=self.entry.ignores_case, ages=self.ages)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The same as they are described last; none in an exploded table, whose rows are no records."""
        if self.entry.each or self.entry.lists_merged:
            return ()
        return tuple(replace(one.field, name=one.name) for one in self.linked.all)

    @cached_property
    def of_record(self) -> tuple[Source, ...]:
        """What is read from each record."""
        if self.entry.lists_merged:
            return ()
        if self.entry.each:
            return sources.exploded_sources(self.entry, self.linked)[0]
        return sources.record_sources(self.entry, self.linked)

    @cached_property
    def of_element(self) -> tuple[Source, ...]:
        """What is read from each element, in an exploded table."""
        return sources.exploded_sources(self.entry, self.linked)[1] if self.entry.each else ()

    @cached_property
    def names(self) -> frozenset[str]:
        """Everything that the columns of the table can be made of."""
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
    """Gather what has been committed of one object; None where it was never read.

    Args:
        connection: whose object it is.
        entry: its map.
        landing: where it landed.
        keys: today's rules for the keys of its records; None takes the keys as they landed.
        bounds: how much may be missing before that is not believed.
    """
    windows = landing.windows(connection, entry.object)
    if not windows:
        return None
    reread = Rereader(landing, connection, entry.object, keys).read(windows)
    if reread.recovered:
        folder = landing.quarantine(connection, entry.object)
        recovered = [one for one in reread.batches if one.path.is_relative_to(folder)]
        note_recovered(landing, connection, entry.object, recovered)
    schemas = _schemas(connection, entry.object, windows, landing)
    complete_from, set_aside = _proof(landing, windows, reread)
    return ObjectInput(
        entry=Fields(schemas, ignores_case=entry.ignores_case).resolved(entry),
        batches=reread.batches,
        schemas=schemas,
        complete_from=complete_from,
        set_aside=set_aside,
        recovered=sum(reread.recovered.values()),
        whole=frozenset(window.window_id for window in windows if window.complete),
        accepted=frozenset(window.window_id for window in windows if window.is_accepted),
        bounds=bounds or ShrinkBounds(),
        ages=_ages(windows),
    )


def inputs_fingerprint(inputs: Sequence[ObjectInput], *facts: object) -> str:
    """Return a short text that changes when batches, schemas, mappings or the given facts do."""
    described = [
        (
            [_name(batch) for batch in one.batches],
            [schema.fingerprint for schema in one.schemas],
            one.complete_from,
            repr(one.entry),
            *_told_of_lists(one),
            *([one.set_aside] if one.set_aside else []),
        )
        for one in inputs
    ]
    return fingerprint([described, [repr(fact) for fact in facts]])


def _told_of_lists(one: ObjectInput) -> tuple[object, ...]:
    """Return what decides which lists are believed; nothing where a table is not made of any."""
    return (sorted(one.accepted), repr(one.bounds)) if one.entry.each else ()


def _schemas(
    connection: str, obj: str, windows: Sequence[WindowCommit], landing: Landing
) -> tuple[Schema, ...]:
    newest_first = dict.fromkeys(window.schema_fingerprint for window in reversed(windows))
    return tuple(landing.schema(connection, obj, one) for one in reversed(newest_first))


def _ages(windows: Sequence[WindowCommit]) -> tuple[int, ...]:
    """Return when each of `_schemas` was first seen: one that came back stands behind those in between."""
    first = {
        name: age for age, name in enumerate(dict.fromkeys(w.schema_fingerprint for w in windows))
    }
    newest_first = dict.fromkeys(window.schema_fingerprint for window in reversed(windows))
    return tuple(first[name] for name in reversed(newest_first))


def _name(batch: Manifest) -> str:
    """Return what tells a batch from others; with new keys it is another."""
    return f"{batch.batch_id} as {batch.sha256}" if batch.is_copy else batch.batch_id


def _proof(
    landing: Landing, windows: Sequence[WindowCommit], reread: Reread
) -> tuple[int, tuple[str, ...]]:
    """Return where the newest read that proves absence begins, and what it and later ones hold unread."""
    unread = {one.window_id: one.quarantined for one in windows}
    for window_id, recovered in reread.recovered.items():
        unread[window_id] -= recovered
    start = max(
        (n for n, one in enumerate(windows) if _is_proof(landing, one, unread[one.window_id])),
        default=0,
    )
    batches_of = Counter(batch.window_id for batch in reread.batches)
    begin = sum(batches_of[one.window_id] for one in windows[:start])
    if not begin:
        return 0, ()
    later = [one for one in windows[start:] if unread[one.window_id]]
    rejects = (reject for one in later for reject in landing.rejects(one))
    return begin, tuple(sorted({one.source_id for one in rejects} - {""}))


def _is_proof(landing: Landing, window: WindowCommit, unread: int) -> bool:
    if not unread:
        # With all of it read by now; of before such were counted it was not judged.
        return replace(window, unnamed=window.unnamed and 0).proves_absence
    # Where files with what was set aside are gone it cannot be told which records that was.
    return window.proves_absence and len(landing.rejects(window)) == window.quarantined
