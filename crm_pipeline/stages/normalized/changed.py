"""Which rows of a normalized table differ from those of the version before.

A row differs if it was read from another batch, or if its record was deleted or restored. Where the rules by which
rows are made have changed, or a row depends on other rows, any row may differ.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import quoted
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.number_formats import NumberFormats
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine, parquet_files

RULES = "rules"
"""The entry in a version's meta with the rules by which its rows were made."""


def rules_of(feeds: Sequence[Feed], formats: NumberFormats, code_version: int) -> str:
    """Return a fingerprint of all that a row depends on beside its own record; "" where that is other rows."""
    if any(depends_on_other_rows(feed) for feed in feeds):
        return ""
    made_of = [list(parts_of(feed).values()) for feed in feeds]
    return fingerprint([code_version, duckdb.__version__, formats.to_meta, made_of])


def parts_of(feed: Feed) -> dict[str, object]:
    """Return all that the rows of an object depend on beside its records, by what people call it."""
    return {
        "the mapping": repr(feed.entry),
        "the columns of the table": repr(feed.table),
        "what is known of the account": repr(feed.facts_used),
        "the description of the fields": [schema.fingerprint for schema in feed.landed.schemas],
        "the rules by which keys are read": [
            f"{b.batch_id} as {b.sha256}" for b in feed.landed.batches if b.is_copy
        ],
    }


def depends_on_other_rows(feed: Feed) -> bool:
    """Say whether a row of an object depends on other rows, or on other records than its own."""
    entry = feed.entry
    return bool(
        not entry.is_own
        or (entry.over_rows and not entry.over_one_row)
        or feed.table.over_rows
        or feed.landed.unread
    )


def write_changes(
    engine: Engine,
    staged: Staged,
    paths: Iterable[Path],
    parent: TableVersion | None,
    rules: str,
) -> None:
    """Write the keys of the rows that differ from the parent's; nothing where any row may differ."""
    if parent is None or not parent.base or not rules or parent.meta.get(RULES) != rules:
        return
    if damaged_version([parent], staged.tables.verifier) is not None:
        return
    key = quoted(staged.key[0])
    new, old = parquet_files(list(paths)), Tables.relation(parent)
    read_again = engine.table(
        "rows of new batches",
        f"SELECT {key} FROM {new} ANTI JOIN (SELECT DISTINCT batch_id FROM {old}) USING (batch_id)",
    )
    deleted, deleted_before = (
        f"(SELECT {key} FROM {rows} WHERE is_deleted)" for rows in (new, old)
    )
    parts = [
        f"FROM {read_again}",
        f"(FROM {deleted} EXCEPT FROM {deleted_before})",
        f"(FROM {deleted_before} EXCEPT FROM {deleted})",
    ]
    added = f"SELECT count(*) FROM {read_again} ANTI JOIN {old} USING ({key})"
    [rows] = engine.row(f"SELECT count(*) FROM {new}")
    if rows != parent.rows + engine.row(added)[0]:
        # Both are read_parquet: without names of their own DuckDB does not know whose column is meant.
        parts.append(f"SELECT {key} FROM {old} AS o ANTI JOIN {new} AS n USING ({key})")
    engine.copy_to(" UNION ".join(parts), staged.path("changes"))
