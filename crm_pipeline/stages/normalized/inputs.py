"""What feeds a table: the committed batches of its objects, their fields, and a fingerprint of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.mapping import RECORD_ID, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized import sources
from crm_pipeline.stages.normalized.reading import Source
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import Manifest, WindowCommit


@dataclass(frozen=True)
class ObjectInput:
    """One object on its way into a table.

    Attributes:
        batches: committed batches in fold order; the position is their sequence.
        schemas: the distinct schemas of the committed windows, oldest first, the newest last.
        complete_from: position of the first batch of the newest complete read; records that appear
            only before it are deleted. 0 where no read was complete.
    """

    entry: ObjectMap
    batches: tuple[Manifest, ...]
    schemas: tuple[Schema, ...]
    complete_from: int

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
        """A name for the steps of the work, apart from those of other maps of the object."""
        return ".".join((self.object, *self.entry.each))

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields that records may carry; none in an exploded table, whose rows are no records."""
        return () if self.entry.each else sources.all_fields(self.schemas)

    @cached_property
    def of_record(self) -> tuple[Source, ...]:
        """What is read from each record."""
        if self.entry.each:
            return sources.exploded_sources(self.entry, self.schemas)[0]
        return sources.record_sources(self.entry, self.schemas)

    @cached_property
    def of_element(self) -> tuple[Source, ...]:
        """What is read from each element, in an exploded table."""
        return sources.exploded_sources(self.entry, self.schemas)[1] if self.entry.each else ()

    @cached_property
    def names(self) -> frozenset[str]:
        """Everything that the columns of the table can be made of."""
        read = {source.name for source in (*self.of_record, *self.of_element)}
        return frozenset(read | {RECORD_ID}) if self.entry.each else frozenset(read)


def collect(connection: str, entry: ObjectMap, landing: Landing) -> ObjectInput | None:
    """Gather what has been committed of one object; None where it was never read."""
    windows = landing.windows(connection, entry.object)
    if not windows:
        return None
    return ObjectInput(
        entry=entry,
        batches=tuple(batch for window in windows for batch in window.batches),
        schemas=_schemas(connection, entry.object, windows, landing),
        complete_from=_complete_from(windows),
    )


def inputs_fingerprint(inputs: Sequence[ObjectInput], *facts: object) -> str:
    """Return a short text that changes when batches, schemas, mappings or the given facts do."""
    described = [
        (
            [batch.batch_id for batch in one.batches],
            [schema.fingerprint for schema in one.schemas],
            one.complete_from,
            repr(one.entry),
        )
        for one in inputs
    ]
    return fingerprint([described, [repr(fact) for fact in facts]])


def _schemas(
    connection: str, obj: str, windows: Sequence[WindowCommit], landing: Landing
) -> tuple[Schema, ...]:
    newest_first = dict.fromkeys(window.schema_fingerprint for window in reversed(windows))
    return tuple(landing.schema(connection, obj, one) for one in reversed(newest_first))


def _complete_from(windows: Sequence[WindowCommit]) -> int:
    position = found = 0
    for window in windows:
        # A read that left out rows, or could not land some, proves nothing by what it does not hold.
        if window.complete and window.known == 0 and window.quarantined == 0:
            found = position
        position += len(window.batches)
    return found
