"""Bring the verified tables up to date: judge what is new, replace the points of records that changed, commit."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from crm_pipeline.contracts import RuleResult
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import CONTACT_POINTS, StageTable
from crm_pipeline.stages.verified.changed import Changed, changed_records
from crm_pipeline.stages.verified.contract import fingerprint_of
from crm_pipeline.stages.verified.points import Points
from crm_pipeline.stages.verified.result import PointCount, Verified, counts_in, result_of, shares
from crm_pipeline.stages.verified.rows import Rows
from crm_pipeline.stages.verified.sources import Source, sources_of
from crm_pipeline.stages.verified.verifiers import Expiry, Verifiers
from crm_pipeline.store.tables import Commit, Staged, Tables, TableVersion, commit_all
from crm_pipeline.store.tables.compared_files import (
    COMPARED,
    check_base,
    compared_at,
    corruption_of,
    noted,
)
from crm_pipeline.store.tables.corruption import check_paths, check_versions
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_merged, write_replaced

CODE_VERSION = 4
"""To be raised when the same records would give other rows."""
_HISTORY = 10
_UNSURE_FOR = timedelta(hours=1)
_AHEAD = timedelta(days=1)
"""A verdict from further ahead is of a clock that was wrong."""
_POINTS = CONTACT_POINTS.name
_NONE = ContractFolder()


@dataclass(frozen=True)
class Choices:
    """What the user has chosen.

    Attributes:
        regions: by connection, the country by which national numbers without a country are read.
        expires: after that time a value is judged again.
        shared_from: a number that so many people have is a switchboard or a placeholder.
    """

    regions: Mapping[str, str]
    expires: timedelta = timedelta(days=30)
    shared_from: int = 20


def verify(
    tables: Tables,
    engine: Engine,
    verifiers: Verifiers,
    choices: Choices,
    *,
    wanted: Collection[str],
    now: datetime,
    is_anew: bool = False,
    contracts: ContractFolder = _NONE,
) -> Verified:
    """Bring the verified tables up to date with the normalized ones; commit them in one release.

    Args:
        tables: where the normalized tables are, and where versions are committed.
        engine: runs the SQL.
        verifiers: how values are judged.
        choices: what the user has chosen.
        wanted: the normalized tables by the names under which the store keeps them; others are ignored.
        now: the present.
        is_anew: write every file anew, even if nothing has changed, so that none holds a value of before. This is no
            further build in the history.
        contracts: the user's contracts and policies.

    Raises:
        CorruptFile: a file of a normalized table is not as it was written.
        ContractError: the new rows break a rule; the tables keep their current versions.
        CommitConflict: another process built the same tables at the same time.
    """
    current = {
        table.name: _version(tables, VERIFIED.stored_name(table.name)) for table in VERIFIED.tables
    }
    sources = sources_of(tables, set(wanted) & set(tables.current().tables))
    state = _State.of(sources, verifiers, choices, contracts)
    parents = _comparable(tables, current, state, now)
    return _Build(
        tables,
        engine,
        verifiers,
        choices,
        now,
        is_anew,
        sources,
        state,
        current,
        parents,
        contracts,
    ).run()


def _version(tables: Tables, name: str) -> TableVersion | None:
    try:
        return tables.version(name)
    except CorruptFile:
        return tables.unreadable(name)


def _comparable(
    tables: Tables, current: Mapping[str, TableVersion | None], state: "_State", now: datetime
) -> dict[str, TableVersion]:
    """Return the current versions if rows of them can be kept, else nothing."""
    versions = {name: version for name, version in current.items() if version is not None}
    is_usable = (
        len(versions) == len(current)
        and all(version.meta.get("rules") == state.rules for version in versions.values())
        and len({version.meta.get("state") for version in versions.values()}) == 1
        and not any(corruption_of(v, tables.verifier, now) for v in versions.values())
    )
    return versions if is_usable else {}


@dataclass(frozen=True)
class _State:
    """What the tables are made of.

    Attributes:
        inputs: the version of each normalized table.
        rules: a fingerprint of all by which values are judged.
    """

    inputs: Mapping[str, str]
    rules: str

    @classmethod
    def of(
        cls,
        sources: Collection[Source],
        verifiers: Verifiers,
        choices: Choices,
        contracts: ContractFolder,
    ) -> "_State":
        inputs = {source.version.name: source.version.version for source in sources}
        columns = [[c.name for c in table.columns] for table in VERIFIED.tables]
        rules = [
            CODE_VERSION,
            choices.shared_from,
            verifiers.rules,
            sorted(choices.regions.items()),
            columns,
            # Rows that are kept were judged by the same contracts.
            *filter(None, [fingerprint_of(contracts)]),
        ]
        return cls(inputs, fingerprint(rules))

    @property
    def identity(self) -> str:
        return fingerprint([dict(self.inputs), self.rules])


@dataclass(frozen=True)
class _Build:
    tables: Tables
    engine: Engine
    verifiers: Verifiers
    choices: Choices
    now: datetime
    is_anew: bool
    sources: list[Source]
    state: _State
    current: Mapping[str, TableVersion | None]
    parents: Mapping[str, TableVersion]
    contracts: ContractFolder

    def run(self) -> Verified:
        """Build and commit the tables, if anything has changed."""
        expiry = Expiry(
            self.now - self.choices.expires,
            self.verifiers.unsure,
            self.now - _UNSURE_FOR,
            self.now + _AHEAD,
        )
        if not self.parents:
            if not self.sources and not any(self.current.values()):
                return Verified({}, changed=False)
            check_versions(self.tables, [source.version for source in self.sources])
            points = self._points("")
            return self._committed(self._rows(points, expiry), "")
        changed = changed_records(self.engine, self.tables, self.sources, self.parents, expiry)
        if changed is None and not self.is_anew:
            return result_of(self.parents, changed=False)
        changed = changed or Changed.none(self.engine)
        for version in (source.version for source in self.sources):
            check_paths(self.tables, version, (*version.delta, *version.tombstones))
        points = self._points(changed.records)
        # Most edits leave addresses and numbers alone.
        changed = changed.narrowed(self.engine, points.differing)
        points = points.narrow(changed.records)
        while True:
            rows = self._rows(points, expiry)
            sharers = rows.records_to_add()
            if not sharers:
                return self._committed(rows, changed.records)
            changed = changed.extended(self.engine, sharers)
            points = self._points(changed.records)

    def _points(self, changed: str) -> Points:
        """Read the points of changed records; "" means all."""
        points = Points(
            self.engine, self.sources, changed, self.parents.get(_POINTS), self._check_base
        )
        points.define(self.verifiers, self.choices.regions)
        return points

    def _rows(self, points: Points, expiry: Expiry) -> Rows:
        rows = Rows(self.engine, self.verifiers, points, self.parents, expiry, self.now)
        rows.define(self.choices.shared_from)
        return rows

    def _check_base(self, version: TableVersion) -> None:
        check_base(self.tables, version, self.now)

    def _committed(self, rows: Rows, changed: str) -> Verified:
        with ExitStack() as stack:
            commits = [self._staged(stack, table, rows, changed) for table in VERIFIED.tables]
            results = rows.check(changed, self.contracts)
            before = self.parents.get(_POINTS)
            counts = rows.counts(counts_in(before) if before else ())
            commit_all([self._with_meta(commit, counts, results) for commit in commits])
        versions = {
            table.name: version
            for table in VERIFIED.tables
            if (version := self.tables.version(VERIFIED.stored_name(table.name)))
        }
        return result_of(versions, changed=True, judged=rows.judged)

    def _staged(self, stack: ExitStack, table: StageTable, rows: Rows, changed: str) -> Commit:
        name = VERIFIED.stored_name(table.name)
        staged = stack.enter_context(self.tables.stage(name, table.key))
        parent = self.parents.get(table.name)
        if parent is None:
            count = rows.write(table.name, staged)
        else:
            keys = rows.keys(table.name, changed)
            new, old = rows.of(table.name), rows.old(table.name)
            if self.is_anew:
                count = write_merged(self.engine, staged, parent, keys, new)
            else:
                count = write_replaced(self.engine, staged, parent, keys, new, old=old)
        return Commit(staged, self.current[table.name], count)

    def _compared_at(self, staged: Staged, table: StageTable) -> datetime:
        """Return when the base files of a new version were compared with their checksums, or written."""
        parent = self.parents.get(table.name)
        is_adopted = parent is not None and staged.is_adopted("base")
        at = compared_at(parent, self.now) if is_adopted and parent is not None else None
        return at or self.now

    def _with_meta(
        self,
        commit: Commit,
        counts: list[PointCount],
        results: Mapping[str, list[RuleResult]],
    ) -> Commit:
        [table] = [t for t in VERIFIED.tables if VERIFIED.stored_name(t.name) == commit.staged.name]
        before = self.current[_POINTS]
        history = before.meta.get("history", []) if before else []
        history = history[:-1] if self.is_anew else history
        is_points = table.name == _POINTS
        meta: dict[str, Any] = {
            "rules": self.state.rules,
            "state": self.state.identity,
            "inputs": dict(self.state.inputs),
            "live": commit.rows,
            "table": {"name": table.name, "description": table.description},
            "columns": [
                {"name": c.name, "type": c.type, "description": c.description}
                for c in table.columns
            ],
            "results": [
                [r.rule, r.severity, r.failures, list(r.examples)] for r in results[table.name]
            ],
            "counts": [asdict(count) for count in counts] if is_points else [],
            "history": [*history, shares(counts)][-_HISTORY - 1 :] if is_points else [],
            COMPARED: noted(commit.staged.paths("base"), self._compared_at(commit.staged, table)),
        }
        return replace(commit, meta=meta)
