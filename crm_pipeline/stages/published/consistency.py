"""Rules between tables, checked on the live rows of a file that is about to be published.

Findings are published in `ops.quality` and shown by Dagster. They do not stop a publish: the tables are as the
CRM has them, and objects are read one after another, so they may contradict each other for a moment.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import DELETED_SUFFIX, TABLES
from crm_pipeline.model.verified_tables import EMAIL, OF_EMAILS, PHONE
from crm_pipeline.stages.published.carried import (
    EXAMPLES,
    NOTHING_CARRIED,
    Carried,
    Finding,
    combined,
)
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.store.tables.engine import Engine

TOLERANCE_S = 5
"""Vendors set the times of a deal and of its history in two steps, some of them in whole seconds."""
LEAST_ROWS = 10
"""In fewer rows than these a column may be empty by chance."""
WARNING, NOTE = "warning", "note"

FILLED: Mapping[str, tuple[str, ...]] = {
    "contacts": ("full_name", "email", "owner_key", "created_at", "modified_at"),
    "companies": ("name", "owner_key", "created_at", "modified_at"),
    "deals": (
        "name",
        "owner_key",
        "company_key",
        "pipeline_key",
        "stage",
        "stage_label",
        "stage_changed_at",
        "amount",
        "amount_main",
        "close_date",
        "is_closed",
        "is_won",
        "created_at",
        "modified_at",
    ),
    "deal_stage_history": (
        "deal_key",
        "pipeline_key",
        "stage",
        "stage_label",
        "changed_at",
        "entered_at",
    ),
    "deal_line_items": ("deal_key", "name", "quantity", "unit_price"),
    "products": ("name",),
    "product_prices": ("product_key", "price"),
    "leads": ("owner_key", "created_at", "modified_at"),
    "activities": ("activity_type", "subject", "is_closed", "due_on", "owner_key", "created_at"),
    "campaigns": ("name", "status"),
    "campaign_members": ("campaign_key",),
    "lists": ("name", "list_type", "size"),
    "list_members": ("list_key", "member_key", "joined_at"),
    "tickets": ("subject", "status", "owner_key", "created_at"),
    "users": ("full_name", "email", "is_active"),
    "pipelines": ("name", "label"),
    "stages": ("pipeline_key", "name", "label", "position"),
    "associations": ("from_key", "to_key"),
    "exchange_rates": ("currency", "rate"),
}
"""Columns that every CRM fills in some row: NULL in all rows means that the mapping lacks it or the login may not see it."""

_OF_DEALS = {
    "deal_stage_history": ("amount", "expected_revenue"),
    "deal_line_items": ("unit_price", "list_price", "total_price"),
}
"""Tables whose rows belong to a deal, each with its columns of amounts."""

_WORST = {
    EMAIL: ("email_verdict", "undeliverable"),
    PHONE: ("phone_verdict", "invalid"),
}
"""For each kind of contact point, the column with the verdict and the verdict on those that cannot be used."""


_ROWS = ""
_Filled = dict[str, Counter[str]]


def _held(filled: _Filled, name: str, connections: Collection[str]) -> dict[str, int]:
    """Return how many rows have a value in a column, of those connections that have any."""
    counts = {connection: counted[name] for connection, counted in filled.items()}
    return {connection: n for connection, n in counts.items() if n and connection in connections}


def _verdict_rules(table: str) -> list[str]:
    return [
        rule
        for by, added in VERIFIED.adds.get(table, {}).items()
        for rule in (f"{by} has a verdict", f"{by} is not {_worst(added)[1]}")
    ]


def _worst(added: tuple[Column, ...]) -> tuple[str, str]:
    """Return the column with the verdict among added ones, and the verdict on what cannot be used."""
    return _WORST[EMAIL if added is OF_EMAILS else PHONE]


def columns_read(table: str) -> frozenset[str]:
    """Return the columns that the rules about single rows of a table read."""
    adds = VERIFIED.adds.get(table, {})
    judged = {name for by, added in adds.items() for name in (by, _worst(added)[0])}
    references = (c.name for c in TABLES[table].columns if c.refers_to) if table in TABLES else ()
    return frozenset({*FILLED.get(table, ()), *references, *judged})


@dataclass(frozen=True)
class Consistency:
    """The rules over one published file.

    Args:
        engine: the engine that has the file attached.
        crm: SQL for the file's schema `crm`.
        read: the tables that are read, by connection.
        is_verified: whether addresses and numbers were judged.
        kept_out: connection, table and column of fields that connections.yaml keeps out.
        carried: what of the file that this one is a changed copy of still counts.
        known: the results of that file.
    """

    engine: Engine
    crm: str
    read: Mapping[str, Collection[str]]
    is_verified: bool = False
    kept_out: Collection[tuple[str, str, str]] = ()
    carried: Carried = NOTHING_CARRIED
    known: Sequence[Finding] = ()

    def findings(self, bridges: Iterable[Derived] = ()) -> list[Finding]:
        """Return the result of every rule for each connection that has its tables."""
        findings: list[Finding] = []
        for table in filter(self._is_any, {*FILLED, *VERIFIED.adds}):
            known = [finding for finding in self.known if finding.table == table]
            if self._reads(table) <= set(self.carried.same):
                findings.extend(known)
                continue
            updated = self._updated(table, known)
            findings.extend(self._of(table) if updated is None else updated)
        for bridge in bridges:
            if bridge.name in self.carried.same:
                findings.extend(finding for finding in self.known if finding.table == bridge.name)
            else:
                findings.extend(self._left_out(bridge))
        return sorted(
            findings, key=lambda finding: (finding.connection, finding.table, finding.rule)
        )

    def _of(self, table: str) -> Iterator[Finding]:
        """Yield the results of all rules for the rows of a table."""
        yield from self._across(table)
        rows = self._rows(table)
        if table in FILLED:
            yield from self._columns(table)
        if self.is_verified:
            yield from self._verdicts(table, rows)

    def _across(self, table: str) -> Iterator[Finding]:
        """Yield the results of the rules about a table's rows together with those of others."""
        if table == "deals":
            yield from self._history()
            yield from self._closing()
        if table in _OF_DEALS:
            yield from self._currencies(table)

    def _rows(self, table: str) -> str:
        return f"{self.crm}.{quoted(table)}"

    def _updated(self, table: str, known: Sequence[Finding]) -> list[Finding] | None:
        """Return the results of all rules from those before and the rows that changed; None where all rows are needed."""
        changed = self.carried.changed_rows(table)
        if changed is None:
            return None
        before, now = changed
        findings = list(self._across(table))
        if table in FILLED:
            of_columns = self._columns_updated(table, known, before, now)
            if of_columns is None:
                return None
            findings += of_columns
        if self.is_verified:
            removed, added = ([*self._verdicts(table, rows)] if rows else [] for rows in changed)
            rules = {f.rule for f in (*removed, *added)} | set(_verdict_rules(table))
            of_verdicts = combined([f for f in known if f.rule in rules], removed, added)
            if of_verdicts is None:
                return None
            findings += of_verdicts
        return findings

    def _columns_updated(
        self, table: str, known: Sequence[Finding], before: str, now: str
    ) -> list[Finding] | None:
        was, has = self._filled(table, before), self._filled(table, now)
        by_rule = {(finding.connection, finding.rule): finding for finding in known}
        connections = {finding.connection for finding in known} | was.keys() | has.keys()
        findings: list[Finding] = []
        for connection in sorted(connections):
            gone, new = was.get(connection, Counter()), has.get(connection, Counter())
            for name in FILLED[table]:
                if (connection, table, name) in self.kept_out:
                    continue
                rule = by_rule.get((connection, f"{name} is filled"))
                if rule is None and not (gone or new):
                    continue
                if rule is None or (gone[name] and not new[name]):
                    return None
                rows = rule.rows - gone[_ROWS] + new[_ROWS]
                if rows < LEAST_ROWS:
                    return None
                is_empty = rule.failures == rule.rows and not new[name]
                findings.append(replace(rule, rows=rows, failures=rows if is_empty else 0))
        for name, target in self._references(table).items():
            of_reference = self._dangling_updated(
                table, name, target, by_rule, before=(before, was), now=(now, has)
            )
            if of_reference is None:
                return None
            findings += of_reference
        return findings

    def _dangling_updated(
        self,
        table: str,
        name: str,
        target: str,
        by_rule: Mapping[tuple[str, str], Finding],
        *,
        before: tuple[str, "_Filled"],
        now: tuple[str, "_Filled"],
    ) -> list[Finding] | None:
        rule = f"{name} is a record of {target}"
        is_steady = self.carried.is_steady(target)
        references: dict[str, int] = {}
        for connection in {c for c, _ in by_rule} | before[1].keys() | now[1].keys():
            if target not in self.read.get(connection, ()):
                continue
            known = by_rule.get((connection, rule))
            gone, new = (filled.get(connection, Counter())[name] for filled in (before[1], now[1]))
            # Without a result before no row had a value, unless the target was not read then.
            if known is None and (gone or new or self.carried.changed_rows(target) is None):
                return None
            if known is not None and known.rows - gone + new:
                references[connection] = known.rows - gone + new
        if not is_steady:
            return list(self._dangling(table, name, target, references)) if references else []
        removed, added = (
            [*self._dangling(table, name, target, _held(filled, name, references), rows)]
            for rows, filled in (before, now)
        )
        rules = {rule, f"{name} is a live record of {target}"}
        known_ones = [f for (c, r), f in by_rule.items() if r in rules and c in references]
        return combined(known_ones, removed, added)

    def _reads(self, table: str) -> set[str]:
        """Return the tables that the rules for a table read."""
        more = {"deal_stage_history", "stages"} if table == "deals" else set()
        if table in _OF_DEALS:
            more.add("deals")
        return {table, *(c.refers_to for c in TABLES[table].columns if c.refers_to), *more}

    def _is_any(self, table: str) -> bool:
        """Say whether any connection has a table; the rules of others would only take time."""
        return any(table in names for names in self.read.values())

    def _history(self) -> Iterator[Finding]:
        yield from self._fared(
            "deals",
            {
                "stage is that of the last history row": "stage IS DISTINCT FROM last.stage",
                f"stage_changed_at is that of the last history row, within {TOLERANCE_S} s": (
                    "stage IS NOT DISTINCT FROM last.stage AND "
                    f"abs(epoch(stage_changed_at) - epoch(last.entered_at)) > {TOLERANCE_S}"
                ),
            },
            f"""
            SELECT d.connection, d.deal_key AS key, d.stage, d.stage_changed_at, h.last
            FROM {self.crm}.deals d JOIN (
                SELECT deal_key, max_by(
                    {{'stage': stage, 'entered_at': entered_at}},
                    {{'at': changed_at, 'size': length(source_id), 'id': source_id}}
                ) AS last
                FROM {self.crm}.deal_stage_history WHERE changed_at IS NOT NULL GROUP BY deal_key
            ) h USING (deal_key)
            """,
        )

    def _closing(self) -> Iterator[Finding]:
        """Check that deal and stage agree on closing, for CRMs that close deals by stage."""
        yield from self._fared(
            "deals",
            {
                "is_closed is that of the stage": "is_closed <> stage_closed",
                "is_won is that of the stage": "is_won <> stage_won",
            },
            f"""
            SELECT d.connection, d.deal_key AS key, d.is_closed, d.is_won,
                s.is_closed AS stage_closed, s.is_won AS stage_won
            FROM {self.crm}.deals d JOIN {self.crm}.stages s
                ON s.connection = d.connection AND s.pipeline_key = d.pipeline_key AND s.name = d.stage
            WHERE d.connection IN (SELECT connection FROM {self.crm}.stages WHERE is_closed)
            """,
        )

    def _currencies(self, table: str) -> Iterator[Finding]:
        """Check that rows of a deal have its currency; a missing currency is only a note, but sums need one."""
        has_amount = " OR ".join(f"t.{quoted(name)} IS NOT NULL" for name in _OF_DEALS[table])
        rows = f"""
            SELECT t.connection, t.{quoted(TABLES[table].key)} AS key, t.currency, d.currency AS of_deal
            FROM {self.crm}.{quoted(table)} t JOIN {self.crm}.deals d USING (deal_key)
            WHERE d.currency IS NOT NULL AND ({has_amount})
        """
        yield from self._fared(table, {"currency is that of the deal": "currency <> of_deal"}, rows)
        known = {"currency is known where that of the deal is": "currency IS NULL"}
        yield from self._fared(table, known, rows, NOTE)

    def _verdicts(self, table: str, of_table: str) -> Iterator[Finding]:
        """Check that main addresses and numbers are judged, and can be used; a bad one is no fault of the pipeline."""
        for by, added in VERIFIED.adds.get(table, {}).items():
            verdict, worst = _worst(added)
            rows = f"""
                SELECT connection, {quoted(TABLES[table].key)} AS key, {verdict} AS verdict
                FROM {of_table} WHERE trim({quoted(by)}) <> ''
            """
            yield from self._fared(table, {f"{by} has a verdict": "verdict IS NULL"}, rows)
            judged = f"SELECT * FROM ({rows}) WHERE verdict IS NOT NULL"
            rule = {f"{by} is not {worst}": f"verdict = {literal(worst)}"}
            yield from self._fared(table, rule, judged, NOTE)

    def _fared(
        self, table: str, rules: Mapping[str, str], rows: str, severity: str = WARNING
    ) -> Iterator[Finding]:
        counts = ", ".join(
            f"count(*) FILTER (WHERE {broken}), min(key, {EXAMPLES}) FILTER (WHERE {broken})"
            for broken in rules.values()
        )
        if not self._is_any(table):
            return
        for connection, checked, *cells in self.engine.rows(
            f"SELECT connection, count(*), {counts} FROM ({rows}) GROUP BY connection"
        ):
            for rule, failures, keys in zip(rules, cells[::2], cells[1::2], strict=True):
                examples = tuple(keys or ())
                yield Finding(connection, table, rule, severity, failures, checked, examples)

    def _columns(self, table: str) -> Iterator[Finding]:
        """Check which columns are empty, and which keys refer to no record."""
        filled = self._filled(table, self._rows(table))
        for connection, counted in filled.items():
            rows = counted[_ROWS]
            if rows < LEAST_ROWS:
                continue
            for name in FILLED[table]:
                if (connection, table, name) in self.kept_out:
                    continue
                failures = 0 if counted[name] else rows
                yield Finding(connection, table, f"{name} is filled", WARNING, failures, rows)
        for name, target in self._references(table).items():
            references = {
                connection: counted[name]
                for connection, counted in filled.items()
                # If the target is not read, references to it cannot be checked.
                if counted[name] and target in self.read.get(connection, ())
            }
            if references:
                yield from self._dangling(table, name, target, references)

    @staticmethod
    def _references(table: str) -> dict[str, str]:
        return {c.name: c.refers_to for c in TABLES[table].columns if c.refers_to}

    def _filled(self, table: str, relation: str) -> "_Filled":
        """Return by connection how many of some rows have a value in each column that rules read, and how many rows there are."""
        if not relation:
            return {}
        names = dict.fromkeys((*FILLED[table], *self._references(table)))
        counts = ", ".join(f"count({quoted(name)})" for name in names)
        return {
            connection: Counter(dict(zip((_ROWS, *names), cells, strict=True)))
            for connection, *cells in self.engine.rows(
                f"SELECT connection, count(*), {counts} FROM {relation} GROUP BY connection"
            )
        }

    def _dangling(
        self, table: str, name: str, target: str, references: Mapping[str, int], rows_of: str = ""
    ) -> Iterator[Finding]:
        """Yield how many references lead to no record; `rows_of` are the table's rows, by default all."""
        if not references:
            return
        own, key = quoted(TABLES[table].key), quoted(TABLES[target].key)
        deleted = f"{self.crm}.{quoted(target + DELETED_SUFFIX)}"
        listed = ", ".join(map(literal, references))
        rows = self.engine.rows(
            f"""
            WITH lost AS (
                SELECT t.connection, t.{own} AS key, t.{quoted(name)} IN (SELECT {key} FROM {deleted}) AS is_deleted
                FROM {rows_of or self._rows(table)} t
                ANTI JOIN {self.crm}.{quoted(target)} o ON o.{key} = t.{quoted(name)}
                WHERE t.{quoted(name)} IS NOT NULL AND t.connection IN ({listed})
            )
            SELECT connection, is_deleted, count(*), min(key, {EXAMPLES}) FROM lost GROUP BY ALL
            """
        )
        dangling = {
            (connection, is_deleted): (count, tuple(keys))
            for connection, is_deleted, count, keys in rows
        }
        for connection, checked in references.items():
            for is_deleted, rule, severity in (
                (False, f"{name} is a record of {target}", WARNING),
                (True, f"{name} is a live record of {target}", NOTE),
            ):
                failures, examples = dangling.get((connection, is_deleted), (0, ()))
                yield Finding(connection, table, rule, severity, failures, checked, examples)

    def _left_out(self, bridge: Derived) -> Iterator[Finding]:
        left = quoted(bridge.columns[1][0])
        for connection, rows, unknown, of_unknown, deleted, of_deleted in self.engine.rows(
            f"SELECT connection, count(*), count(*) FILTER (WHERE missing = 'unknown'), "
            f"min({left}, {EXAMPLES}) FILTER (WHERE missing = 'unknown'), "
            f"count(*) FILTER (WHERE missing = 'deleted'), "
            f"min({left}, {EXAMPLES}) FILTER (WHERE missing = 'deleted') "
            f"FROM {quoted(bridge.relation)} GROUP BY connection"
        ):
            if not self._is_read(bridge, connection):
                continue
            results = (
                ("both ends are records", WARNING, unknown, of_unknown),
                ("both ends are live records", NOTE, deleted, of_deleted),
            )
            for rule, severity, failures, keys in results:
                examples = tuple(dict.fromkeys(keys or ()))
                yield Finding(connection, bridge.name, rule, severity, failures, rows, examples)

    def _is_read(self, bridge: Derived, connection: str) -> bool:
        keys = {table.key: name for name, table in TABLES.items()}
        return {keys[name] for name, _, _ in bridge.columns[1:3]} <= set(
            self.read.get(connection, ())
        )
