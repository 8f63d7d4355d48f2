"""SQL for exploded tables: each element of a list in a record becomes a row.

A version of a record that has the list replaces all rows of earlier versions. A version without the list
changes nothing: the rows stay, and are deleted only if the record is.
"""

from crm_pipeline.model.json_paths import Layout
from crm_pipeline.model.mapping import RECORD_ID
from crm_pipeline.stages.normalized.emptied import kept, of_kind, ranked
from crm_pipeline.stages.normalized.fold import EMPTY, states
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.ranking import repeated_ids, sequences
from crm_pipeline.stages.normalized.reading import json_columns, raw
from crm_pipeline.stages.normalized.versions import HAS_ID, versions
from crm_pipeline.store.tables.engine import Engine

ELEMENT = "_element"
"""The column with the element's JSON text."""


def exploded(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with the elements of all records' lists, and return its name.

    It has the columns of `fold.folded`, where `_source_id` is the id of the row, and `_element`. Of several
    elements of a record with the same identity the first counts.
    """
    if not landed.batches:
        return _nothing(engine, landed)
    # A table, because live rows, deleted rows and their number would each parse every record again.
    elements = engine.table(f"{landed.name} elements", _elements(engine, landed))
    layout = Layout(path for source in landed.of_element for path in source.paths)
    read = ["*", *json_columns(layout, "_e", landed.of_element), f"_source_id AS {raw(RECORD_ID)}"]
    parsed = f"(SELECT *, {layout.columns(ELEMENT, '_e')} FROM {elements})"
    ids = ["_source_id", *(f"coalesce({raw(source)}, '')" for source in landed.entry.identity)]
    columns = [
        "_modified_at",
        "_deleted OR _winner IS NOT NULL AS _deleted",
        "_batch_id",
        "_is_seen",
        "NULL::VARCHAR AS _winner",
        raw(RECORD_ID),
        *(raw(source.name) for source in (*landed.of_record, *landed.of_element)),
        ELEMENT,
    ]
    return engine.view(
        f"{landed.name} exploded",
        f"SELECT {_joined(ids)} AS _source_id, {', '.join(columns)} "
        f"FROM (SELECT {', '.join(read)} FROM {parsed}) "
        f"QUALIFY row_number() OVER (PARTITION BY {_joined(ids)} ORDER BY _position) = 1",
    )


def _elements(engine: Engine, landed: ObjectInput) -> str:
    """Return SQL for the elements of each record's last list, with the record's latest state."""
    of_record = "".join(f", l.{raw(source.name)}" for source in landed.of_record)
    state = "s._source_id, l._modified_at, s._deleted, l._batch_id, s._is_seen, s._winner"
    lists = (
        f"SELECT {state}{of_record}, unnest(l._elements) AS {ELEMENT}, "
        f"generate_subscripts(l._elements, 1) AS _position "
        f"FROM {_lists(engine, landed)} AS l JOIN {states(engine, landed)} AS s USING (_source_id)"
    )
    return f"SELECT * FROM ({lists}) WHERE {ELEMENT} IS NOT NULL"


def _lists(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with the last version of each record's list, and with kept older ones, see `emptied`."""
    name = landed.name
    all_lists = engine.view(
        f"{name} all lists",
        f"SELECT * FROM ({versions(engine, landed, landed.of_record, each=landed.entry.each)}) "
        f"WHERE {HAS_ID} AND _elements IS NOT NULL",
    )
    repeated = repeated_ids(engine, landed)
    if repeated is None:
        return all_lists
    versions_of = ranked(
        engine, landed, lists=all_lists, repeated=repeated, order=sequences(engine, landed)
    )
    newest = (
        f"SELECT * FROM {all_lists} AS l ANTI JOIN (SELECT _batch_id, _row FROM {versions_of} "
        f"WHERE _rank > 1) AS o USING (_batch_id, _row)"
    )
    older = kept(engine, landed, versions_of)
    if older is None:
        return engine.view(f"{name} lists", newest)
    # The newest lists, and elements of older lists whose kind the newest one lacks and should have.
    elements = of_kind(landed, "_elements", "_kind")
    return engine.view(
        f"{name} lists",
        f"{newest} UNION ALL BY NAME SELECT * EXCLUDE (_kind) REPLACE ({elements} AS _elements) "
        f"FROM {all_lists} JOIN {older} USING (_batch_id, _row)",
    )


def _nothing(engine: Engine, landed: ObjectInput) -> str:
    texts = [
        raw(RECORD_ID),
        *(raw(s.name) for s in (*landed.of_record, *landed.of_element)),
        ELEMENT,
    ]
    columns = "".join(f", NULL::VARCHAR AS {text}" for text in texts)
    return engine.view(f"{landed.name} exploded", f"SELECT *{columns} FROM {EMPTY} WHERE false")


def _joined(parts: list[str]) -> str:
    return " || ':' || ".join(parts)
