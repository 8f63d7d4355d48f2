"""Rules that hold between tables, judged on the live rows of a file that is about to be published.

What a rule finds is published in `ops.quality` and shown by Dagster; it stops nothing, because the tables are
as the CRM told them, and the CRM may contradict itself for a moment: objects are read one after another.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import DELETED_SUFFIX, TABLES
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.store.tables.engine import Engine

TOLERANCE_S = 5
"""Vendors stamp the deal and its history in two steps, and some of them in whole seconds."""
LEAST_ROWS = 10
"""A column that is empty in fewer rows than these may be so by chance."""
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
    "tickets": ("subject", "status", "owner_key", "created_at"),
    "users": ("full_name", "email", "is_active"),
    "pipelines": ("name", "label"),
    "stages": ("pipeline_key", "name", "label", "position"),
    "associations": ("from_key", "to_key"),
    "exchange_rates": ("currency", "rate"),
}
"""Columns that every CRM fills in some row: NULL in all of them means that the mapping or the login misses it."""

_OF_DEALS = {
    "deal_stage_history": ("amount", "expected_revenue"),
    "deal_line_items": ("unit_price", "list_price", "total_price"),
}
"""Tables of which a row belongs to a deal, each with its amounts."""


@dataclass(frozen=True)
class Finding:
    """How a rule fared: how many of the rows that it looked at break it, with the keys of a few.

    Attributes:
        severity: a `note` is no fault, but has to be known.
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
        engine: has the file attached.
        crm: SQL for its schema `crm`.
        read: the tables of each connection.
    """

    engine: Engine
    crm: str
    read: Mapping[str, Collection[str]]

    def findings(self, bridges: Iterable[Derived] = ()) -> list[Finding]:
        """Return how every rule fared for each connection that it can be asked of."""
        found = [*self._history(), *self._closing(), *self._currencies()]
        for table in FILLED:
            found.extend(self._columns(table))
        for bridge in bridges:
            found.extend(self._left_out(bridge))
        return sorted(found, key=lambda one: (one.connection, one.table, one.rule))

    def _history(self) -> Iterator[Finding]:
        yield from self._judged(
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
        """Where a CRM closes deals by stage, both say the same; one that closes none so says nothing."""
        yield from self._judged(
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

    def _currencies(self) -> Iterator[Finding]:
        """What belongs to a deal has its currency; that a CRM keeps none there is no fault, but sums need it."""
        for table, amounts in _OF_DEALS.items():
            has_amount = " OR ".join(f"t.{quoted(name)} IS NOT NULL" for name in amounts)
            rows = f"""
                SELECT t.connection, t.{quoted(TABLES[table].key)} AS key, t.currency, d.currency AS of_deal
                FROM {self.crm}.{quoted(table)} t JOIN {self.crm}.deals d USING (deal_key)
                WHERE d.currency IS NOT NULL AND ({has_amount})
            """
            yield from self._judged(
                table, {"currency is that of the deal": "currency <> of_deal"}, rows
            )
            known = {"currency is known where that of the deal is": "currency IS NULL"}
            yield from self._judged(table, known, rows, NOTE)

    def _judged(
        self, table: str, rules: Mapping[str, str], rows: str, severity: str = WARNING
    ) -> Iterator[Finding]:
        counts = ", ".join(
            f"count(*) FILTER (WHERE {broken}), min(key, {_EXAMPLES}) FILTER (WHERE {broken})"
            for broken in rules.values()
        )
        for connection, looked_at, *cells in self.engine.rows(
            f"SELECT connection, count(*), {counts} FROM ({rows}) GROUP BY connection"
        ):
            for rule, failures, keys in zip(rules, cells[::2], cells[1::2], strict=True):
                examples = tuple(keys or ())
                yield Finding(connection, table, rule, severity, failures, looked_at, examples)

    def _columns(self, table: str) -> Iterator[Finding]:
        """Judge what is empty, and which keys lead nowhere."""
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
                failures = 0 if filled[connection][name] else rows
                yield Finding(connection, table, f"{name} is filled", WARNING, failures, rows)
        for name, target in keys.items():
            told = {
                one: counted[name]
                for one, counted in filled.items()
                # Of an object that is not read nothing can be known.
                if counted[name] and target in self.read.get(one, ())
            }
            if told:
                yield from self._dangling(table, name, target, told)

    def _dangling(
        self, table: str, name: str, target: str, told: Mapping[str, int]
    ) -> Iterator[Finding]:
        own, key = quoted(TABLES[table].key), quoted(TABLES[target].key)
        deleted = f"{self.crm}.{quoted(target + DELETED_SUFFIX)}"
        listed = ", ".join(map(literal, told))
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
        found = {(connection, gone): (count, tuple(keys)) for connection, gone, count, keys in rows}
        for connection, looked_at in told.items():
            for gone, rule, severity in (
                (False, f"{name} is a record of {target}", WARNING),
                (True, f"{name} is a live record of {target}", NOTE),
            ):
                failures, examples = found.get((connection, gone), (0, ()))
                yield Finding(connection, table, rule, severity, failures, looked_at, examples)

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
            told = (
                ("both ends are records", WARNING, unknown, of_unknown),
                ("both ends are live records", NOTE, deleted, of_deleted),
            )
            for rule, severity, failures, keys in told:
                examples = tuple(dict.fromkeys(keys or ()))
                yield Finding(connection, bridge.name, rule, severity, failures, rows, examples)

    def _is_read(self, bridge: Derived, connection: str) -> bool:
        keys = {table.key: name for name, table in TABLES.items()}
        return {keys[name] for name, _, _ in bridge.columns[1:3]} <= set(
            self.read.get(connection, ())
        )
