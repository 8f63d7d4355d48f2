"""The new rows of the verified tables, as SQL over the points of the records that changed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from crm_pipeline.contracts import RuleResult
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL,
    EMAIL_VERDICTS,
    PHONE,
    PHONE_VERDICTS,
    StageTable,
)
from crm_pipeline.stages.verified.contract import check
from crm_pipeline.stages.verified.points import Points, nothing_of
from crm_pipeline.stages.verified.result import PointCount
from crm_pipeline.stages.verified.sources import PERSONS
from crm_pipeline.stages.verified.verifiers import Expiry, Verifiers, judged
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.lookup import rows_of
from crm_pipeline.store.tables.replacement import write_whole
from crm_pipeline.verification import PHONE_RULE, PhoneReason, PhoneVerdict

SHARED = str(PhoneReason.SHARED)
_WORSE = PHONE_RULE[PhoneReason.SHARED]
_BETTER = list(PhoneVerdict)[: list(PhoneVerdict).index(_WORSE)]
"""The verdicts that a shared number loses; the vocabulary lists them best first."""
_PERSONS = ", ".join(map(literal, PERSONS))
_KINDS: Mapping[str, StageTable] = {EMAIL: EMAIL_VERDICTS, PHONE: PHONE_VERDICTS}
_COUNTED = {
    EMAIL: (*EMAIL_VERDICTS.key, "records"),
    PHONE: (*PHONE_VERDICTS.key, "records", "people", "phone_e164", "reasons"),
}
"""The columns that are needed of all verdicts on values that a changed record has or had."""
_POINTS_AT_ONCE = 2_000_000
"""So many contact points get their verdicts in one statement."""


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
        """Judge the values of the changed records that have no verdict.

        Args:
            shared_from: a number that so many people have is shared.
        """
        for kind in _KINDS:
            self._define_counts(kind)
            self._define_verdicts(kind)
        self._define_shared(shared_from)
        if self.parents:
            made = self._contact_points(self.points.new)
            self._points = self.engine.table("new contact points", made)

    def write(self, table: str, staged: Staged) -> int:
        """Write all rows of a table that is built anew; return how many there are.

        All points at once may be too many for memory: they are computed while they are written, in parts.
        """
        if table != CONTACT_POINTS.name:
            return write_whole(self.engine, staged, self.of(table))
        parts = max(1, -(-self._count(self.points.new) // _POINTS_AT_ONCE))
        written = 0
        for part in range(parts):
            points = self.points.new
            if parts > 1:
                chosen = f"FROM {points} WHERE hash(record_key) % {parts} = {part}"
                points = self.engine.table("points of a part", chosen)
            written += self.engine.copy_to(self._contact_points(points), staged.path("base"))
        self._points = parquet_files(staged.paths("base"))
        return written

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

    def old(self, table: str) -> str:
        """Return the relation with the rows that these keys had."""
        for kind, verdicts in _KINDS.items():
            if verdicts.name == table:
                return quoted(f"old {kind} verdicts")
        return self.points.old

    def records_to_add(self) -> str:
        """Return the relation with records that changed because a number of theirs is shared now, or is no more.

        It is "" where there are none.
        """
        if not self.parents:
            return ""
        turned = self.engine.table("turned numbers", self._turned)
        if not self._count(turned):
            return ""
        more = self.engine.table(
            "sharers",
            f"SELECT DISTINCT record_key FROM {self.points.kept} SEMI JOIN {turned} USING (normalized) "
            f"WHERE kind = '{PHONE}'",
        )
        return more if self._count(more) else ""

    def _count(self, relation: str) -> int:
        return int(self.engine.row(f"SELECT count(*) FROM {relation}")[0])

    def check(self, changed: str, contracts: ContractFolder) -> dict[str, list[RuleResult]]:
        """Judge the new rows, and return the results of all rules by table.

        Args:
            changed: the relation with the keys of changed records.
            contracts: the user's contracts.

        Raises:
            ContractError: a value has no verdict, a point is there twice, or a contract of the user is broken.
        """
        new = {table.name: self.of(table.name) for table in VERIFIED.tables}
        whole = {table.name: self._whole(table, changed) for table in VERIFIED.tables}
        return check(self.engine, new, whole, contracts)

    def _whole(self, table: StageTable, changed: str) -> str:
        """Return SQL for all rows that a table is going to have."""
        parent = self.parents.get(table.name)
        if parent is None:
            return self.of(table.name)
        key = ", ".join(map(quoted, table.key))
        kept = f"SELECT * FROM {Tables.relation(parent)} ANTI JOIN {self.keys(table.name, changed)} USING ({key})"
        return f"({kept} UNION ALL BY NAME SELECT * FROM {self.of(table.name)})"

    def counts(self, before: Iterable[PointCount]) -> list[PointCount]:
        """Return how many points have which verdict, of all records.

        Args:
            before: the counts of the version before.
        """
        counted: Counter[tuple[str, str, str, tuple[str, ...]]] = Counter()
        if self.parents:
            counted.update({count.what: count.points for count in before})
            counted.subtract(self._counted(self.points.old))
        counted.update(self._counted(self._points))
        return [PointCount(*what, points) for what, points in sorted(counted.items()) if points]

    def _counted(self, relation: str) -> dict[tuple[str, str, str, tuple[str, ...]], int]:
        rows = self.engine.rows(
            f"SELECT connection, kind, verdict, reasons, count(*) FROM {relation} GROUP BY ALL"
        )
        return {(c, k, v, tuple(r)): int(n) for c, k, v, r, n in rows}

    def _define_counts(self, kind: str) -> None:
        """Find the values that changed records have or had, their old verdicts, and how many have them now."""
        table = _KINDS[kind]
        key = ", ".join(map(quoted, table.key))
        counted = (
            f"SELECT {key}, count(DISTINCT record_key) AS records, "
            f"count(DISTINCT record_key) FILTER (table_name IN ({_PERSONS})) AS people FROM {{}} "
            f"WHERE kind = {literal(kind)} GROUP BY ALL"
        )
        new, gone = counted.format(self.points.new), counted.format(self.points.old)
        affected = self.engine.table(
            f"affected {kind}", f"SELECT {key} FROM ({new}) UNION SELECT {key} FROM ({gone})"
        )
        parent = self.parents.get(table.name)
        rows = self._rows(parent, affected, _COUNTED[kind]) if parent else nothing_of(table)
        old = self.engine.table(f"old {kind} verdicts", f"FROM {rows}")
        people = "people" if kind == PHONE else "0 AS people"
        before = f"SELECT DISTINCT {key}, records, {people} FROM {old}"
        total = "coalesce(b.{0}, 0) - coalesce(g.{0}, 0) + coalesce(n.{0}, 0) AS {0}"
        self.engine.table(
            f"present {kind}",
            f"SELECT * FROM (SELECT {key}, {total.format('records')}, {total.format('people')} FROM {affected} "
            f"LEFT JOIN ({before}) b USING ({key}) LEFT JOIN ({gone}) g USING ({key}) "
            f"LEFT JOIN ({new}) n USING ({key})) WHERE records > 0",
        )

    def _rows(self, parent: TableVersion, keys: str, columns: Sequence[str] = ()) -> str:
        return rows_of(
            self.engine,
            parent,
            keys,
            columns=columns,
            before_base=lambda: self.points.before_base(parent),
        )

    def _define_verdicts(self, kind: str) -> None:
        table = _KINDS[kind]
        key = ", ".join(map(quoted, table.key))
        present = quoted(f"present {kind}")
        parent = self.parents.get(table.name)
        # Most old values are of no record any more, and most new ones were of none: few verdicts stay.
        staying = self.engine.table(
            f"staying {kind}",
            f"SELECT DISTINCT {key} FROM {quoted(f'old {kind} verdicts')} SEMI JOIN {present} USING ({key})",
        )
        rows = self._rows(parent, staying) if parent else nothing_of(table)
        fresh = self.engine.table(
            f"fresh {kind}",
            # Whether a number is shared is decided anew: its verdict without that is not stored.
            f"SELECT * EXCLUDE (records{', people' if kind == PHONE else ''}) "
            f"FROM {rows} WHERE NOT {self.expiry.condition} "
            f"AND NOT list_contains(reasons, '{SHARED}')",
        )
        made, self.judged[kind] = judged(
            self.engine,
            f"judged {kind}",
            f"(FROM {present} ANTI JOIN {fresh} USING ({key}))" if parent else present,
            table.key,
            self.verifiers.emails if kind == EMAIL else self.verifiers.phones,
            self.verifiers.rules,
            self.now,
        )
        columns = ", ".join(quoted(column.name) for column in table.columns)
        # Verdicts on all values at once are not copied once more.
        define = self.engine.table if parent else self.engine.view
        self._verdicts[kind] = define(
            f"{kind} verdicts",
            f"SELECT {columns} FROM {fresh} JOIN {present} USING ({key}) "
            f"UNION ALL BY NAME SELECT {columns} FROM {made}",
        )

    def _affected(self, kind: str) -> str:
        return quoted(f"affected {kind}")

    def _define_shared(self, shared_from: int) -> None:
        """Find the numbers that very many people have, among those of the changed records."""
        verdicts, parent = self._verdicts[PHONE], self.parents.get(PHONE_VERDICTS.name)
        touched = self.engine.table(
            "touched numbers",
            f"SELECT phone_e164 FROM {verdicts} WHERE phone_e164 IS NOT NULL UNION "
            'SELECT phone_e164 FROM "old phone verdicts" WHERE phone_e164 IS NOT NULL',
        )
        kept = self._kept_verdicts(parent, touched)
        # A text may name one number twice, and a person may have it in two texts: the sum is never too small.
        people = " UNION ALL ".join(
            f"SELECT DISTINCT value, region, phone_e164, people FROM {rows}"
            for rows in (verdicts, kept)
        )
        candidates = self.engine.table(
            "numbers of many texts",
            f"SELECT phone_e164 AS normalized FROM ({people}) WHERE phone_e164 IS NOT NULL "
            f"GROUP BY phone_e164 HAVING sum(people) >= {shared_from}",
        )
        # Without one the whole table need not be read.
        others = self.points.kept if self._count(candidates) else nothing_of(CONTACT_POINTS)
        of_person = f"kind = '{PHONE}' AND table_name IN ({_PERSONS})"
        self.engine.table(
            "shared numbers",
            f"SELECT normalized FROM (SELECT record_key, phone_e164 AS normalized FROM {self.points.new} "
            f"JOIN {verdicts} USING (value, region) WHERE {of_person} UNION ALL "
            f"SELECT record_key, normalized FROM {others} WHERE {of_person}) "
            f"SEMI JOIN {candidates} USING (normalized) "
            f"GROUP BY normalized HAVING count(DISTINCT record_key) >= {shared_from}",
        )

    def _kept_verdicts(self, parent: TableVersion | None, touched: str) -> str:
        """Compute which verdicts on touched numbers stay as they are: those of other spellings."""
        name, affected = "kept verdicts on touched numbers", self._affected(PHONE)
        columns = ("value", "region", "phone_e164", "people", "reasons")
        spellings = self.engine.table(
            "other spellings",
            "SELECT DISTINCT value, region FROM "
            f"{Tables.relation(parent) if parent and self._count(touched) else nothing_of(PHONE_VERDICTS)} "
            f"SEMI JOIN {touched} USING (phone_e164) ANTI JOIN {affected} USING (value, region)",
        )
        rows = self._rows(parent, spellings, columns) if parent else nothing_of(PHONE_VERDICTS)
        return self.engine.table(
            name, f"SELECT {', '.join(columns)} FROM {rows} SEMI JOIN {touched} USING (phone_e164)"
        )

    @property
    def _turned(self) -> str:
        """SQL for the touched numbers that are shared now and were not, or the other way round."""
        was = " UNION ".join(
            f"SELECT phone_e164 AS normalized FROM {rows} WHERE list_contains(reasons, '{SHARED}')"
            for rows in ('"kept verdicts on touched numbers"', '"old phone verdicts"')
        )
        now = 'SELECT normalized FROM "shared numbers"'
        return f"(({now}) EXCEPT ({was})) UNION (({was}) EXCEPT ({now}))"

    def _shared_applied(self) -> str:
        is_shared = "s.normalized IS NOT NULL"
        # Reasons stand in the order of the vocabulary, also where one comes later.
        words = ", ".join(literal(reason) for reason in PHONE_RULE)
        known = f"list_append(v.reasons, '{SHARED}')"
        added = f"list_filter([{words}], lambda word: list_contains({known}, word))"
        better = ", ".join(map(literal, _BETTER))
        return (
            f"(SELECT v.* REPLACE (CASE WHEN {is_shared} THEN {added} ELSE v.reasons END "
            f"AS reasons, CASE WHEN {is_shared} AND v.verdict IN ({better}) THEN '{_WORSE}' ELSE v.verdict END "
            f'AS verdict) FROM {self._verdicts[PHONE]} v LEFT JOIN "shared numbers" s '
            "ON s.normalized = v.phone_e164)"
        )

    def _contact_points(self, points: str) -> str:
        columns = ", ".join(quoted(column.name) for column in CONTACT_POINTS.columns)
        point = "connection, table_name, record_key, kind, label, p.value, p.number AS field, is_primary AND coalesce(v.position, 1) = 1 AS is_primary"
        emails = (
            f"SELECT {point}, v.position AS part, NULL AS region, email_normalized AS normalized, verdict, reasons, "
            f"suggestion FROM {points} p LEFT JOIN {self._verdicts[EMAIL]} v USING (value) "
            f"WHERE kind = '{EMAIL}'"
        )
        phones = (
            f"SELECT {point}, v.position AS part, p.region, phone_e164 AS normalized, verdict, reasons, "
            f"NULL AS suggestion FROM {points} p LEFT JOIN {self._shared_applied()} v "
            f"USING (value, region) WHERE kind = '{PHONE}'"
        )
        return (
            f"SELECT {columns} FROM (SELECT *, row_number() OVER "
            f"(PARTITION BY record_key, kind ORDER BY field, part) AS position "
            f"FROM ({emails} UNION ALL BY NAME {phones}))"
        )
