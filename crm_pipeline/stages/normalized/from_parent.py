"""Make a version of a table from the one before and what has landed since, equal to one made of all that has landed.

That works where the rules are the same, rows are single records, and nothing is to be decided over all records again.
Everything else is made whole, and the version says why. Counts of the version before are taken over: of the rows that
are replaced, `kept` and `odd` say what they counted for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from crm_pipeline.contracts.rules import RowRule, RuleResult
from crm_pipeline.contracts.scan import EXAMPLES, Subject, counts_sql
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.contracts import LIVE
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.stages.normalized.arrivals import Arrivals, NotFromParent, names_by_object
from crm_pipeline.stages.normalized.changed import RULES, depends_on_other_rows, parts_of
from crm_pipeline.stages.normalized.contract import (
    Fitting,
    PreviousVersion,
    Verdict,
    judged_fits,
    refuse,
    rules_for,
    unfit,
)
from crm_pipeline.stages.normalized.described import Described, described
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.kept import (
    KEPT_VERSION,
    counts_by_batch,
    odd_of,
    places_table,
    stored,
    stored_places,
    write_table,
)
from crm_pipeline.stages.normalized.mapping_failures import Batches
from crm_pipeline.stages.normalized.quarantine import forget_all
from crm_pipeline.stages.normalized.rows_before import rows_before
from crm_pipeline.stages.normalized.tally import Tally
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.replacement import MERGED_ABOVE, write_replaced

if TYPE_CHECKING:
    from crm_pipeline.stages.normalized.table_build import TableBuild

JUDGED_BY = "judged_by"
"""The entry in a version's meta with a fingerprint of the rules by which its rows were judged."""
MADE_OF = "made_of"
"""The entry with a fingerprint of each part of what rows depend on, by object."""
PROOFS = "proofs"
"""The entry with what decides, by object, which records count as seen."""


def rules_judged(rules: Sequence[RowRule]) -> str:
    """Return a fingerprint of rules and of the form of what is kept beside a version, for `JUDGED_BY`."""
    return fingerprint([KEPT_VERSION, [repr(rule) for rule in rules]])


def are_records(feeds: Sequence[Feed]) -> bool:
    """Say whether each row of a table depends on its own record only, so that versions can be made from others."""
    objects = {feed.landed.object for feed in feeds}
    return len(objects) == len(feeds) and not any(map(depends_on_other_rows, feeds))


@dataclass(frozen=True)
class Made:
    """What is noted of a version whose files are written.

    Attributes:
        batches: what was counted by batch.
        judged_by: see `JUDGED_BY`; "" where no version can be made from it.
        proofs: see `PROOFS`.
        because: why it was made of all that has landed; "" if it was made from the version before.
    """

    batches: Batches
    judged_by: str = ""
    proofs: Mapping[str, Any] = field(default_factory=dict)
    because: str = ""


def fingerprint_parts(feed: Feed) -> dict[str, str]:
    """Return a fingerprint of each part of what the rows of an object depend on, for `MADE_OF`."""
    return {name: fingerprint([part]) for name, part in parts_of(feed).items()}


FIRST, FEW = "it is the first version", "few records have landed"
"""The reasons that need no word in a log."""
FEW_RECORDS = 20_000
"""Of fewer landed records a version is made whole in less time than from the version before."""


def why_whole(
    feeds: Sequence[Feed], parent: TableVersion | None, rules: str, corruption: str
) -> str:
    """Return why a version has to be made of all that has landed, for people; "" where it need not be.

    Args:
        feeds: the objects of the table.
        parent: the version before.
        rules: a fingerprint of all by which rows are made and judged.
        corruption: what is damaged of the version before.
    """
    if parent is None:
        return FIRST
    if sum(batch.records for feed in feeds for batch in feed.landed.batches) < FEW_RECORDS:
        return FEW
    if corruption:
        return corruption
    if any(feed.landed.unread for feed in feeds):
        return "records cannot be read"
    if not are_records(feeds):
        return "its rows are no single records"
    meta = parent.meta
    if meta.get("quarantined") or meta.get("unreadable"):
        return "records are in quarantine, and each may be usable now"
    if meta.get("number_formats"):
        return "numbers of a field are not written plainly, so that all of them decide how they are read"
    if meta.get(RULES) != rules:
        return _other_rules(feeds, meta.get(MADE_OF))
    if not (meta.get(JUDGED_BY) and parent.beside):
        return "the version before does not say what it was made of"
    return ""


def _other_rules(feeds: Sequence[Feed], before: Sequence[Mapping[str, str]] | None) -> str:
    if before is None:
        return "the version before does not say what it was made of"
    if len(before) != len(feeds):
        return "other objects feed the table"
    other = {
        name
        for feed, parts in zip(feeds, before, strict=True)
        for name, part in fingerprint_parts(feed).items()
        if parts.get(name) != part
    }
    listed = " and ".join(sorted(other)) or "the program or a contract"
    return f"{listed} changed"


