"""All quarantined rows of a data folder, from files alone; PostgreSQL need not run.

Rows that could not be landed are in the files of their windows, and count until something brings them (see
`store.landing.outstanding`). Landed rows that a build left out are in the files of the last build of their table (see
`builds`).
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store.landing import Landing, dropped
from crm_pipeline.store.landing.file_versions import versions_of
from crm_pipeline.store.landing.outstanding import Lacking, lacking
from crm_pipeline.store.quarantine import rows
from crm_pipeline.store.quarantine.builds import BuildFile, build_files, sets_of_build
from crm_pipeline.store.quarantine.quarantined import NAMED, Quarantined


class Quarantine:
    """All sets of quarantined rows below one data folder.

    Args:
        landing: of the data folder.
    """

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    def sets(self, connection: str | None = None, obj: str | None = None) -> list[Quarantined]:
        """Return the sets of all objects, or of one connection or object; the oldest first in each object.

        Raises:
            CorruptFile: a commit cannot be read.
        """
        return [
            each
            for name, of in self._objects()
            if connection in {None, name} and obj in {None, of}
            for each in sorted(self.of(name, of), key=lambda each: (each.since, each.id))
        ]

    def of(self, connection: str, obj: str) -> Iterator[Quarantined]:
        """Yield the sets of one object.

        Raises:
            CorruptFile: a commit cannot be read.
        """
        folder = self._landing.quarantine(connection, obj)
        for each in lacking(self._landing, connection, obj):
            yield _of_reads(connection, obj, each, folder)
        for build in build_files(folder):
            yield from sets_of_build(connection, obj, build, self._dropped(connection, obj, build))

    def find(self, set_id: str, *, is_dropped: bool = False) -> Quarantined:
        """Return one set.

        Raises:
            ConfigError: there is none with this id.
        """
        sets = [each for each in self.sets() if each.is_dropped == is_dropped]
        chosen = next((each for each in sets if each.id == set_id), None)
        if chosen is None:
            kind = "dropped rows" if is_dropped else "quarantined rows"
            named = ", ".join(each.id for each in sets) or "none"
            raise ConfigError(
                f"there are no {kind} with the id '{set_id}'.",
                cure=f"There are: {named}. `crm-pipeline quarantine list --all` lists them.",
            )
        return chosen

    def rows(self, chosen: Quarantined, limit: int | None = None) -> pa.Table:
        """Return the rows of a set, see `rows`; a row that was set aside several times comes once, as it came last.

        Rows whose file is damaged or gone are missing.
        """
        seen: set[str] = set()
        kept: list[pa.RecordBatch] = []
        for batch in self._batches(chosen):
            digests = batch.column("_digest").to_pylist()
            is_new = [name not in seen for name in digests]
            seen.update(digests)
            kept.append(batch.filter(pa.array(is_new, pa.bool_())))
            if limit is not None and sum(part.num_rows for part in kept) >= limit:
                break
        table = pa.Table.from_batches(kept, rows.SCHEMA)
        return table if limit is None else table.slice(0, limit)

    def drop(self, chosen: Quarantined) -> int:
        """Write down that a person has dropped the rows of a set; return how many rows the decision names.

        Raises:
            ConfigError: nobody knows which rows they are.
            StoreError: the disk is full or not writable.
        """
        if chosen.stage == "landing":
            named = frozenset(self._lacking(chosen).rows)
        else:
            named = frozenset(
                name
                for batch in self._batches(chosen, with_records=False)
                for name in batch.column("_digest").to_pylist()
            )
        if not named:
            raise ConfigError(
                f"the rows of {chosen.id} cannot be told one from another: {chosen.reason}.",
                cure="Read their window again with a backfill.",
            )
        decision = dropped.Decision(
            chosen.id,
            chosen.connection,
            chosen.object,
            chosen.table,
            chosen.stage,
            chosen.reason,
            named,
            self._landing.clock.now(),
        )
        dropped.drop(self._folder(chosen), decision)
        return len(named)

    def undo(self, chosen: Quarantined) -> None:
        """Remove the decision about a set: its rows wait for a decision again."""
        dropped.undo(self._folder(chosen), chosen.id)

    def _folder(self, chosen: Quarantined) -> Path:
        return self._landing.quarantine(chosen.connection, chosen.object)

    def _objects(self) -> list[tuple[str, str]]:
        folders = (self._landing.root / "quarantine").glob("[!.]*/[!.]*")
        return sorted(
            (from_path_name(path.parent.name), from_path_name(path.name))
            for path in folders
            if path.is_dir()
        )

    def _dropped(self, connection: str, obj: str, build: BuildFile) -> frozenset[str]:
        folder = self._landing.quarantine(connection, obj)
        return dropped.dropped_rows(folder, build.stage, build.table)

    def _lacking(self, chosen: Quarantined) -> Lacking:
        """Return what is known of the rows of a set that could not be landed."""
        return next(
            each
            for each in lacking(self._landing, chosen.connection, chosen.object)
            if (each.reason, each.is_dropped) == (chosen.reason, chosen.is_dropped)
        )

    def _batches(
        self, chosen: Quarantined, *, with_records: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a set, those that came last first."""
        folder = self._folder(chosen)
        if chosen.stage == "landing":
            named = pa.array(list(self._lacking(chosen).rows), pa.string())
            for batch in rows.of_reads(_files_of_reads(folder)):
                yield batch.filter(pc.is_in(batch.column("_digest"), value_set=named))
            return
        for build in build_files(folder):
            if (build.stage, build.table) != (chosen.stage, chosen.table):
                continue
            names = pa.array(
                sorted(self._dropped(chosen.connection, chosen.object, build)), pa.string()
            )
            for path in build.parts:
                for batch in rows.of_build(build.stage, path, with_records=with_records):
                    is_dropped = pc.is_in(batch.column("_digest"), value_set=names)
                    is_of = is_dropped if chosen.is_dropped else pc.invert(is_dropped)
                    is_of = pc.and_(is_of, pc.equal(batch.column("_reason"), chosen.reason))
                    yield batch.filter(is_of)


def _files_of_reads(folder: Path) -> list[Path]:
    """Return the files of rows that could not be landed, the last ones first."""
    versions = versions_of(folder.glob("????-??/[!.]*.parquet"))
    return sorted((each[-1] for each in versions), key=lambda path: path.stem, reverse=True)


def _of_reads(connection: str, obj: str, each: Lacking, folder: Path) -> Quarantined:
    ids = [source_id for source_id in each.rows.values() if source_id]
    return Quarantined(
        connection,
        obj,
        "",
        "landing",
        each.reason,
        each.records,
        each.since,
        each.last_seen_at,
        folder,
        tuple(ids[:NAMED]),
        each.is_dropped,
    )
