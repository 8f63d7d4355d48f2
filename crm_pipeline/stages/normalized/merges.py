"""Which records were merged into which, where the winner is the one that says so.

A merge is final, so what any landed version says counts, whatever was read last: a winner that was
archived since, or whose newest state came without its fields, still has its losers.
"""

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.sources import merge_sources
from crm_pipeline.stages.normalized.versions import HAS_ID, versions
from crm_pipeline.store.engine import Engine, literal


def winners(engine: Engine, one: ObjectInput) -> str | None:
    """Compute `loser` and `winner`, one row per id that was merged away; None where no merge is named.

    Of several winners the one that was not merged away itself goes first, then the one that changed last.
    """
    sources = merge_sources(one.entry, one.schemas)
    if not sources or not one.batches:
        return None
    named = {source.name for source in sources}
    said = engine.view(f"{one.name} merges", versions(engine, one, sources))
    parts = [
        f"SELECT {_id(merge.until, merge.separator, merge.source)} AS loser, _source_id AS winner, "
        f"_modified_at FROM {said} WHERE {HAS_ID} AND {raw(merge.source)} IS NOT NULL"
        for merge in one.entry.merges
        if merge.source in named
    ]
    claims = engine.table(f"{one.name} claims", " UNION ALL ".join(parts))
    best = "winner IN (SELECT loser FROM c), _modified_at DESC NULLS LAST, winner"
    merged = engine.table(
        f"{one.name} merged",
        f"WITH c AS (FROM {claims} WHERE loser <> '' AND loser <> winner) "
        f"SELECT loser, first(winner ORDER BY {best}) AS winner FROM c GROUP BY loser",
    )
    return merged if engine.row(f"SELECT count(*) FROM {merged}")[0] else None


def _id(until: str, separator: str, source: str) -> str:
    part = f"unnest(string_split({raw(source)}, {literal(separator)}))"
    return f"trim(split_part({part}, {literal(until)}, 1))" if until else f"trim({part})"