@dataclass(frozen=True)
class FromParent:
    """One build of a version from the one before.

    Attributes:
        build: the build of the table.
        parent: the version before.
    """

    build: "TableBuild"
    parent: TableVersion

    @property
    def engine(self) -> Engine:
        """Runs the SQL."""
        return self.build.engine

    @cached_property
    def arrivals(self) -> dict[str, Arrivals]:
        """What has landed since, by object."""
        names = self._places_by_object
        proofs: Mapping[str, Any] = self.parent.meta.get(PROOFS, {})
        return {
            feed.landed.object: Arrivals(
                self.engine,
                feed.landed,
                self.parent,
                names.get(feed.landed.object, frozenset()),
                proofs.get(feed.landed.object, ()),
                self.build.landing.check,
            )
            for feed in self.build.feeds
        }

    @cached_property
    def _places_before(self) -> list[Mapping[str, object]]:
        return stored_places(self.parent)

    @cached_property
    def _batches_before(self) -> dict[str, set[str]]:
        """The batches of the rows of the version before, by object."""
        found: dict[str, set[str]] = {}
        for place in self._places_before:
            if place["rows"]:
                found.setdefault(str(place["object"]), set()).add(str(place["batch_id"]))
        return found

    def run(self) -> None:
        """Build and commit the version.

        Raises:
            NotFromParent: it has to be made whole.
            ContractError: it breaks its contract, or a value shows that a field has changed.
        """
        if set(self._places_by_object) - set(self.arrivals):
            raise NotFromParent("an object does not feed the table any more")
        self.build.landing.check([b for a in self.arrivals.values() for b in a.files])
        for arrivals in self.arrivals.values():
            arrivals.find()
        self._check_share()
        for arrivals in self.arrivals.values():
            arrivals.read()
        found = self._described()
        with self.build.tables.stage(self.build.name, (self.build.table.key,)) as staged:
            rows = self._rows()
            self._check_numbers(rows)
            verdict = self._verdict(rows)
            if verdict.errors:
                raise refuse(self.build.title, verdict)
            tally = self._tally()
            inputs = [feed.landed for feed in self.build.feeds]
            forget_all(self.build.connection.name, inputs, self.build.landing)
            self.build.check(verdict, tally)
            self._check_values(rows)
            self.build.commit(staged, verdict, tally, found, self._written(staged, rows, verdict))

    @cached_property
    def _places_by_object(self) -> dict[str, frozenset[str]]:
        return names_by_object(self._places_before)

    def _check_share(self) -> None:
        """Refuse to replace more than a tenth of the rows: to write them again is cheaper."""
        [replaced] = self.engine.row(f"SELECT count(*) FROM {self._chosen()} WHERE _is_changed")
        # What later versions replaced stands beside the base until it is written again.
        [lately] = (
            self.engine.row(f"SELECT count(*) FROM {later}")
            if (later := stored(self.parent, "kept_delta"))
            else [0]
        )
        [base] = self.engine.row(f"SELECT count(*) FROM {parquet_files(self.parent.base)}")
        if replaced + lately > MERGED_ABOVE * base:
            raise NotFromParent("more than a tenth of the rows would stand beside the others")

    def _chosen(self) -> str:
        parts = [
            f"SELECT {literal(obj)} AS object, {literal(f'{self.build.connection.name}:{obj}:')} || _source_id AS {self.key}, * "
            f"FROM {arrivals.chosen}"
            for obj, arrivals in self.arrivals.items()
        ]
        return f"({' UNION ALL '.join(parts)})"

    @property
    def key(self) -> str:
        """The quoted key column."""
        return quoted(self.build.table.key)

    def _described(self) -> list[Described]:
        return [
            described(
                self.engine,
                feed,
                self.arrivals[feed.landed.object].records,
                self.parent,
                self.build.asked,
                before=self._batches_before.get(feed.landed.object, set()),
            )
            for feed in self.build.feeds
        ]

    def _rows(self) -> str:
        """Compute the rows of changed records."""
        records = [self.arrivals[feed.landed.object].records for feed in self.build.feeds]
        return self.engine.table("changed rows", f"FROM {self.build.rows_of(records)}")

    def _check_numbers(self, rows: str) -> None:
        """Refuse where numbers do not fit their column: all numbers of the field decide then how they are written."""
        new = {".".join(name) for name in unfit(self.engine, rows)}
        doubted = new | set(self.parent.meta["unconverted"])
        if names := doubted & self.build.number_fields():
            raise NotFromParent(f"numbers of {min(names)} do not fit their column")

    @cached_property
    def _changed(self) -> str:
        """The keys of the rows that are replaced, with the batch that the row had."""
        return self.engine.table(
            "changed keys",
            f"SELECT {self.key}, object, _batch_before FROM {self._chosen()} WHERE _is_changed",
        )

    def _verdict(self, rows: str) -> Verdict:
        build, engine = self.build, self.engine
        rules, theirs = rules_for(engine, build.table, rows, build.asked)
        if theirs.left:
            raise NotFromParent("a contract has checks of pandera, which judge all rows")
        if rules_judged(rules) != self.parent.meta.get(JUDGED_BY):
            raise NotFromParent("the rules of the contract are other ones")
        if any(
            rule.is_static or (rule.unique and rule.unique != (build.table.key,)) for rule in rules
        ):
            raise NotFromParent("a rule of the contract is about all rows together")
        of_rows = [rule for rule in rules if not rule.unique]
        odd = self._define_odd(rows, of_rows)
        results = self._results(rules, odd, rows)
        if any(r.policy == "quarantine" and r.failures for r in results):
            raise NotFromParent("rows go to quarantine by a contract")
        fits, misfits, unconverted = judged_fits(
            engine, self._fitting(rows, odd), build.fed(), PreviousVersion(self.parent), {}
        )
        total = self.parent.rows + sum(a.counted()[1] for a in self.arrivals.values())
        [deleted] = engine.row(f"SELECT count(*) FROM {odd} WHERE is_deleted")
        return Verdict(total, int(deleted), (*results, *fits), unconverted, misfits)

    def _define_odd(self, rows: str, rules: Sequence[RowRule]) -> str:
        """Compute which rows of the new version are odd, and which of the replaced ones were."""
        engine, before = self.engine, stored(self.parent, "odd")
        keys = f"(SELECT {self.key} AS record_key FROM {self._changed})"
        engine.table("odd before", f"FROM {before} SEMI JOIN {keys} USING (record_key)")
        new = odd_of(rows, self.build.table.key, rules)
        return engine.table(
            "odd now", f"FROM {before} ANTI JOIN {keys} USING (record_key) UNION ALL BY NAME {new}"
        )

    def _fresh(self, rows: str) -> str:
        """Return SQL for the rows of batches that the version before had not."""
        old = [
            f"({literal(obj)}, {literal(batch)})"
            for obj, batches in self._batches_before.items()
            for batch in batches
        ]
        known = self.engine.table(
            "batches before",
            f"FROM (VALUES {', '.join(old)}) AS v(object, batch_id)"
            if old
            else "SELECT '' AS object, '' AS batch_id WHERE false",
        )
        return f"(FROM {rows} ANTI JOIN {known} USING (object, batch_id))"

    def _results(self, rules: Sequence[RowRule], odd: str, rows: str) -> list[RuleResult]:
        """Return the results of all rules on all rows of the new version."""
        counted = (
            f"SELECT rule, count(*) FROM (SELECT unnest(failed) AS rule FROM {odd}) GROUP BY ALL"
        )
        failures: dict[str, int] = {rule: int(count) for rule, count in self.engine.rows(counted)}
        broken = [rule for rule in rules if failures.get(rule.name)]
        subject = Subject(rows, self.build.table.key, f"({LIVE})")
        if not self.parent.rows:
            raise NotFromParent("the version before has no rows")
        changed_rows, *among = self.engine.row(counts_sql(subject, self._fresh(rows), broken))
        changed = dict(zip([rule.name for rule in broken], among, strict=True))
        return [
            RuleResult(
                rule.name,
                rule.severity,
                failures.get(rule.name, 0),
                self._examples(odd, rule) if failures.get(rule.name) else (),
                rule.policy,
                int(changed.get(rule.name, 0)),
                int(changed_rows),
                rule.contract,
            )
            for rule in rules
        ]

    def _examples(self, odd: str, rule: RowRule) -> tuple[str, ...]:
        found = self.engine.rows(
            f"SELECT record_key FROM {odd} WHERE list_contains(failed, {literal(rule.name)}) LIMIT {EXAMPLES}"
        )
        return tuple(sorted(str(key) for (key,) in found))

    def _fitting(self, rows: str, odd: str) -> Fitting:
        key = self.build.table.key
        kept = f"SELECT * FROM {Tables.relation(self.parent)} ANTI JOIN {self._changed} USING ({self.key})"
        before = f'(SELECT record_key AS {self.key}, object, unconverted FROM "odd before")'
        return Fitting(
            key,
            f"(SELECT * FROM ({kept} UNION ALL BY NAME FROM {rows}) WHERE {LIVE})",
            f"(SELECT * FROM {odd} WHERE {LIVE})",
            f"(SELECT * FROM {self._fresh(rows)} WHERE {LIVE})",
            before,
        )

    def _check_values(self, rows: str) -> None:
        """Compare changed rows with those before, as far as these are found in a part of the files."""
        if self.build.guard is None:
            return
        keys = f"(SELECT {self.key} FROM {self._changed} WHERE _batch_before IS NOT NULL)"
        before = rows_before(self.engine, self.parent, keys)
        missing = f"(FROM {keys} ANTI JOIN {before} USING ({self.key}))"
        fresh = f"(FROM {self._fresh(rows)} ANTI JOIN {missing} USING ({self.key}))"
        self.build.check_values(rows, fresh, before)

    def _tally(self) -> Tally:
        meta = self.parent.meta
        counted = [arrivals.counted() for arrivals in self.arrivals.values()]
        superseded = meta["superseded"] + sum(arrived - fresh for arrived, fresh in counted)
        landed = sum(batch.records for feed in self.build.feeds for batch in feed.landed.batches)
        return Tally(landed, superseded)

    def _written(self, staged: Staged, rows: str, verdict: Verdict) -> "Made":
        """Write the files of the version, and return what is noted of it."""
        engine, counts = self.engine, self._counts(rows)
        keys = f"(SELECT {self.key} FROM {self._changed})"
        old = f"(SELECT {self.key} FROM {self._changed} WHERE _batch_before IS NOT NULL)"
        written = write_replaced(engine, staged, self.parent, keys, rows, old=old)
        if written != verdict.rows:
            raise NotFromParent(f"the table would have {written:,} rows and not {verdict.rows:,}")
        self._write_beside(staged, counts)
        before = self._batches_before
        new = sorted(
            {b for (obj, b), (n, _) in counts.items() if n and b not in before.get(obj, set())}
        )
        records: dict[str, dict[str, int]] = {}
        for (obj, batch), (_, live) in counts.items():
            if live:
                records.setdefault(obj, {})[batch] = live
        return Made(
            Batches(new, records, self._failures()),
            self.parent.meta[JUDGED_BY],
            {obj: arrivals.now.to_meta for obj, arrivals in self.arrivals.items()},
        )

    def _counts(self, rows: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Return the numbers of rows and live rows of the new version by object and batch."""
        total, live = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for place in self._places_before:
            name = (str(place["object"]), str(place["batch_id"]))
            total[name] += int(str(place["rows"]))
            live[name] += int(str(place["live"]))
        gone = self.engine.rows(
            f"SELECT c.object, c._batch_before, count(*), count(*) FILTER (WHERE o.is_deleted IS NOT TRUE) "
            f'FROM {self._changed} AS c LEFT JOIN "odd before" AS o ON c.{self.key} = o.record_key '
            "WHERE c._batch_before IS NOT NULL GROUP BY ALL"
        )
        for obj, batch, count, alive in gone:
            total[obj, batch] -= int(count)
            live[obj, batch] -= int(alive)
        for name, (count, alive) in counts_by_batch(self.engine, rows).items():
            total[name] += count
            live[name] += alive
        return {name: (count, live[name]) for name, count in total.items()}

    def _failures(self) -> dict[tuple[str, str], dict[str, int]]:
        """Return the numbers of values that do not fit by object and field, and batch."""
        listed = f'SELECT object, batch_id, unnest(unconverted) AS field FROM "odd now" WHERE unconverted IS NOT NULL AND {LIVE}'
        counts: dict[tuple[str, str], dict[str, int]] = {}
        sql = f"SELECT object, field, batch_id, count(*) FROM ({listed}) GROUP BY ALL ORDER BY ALL"
        for obj, name, batch, count in self.engine.rows(sql):
            counts.setdefault((obj, name), {})[batch] = int(count)
        return counts

    def _write_beside(
        self, staged: Staged, counts: Mapping[tuple[str, str], tuple[int, int]]
    ) -> None:
        engine, arrivals = self.engine, list(self.arrivals.values())
        staged.adopt_beside(self.parent, "kept")
        lately = engine.table("kept lately", " UNION ALL ".join(a.kept for a in arrivals))
        if before := stored(self.parent, "kept_delta"):
            lately = f"(FROM {before} ANTI JOIN {lately} USING (_h1, _h2) UNION ALL BY NAME FROM {lately})"
        engine.copy_to(f"FROM {lately}", staged.path("kept_delta"))
        engine.copy_to('FROM "odd now"', staged.path("odd"))
        inputs = [feed.landed for feed in self.build.feeds]
        write_table(staged.path("places"), places_table(inputs, counts))
        if mergers := [a.mergers for a in arrivals if a.mergers]:
            engine.copy_to(" UNION ALL ".join(mergers), staged.path("mergers"))
