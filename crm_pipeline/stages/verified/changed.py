"""Which records the verified tables have to look at again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

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
from crm_pipeline.store.tables.corruption import check_versions
from crm_pipeline.store.tables.engine import Engine

_NOBODY = "SELECT '' AS record_key WHERE false"


@dataclass(frozen=True)
class Changed:
    """The records to look at.

    Attributes:
        records: relation with their keys, `record_key`, each once.
        expired: relation with those of them that count as changed even if their points are the same.
    """

    records: str
    expired: str

    @classmethod
    def none(cls, engine: Engine) -> "Changed":
        """Return no records."""
        nobody = engine.table("changed records", _NOBODY)
        return cls(nobody, nobody)

    def narrowed(self, engine: Engine, differing: str) -> "Changed":
        """Return those records only whose points differ or have expired; `differing` is SQL for the former."""
        records = engine.table("records with changes", f"({differing}) UNION (FROM {self.expired})")
        return Changed(records, self.expired)

    def extended(self, engine: Engine, sharers: str) -> "Changed":
        """Return these and more records, which count as changed even if their points are the same."""
        both = [
            engine.table(f"{name} and sharers", f"(FROM {relation}) UNION (FROM {sharers})")
            for name, relation in (("changed", self.records), ("expired", self.expired))
        ]
        return Changed(*both)


def changed_records(
    engine: Engine,
    tables: Tables,
    sources: Collection[Source],
    parents: Mapping[str, TableVersion],
    expiry: Expiry,
) -> Changed | None:
    """Return the records to look at; None where there are none.

    These are the records that changed, those of tables that came or went, and those with values whose verdict has
    expired.

    Args:
        engine: runs the SQL.
        tables: the store.
        sources: the normalized tables.
        parents: the current verified tables.
        expiry: says which verdicts have expired.

    Raises:
        CorruptFile: a file that is read whole is not as it was written.
    """
    points = parents[CONTACT_POINTS.name]
    before: Mapping[str, str] = points.meta["inputs"]
    parts = [part for source in sources for part in _of_source(tables, source, before, points)]
    present = {source.version.name for source in sources}
    parts += [_points_of(points, name) for name in before if name not in present]
    expired = engine.table(
        "expired records", " UNION ".join([_NOBODY, *_expired(engine, points, parents, expiry)])
    )
    changed = engine.table(
        "changed records", " UNION ".join(f"({part})" for part in (f"FROM {expired}", *parts))
    )
    if not engine.row(f"SELECT count(*) FROM {changed}")[0]:
        return None
    return Changed(changed, expired)


def _of_source(
    tables: Tables, source: Source, before: Mapping[str, str], points: TableVersion
) -> list[str]:
    name, key = source.version.name, quoted(source.key)
    every = f"SELECT {key} AS record_key FROM {source.live}"
    if name not in before:
        check_versions(tables, [source.version])
        return [every]
    changes = changes_since(tables, source.version, before[name])
    if changes.is_all:
        check_versions(tables, [source.version])
        return [every, _points_of(points, name)]
    return [] if changes.is_none else [f"SELECT {key} AS record_key FROM {changes.relation}"]


def _points_of(points: TableVersion, name: str) -> str:
    _, connection, table = name.split("/")
    return (
        f"SELECT record_key FROM {Tables.relation(points)} "
        f"WHERE connection = {literal(connection)} AND table_name = {literal(table)}"
    )


def _expired(
    engine: Engine, points: TableVersion, parents: Mapping[str, TableVersion], expiry: Expiry
) -> list[str]:
    """Return SQL for the records with a value whose verdict has expired, by kind; the points are read only if there is one."""
    found = []
    for kind, table in ((EMAIL, EMAIL_VERDICTS), (PHONE, PHONE_VERDICTS)):
        values = engine.table(
            f"expired {kind} values",
            f"SELECT DISTINCT value FROM {Tables.relation(parents[table.name])} WHERE {expiry.condition}",
        )
        if engine.row(f"SELECT count(*) FROM {values}")[0]:
            found.append(
                f"SELECT record_key FROM {Tables.relation(points)} SEMI JOIN {values} USING (value) "
                f"WHERE kind = {literal(kind)}"
            )
    return found
