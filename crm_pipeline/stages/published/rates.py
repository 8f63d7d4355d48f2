"""`ops.verdicts`, and how rates moved: the shares that an earlier publish said.

Shares are compared, not numbers: a CRM that grows has more bad addresses without being worse.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import structlog

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.past import Snapshot
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_snapshot

_TEXT = pa.string()
_RULES = (
    "SELECT connection, table_name, kind, rule, failures / rows FROM ops.quality WHERE rows > 0"
)
_VERDICTS = "SELECT connection, table_name, kind, verdict, reason, share FROM ops.verdicts"
_log = structlog.get_logger("crm_pipeline.published")
RuleKey = tuple[str, str, str, str]
Points = tuple[str, str, str]
"""Connection, table and kind of contact points."""
Verdict = tuple[str | None, str | None]
"""A verdict, and a reason or None for all points with the verdict."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier file says about shares.

    Attributes:
        rules: share of rows that broke each rule of `ops.quality`, by connection, table, kind and rule.
        verdicts: share of each verdict and reason in the contact points.
    """

    rules: Mapping[RuleKey, float] = field(default_factory=dict)
    verdicts: Mapping[Points, Mapping[Verdict, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot | None) -> "Earlier":
        """Read a file; one that is damaged or was made by an earlier version says nothing."""
        if snapshot is None or snapshot.corruption is not None:
            return cls()
        try:
            with closing(open_snapshot(snapshot.path)) as file:
                rules = {tuple(key): share for *key, share in file.execute(_RULES).fetchall()}
                verdicts: dict[Points, dict[Verdict, float]] = {}
                if _has_verdicts(file):
                    for name, table, kind, verdict, reason, share in file.execute(
                        _VERDICTS
                    ).fetchall():
                        verdicts.setdefault((name, table, kind), {})[verdict, reason] = share
                return cls(rules, verdicts)
        except (CorruptFile, StoreError, duckdb.Error) as error:
            # A damaged earlier file must not stop the publish of the new one.
            _log.warning(
                "rates of an earlier publish are not known", file=str(snapshot.path), why=str(error)
            )
            return cls()


def _has_verdicts(file: duckdb.DuckDBPyConnection) -> bool:
    sql = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'verdicts'"
    return bool(file.execute(sql).fetchall())


POINT = "connection, table_name, kind, verdict, reasons"
"""The columns of contact points that are counted, for SQL."""


def verdicts(
    engine: Engine, database: str, yesterday: Earlier, replaced: tuple[str, str] | None = None
) -> OpsTable:
    """Return `ops.verdicts`.

    Args:
        engine: the engine that has the new file attached.
        database: the name under which it is attached.
        yesterday: what yesterday's last publish says.
        replaced: relations with the points of the file's `ops.verdicts` that were replaced, and with those that took
            their place; None counts all points.
    """
    counted: dict[Points, dict[Verdict, int]] = {}
    for connection, table, kind, verdict, reason, count in _counted(engine, database, replaced):
        counted.setdefault((connection, table, kind), {})[verdict, reason] = count
    rows: list[tuple[Any, ...]] = []
    for group, found in counted.items():
        total = sum(count for (_, reason), count in found.items() if reason is None)
        before = yesterday.verdicts.get(group)
        for key in {*found, *(before or {})}:
            count = found.get(key, 0)
            was = None if before is None else before.get(key, 0.0)
            rows.append((*group, *key, count, count / total, was))
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "table_name": (_TEXT, "Table of schema crm that the records belong to."),
        "kind": (_TEXT, "email or phone."),
        "verdict": (_TEXT, "The verdict, see contact_points."),
        "reason": (
            _TEXT,
            "NULL: all points with the verdict; else those of them with this reason. A point may have several reasons.",
        ),
        "points": (pa.int64(), "Addresses or numbers, each as often as records have it."),
        "share": (pa.float64(), "Their share in all points of the connection, table and kind."),
        "share_yesterday": (
            pa.float64(),
            "The same in the last publish before today, UTC. NULL: there was none, or it had no such points.",
        ),
    }
    about = "How many e-mail addresses and phone numbers have which verdict and reason, and the shares of yesterday."
    return OpsTable("verdicts", about, columns, sorted(rows, key=_order))


def _counted(
    engine: Engine, database: str, replaced: tuple[str, str] | None
) -> list[tuple[Any, ...]]:
    """Return connection, table, kind, verdict, reason and number of points."""
    if replaced is None:
        return engine.rows(_numbers(f"SELECT {POINT} FROM {database}.crm.contact_points", 1))
    before, now = replaced
    parts = (
        f"SELECT connection, table_name, kind, verdict, reason, points AS n FROM {database}.ops.verdicts",
        _numbers(f"SELECT {POINT} FROM {before}", -1),
        _numbers(f"SELECT {POINT} FROM {now}", 1),
    )
    numbers = " UNION ALL ".join(f"({part})" for part in parts)
    return engine.rows(
        f"SELECT connection, table_name, kind, verdict, reason, sum(n)::BIGINT AS n FROM ({numbers}) "
        "GROUP BY ALL HAVING n <> 0"
    )


def _numbers(points: str, sign: int) -> str:
    return f"""
        WITH points AS NOT MATERIALIZED ({points})
        SELECT connection, table_name, kind, verdict, NULL AS reason, {sign} * count(*) AS n FROM points GROUP BY ALL
        UNION ALL
        SELECT connection, table_name, kind, verdict, reason, {sign} * count(*) AS n
        FROM (SELECT * REPLACE (unnest(list_distinct(reasons)) AS reasons) FROM points)
            AS listed(connection, table_name, kind, verdict, reason)
        GROUP BY ALL
        """


def _order(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(text or "" for text in row[:5])


def verification_lists(lists: Mapping[str, str]) -> OpsTable:
    """Return the table of the lists by which addresses are judged; `lists` has the date or version of each."""
    columns = {
        "list": (_TEXT, "What it lists."),
        "version": (_TEXT, "Its date or version, as it states it."),
    }
    about = "The lists of domains and names by which addresses are judged."
    return OpsTable("verification_lists", about, columns, sorted(lists.items()))
