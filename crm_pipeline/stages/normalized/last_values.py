"""The values of deleted records of which the vendor says nothing but their ids: those of their last version with values.

Lists and logs of deletions, and the marks that an audit lands, have a record's keys only. Such a version decides that
the record is deleted, and when; its other values are those of the best version before it, live or deleted.
"""

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.ranking import ORDER, Ranking, marked, repeated_ids
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys, versions
from crm_pipeline.store.tables.engine import Engine

MODIFIED = "modified_at"
_KEY_COLUMNS = frozenset({"source_id", "is_deleted", "created_at", MODIFIED, "merged_into"})
SAME_ROW = "t._batch_id = v._batch_id AND t._row = v._row"
"""SQL for whether texts `t` are those of the version `v`."""


def own_names(landed: ObjectInput) -> tuple[str, ...]:
    """Return the sources that a version without values may have: its keys, and what lists of deleted records add."""
    keys = {source for f in landed.entry.fields if f.column in _KEY_COLUMNS for source in f.sources}
    own = keys | set(landed.entry.beside)
    return tuple(source.name for source in landed.of_record if source.name in own)


def is_bare(landed: ObjectInput) -> str:
    """Return SQL for whether a version, with the raw columns of an object, has no values."""
    own = set(own_names(landed))
    texts = [f"nullif({raw(s.name)}, '')" for s in landed.of_record if s.name not in own]
    return f"(coalesce({', '.join(texts)}) IS NULL)" if texts else "true"


def texts_of(engine: Engine, landed: ObjectInput, name: str, only: str) -> str:
    """Read which versions of some records have values, and return the relation's name.

    It has the keys, `_row`, `_is_bare` and the texts of `own_names`.

    Args:
        engine: runs the SQL.
        landed: the object, with the files that are read.
        name: the relation's name.
        only: relation with the ids (`_source_id`) of the records.
    """
    return engine.table(
        name, texts_in(landed, f"({versions(engine, landed, landed.of_record, only=only)})")
    )


def texts_in(landed: ObjectInput, source: str) -> str:
    """Return SQL for what `texts_of` reads, from a relation of versions."""
    own = "".join(f", {raw(source)}" for source in own_names(landed))
    return (
        f"SELECT _source_id, _modified_at, _extracted_at, _batch_id, _row, {is_bare(landed)} AS _is_bare{own} "
        f"FROM {source}"
    )


def paired(  # noqa: PLR0917 - each argument is plain at the call
    engine: Engine,
    landed: ObjectInput,
    ends: str,
    ranked_versions: str,
    texts: str,
    same: str = SAME_ROW,
) -> str | None:
    """Compute the versions whose values deleted records keep, and return the relation's name; None where there are none.

    It has the keys, `_row` and the texts of `own_names` of the version that counts, and `_from_batch` and `_from_row`
    of the one that gives the values.

    Args:
        engine: runs the SQL.
        landed: the object.
        ends: relation of the versions that count and are deletions: `_source_id`, `_batch_id`, `_row`.
        ranked_versions: SQL for the versions of these records, as `ranking.marked` has them.
        texts: the relation of `texts_of` for all of them.
        same: SQL for whether texts `t` are those of the version `v`.
    """
    own = "".join(f", t.{raw(source)}" for source in own_names(landed))
    # Our own marks, which have no modification time, never give values: only the last of them is kept.
    giving = (
        f"SELECT v._source_id, v._batch_id, t._row FROM ({ranked_versions}) AS v "
        f"JOIN (FROM {texts} WHERE NOT _is_bare) AS t ON {same} AND t._source_id = v._source_id "
        "WHERE NOT v._is_unstamped QUALIFY row_number() OVER (PARTITION BY v._source_id ORDER BY "
        f"{_of_version(ORDER)}) = 1"
    )
    pairs = engine.table(
        f"{landed.name} last values",
        f"SELECT v._source_id, t._modified_at, t._extracted_at, v._batch_id, v._row{own}, "
        f"g._batch_id AS _from_batch, g._row AS _from_row FROM {ends} AS v "
        f"JOIN (FROM {texts} WHERE _is_bare) AS t ON {same} AND t._source_id = v._source_id "
        f"JOIN ({giving}) AS g ON g._source_id = v._source_id",
    )
    return pairs if engine.row(f"SELECT count(*) FROM {pairs}")[0] else None


