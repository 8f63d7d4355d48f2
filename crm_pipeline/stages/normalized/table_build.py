"""Type, judge and commit the rows of one normalized table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import structlog

from crm_pipeline.kernel.errors import UnfitValue
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import quoted
from crm_pipeline.model.table import Table
from crm_pipeline.settings import Connection, QuarantineLimit
from crm_pipeline.stages.normalized.arrivals import NotFromParent, Proof
from crm_pipeline.stages.normalized.changed import RULES, rules_of, write_changes
from crm_pipeline.stages.normalized.contract import (
    Asked,
    PreviousVersion,
    Verdict,
    column_schema,
    refuse,
    unfit,
    verify,
)
from crm_pipeline.stages.normalized.described import Described, described
from crm_pipeline.stages.normalized.drift import DriftGuard, held_back
from crm_pipeline.stages.normalized.elements import exploded
from crm_pipeline.stages.normalized.emptied import Doubt, doubts_of
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.fold import folded, seen_in
from crm_pipeline.stages.normalized.from_parent import (
    FEW,
    FIRST,
    JUDGED_BY,
    MADE_OF,
    PROOFS,
    FromParent,
    Made,
    are_records,
    fingerprint_parts,
    rules_judged,
    why_whole,
)
from crm_pipeline.stages.normalized.kept import (
    NOTHING_KEPT,
    counts_by_batch,
    kept_of,
    mergers_in,
    odd_of,
    places_table,
    write_table,
)
from crm_pipeline.stages.normalized.mapping_failures import MAPPING, counted, judged_mapping
from crm_pipeline.stages.normalized.merges import merged_away
from crm_pipeline.stages.normalized.metadata import object_metadata
from crm_pipeline.stages.normalized.number_formats import (
    NumberFormats,
    number_fields_of,
    number_formats_of,
    stored_formats,
)
from crm_pipeline.stages.normalized.over_rows import over, own_columns, restored_own, with_own
from crm_pipeline.stages.normalized.quarantine import (
    forget_failing,
    keep_failing,
    keep_unusable,
    refuse_many,
)
from crm_pipeline.stages.normalized.ranking import Ranking, ranked
from crm_pipeline.stages.normalized.result import BUILT, Normalized, result_of
from crm_pipeline.stages.normalized.rows import define_rows
from crm_pipeline.stages.normalized.tally import Tally, tally_of
from crm_pipeline.stages.normalized.undecided import undecided
from crm_pipeline.stages.normalized.unreadable import unreadable
from crm_pipeline.stages.normalized.value_drift import changed_values
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.compared_files import (
    COMPARED,
    compared_at,
    corruption_of,
    noted,
)
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine, parquet_files

CODE_VERSION = 7
"""To be raised when the same landed bytes would give other rows."""
MADE_BY = "made_by"
_log = structlog.get_logger("crm_pipeline.normalized")


@dataclass(frozen=True)
class Whole:
    """A version that is made of all that has landed, before it is typed.

    Attributes:
        because: why it is not made from the version before, for people.
        records: a relation for each feed.
        rankings: of the versions of records, for each feed whose records are rows.
    """

    because: str
    records: Sequence[str]
    rankings: Sequence[Ranking]
    tally: Tally
    described: Sequence[Described]


@dataclass(frozen=True)
class TableBuild:
    """One build of a table: its rows are typed, judged and staged, and committed if nothing forbids it."""

    connection: Connection
    name: str
    parent: TableVersion | None
    feeds: Sequence[Feed]
    state: str
    landing: Landing
    tables: Tables
    engine: Engine
    limit: QuarantineLimit
    asked: Asked
    guard: DriftGuard | None = None

    @property
    def made_by(self) -> str:
        """A fingerprint of the mappings: values of versions that were made by others are not compared."""
        return fingerprint([CODE_VERSION, [repr(feed.landed.entry) for feed in self.feeds]])

    @property
    def table(self) -> Table:
        """The table."""
        return self.feeds[0].table

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"{self.connection.name}.{self.table.name}"

    def run(self) -> Normalized:
        """Build the table; check each record for readability only if one of them stops the build."""
        if self.parent is not None and self.parent.meta.get("unreadable"):
            return self._checked().build()
        try:
            return self.build()
        except UnfitValue:
            checked = self._checked()
            if not checked.unread:
                raise
        return checked.build()

    def _checked(self) -> "TableBuild":
        unread = {f.landed.object: unreadable(self.engine, f.landed) for f in self.feeds}
        feeds = [
            replace(f, landed=replace(f.landed, unread=unread[f.landed.object])) for f in self.feeds
        ]
        return replace(self, feeds=feeds)

    @property
    def unread(self) -> frozenset[str]:
        """Relations with records that cannot be read."""
        return frozenset(feed.landed.unread for feed in self.feeds if feed.landed.unread)

    def build(self) -> Normalized:
        """Build and commit a version, from the version before if that is possible."""
        because = why_whole(self.feeds, self.parent, self.rules(NumberFormats()), self.corruption)
        if self.parent is not None and not because:
            try:
                FromParent(self, self.parent).run()
            except NotFromParent as reason:
                because = str(reason)
        if because:
            if because not in {FIRST, FEW}:
                _log.info(
                    "a table is built of all that has landed", table=self.name, because=because
                )
            self._build_whole(because)
        version = self.tables.version(self.name)
        return result_of(self.table.name, version, changed=True)

    def _build_whole(self, because: str) -> None:
        """Build a version of all that has landed; again if the numbers of a field turn out to have another format."""
        self.landing.check(batch for feed in self.feeds for batch in feed.landed.batches)
        tally = Tally()
        records = []
        rankings = []
        for feed in self.feeds:
            if feed.entry.each or feed.entry.lists_merged:
                define = exploded if feed.entry.each else merged_away
                records.append(define(self.engine, feed.landed))
            else:
                ranking = ranked(self.engine, feed.landed)
                records.append(folded(self.engine, feed.landed, ranking))
                rankings.append(ranking)
                tally += self._tallied(feed, ranking)
        described = self._described(records)
        formats = self._formats_of(records, stored_formats(self.parent))
        whole = Whole(because, records, rankings, tally, described)
        while (more := self._attempt(whole, formats)) is not None:
            formats += more

    def _described(self, records: Sequence[str]) -> list[Described]:
        """Judge the landed texts of changed records by what the vendor describes, before they are typed."""
        parent = self.parent if self._is_parent_readable else None
        return [
            described(self.engine, feed, relation, parent, self.asked)
            for feed, relation in zip(self.feeds, records, strict=True)
            if feed.entry.is_own and not feed.entry.single_row
        ]

    def rows_of(self, records: Sequence[str], formats: NumberFormats | None = None) -> str:
        """Return SQL for the rows of records, one relation for each feed."""
        formats = formats or NumberFormats()
        parts = [
            f"SELECT * FROM {self._rows(formats.over(feed), relation)}"
            for feed, relation in zip(self.feeds, records, strict=True)
        ]
        return f"({self._whole(' UNION ALL BY NAME '.join(parts))})"

    def _attempt(self, whole: "Whole", formats: NumberFormats) -> NumberFormats | None:
        """Commit a version, or return the number formats with which it has to be built instead."""
        records = whole.records
        with self.tables.stage(self.name, (self.table.key,)) as staged:
            rows = self.rows_of(records, formats)
            paths = self._write(staged, rows, records)
            bad = unfit(self.engine, parquet_files(paths))
            more = self._formats_of(
                records, {name: "" for name in bad if name not in formats.formats}
            )
            if any(more.formats.values()):
                return more
            formats += more
            verdict = verify(
                self.engine,
                self.table,
                parquet_files(paths),
                self.fed(),
                previous=PreviousVersion(self.parent, is_readable=self._is_parent_readable),
                hints=formats.hints,
                asked=self.asked,
            )
            if verdict.errors:
                raise refuse(self.title, verdict)
            verdict, tally, paths = self._set_aside(paths, verdict, whole.tally)
            self.check(verdict, tally)
            self.check_values(parquet_files(paths))
            write_changes(self.engine, staged, paths, self.parent, self.rules(formats))
            batches = counted(
                self.engine,
                paths,
                self.parent,
                verdict.unconverted,
                is_parent_readable=self.parent is None or self._is_parent_readable,
            )
            made = Made(batches, because=whole.because)
            if self._can_be_a_parent(verdict, tally, formats):
                made = replace(made, **self._written_beside(staged, paths, verdict, whole.rankings))
            self.commit(staged, verdict, tally, whole.described, made, formats)
        return None

    def rules(self, formats: NumberFormats) -> str:
        """Return a fingerprint of all by which rows are made and judged; "" where they depend on other rows."""
        rules = rules_of(self.feeds, formats, CODE_VERSION)
        return f"{rules} {self.asked.fingerprint}".rstrip() if rules else ""

    def commit(  # noqa: PLR0917 - each argument is plain at the call
        self,
        staged: Staged,
        verdict: Verdict,
        tally: Tally,
        found: Sequence[Described],
        made: Made,
        formats: NumberFormats | None = None,
    ) -> None:
        """Commit a version whose files are written."""
        formats = formats or NumberFormats()
        meta = {
            **self._meta(verdict, tally, formats, found),
            RULES: self.rules(formats),
            MAPPING: judged_mapping(made.batches, self.parent),
            MADE_OF: [fingerprint_parts(feed) for feed in self.feeds],
            JUDGED_BY: made.judged_by,
            PROOFS: dict(made.proofs),
            BUILT: {"whole": bool(made.because), "because": made.because},
            COMPARED: noted(staged.paths("base"), self._compared_at(made)),
        }
        staged.commit(self.parent, verdict.rows, meta)

    def _compared_at(self, made: Made) -> datetime:
        """Return when the base files were compared with their checksums, or written."""
        now = self.landing.clock.now()
        if made.because or self.parent is None:
            return now
        return compared_at(self.parent, now) or now

    def _can_be_a_parent(self, verdict: Verdict, tally: Tally, formats: NumberFormats) -> bool:
        """Say whether the next version may be made from this one, so that what it takes is kept."""
        return (
            are_records(self.feeds)
            and verdict.is_by_rows
            and not (tally.quarantined or formats.to_meta)
        )

    def _written_beside(
        self,
        staged: Staged,
        paths: Sequence[Path],
        verdict: Verdict,
        rankings: Sequence[Ranking],
    ) -> dict[str, Any]:
        """Write what the next version can be made of, and return what is noted of it."""
        engine, rows = self.engine, parquet_files(paths)
        inputs = [feed.landed for feed in self.feeds]
        kept = [
            kept_of(landed, ranking, seen_in(engine, landed))
            for landed, ranking in zip(inputs, rankings, strict=True)
            if landed.batches
        ]
        engine.copy_to(" UNION ALL ".join(kept) or NOTHING_KEPT, staged.path("kept"))
        broken = {result.rule for result in verdict.results if result.failures}
        rules = [rule for rule in verdict.rules if rule.name in broken and not rule.unique]
        engine.copy_to(odd_of(rows, self.table.key, rules), staged.path("odd"))
        counts = counts_by_batch(engine, rows)
        write_table(staged.path("places"), places_table(inputs, counts))
        if mergers := [sql for landed in inputs if (sql := mergers_in(landed))]:
            engine.copy_to(" UNION ALL ".join(mergers), staged.path("mergers"))
        proofs = {landed.object: Proof.of(engine, landed).to_meta for landed in inputs}
        return {"judged_by": rules_judged(verdict.rules), "proofs": proofs}

    def _rows(self, feed: Feed, records: str) -> str:
        """Define the rows of an object in the table, and return SQL for them."""
        rows = define_rows(self.engine, self.connection.name, feed, records)
        rows = with_own(rows, own_columns(feed, self.connection.mapping))
        if not feed.entry.over_rows:
            return rows
        return f"({over(feed.entry.over_rows, rows)})"

    def _formats_of(
        self, records: Sequence[str], names: Mapping[tuple[str, str], str]
    ) -> NumberFormats:
        formats = NumberFormats()
        for feed, relation in zip(self.feeds, records, strict=True):
            formats += number_formats_of(self.engine, feed, relation, names)
        return formats

    def _tallied(self, feed: Feed, ranking: Ranking) -> Tally:
        if feed.entry.single_row:
            return Tally()
        connection = self.connection.name
        unusable = keep_unusable(self.engine, connection, feed.landed, self.landing, ranking)
        return tally_of(self.engine, feed.landed, ranking, unusable)

    @property
    def _is_parent_readable(self) -> bool:
        parent = self.parent
        return parent is not None and damaged_version([parent], self.tables.verifier) is None

    @property
    def corruption(self) -> str:
        """What is damaged of the version before, see `compared_files`; "" for nothing."""
        if self.parent is None:
            return ""
        return corruption_of(self.parent, self.tables.verifier, self.landing.clock.now())

    def _set_aside(
        self, paths: list[Path], verdict: Verdict, tally: Tally
    ) -> tuple[Verdict, Tally, list[Path]]:
        """Put rows that break a contract of policy `quarantine` aside, and write the files without them."""
        inputs = [feed.landed for feed in self.feeds]
        if not verdict.aside:
            forget_failing(self.connection.name, inputs, self.landing)
            return verdict, tally, paths
        failing = self.engine.table("rows to set aside", verdict.aside)
        reasons = keep_failing(self.engine, self.connection.name, inputs, self.landing, failing)
        key = quoted(self.table.key)
        for path in paths:
            kept = path.with_suffix(".kept")
            rows = f"SELECT * FROM {parquet_files([path])} ANTI JOIN {failing} USING ({key})"
            self.engine.copy_to(rows, kept)
            kept.replace(path)
        [rows] = self.engine.row(f"SELECT count(*) FROM {parquet_files(paths)}")
        return (
            replace(verdict, rows=int(rows)),
            tally + Tally(quarantined=reasons),
            paths,
        )

    def check(self, verdict: Verdict, tally: Tally) -> None:
        """Check that no record is missing, and that not too many are left out.

        Raises:
            ContractError: a record is missing, or too many are left out.
        """
        if all(feed.entry.is_own for feed in self.feeds):
            tally.check(self.title, verdict.rows)
        inputs = [feed.landed for feed in self.feeds]
        waiting = undecided(self.connection.name, inputs, self.landing, tally.quarantined)
        refuse_many(self.title, waiting, verdict.rows, self.limit)

    def check_values(self, rows: str, read_again: str = "", before: str = "") -> None:
        """Refuse the version if its values show that a field has changed, unless a person has accepted that.

        Args:
            rows: SQL for rows of the version, see `changed_values`.
            read_again: SQL for those of batches that the version before had not; "" where they have to be found.
            before: SQL for the rows that these records had; "" where they have to be found.

        Raises:
            ContractError: a field has changed.
        """
        if (
            self.guard is None
            or self.parent is None
            or self.parent.meta.get(MADE_BY) != self.made_by
            or not (before or self._is_parent_readable)
        ):
            return
        noticed = changed_values(
            self.engine,
            self.feeds,
            self.table.key,
            rows,
            self.parent,
            read_again=read_again,
            before=before,
        )
        connection, table = self.connection.name, self.table.name
        blocking = self.guard.evaluate(connection, table, self.parent.version, noticed)
        if blocking:
            raise held_back(self.title, blocking)

    def _write(self, staged: Staged, rows: str, records: Sequence[str]) -> list[Path]:
        """Write live and deleted rows to separate files, so that the live one can be published as it is."""
        live = staged.path("base")
        rows = self.engine.step(f"{self.table.name} rows", f"SELECT * FROM {rows}")
        # Rows where is_deleted is NULL are included, so that the contract sees and refuses them.
        written = self.engine.copy_to(f"SELECT * FROM {rows} WHERE is_deleted IS NOT TRUE", live)
        # Counting all rows, unlike counting deleted ones, does not parse the records again.
        if self._count(rows, records) == written:
            return [live]
        deleted = staged.path("base")
        self.engine.copy_to(f"SELECT * FROM {rows} WHERE is_deleted", deleted)
        return [live, deleted]

    def _count(self, rows: str, records: Sequence[str]) -> int:
        """Count the rows; by records where each is a row, since the statement for rows takes longer to plan."""
        by_rows = self.table.over_rows or any(
            feed.entry.over_rows or feed.entry.single_row for feed in self.feeds
        )
        relations = [rows] if by_rows else records
        return sum(int(self.engine.row(f"SELECT count(*) FROM {name}")[0]) for name in relations)

    def _whole(self, rows: str) -> str:
        """Return SQL for the rows, with the columns that depend on several rows."""
        mapping = self.connection.mapping
        own = dict.fromkeys(name for feed in self.feeds for name in own_columns(feed, mapping))
        if not self.table.over_rows:
            return restored_own(f"({rows})", tuple(own))
        # A table, so that it is computed once for live and deleted rows.
        made = over(self.table.over_rows, f"({rows})")
        return restored_own(self.engine.table(f"{self.table.name} whole", made), tuple(own))

    def number_fields(self) -> frozenset[str]:
        """The fields, `<object>.<field>`, whose texts together decide how their numbers are read."""
        return frozenset(name for feed in self.feeds for name in number_fields_of(feed))

    def fed(self) -> dict[tuple[str, str], str]:
        """Return the column that each field feeds, `(object, field)`."""
        return {
            (feed.landed.object, entry.source): entry.column
            for feed in self.feeds
            for entry in feed.mapped
        }

    def _meta(
        self,
        verdict: Verdict,
        tally: Tally,
        formats: NumberFormats,
        found: Sequence[Described],
    ) -> dict[str, Any]:
        return {
            "inputs": self.state,
            MADE_BY: self.made_by,
            "live": verdict.rows - verdict.deleted,
            "batches": sum(len(feed.landed.places) for feed in self.feeds),
            "landed": tally.landed,
            "superseded": tally.superseded,
            "quarantined": tally.quarantined.total(),
            "reasons": dict(tally.quarantined),
            "unreadable": sum(
                self.engine.row(f"SELECT count(*) FROM {relation}")[0] for relation in self.unread
            ),
            "reader": duckdb.__version__,
            "time_zone": self.feeds[0].account.zone,
            "unconverted": dict(verdict.unconverted),
            "fed": sorted({entry.column for feed in self.feeds for entry in feed.mapped}),
            "misfits": list(verdict.misfits),
            "number_formats": formats.to_meta,
            "doubts": [asdict(doubt) for doubt in self._doubts()],
            "results": [
                [r.rule, r.severity, r.failures, list(r.examples)] for r in verdict.results
            ],
            # Beside each of them: its policy, what changed rows say, the file of its contract.
            "judged": [[r.policy, r.changed, r.changed_rows, r.contract] for r in verdict.results],
            "described": [each.to_meta() for each in found],
            "table": {
                "name": self.table.name,
                "singular": self.table.singular,
                "description": self.table.description,
            },
            "columns": [dict(column) for column in column_schema(self.table)],
            "objects": object_metadata(
                self.feeds, [o.name for o in self.connection.objects], self.parent
            ),
        }

    def _doubts(self) -> list[Doubt]:
        lists = [feed.landed for feed in self.feeds if feed.entry.each]
        return [doubt for landed in lists for doubt in doubts_of(self.engine, landed)]
