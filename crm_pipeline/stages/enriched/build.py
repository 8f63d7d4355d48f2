"""Bring the tables of the stage `enriched` up to date: take over what was bought, choose who is wanted, commit."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.enriched_tables import ENRICHMENT_WANTED, ENRICHMENTS
from crm_pipeline.model.stages import ENRICHED, VERIFIED
from crm_pipeline.model.verified_tables import CONTACT_POINTS, EMAIL_VERDICTS, StageTable
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched.wanted import (
    KEY_FUNCTION,
    PERSON_TABLES,
    Inputs,
    purchase_key,
    wanted,
)
from crm_pipeline.store.purchases import Answer, PurchaseLedger
from crm_pipeline.store.tables import Commit, Tables, TableVersion, commit_all
from crm_pipeline.store.tables.corruption import check_versions, damaged_version
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_merged, write_replaced, write_whole

CODE_VERSION = 5
"""To be raised when the same inputs would give other rows."""
HISTORY = "history/"
"""Prefix of the names of tables with versions."""
_WANTED, _BOUGHT = ENRICHMENT_WANTED.name, ENRICHMENTS.name
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "VARCHAR[]": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Enriched:
    """The result of a build.

    Attributes:
        versions: the current version of each table; empty where nothing is configured and nothing was bought.
        changed: whether a version was committed.
    """

    versions: Mapping[str, TableVersion] = field(default_factory=dict)
    changed: bool = False

    @property
    def wanted(self) -> int:
        """How many persons are wanted."""
        return self.versions[_WANTED].rows if _WANTED in self.versions else 0

    def rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        return self.versions[table].rows if table in self.versions else 0


def enrich_tables(
    tables: Tables,
    engine: Engine,
    ledger: PurchaseLedger,
    choices: Enrichment,
    *,
    names: Collection[str],
    now: datetime,
    is_anew: bool = False,
) -> Enriched:
    """Bring the tables up to date with the ledger, the normalized and the verified tables; one release.

    Args:
        tables: where versions are committed.
        engine: runs the SQL.
        ledger: what was bought.
        choices: who is wanted.
        names: the normalized tables by the names under which the store keeps them; others are ignored.
        now: the present.
        is_anew: write every file anew, so that none holds a value of before.

    Raises:
        CorruptFile: a file of an input is not as it was written.
        CommitConflict: another process built the same tables at the same time.
    """
    current = {table.name: _version(tables, table) for table in ENRICHED.tables}
    is_used = bool(choices.provider) or any(current.values())
    if not is_used:
        return Enriched()
    build = _Build(tables, engine, ledger, choices, frozenset(names), now, current, is_anew)
    return build.run()


def _version(tables: Tables, table: StageTable) -> TableVersion | None:
    name = ENRICHED.stored_name(table.name)
    try:
        return tables.version(name)
    except CorruptFile:
        return tables.unreadable(name)


@dataclass(frozen=True)
class _Build:
    tables: Tables
    engine: Engine
    ledger: PurchaseLedger
    choices: Enrichment
    names: frozenset[str]
    now: datetime
    current: Mapping[str, TableVersion | None]
    is_anew: bool

    def run(self) -> Enriched:
        """Build and commit the tables, if anything has changed."""
        inputs = self._inputs()
        parent = self._comparable()
        seen = int(parent.meta["revision"]) if parent else 0
        answers = self.ledger.answers(after=seen)
        revision = max((answer.revision for answer in answers), default=seen)
        state = self._state(inputs, revision)
        before = self.current[_WANTED]
        if parent and before and before.meta.get("state") == state and not self.is_anew:
            return self._result(changed=False)
        verified = filter(None, (inputs.points, inputs.verdicts))
        check_versions(self.tables, [*inputs.normalized, *inputs.histories, *verified])
        with ExitStack() as stack:
            bought = self._bought(stack, parent, answers)
            staged = stack.enter_context(
                self.tables.stage(ENRICHED.stored_name(_WANTED), ENRICHMENT_WANTED.key)
            )
            relation = self.engine.table("wanted", f"FROM {self._wanted(inputs)}")
            chosen = Commit(staged, before, write_whole(self.engine, staged, relation))
            meta = {"state": state, "revision": revision}
            commit_all([self._with_meta(commit, meta) for commit in (chosen, bought)])
        return self._result(changed=True)

    def _inputs(self) -> Inputs:
        release = self.tables.current()
        versions = [
            self.tables.version(name, release) for name in sorted(self.names & set(release.tables))
        ]
        points, verdicts = (
            self.tables.version(VERIFIED.stored_name(table.name), release)
            for table in (CONTACT_POINTS, EMAIL_VERDICTS)
        )
        pasts = [
            self.tables.version(f"{HISTORY}{name.partition('/')[2]}", release)
            for name in sorted(self.names & set(release.tables))
            if name.rpartition("/")[2] in PERSON_TABLES
        ]
        histories = [v for v in pasts if v is not None]
        return Inputs([v for v in versions if v is not None], points, verdicts, "bought", histories)

    def _comparable(self) -> TableVersion | None:
        """Return the version of the bought facts, if its rows can be kept."""
        version = self.current[_BOUGHT]
        columns = fingerprint([CODE_VERSION, repr(ENRICHMENTS)])
        if version is None or version.meta.get("made_by") != columns:
            return None
        return version if damaged_version([version], self.tables.verifier) is None else None

    def _state(self, inputs: Inputs, revision: int) -> str:
        versions = [(v.name, v.version) for v in (*inputs.normalized, *inputs.histories)]
        verified = [one.version if one else "" for one in (inputs.points, inputs.verdicts)]
        columns = [repr(table) for table in ENRICHED.tables]
        # Who is wanted depends on the day where it depends on ages.
        today = self.now.date().isoformat()
        facts = [CODE_VERSION, columns, versions, verified, repr(self.choices), revision, today]
        return fingerprint(facts)

    def _bought(
        self, stack: ExitStack, parent: TableVersion | None, answers: Sequence[Answer]
    ) -> Commit:
        """Stage the bought facts, and name all of them `bought` for the SQL that follows."""
        staged = stack.enter_context(
            self.tables.stage(ENRICHED.stored_name(_BOUGHT), ENRICHMENTS.key)
        )
        is_whole = parent is None or any(answer.asked_for is None for answer in answers)
        if is_whole and parent is not None:  # whose rows these were, an erasure leaves nowhere
            answers = self.ledger.answers()
        rows = self.engine.load("bought rows", _facts(answers))
        keys = self.engine.table(
            "bought keys", f"SELECT DISTINCT {', '.join(ENRICHMENTS.key)} FROM {rows}"
        )
        if is_whole or parent is None:
            count = write_whole(self.engine, staged, rows)
        elif self.is_anew:
            count = write_merged(self.engine, staged, parent, keys, rows)
        else:
            count = write_replaced(self.engine, staged, parent, keys, rows)
        kept = (
            ""
            if is_whole or parent is None
            else f" UNION ALL BY NAME SELECT * FROM {Tables.relation(parent)} ANTI JOIN {keys} "
            f"USING ({', '.join(ENRICHMENTS.key)})"
        )
        self.engine.view("bought", f"SELECT * FROM {rows}{kept}")
        return Commit(staged, self.current[_BOUGHT], count)

    def _wanted(self, inputs: Inputs) -> str:
        self.engine.function(KEY_FUNCTION, purchase_key)
        if self.choices.provider:
            return wanted(inputs, self.choices, self.now)
        return f"({wanted(inputs, self.choices, self.now)} LIMIT 0)"

    def _with_meta(self, commit: Commit, facts: Mapping[str, Any]) -> Commit:
        [table] = [t for t in ENRICHED.tables if ENRICHED.stored_name(t.name) == commit.staged.name]
        meta = {
            **facts,
            "made_by": fingerprint([CODE_VERSION, repr(table)]),
            "live": commit.rows,
            "table": {"name": table.name, "description": table.description},
            "columns": [
                {"name": c.name, "type": c.type, "description": c.description}
                for c in table.columns
            ],
        }
        return replace(commit, meta=meta)

    def _result(self, *, changed: bool) -> Enriched:
        versions = {table.name: _version(self.tables, table) for table in ENRICHED.tables}
        known = {name: version for name, version in versions.items() if version is not None}
        return Enriched(known, changed)


def _facts(answers: Sequence[Answer]) -> pa.Table:
    """Return one row per fact of settled purchases; one without a field for a purchase that brought none."""
    names = [column.name for column in ENRICHMENTS.columns]
    schema = pa.schema([(c.name, _ARROW[c.type]) for c in ENRICHMENTS.columns])
    rows: list[dict[str, Any]] = []
    for answer in answers:
        if answer.asked_for is None:
            continue
        facts = (answer.answer or {}).get("facts") or [{}]
        rows += [_row(answer, place, fact) for place, fact in enumerate(facts, 1)]
    return pa.Table.from_pylist(rows, schema=schema).select(names)


def _row(answer: Answer, place: int, fact: Mapping[str, Any]) -> dict[str, Any]:
    value = fact.get("value")
    return {
        "asked_for": answer.asked_for,
        "kind": answer.kind,
        "provider": answer.provider,
        "status": answer.outcome,
        "position": place,
        "field": fact.get("name"),
        "value": value if value is None or isinstance(value, str) else json.dumps(value),
        "fact_status": fact.get("status") or None,
        "confidence": fact.get("confidence"),
        "bought_at": answer.settled_at,
        "cost": answer.cost,
        "is_free": answer.is_free,
        "records": list(answer.records),
    }
