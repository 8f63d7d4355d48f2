"""A few values of each reason, for a preview; they are personal data until they are masked."""

from crm_pipeline.model.names import literal
from crm_pipeline.model.verified_tables import CONTACT_POINTS
from crm_pipeline.stages.verified.result import Verified
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine

EACH = 2


def samples(engine: Engine, verified: Verified, kind: str) -> list[tuple[str, str, list[str]]]:
    """Return verdict, reason and some values for each reason of a kind of points, in the order of the words."""
    version = verified.versions.get(CONTACT_POINTS.name)
    if version is None:
        return []
    rows = engine.rows(
        f"SELECT verdict, reason, list(DISTINCT coalesce(normalized, value))[:{EACH}] FROM ("
        f"SELECT verdict, unnest(reasons) AS reason, normalized, value FROM {Tables.relation(version)} "
        f"WHERE kind = {literal(kind)}) GROUP BY ALL ORDER BY ALL"
    )
    return [(verdict, reason, list(values)) for verdict, reason, values in rows]
