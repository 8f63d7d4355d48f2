"""The new rows of the verified tables, as SQL over the points of the records that changed."""

from collections.abc import Mapping
from datetime import datetime

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL,
    EMAIL_VERDICTS,
    PHONE,
    PHONE_VERDICTS,
    StageTable,
)
from crm_pipeline.stages.verified.points import Points
from crm_pipeline.stages.verified.result import PointCount
from crm_pipeline.stages.verified.sources import PERSONS
from crm_pipeline.stages.verified.verifiers import Expiry, Verifiers, judged
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.verification import PHONE_RULE

SHARED = "shared"
_PERSONS = ", ".join(map(literal, PERSONS))
_KINDS: Mapping[str, StageTable] = {EMAIL: EMAIL_VERDICTS, PHONE: PHONE_VERDICTS}
_EXAMPLES = 5


class Rows:
    """The rows that replace those of changed records and values.

    Args:
        engine: runs the SQL.
        verifiers: give verdicts on the values that have no verdict yet.
        points: of the changed records.
        parents: the current tables; empty where all is built anew.
        expiry: says which verdicts are not used any more.
        now: the time of the new verdicts.
    """

    def __init__(  # noqa: PLR0917 - each argument is plain at the call
        self,
        engine: Engine,
        verifiers: Verifiers,
        points: Points,
        parents: Mapping[str, TableVersion],
        expiry: Expiry,
        now: datetime,
    ) -> None:
        self.engine = engine
        self.verifiers = verifiers
        self.points = points
        self.parents = parents
        self.expiry = expiry
        self.now = now
        self.judged: dict[str, int] = {}
        self._verdicts: dict[str, str] = {}
        self._points = ""

    def define(self, shared_from: int) -> None:
        """Verify the values of the changed records that have no verdict."""
        for kind in _KINDS:
            self._define_verdicts(kind)
        self._define_shared(shared_from)
        # All points at once may be too many for memory: they are computed while they are written.
        define = self.engine.table if self.parents else self.engine.view
        self._points = define("new contact points", self._contact_points())

    def were_written(self, table: str, staged: Staged) -> None:
        """Read the new rows of a table from the files in which they were written from now on."""
        if table == CONTACT_POINTS.name:
            self._points = parquet_files(staged.paths("base"))

    def of(self, table: str) -> str:
        """Return the relation with the new rows of a table."""
        return {
            EMAIL_VERDICTS.name: self._verdicts[EMAIL],
            PHONE_VERDICTS.name: self._shared_applied(),
            CONTACT_POINTS.name: self._points,
        }[table]

    def keys(self, table: str, changed: str) -> str:
        """Return the relation with the keys whose rows are replaced."""
        for kind, verdicts in _KINDS.items():
            if verdicts.name == table:
                return self._affected(kind)
        return changed

    def records_to_add(self) -> str:
        """Return the relation with records that changed because a number of theirs is shared now, or is no more.

        It is "" where there are none.
        """
        if not self.parents:
            return ""
        more = self.engine.table(
            "sharers",
            f"SELECT DISTINCT record_key FROM {self.points.kept} SEMI JOIN {self._turned} USING (normalized) "
            f"WHERE kind = '{PHONE}'",
        )
        return more if self.engine.row(f"SELECT count(*) FROM {more}")[0] else ""

    def check(self) -> None:
        """Check the new rows.

        Raises:
            ContractError: a value has no verdict, or a point is there twice.
        """
        rows = self._points
        rules = {
            "verdict is empty": f"SELECT record_key FROM {rows} WHERE verdict IS NULL",
            "point is not unique": f"SELECT record_key FROM {rows} GROUP BY record_key, kind, position "
            "HAVING count(*) > 1",
        }
        failures = []
        for rule, sql in rules.items():
            [count] = self.engine.row(f"SELECT count(*) FROM ({sql})")
            if count:
                examples = [key for (key,) in self.engine.rows(f"{sql} LIMIT {_EXAMPLES}")]
                failures.append((rule, int(count), examples))
        if failures:
            listed = "; ".join(f"{rule}: {count:,} rows" for rule, count, _ in failures)
            raise ContractError(
                f"contact_points breaks its contract: {listed}. The tables keep their current versions.",
                failures=failures,
                cure="This is an error of the pipeline, not of the records: report it with these texts.",
            )

    def counts(self) -> list[PointCount]:
        """Return how many points have which verdict, of all records."""
        columns = "connection, kind, verdict, reasons"
        both = (
            f"SELECT {columns} FROM {self.points.kept} UNION ALL "
            f"SELECT {columns} FROM {self._points}"
        )
        rows = self.engine.rows(
            f"SELECT {columns}, count(*) FROM ({both}) GROUP BY ALL ORDER BY ALL"
        )
        return [PointCount(c, k, v, tuple(r), int(n)) for c, k, v, r, n in rows]

    def _define_verdicts(self, kind: str) -> None:
        table = _KINDS[kind]
        key = ", ".join(map(quoted, table.key))
        of_kind = f"WHERE kind = {literal(kind)}"
        new = f"SELECT DISTINCT {key} FROM {self.points.new} {of_kind}"
        affected = self.engine.table(
            f"affected {kind}",
            f"{new} UNION SELECT DISTINCT {key} FROM {self.points.old} {of_kind}",
        )
        kept = f"SELECT {key} FROM {self.points.kept} {of_kind}"
        present = self.engine.table(
            f"present {kind}",
            f"{new} UNION (SELECT {key} FROM {affected} SEMI JOIN ({kept}) USING ({key}))",
        )
        parent = self.parents.get(table.name)
        unjudged = f"SELECT {key} FROM {present}"
        parts = []
        if parent is not None:
            fresh = self.engine.table(
                f"fresh {kind}",
                # Whether a number is shared is decided anew: its verdict without that is not stored.
                f"FROM {Tables.relation(parent)} SEMI JOIN {present} USING ({key}) "
                f"WHERE NOT {self.expiry.condition} AND NOT list_contains(reasons, '{SHARED}')",
            )
            unjudged += f" ANTI JOIN {fresh} USING ({key})"
            parts.append(f"SELECT * FROM {fresh}")
        [self.judged[kind]] = self.engine.row(f"SELECT count(*) FROM ({unjudged})")
        verify = self.verifiers.emails if kind == EMAIL else self.verifiers.phones
        made = judged(
            self.engine, f"judged {kind}", unjudged, verify, self.verifiers.rules, self.now
        )
        parts.append(f"SELECT * FROM {made}")
        columns = ", ".join(quoted(column.name) for column in table.columns)
        rows = " UNION ALL BY NAME ".join(parts)
        self._verdicts[kind] = self.engine.table(
            f"{kind} verdicts", f"SELECT {columns} FROM ({rows})"
        )

    def _affected(self, kind: str) -> str:
        return quoted(f"affected {kind}")

    def _define_shared(self, shared_from: int) -> None:
        """Find the numbers that very many people have, among those of the changed records."""
        verdicts = self._verdicts[PHONE]
        self.engine.table(
            "touched numbers",
            f"SELECT normalized FROM {self.points.old} WHERE kind = '{PHONE}' AND normalized IS NOT NULL "
            f"UNION SELECT phone_e164 FROM {verdicts} WHERE phone_e164 IS NOT NULL",
        )
        people = (
            f"SELECT record_key, phone_e164 AS normalized FROM {self.points.new} JOIN {verdicts} "
            f"USING (value, region) WHERE kind = '{PHONE}' AND table_name IN ({_PERSONS}) "
            f'UNION ALL SELECT record_key, normalized FROM {self.points.kept} SEMI JOIN "touched numbers" '
            f"USING (normalized) WHERE kind = '{PHONE}' AND table_name IN ({_PERSONS})"
        )
        self.engine.table(
            "shared numbers",
            f"SELECT normalized FROM ({people}) WHERE normalized IS NOT NULL GROUP BY normalized "
            f"HAVING count(DISTINCT record_key) >= {shared_from}",
        )

    @property
    def _turned(self) -> str:
        """SQL for the touched numbers that are shared now and were not, or the other way round."""
        kept = self.points.kept
        was = (
            f'SELECT DISTINCT normalized FROM {kept} SEMI JOIN "touched numbers" USING (normalized) '
            f"WHERE kind = '{PHONE}' AND list_contains(reasons, '{SHARED}')"
        )
        now = 'FROM "shared numbers"'
        return f"((({now}) EXCEPT ({was})) UNION (({was}) EXCEPT ({now})))"

    def _shared_applied(self) -> str:
        is_shared = "s.normalized IS NOT NULL"
        # Reasons stand in the order of the vocabulary, also where one comes later.
        words = ", ".join(literal(reason) for reason in PHONE_RULE)
        known = f"list_append(v.reasons, '{SHARED}')"
        added = f"list_filter([{words}], lambda word: list_contains({known}, word))"
        return (
            f"(SELECT v.* REPLACE (CASE WHEN {is_shared} THEN {added} ELSE v.reasons END "
            f"AS reasons, CASE WHEN {is_shared} AND v.verdict IN ('valid', 'unknown') THEN 'risky' ELSE v.verdict END "
            f'AS verdict) FROM {self._verdicts[PHONE]} v LEFT JOIN "shared numbers" s '
            "ON s.normalized = v.phone_e164)"
        )

    def _contact_points(self) -> str:
        columns = ", ".join(quoted(column.name) for column in CONTACT_POINTS.columns)
        point = "connection, table_name, record_key, kind, label, p.value, p.number AS field, is_primary AND coalesce(v.position, 1) = 1 AS is_primary"
        emails = (
            f"SELECT {point}, v.position AS part, NULL AS region, email_normalized AS normalized, verdict, reasons, "
            f"suggestion FROM {self.points.new} p LEFT JOIN {self._verdicts[EMAIL]} v USING (value) "
            f"WHERE kind = '{EMAIL}'"
        )
        phones = (
            f"SELECT {point}, v.position AS part, p.region, phone_e164 AS normalized, verdict, reasons, "
            f"NULL AS suggestion FROM {self.points.new} p LEFT JOIN {self._shared_applied()} v "
            f"USING (value, region) WHERE kind = '{PHONE}'"
        )
        return (
            f"SELECT {columns} FROM (SELECT *, row_number() OVER "
            f"(PARTITION BY record_key, kind ORDER BY field, part) AS position "
            f"FROM ({emails} UNION ALL BY NAME {phones}))"
        )
