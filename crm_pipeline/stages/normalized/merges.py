"""Find out which records were merged into which, for vendors that list the losers in the winner.

A merge is final, so every landed version of a winner counts, not only the newest: a winner that was archived
since, or that landed without its fields, keeps its losers. Losers that were gone before the first read have no
rows of their own; `merged_away` lists them as well.
"""

from collections.abc import Collection

from crm_pipeline.model.mapping import LOSER, WINNER, Merge, ObjectMap
from crm_pipeline.model.names import literal
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.sources import merge_sources
from crm_pipeline.stages.normalized.versions import HAS_ID, versions
from crm_pipeline.store.tables.engine import Engine


def winners(engine: Engine, landed: ObjectInput) -> str | None:
    """Compute `loser`, `winner` and the winner's `batch`, one row per id that was merged away.

    Of several winners the one that was not merged away itself counts, else the one that changed last.

    Returns:
        The relation's name; None where there are no merges.
    """
    mergers = mergers_of(engine, landed)
    return winners_by(engine, landed, mergers) if mergers else None


def mergers_of(engine: Engine, landed: ObjectInput) -> str | None:
    """Compute what landed versions of winners say: `loser`, `winner`, `_modified_at`, `_batch_id`; None without such fields."""
    sources = merge_sources(landed.entry, landed.linked)
    if not sources or not landed.batches:
        return None
    named = {source.name for source in sources}
    lists = listed_ids(landed.entry, named)
    # Not filtered here: a filter would parse every record again for each field in it.
    return engine.table(
        f"{landed.name} mergers",
        f"SELECT unnest({lists}) AS loser, _source_id AS winner, _modified_at, "
        f"_batch_id "
        f"FROM ({versions(engine, landed, sources)}) WHERE {HAS_ID}",
    )


def winners_by(
    engine: Engine, landed: ObjectInput, mergers: str, name: str = "merged"
) -> str | None:
    """Compute the winners by mergers, see `winners`, in a relation whose name ends with `name`."""
    best = "winner IN (SELECT loser FROM c), _modified_at DESC NULLS LAST, winner"
    merged = engine.table(
        f"{landed.name} {name}",
        f"WITH c AS (FROM {mergers} WHERE loser <> '' AND loser <> winner) "
        f"SELECT loser, first(winner ORDER BY {best}) AS winner, first(_batch_id ORDER BY {best}) AS batch "
        f"FROM c GROUP BY loser",
    )
    return merged if engine.row(f"SELECT count(*) FROM {merged}")[0] else None


def merged_away(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with one record per id that was merged away, and return its name.

    It has the columns of `fold.folded`. Where a winner was merged itself, the last winner counts.
    """
    state = (
        "loser AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, batch AS _batch_id, "
        f"true AS _is_seen, NULL::VARCHAR AS _winner, loser AS {raw(LOSER)}, winner AS {raw(WINNER)}"
    )
    merged = winners(engine, landed)
    if merged is None:
        nothing = "SELECT '' AS loser, '' AS winner, '' AS batch WHERE false"
        return engine.view(f"{landed.name} listed", f"SELECT {state} FROM ({nothing})")
    # Follows merges to the last winner. `seen` stops circles, which no vendor's merges make.
    chains = (
        f"WITH RECURSIVE c AS (SELECT loser, winner, batch, [loser] AS seen FROM {merged} UNION ALL "
        f"SELECT c.loser, m.winner, c.batch, list_append(c.seen, m.loser) FROM c "
        f"JOIN {merged} AS m ON m.loser = c.winner WHERE NOT list_contains(c.seen, c.winner)) "
        "SELECT loser, last(winner ORDER BY len(seen)) AS winner, first(batch ORDER BY len(seen)) AS batch "
        "FROM c GROUP BY loser"
    )
    return engine.view(f"{landed.name} listed", f"SELECT {state} FROM ({chains})")


def listed_ids(entry: ObjectMap, named: Collection[str]) -> str:
    """Return SQL for the ids that a record names as merged into itself, in those fields of the mapping that exist."""
    lists = [_ids(merge) for merge in entry.merges if merge.source in named]
    return f"list_concat({', '.join(lists)})"


def _ids(merge: Merge) -> str:
    """Return SQL for the list of ids in a field; NULL where it is empty."""
    parts = f"string_split({raw(merge.source)}, {literal(merge.separator)})"
    part = f"split_part(p, {literal(merge.until)}, 1)" if merge.until else "p"
    return f"list_transform({parts}, lambda p: trim({part}))"
