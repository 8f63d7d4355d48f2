"""Rules between tables, checked on the live rows of a file that is about to be published.

Findings are published in `ops.quality` and shown by Dagster. They do not stop a publish: the tables are as the
CRM has them, and objects are read one after another, so they may contradict each other for a moment.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.tables import DELETED_SUFFIX, TABLES
from crm_pipeline.model.verified_tables import EMAIL, OF_EMAILS, PHONE
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.store.tables.engine import Engine

TOLERANCE_S = 5
"""Vendors set the times of a deal and of its history in two steps, some of them in whole seconds."""
LEAST_ROWS = 10
"""In fewer rows than these a column may be empty by chance."""
_EXAMPLES = 5
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


@dataclass(frozen=True)
class Finding:
    """The result of a rule: how many of the checked rows break it, with the keys of a few.

    Attributes:
        severity: `warning` for a fault; `note` for what is no fault, but has to be known.
    """

    connection: str
    table: str
    rule: str
    severity: str
    failures: int
    rows: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Consistency:
    """The rules over one published file.

    Args:
        engine: the engine that has the file attached.
        crm: SQL for the file's schema `crm`.
        read: the tables that are read, by connection.
        is_verified: whether addresses and numbers were judged.
        kept_out: connection, table and column of fields that connections.yaml keeps out.
        same: tables whose rows are those of the file that this one is a changed copy of.
        known: the results of that file, which count for rules that read such tables only.
    """

    engine: Engine
    crm: str
    read: Mapping[str, Collection[str]]
    is_verified: bool = False
    kept_out: Collection[tuple[str, str, str]] = ()
    same: Collection[str] = ()
    known: Sequence[Finding] = ()

    def findings(self, bridges: Iterable[Derived] = ()) -> list[Finding]:
        """Return the result of every rule for each connection that has its tables."""
        findings: list[Finding] = []
        for table in filter(self._is_any, {*FILLED, *VERIFIED.adds}):
            if self._reads(table) <= set(self.same):
                findings.extend(finding for finding in self.known if finding.table == table)
            else:
                findings.extend(self._of(table))
        for bridge in bridges:
            if bridge.name in self.same:
                findings.extend(finding for finding in self.known if finding.table == bridge.name)
            else:
                findings.extend(self._left_out(bridge))
        return sorted(
            findings, key=lambda finding: (finding.connection, finding.table, finding.rule)
        )

    def _of(self, table: str) -> Iterator[Finding]:
        """Yield the results of all rules for the rows of a table."""
        if table == "deals":
            yield from self._history()
            yield from self._closing()
        if table in _OF_DEALS:
            yield from self._currencies(table)
        if table in FILLED:
            yield from self._columns(table)
        if self.is_verified:
            yield from self._verdicts(table)

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

    def _verdicts(self, table: str) -> Iterator[Finding]:
        """Check that main addresses and numbers are judged, and can be used; a bad one is no fault of the pipeline."""
        for by, added in VERIFIED.adds.get(table, {}).items():
            verdict, worst = _WORST[EMAIL if added is OF_EMAILS else PHONE]
            rows = f"""
                SELECT connection, {quoted(TABLES[table].key)} AS key, {verdict} AS verdict
                FROM {self.crm}.{quoted(table)} WHERE trim({quoted(by)}) <> ''
            """
            yield from self._fared(table, {f"{by} has a verdict": "verdict IS NULL"}, rows)
            judged = f"SELECT * FROM ({rows}) WHERE verdict IS NOT NULL"
            rule = {f"{by} is not {worst}": f"verdict = {literal(worst)}"}
            yield from self._fared(table, rule, judged, NOTE)

    def _fared(
        self, table: str, rules: Mapping[str, str], rows: str, severity: str = WARNING
    ) -> Iterator[Finding]:
        counts = ", ".join(
            f"count(*) FILTER (WHERE {broken}), min(key, {_EXAMPLES}) FILTER (WHERE {broken})"
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
        keys = {c.name: c.refers_to for c in TABLES[table].columns if c.refers_to}
        names = dict.fromkeys((*FILLED[table], *keys))
        counts = ", ".join(f"count({quoted(name)})" for name in names)
        filled: dict[str, dict[str, int]] = {}
        for connection, rows, *cells in self.engine.rows(
            f"SELECT connection, count(*), {counts} FROM {self.crm}.{quoted(table)} GROUP BY connection"
        ):
            filled[connection] = dict(zip(names, cells, strict=True))
            if rows < LEAST_ROWS:
                continue
            for name in FILLED[table]:
                if (connection, table, name) in self.kept_out:
                    continue
                failures = 0 if filled[connection][name] else rows
                yield Finding(connection, table, f"{name} is filled", WARNING, failures, rows)
        for name, target in keys.items():
            references = {
                connection: counted[name]
                for connection, counted in filled.items()
                # If the target is not read, references to it cannot be checked.
                if counted[name] and target in self.read.get(connection, ())
            }
            if references:
                yield from self._dangling(table, name, target, references)

    def _dangling(
        self, table: str, name: str, target: str, references: Mapping[str, int]
    ) -> Iterator[Finding]:
        own, key = quoted(TABLES[table].key), quoted(TABLES[target].key)
        deleted = f"{self.crm}.{quoted(target + DELETED_SUFFIX)}"
        listed = ", ".join(map(literal, references))
        rows = self.engine.rows(
            f"""
            WITH lost AS (
                SELECT t.connection, t.{own} AS key, t.{quoted(name)} IN (SELECT {key} FROM {deleted}) AS is_deleted
                FROM {self.crm}.{quoted(table)} t
                ANTI JOIN {self.crm}.{quoted(target)} o ON o.{key} = t.{quoted(name)}
                WHERE t.{quoted(name)} IS NOT NULL AND t.connection IN ({listed})
            )
            SELECT connection, is_deleted, count(*), min(key, {_EXAMPLES}) FROM lost GROUP BY ALL
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
            f"min({left}, {_EXAMPLES}) FILTER (WHERE missing = 'unknown'), "
            f"count(*) FILTER (WHERE missing = 'deleted'), "
            f"min({left}, {_EXAMPLES}) FILTER (WHERE missing = 'deleted') "
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
