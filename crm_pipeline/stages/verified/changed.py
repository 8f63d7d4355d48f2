"""Which records the verified tables have to look at again."""

from collections.abc import Collection, Mapping

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL,
    EMAIL_VERDICTS,
    PHONE,
    PHONE_VERDICTS,
)
from crm_pipeline.stages.verified.sources import Source
from crm_pipeline.stages.verified.verifiers import Expiry
from crm_pipeline.store.tables import Tables, TableVersion, changes_since
from crm_pipeline.store.tables.engine import Engine


def changed_records(
    engine: Engine,
    tables: Tables,
    sources: Collection[Source],
    parents: Mapping[str, TableVersion],
    expiry: Expiry,
) -> str:
    """Return the relation with the keys of the records to look at, `record_key`; "" where there are none.

    These are the records that changed, those of tables that came or went, and those with values whose verdict has
    expired.

    Args:
        engine: runs the SQL.
        tables: the store.
        sources: the normalized tables.
        parents: the current verified tables.
        expiry: says which verdicts have expired.
    """
    points = parents[CONTACT_POINTS.name]
    before: Mapping[str, str] = points.meta["inputs"]
    parts = [part for source in sources for part in _of_source(tables, source, before, points)]
    present = {source.version.name for source in sources}
    parts += [_points_of(points, name) for name in before if name not in present]
    parts += _expired(points, parents, expiry)
    if not parts:
        return ""
    changed = engine.table("changed records", " UNION ".join(f"({part})" for part in parts))
    return changed if engine.row(f"SELECT count(*) FROM {changed}")[0] else ""


def _of_source(
    tables: Tables, source: Source, before: Mapping[str, str], points: TableVersion
) -> list[str]:
    name, key = source.version.name, quoted(source.key)
    every = f"SELECT {key} AS record_key FROM {source.live}"
    if name not in before:
        return [every]
    changes = changes_since(tables, source.version, before[name])
    if changes.is_all:
        return [every, _points_of(points, name)]
    return [] if changes.is_none else [f"SELECT {key} AS record_key FROM {changes.relation}"]


def _points_of(points: TableVersion, name: str) -> str:
    _, connection, table = name.split("/")
    return (
        f"SELECT record_key FROM {Tables.relation(points)} "
        f"WHERE connection = {literal(connection)} AND table_name = {literal(table)}"
    )


def _expired(
    points: TableVersion, parents: Mapping[str, TableVersion], expiry: Expiry
) -> list[str]:
    return [
        f"SELECT record_key FROM {Tables.relation(points)} SEMI JOIN "
        f"(SELECT value FROM {Tables.relation(parents[table.name])} WHERE {expiry.condition}) USING (value) "
        f"WHERE kind = {literal(kind)}"
        for kind, table in ((EMAIL, EMAIL_VERDICTS), (PHONE, PHONE_VERDICTS))
    ]