def _of_version(order: str) -> str:
    return ", ".join(f"v.{term}" for term in order.split(", "))


def last_values(engine: Engine, landed: ObjectInput, ranking: Ranking) -> str | None:
    """Compute `paired` for all records of an object, of all that has landed."""
    repeated = ranking.repeated or (repeated_ids(engine, landed) if landed.unread else None)
    if repeated is None:
        return None
    ends = engine.table(
        f"{landed.name} deleted last",
        f"SELECT s._source_id, s._batch_id, s._row FROM {all_keys(landed.batches)} AS s "
        f"SEMI JOIN {repeated} AS r ON hash(s._source_id) = r._hash{ranking.latest} WHERE s._deleted AND {HAS_ID}",
    )
    if not engine.row(f"SELECT count(*) FROM {ends}")[0]:
        return None
    keys = f"{all_keys(landed.batches)} AS k SEMI JOIN {ends} AS e ON e._source_id = k._source_id"
    of_ends = (
        f"FROM {ranking.versions} SEMI JOIN {ends} USING (_source_id)"
        if ranking.versions
        else marked(engine, landed, keys)
    )
    texts = texts_of(engine, landed, f"{landed.name} texts of deleted", ends)
    return paired(engine, landed, ends, of_ends, texts)


def with_last_values(landed: ObjectInput, source: str, ranking: Ranking, pairs: str) -> str:
    """Return SQL for the versions that count, with the values that deleted records keep, in the columns of `source`.

    Args:
        landed: the object.
        source: the relation of all its versions.
        ranking: of them.
        pairs: the relation of `paired`.
    """
    left_out = (
        f"(SELECT _batch_id, _row FROM {ranking.others} EXCEPT SELECT _from_batch, _from_row FROM {pairs} "
        f"UNION ALL SELECT _batch_id, _row FROM {pairs})"
    )
    return (
        f"SELECT {_columns(landed, 'p._source_id IS NOT NULL')} FROM {source} AS s "
        f"ANTI JOIN {left_out} AS l ON s._batch_id = l._batch_id AND s._row = l._row "
        f"LEFT JOIN {pairs} AS p ON p._from_batch = s._batch_id AND p._from_row = s._row"
    )


def of_pairs(landed: ObjectInput, source: str, pairs: str) -> str:
    """Return SQL for the records of `paired` alone, in the columns of `source`.

    Args:
        landed: the object.
        source: relation of versions with those that give the values.
        pairs: the relation of `paired`.
    """
    giver = "p._from_batch = s._batch_id AND p._from_row = s._row"
    return f"SELECT {_columns(landed, 'true')} FROM {source} AS s JOIN {pairs} AS p ON {giver}"


def _columns(landed: ObjectInput, is_pair: str) -> str:
    def of_pair(column: str) -> str:
        return f"CASE WHEN {is_pair} THEN p.{column} ELSE s.{column} END AS {column}"

    modified = {
        f for entry in landed.entry.fields if entry.column == MODIFIED for f in entry.sources
    }
    own = set(own_names(landed))

    def text(name: str) -> str:
        column = raw(name)
        if name not in own:
            return f"s.{column}"
        if name not in modified:
            return f"coalesce(p.{column}, s.{column}) AS {column}"
        # The time of a deletion is the record's last one; where nobody knows it, that of its last version stays.
        is_dated = f"{is_pair} AND p._modified_at IS NOT NULL"
        return f"CASE WHEN {is_dated} THEN p.{column} ELSE s.{column} END AS {column}"

    keys = ", ".join(
        map(of_pair, ("_source_id", "_modified_at", "_extracted_at", "_batch_id", "_row"))
    )
    texts = "".join(f", {text(source.name)}" for source in landed.of_record)
    return f"{keys}, ({is_pair}) OR s._deleted AS _deleted{texts}"
